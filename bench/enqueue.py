"""How many tasks a second can be handed over: `python -m bench.enqueue`.

By single calls through a plain stub, by the client's enqueue(), and by BatchEnqueue of 100; no
worker takes them meanwhile.
"""

from bench.figures import Figures, Size, alone
from bench.load import rate
from bench.serving import Serving
from bench.workload import NOTHING, TEXT, batch, request
from taskline_client import TaskClient


async def measure(size: Size) -> Figures:
    """Tasks a second, each way."""
    count = 2_000 if size.quick else 6_000
    async with (
        Serving.start("--workers", "0") as serving,
        TaskClient(serving.address) as client,
    ):
        stub = serving.stub

        async def one(number: int) -> None:
            await stub.Enqueue(request(number))

        async def by_client(number: int) -> None:
            await client.enqueue(NOTHING, number=number, text=TEXT)

        async def hundred(_: int) -> None:
            await stub.BatchEnqueue(batch(100))

        await rate(200, one, in_flight=10)
        await rate(200, by_client, in_flight=100)
        return {
            "enqueue: single calls, 1 in flight, /s": await rate(count // 10, one, in_flight=1),
            "enqueue: single calls, 100 in flight, /s": await rate(count, one, in_flight=100),
            "enqueue: the client's enqueue(), 100 in flight, /s": await rate(
                count * 3, by_client, in_flight=100
            ),
            "enqueue: batches of 100, 4 in flight, tasks/s": 100
            * await rate(count // 20, hundred, in_flight=4),
        }


if __name__ == "__main__":
    alone(measure)
