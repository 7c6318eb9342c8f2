"""The time of one task in an idle deployment, from its caller's side: `python -m bench.round_trip`.

By Enqueue and GetResult, which waits; and by Run, which is one call.
"""

from bench.figures import Figures, Size, alone, percentile
from bench.load import times_ms
from bench.serving import Serving
from bench.workload import request
from taskline.v1 import task_pb2
from taskline.v1 import task_service_pb2 as pb


async def measure(size: Size) -> Figures:
    """Milliseconds, each way."""
    count = 200 if size.quick else 500
    async with Serving.start() as serving:
        stub = serving.stub

        async def enqueue_and_get(number: int) -> None:
            await serving.ended((await stub.Enqueue(request(number))).task.id)

        async def run(number: int) -> None:
            message = pb.RunRequest(enqueue=request(number))
            message.payload_format = task_pb2.PAYLOAD_FORMAT_JSON_BYTES
            async for _ in stub.Run(message):
                pass

        for warm_up in (enqueue_and_get, run):
            await times_ms(50, warm_up)
        found = {
            "Enqueue and GetResult": await times_ms(count, enqueue_and_get),
            "Run": await times_ms(count, run),
        }
    return {
        f"round trip: {name}, {label}, ms": percentile(times, share)
        for name, times in found.items()
        for label, share in (("p50", 0.5), ("p99", 0.99))
    }


if __name__ == "__main__":
    alone(measure)
