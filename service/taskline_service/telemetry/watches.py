"""Counts streams of events."""

from collections.abc import Iterator
from contextlib import contextmanager

from taskline_service.telemetry.instruments import instruments


@contextmanager
def watching() -> Iterator[None]:
    """Around a stream."""
    # The same to the end, whatever is installed meanwhile.
    watches = instruments().watches
    watches.add(1)
    try:
        yield
    finally:
        watches.add(-1)


def conflated() -> None:
    """A watcher is not told of some progress, because there is later progress."""
    instruments().conflated.add(1)
