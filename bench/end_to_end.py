"""Tasks handed over, executed and read back all at once: `python -m bench.end_to_end`.

By batches: 4 callers hand over 100 tasks each, and watch them until they have the result of each.
By single calls: 100 callers make one call of Run each. "Stored" is until every result is stored,
without reading them back; from that also what the store uses of the processor.
"""

import time

from bench.figures import Figures, Size, alone
from bench.load import Call, rate
from bench.serving import CONCURRENCY, Serving
from bench.workload import batch, request
from taskline.v1 import task_pb2
from taskline.v1 import task_service_pb2 as pb


async def measure(size: Size) -> Figures:
    """Tasks a second, and the store's time for each."""
    count = 2_000 if size.quick else 6_000
    async with Serving.start(*CONCURRENCY) as serving:
        stub = serving.stub

        async def run(number: int) -> None:
            message = pb.RunRequest(enqueue=request(number))
            message.payload_format = task_pb2.PAYLOAD_FORMAT_JSON_BYTES
            ended = False
            async for event in stub.Run(message):
                ended = ended or event.ended.HasField("result")
            assert ended

        async def run_hundred(_: int) -> None:
            answer = await stub.BatchEnqueue(batch(100))
            watched = pb.WatchRequest(task_ids=[r.task.id for r in answer.responses])
            watched.payload_format = task_pb2.PAYLOAD_FORMAT_JSON_BYTES
            results = 0
            async for event in stub.Watch(watched):
                results += event.ended.HasField("result")
            assert results == len(watched.task_ids)

        async def one(number: int) -> None:
            await stub.Enqueue(request(number))

        async def hundred(_: int) -> None:
            await stub.BatchEnqueue(batch(100))

        await rate(100, run, in_flight=10)
        single, single_us = await stored(serving, count, one, in_flight=100)
        batches, batched_us = await stored(
            serving, count * 4, hundred, in_flight=4, tasks_per_call=100
        )
        return {
            "end to end: single calls, /s": await rate(count, run, in_flight=100),
            "end to end: single calls, stored, /s": single,
            "end to end: batches, tasks/s": 100 * await rate(count // 50, run_hundred, in_flight=4),
            "end to end: batches, stored, tasks/s": batches,
            "store: processor per task, single calls, µs": single_us,
            "store: processor per task, batches, µs": batched_us,
        }


async def stored(
    serving: Serving, count: int, call: Call, *, in_flight: int, tasks_per_call: int = 1
) -> tuple[float, float]:
    """Tasks a second until all results are stored, and the store's microseconds for each."""
    already, used = await serving.completed(), await serving.store_cpu_us()
    began = time.perf_counter()
    await rate(count // tasks_per_call, call, in_flight=in_flight)
    await serving.all_completed(already + count)
    took = time.perf_counter() - began
    return count / took, (await serving.store_cpu_us() - used) / count


if __name__ == "__main__":
    alone(measure)
