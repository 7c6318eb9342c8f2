"""A task that ended and is put back: what lists, statistics, stories and watches say of it."""

from taskline.v1 import admin_service_pb2 as admin_pb
from taskline.v1 import task_pb2
from taskline.v1 import task_service_pb2 as pb
from tests.rpc.test_list_task_events import story, told
from tests.stack import Stack


async def test_a_retried_task_is_counted_listed_told_and_followed_once(stack: Stack) -> None:
    broken = True

    @stack.tasks.task("mended", max_attempts=1)
    async def mended() -> str:
        if broken:
            raise ValueError("broken")
        return "mended"

    watch = stack.stub.Watch(pb.WatchRequest(filter=pb.TaskFilter(task_types=["mended"])))
    await watch.initial_metadata()
    async with stack.worker():
        await stack.stub.Enqueue(pb.EnqueueRequest(task_type="mended", task_id="m"))
        await stack.stub.GetResult(pb.GetResultRequest(task_id="m", wait=True))
        failed = await stack.stub.GetStats(pb.GetStatsRequest())
        broken = False
        await stack.admin.RetryTask(admin_pb.RetryTaskRequest(task_id="m"))
        answer = await stack.stub.GetResult(pb.GetResultRequest(task_id="m", wait=True))
    seen: list[str] = []
    async for event in watch:
        if event.HasField("heartbeat"):
            continue
        seen.append(told(event))
        if seen.count("COMPLETED"):
            break
    watch.cancel()

    assert answer.result.json.string_value == "mended"
    assert [told(event) for event in await story(stack, "m")] == [
        *("QUEUED", "RUNNING", "FAILED", "QUEUED", "RUNNING", "COMPLETED")
    ]
    assert seen[0] == "snapshot"
    assert seen.count("FAILED") == seen.count("COMPLETED") == 1
    assert seen.index("FAILED") < len(seen) - 1 - seen[::-1].index("snapshot")
    assert [(e.error_type, e.count) for e in failed.error_types] == [
        (task_pb2.TaskError.TYPE_RUNTIME, 1)
    ]
    stats = await stack.stub.GetStats(pb.GetStatsRequest())
    assert not stats.error_types
    assert (stats.total, stats.success_rate) == (1, 1.0)
    listed = await stack.stub.ListTasks(
        pb.ListTasksRequest(filter=pb.TaskFilter(states=[task_pb2.Task.STATE_COMPLETED]))
    )
    assert [task.id for task in listed.tasks] == ["m"]
    assert listed.tasks[0].attempts == 2
