"""How soon progress reaches who watches the task: `python -m bench.progress`.

One task that reports the time now and then, and one watcher, by the clock of this machine.
"""

import time

from bench.figures import Figures, Size, alone, percentile
from bench.serving import Serving
from bench.workload import REPORTING
from taskline.v1 import task_service_pb2 as pb

# Longer than the span in which a watcher gets the latest report alone.
PAUSE_S = 0.15


async def measure(size: Size) -> Figures:
    """Milliseconds from a report to the watcher."""
    reports = 30 if size.quick else 80
    delays = list[float]()
    async with Serving.start() as serving:
        message = pb.EnqueueRequest(task_type=REPORTING)
        message.input.json_bytes = b'{"reports":%d,"pause":%f}' % (reports, PAUSE_S)
        async for event in serving.stub.Run(pb.RunRequest(enqueue=message)):
            now = time.time()
            if event.HasField("progress"):
                delays.append((now - event.progress.current) * 1000)
    return {
        "progress to watcher: p50, ms": percentile(delays, 0.5),
        "progress to watcher: p99, ms": percentile(delays, 0.99),
        "progress to watcher: share of reports seen": len(delays) / reports,
    }


if __name__ == "__main__":
    alone(measure)
