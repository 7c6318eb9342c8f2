"""How long `taskline fsck` takes: `python -m bench.fsck_time [TASKS]`.

Checks a store with that many tasks (100,000 by default; a tenth has ended, all have a label) while
nothing else uses it, and tells how long the longest script call of the check kept the store busy,
by the store's own slow log; on a machine with other work, that holds what it had to wait for, too.
"""

import asyncio
import resource
import sys
import time

from bench.real_store import real_store
from bench.script_time import fill
from taskline_service.fsck import check_store
from taskline_service.store import TaskStore

MANY = 100_000
LONG_MS = 5


async def main(count: int) -> bool:
    """Print the figures; whether the store was found clean."""
    async with real_store("bench-fsck-time") as store:
        await fill(store, count)
        for name, value in (("slowlog-log-slower-than", "1000"), ("slowlog-max-len", "100000")):
            await store.redis.call(b"CONFIG", b"SET", name, value)
        await store.redis.call(b"SLOWLOG", b"RESET")
        before = await store_cpu_s(store)
        filled = _memory_mb()
        began, used = time.perf_counter(), time.process_time()
        report = await check_store(store.redis, store.keys)
        took, used = time.perf_counter() - began, time.process_time() - used
        store_used = await store_cpu_s(store) - before
        slow = await store.redis.call(b"SLOWLOG", b"GET", b"5000")
    times = [int(entry[2]) / 1000 for entry in slow]
    long = sum(time > LONG_MS for time in times)
    print(f"{report.tasks:,} tasks, {report.keys:,} keys: {report.total} offences")
    print(f"took {took:.1f} s; CPU: {used:.1f} s here, {store_used:.1f} s in the store")
    print(f"longest call of the store: {max(times, default=1):.2f} ms; above {LONG_MS} ms: {long}")
    print(f"memory of this process: {filled} MB before, {_memory_mb()} MB at most")
    return report.clean


async def store_cpu_s(store: TaskStore) -> float:
    """Seconds of CPU that the store has used."""
    info = (await store.redis.call(b"INFO", b"cpu")).decode()
    fields = dict(line.split(":", 1) for line in info.splitlines() if ":" in line)
    return float(fields["used_cpu_user"]) + float(fields["used_cpu_sys"])


def _memory_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    sys.exit(0 if asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else MANY)) else 1)
