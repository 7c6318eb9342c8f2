"""Cuts what is to be moved into steps, so that no script call takes long."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

MOVES_PER_CALL = 100
RECORDS_PER_CALL = 100
BYTES_PER_CALL = 4 * 1024 * 1024

_T = TypeVar("_T")


def chunks(items: Sequence[_T], sizes: Sequence[int]) -> Iterator[Sequence[_T]]:
    """The items in order, in steps of a hundred at most; `sizes` are theirs in bytes."""
    start, size = 0, 0
    for i, item_size in enumerate(sizes):
        if i > start and (i - start >= MOVES_PER_CALL or size + item_size > BYTES_PER_CALL):
            yield items[start:i]
            start, size = i, 0
        size += item_size
    if start < len(items):
        yield items[start:]
