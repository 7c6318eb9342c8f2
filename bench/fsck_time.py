"""How long `taskline fsck` takes: `python -m bench.fsck_time [TASKS]`.

Checks a store with that many tasks (100,000 by default; a tenth has ended, all have a label) while
nothing else uses it, and tells how long the longest script call of the check kept the store busy,
by the store's own slow log.
"""

import asyncio
import resource
import sys
import time

from bench.real_store import real_store
from bench.script_time import fill
from taskline_service.fsck import check_store

MANY = 100_000


async def main(count: int) -> bool:
    """Print the figures; whether the store was found clean."""
    async with real_store("bench-fsck-time") as store:
        await fill(store, count)
        for name, value in (("slowlog-log-slower-than", "0"), ("slowlog-max-len", "1000000")):
            await store.redis.call(b"CONFIG", b"SET", name, value)
        await store.redis.call(b"SLOWLOG", b"RESET")
        filled = _memory_mb()
        began, used = time.perf_counter(), time.process_time()
        report = await check_store(store.redis, store.keys)
        took, used = time.perf_counter() - began, time.process_time() - used
        slow = await store.redis.call(b"SLOWLOG", b"GET", b"200000")
    times = sorted(int(entry[2]) / 1000 for entry in slow)
    print(f"{report.tasks:,} tasks, {report.keys:,} keys: {report.total} offences")
    print(f"took {took:.1f} s, of which {used:.1f} s of CPU here")
    print(f"calls of the store: median {times[len(times) // 2]:.2f} ms, longest {times[-1]:.2f} ms")
    print(f"memory of this process: {filled} MB before, {_memory_mb()} MB at most")
    return report.clean


def _memory_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    sys.exit(0 if asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else MANY)) else 1)
