"""The lines that have tasks: chosen here, as a script would go through all of them at once."""

from collections.abc import Collection, Iterator, Sequence

from taskline_service.store.chunks import INDEXES_PER_CALL, chunks
from taskline_service.store.keys import Keys
from taskline_service.store.redis import Redis


async def known_lines(
    redis: Redis,
    keys: Keys,
    *,
    task_types: Collection[str] | None = None,
    queues: Collection[str] | None = None,
) -> list[str]:
    """Those of these types and queues (None: any), by queue."""
    by_queue = list[tuple[str, str]]()
    for line in await redis.call(b"SMEMBERS", keys.lines):
        text = line.decode(errors="replace")
        task_type, colon, queue = text.partition(":")
        wanted = (task_types is None or task_type in task_types) and (
            queues is None or queue in queues
        )
        if colon and wanted:  # without one it is none of ours: `taskline fsck` tells of it
            by_queue.append((queue, text))
    return [text for _, text in sorted(by_queue)]


def in_steps(lines: Sequence[str], *, indexes: int) -> Iterator[Sequence[str]]:
    """As many lines at a time as one call may look at, if it looks at so many indexes of each."""
    return chunks(lines, most=max(INDEXES_PER_CALL // max(indexes, 1), 1))
