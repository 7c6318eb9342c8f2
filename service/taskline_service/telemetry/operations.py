"""Measures what is done with the store to tasks: sent to it, received from it, settled."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter

from taskline_service.telemetry.bounded import bounded_error, queue_of
from taskline_service.telemetry.instruments import instruments
from taskline_service.telemetry.messages import message_kind


@contextmanager
def send_operation(queues: Sequence[str]) -> Iterator[None]:
    """Around the call that hands tasks to the store; `queues` has one entry for each task."""
    into = instruments()
    if into is None:
        yield
        return
    began_at, error = perf_counter(), ""
    try:
        yield
    except BaseException as raised:
        error = type(raised).__qualname__
        raise
    finally:
        kind = message_kind("send") | bounded_error(error)
        # Of several queues, the call as a whole belongs to none.
        place = queue_of(queues[0]) if len(set(queues)) == 1 else {}
        into.operation_duration.record(perf_counter() - began_at, kind | place)
        for queue, count in Counter(queues).items():
            into.sent.add(count, kind | queue_of(queue))


def received(queues: Sequence[str], seconds: float) -> None:
    """The store gave tasks of these queues, one entry for each, after so many seconds."""
    if (into := instruments()) is None:
        return
    kind = message_kind("receive")
    into.operation_duration.record(seconds, kind)
    for queue, count in Counter(queues).items():
        into.consumed.add(count, kind | queue_of(queue))


def settled(seconds: float) -> None:
    """The store has recorded how tasks ended, after so many seconds."""
    if (into := instruments()) is not None:
        into.operation_duration.record(seconds, message_kind("settle"))
