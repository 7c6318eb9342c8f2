"""Counts streams of events."""

from collections.abc import Iterator
from contextlib import contextmanager

from taskline_service.telemetry.instruments import instruments


@contextmanager
def watching() -> Iterator[None]:
    """Around a stream."""
    # The same to the end, whatever is installed meanwhile.
    into = instruments()
    if into is None:
        yield
        return
    into.watches.add(1)
    try:
        yield
    finally:
        into.watches.add(-1)


def conflated() -> None:
    """A watcher is not told of some progress, because there is later progress."""
    if (into := instruments()) is not None:
        into.conflated.add(1)
