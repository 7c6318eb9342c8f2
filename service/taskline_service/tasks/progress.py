"""What a task reports about how far it is; the worker decides when to send it."""

import logging
import math
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Generator, Mapping
from dataclasses import replace
from numbers import Real
from typing import Any

from taskline_service.limits import MAX_MESSAGE_CHARACTERS
from taskline_service.task import Progress
from taskline_service.tasks.details import checked_details

log = logging.getLogger("taskline.task")


def _now_us() -> int:
    return time.time_ns() // 1000


class _Reported(Awaitable[None]):
    """What a report returns: it has taken effect, awaiting it lets others run.

    A plain function in a thread ignores it. Unlike a coroutine it does not mind.
    """

    def __await__(self) -> Generator[None, None, None]:
        yield  # one turn of the event loop, as asyncio.sleep(0): a busy task stays cancellable


REPORTED = _Reported()


class ProgressReporter:
    """How a task tells how far it is.

    Await the methods in an `async def` task; call them without `await` in a plain
    function. Both may happen at once, from any thread: no increment gets lost. None
    of them waits for the network.
    """

    def __init__(
        self,
        on_change: Callable[[Progress], None],
        *,
        clock: Callable[[], int] = _now_us,
        task_id: str = "",
    ) -> None:
        """Report to `on_change`.

        Args:
            on_change: Gets every new state, in order, from whichever thread reported.
                Must be quick, and must not report itself.
            clock: The present in microseconds since the epoch.
            task_id: Named in warnings.
        """
        self._on_change = on_change
        self._clock = clock
        self._task_id = task_id
        self._lock = threading.Lock()
        self._state = Progress()
        self._warned = False

    @property
    def current(self) -> float:
        """Units done."""
        return self._state.current

    @property
    def total(self) -> float | None:
        """Units in total, None while unknown."""
        return self._state.total

    @property
    def message(self) -> str:
        """The last message."""
        return self._state.message

    def increment(self, n: float = 1) -> Awaitable[None]:
        """Add to the units done.

        Raises:
            TypeError: `n` is not a number.
            ValueError: `n` is not finite.
        """
        step = _number("n", n)
        with self._lock:
            return self._moved(self._state.current + step, self._state.total)

    def set_current(self, n: float) -> Awaitable[None]:
        """Say how many units are done; raises as increment() does."""
        done = _number("current", n)
        with self._lock:
            return self._moved(done, self._state.total)

    def set_total(self, n: float | None) -> Awaitable[None]:
        """Say how many units there are; None, or nothing above 0, if that is unknown.

        Raises:
            TypeError: `n` is not a number.
            ValueError: `n` is not finite.
        """
        total = None if n is None else _number("total", n)
        if total is not None and total <= 0:
            total = None  # an empty list of work is no error, and has no percentage
        with self._lock:
            return self._moved(self._state.current, total)

    def set_message(self, text: str) -> Awaitable[None]:
        """Say in words what is going on; cut at 500 characters.

        Raises:
            TypeError: `text` is not a string.
        """
        text = checked_text("message", text)
        with self._lock:
            return self._put(replace(self._state, message=text))

    def set_percentage(self, percentage: float) -> Awaitable[None]:
        """Say how far it is in percent: so many units of 100.

        Raises:
            TypeError: It is not a number.
            ValueError: It is not finite.
        """
        with self._lock:
            return self._moved(checked_percentage(percentage), 100.0)

    def set_details(self, details: Mapping[str, Any]) -> Awaitable[None]:
        """Show anything else, in place of the former details.

        Raises:
            ResultNotSerializable: There is something in it that JSON cannot hold.
            ValueError: It takes more than 4 KiB as JSON, or is nested too deeply.
        """
        checked = checked_details(details)
        with self._lock:
            return self._put(replace(self._state, details=checked))

    def _moved(self, current: float, total: float | None) -> Awaitable[None]:
        # Many small steps add up to a hair more than their sum: that is no mistake.
        if total is not None and current > total and not math.isclose(current, total):
            self._warn_once(current, total)
        limit = sys.float_info.max if total is None else total
        return self._put(replace(self._state, current=max(0.0, min(current, limit)), total=total))

    def _put(self, state: Progress) -> Awaitable[None]:
        # Inside the lock, so that the last state told is the last one there is.
        self._state = replace(state, update_us=self._clock())
        self._on_change(self._state)
        return REPORTED

    def _warn_once(self, current: float, total: float) -> None:
        if not self._warned:
            self._warned = True
            log.warning(
                "task %s: progress %g is over its total %g; capped", self._task_id, current, total
            )


def _number(name: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, not {type(value).__name__}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"{name} must be a finite number")
    return number


def checked_text(name: str, text: str) -> str:
    """A text for people, cut at 500 characters.

    Raises:
        TypeError: It is no text.
    """
    if not isinstance(text, str):
        raise TypeError(f"{name} must be a str, not {type(text).__name__}")
    if len(text) > MAX_MESSAGE_CHARACTERS:
        return text[: MAX_MESSAGE_CHARACTERS - 3] + "..."
    return text


def checked_percentage(value: float) -> float:
    """A share of 100; what lies outside counts as the nearer end.

    Raises:
        TypeError: It is not a number.
        ValueError: It is not finite.
    """
    return min(max(_number("percentage", value), 0.0), 100.0)
