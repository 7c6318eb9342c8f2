from tasks import invert

from taskline_client import TaskClient


async def mistakes(client: TaskClient) -> None:
    await client.enqueue(invert, number="three")  # another type of argument
    await client.enqueue(invert, numbr=3)  # an argument that there is not
    handle = await client.enqueue(invert, number=3)
    print((await handle.result()).upper())  # another type of result
