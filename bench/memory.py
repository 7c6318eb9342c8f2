"""What a task takes in the store's memory, waiting and ended: `python -m bench.memory`."""

from bench.figures import Figures, Size, alone
from bench.serving import CONCURRENCY, Serving


async def measure(size: Size) -> Figures:
    """Bytes for each task, without the buffers of the store's connections and files."""
    count = 5_000 if size.quick else 20_000
    async with Serving.start("--workers", "0") as serving:
        empty = await _used(serving)
        ids = await serving.enqueue(count)
        pending = await _used(serving)
        async with serving.worker(*CONCURRENCY):
            await serving.ended(ids[-1])
            await serving.all_completed(count)
        finished = await _used(serving)
    return {
        "memory: per waiting task, B": (pending - empty) / count,
        "memory: per finished task, B": (finished - empty) / count,
    }


async def _used(serving: Serving) -> int:
    info = await serving.info("memory")
    buffers = ("mem_clients_normal", "mem_aof_buffer")
    return int(info["used_memory"]) - sum(int(info[name]) for name in buffers)


if __name__ == "__main__":
    alone(measure)
