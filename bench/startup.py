"""How long it takes until something can be done: `python -m bench.startup`.

`taskline serve` with an empty embedded store, from the start of its process to its ready line and
to the result of a first task; and what the import of the client takes.
"""

import asyncio
import sys
import time

from bench.figures import Figures, Size, alone, medians
from bench.serving import Serving
from bench.workload import request
from taskline.v1 import task_service_pb2 as pb

_ROUNDS = 5


async def measure(size: Size) -> Figures:
    """Seconds, and milliseconds of the import."""
    rounds = 2 if size.quick else _ROUNDS
    starts = medians([await _start() for _ in range(rounds)])
    empty, client = [
        min([await _python(program) for _ in range(_ROUNDS)])
        for program in ("pass", "import taskline_client")
    ]
    return starts | {"start-up: import of taskline_client, ms": (client - empty) * 1000}


async def _start() -> Figures:
    began = time.perf_counter()
    async with Serving.start() as serving:
        ready = time.perf_counter()
        async for _ in serving.stub.Run(pb.RunRequest(enqueue=request(1))):
            pass
        done = time.perf_counter()
    return {
        "start-up: serve to ready, s": ready - began,
        "start-up: serve to first task done, s": done - began,
    }


async def _python(program: str) -> float:
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program)
    assert await process.wait() == 0
    return time.perf_counter() - began


if __name__ == "__main__":
    alone(measure)
