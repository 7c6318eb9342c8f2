import os

from tasks import invert

from taskline_client import EnqueueRequest, TaskFilter, TaskState, sync

with sync.TaskClient(os.environ["TASKLINE_ADDRESS"]) as client:
    handles = client.enqueue_many(EnqueueRequest(invert, number=n) for n in range(10))
    for event in client.watch(*(handle.id for handle in handles)):
        print(event)
    print(client.gather(*handles, return_exceptions=True))
    for task in client.list_tasks(TaskFilter(states=[TaskState.FAILED])):
        print("failed:", task.id, task.error and task.error.message)
