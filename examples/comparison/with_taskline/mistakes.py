from tasks import invert

from taskline_client.sync import TaskClient


def mistakes(client: TaskClient) -> None:
    client.enqueue(invert, number="three")  # another type of argument
    client.enqueue(invert, numbr=3)  # an argument that there is not
    handle = client.enqueue(invert, number=3)
    print(handle.result().upper())  # another type of result
