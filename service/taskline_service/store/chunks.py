"""Cuts what is to be moved into steps, so that no script call takes long."""

from collections.abc import Iterator, Sequence
from itertools import repeat
from typing import TypeVar

# With these, a call keeps the store busy for a millisecond or two, and no more than 5 ms, be
# there a million tasks in it: `python -m bench.script_time` measures it.
ENQUEUES_PER_CALL = 100
CLAIMS_PER_CALL = 64
# Of which the claims of one call are: each line has a head that is brought up to date.
LINES_PER_CLAIM = 20
MOVES_PER_CALL = 64
# Of those that write or remove a story, an error or a result.
LONG_MOVES_PER_CALL = 15
RECORDS_PER_CALL = 25
CONTENTS_PER_CALL = 50
EVENTS_PER_CALL = 200
WORKERS_PER_CALL = 20
# What belongs to one state of one line.
INDEXES_PER_CALL = 100
# Of a queue, with all buckets of the window.
HISTORIES_PER_CALL = 1
BYTES_PER_CALL = 4 * 1024 * 1024

_T = TypeVar("_T")


def chunks(
    items: Sequence[_T], sizes: Sequence[int] | None = None, *, most: int = MOVES_PER_CALL
) -> Iterator[Sequence[_T]]:
    """The items in order, in steps of so many at most; `sizes` are theirs in bytes."""
    start, size = 0, 0
    for i, item_size in enumerate(repeat(0, len(items)) if sizes is None else sizes):
        if i > start and (i - start >= most or size + item_size > BYTES_PER_CALL):
            yield items[start:i]
            start, size = i, 0
        size += item_size
    if start < len(items):
        yield items[start:]
