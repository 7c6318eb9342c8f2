"""Checks of single request fields: each wrong field becomes one violation."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from taskline_service.errors import FieldViolation, InvalidInput
from taskline_service.limits import (
    LONGEST_SPAN,
    MAX_FILTER_VALUES,
    MAX_LABEL_VALUE,
    MAX_LABELS,
    MAX_PAGE_SIZE,
    MAX_REASON,
)
from taskline_service.names import (
    LABEL_KEY,
    LABEL_KEY_RULE,
    QUEUE,
    QUEUE_RULE,
    TASK_ID,
    TASK_ID_RULE,
)

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")

_HOUR = timedelta(hours=1)
_US_PER_S = 1_000_000
_NANOS_PER_S = 1_000_000_000
# The range of google.protobuf.Timestamp: the years 1 to 9999.
_FIRST_S, _LAST_S = -62_135_596_800, 253_402_300_799


class Checker:
    """Collects what is wrong with the fields of a request."""

    def __init__(self, prefix: str = "") -> None:
        self._prefix = prefix
        self.violations: list[FieldViolation] = []

    def wrong(self, field: str, description: str) -> None:
        """Note that a field is wrong."""
        self.violations.append(FieldViolation(self._prefix + field, description))

    def raise_if_wrong(self) -> None:
        """Raise InvalidInput with everything noted, if anything was."""
        if self.violations:
            raise InvalidInput(self.violations)

    def text(self, field: str, value: str, pattern: re.Pattern[str], rule: str) -> None:
        """A required text of a given form."""
        if not pattern.fullmatch(value):
            self.wrong(field, rule if value else "required")

    def optional_text(self, field: str, value: str, pattern: re.Pattern[str], rule: str) -> None:
        """A text of a given form, or none."""
        if value:
            self.text(field, value, pattern, rule)

    def texts(self, field: str, values: Sequence[str], pattern: re.Pattern[str], rule: str) -> None:
        """Any of some texts of a given form, as many as a filter may name."""
        if len(values) > MAX_FILTER_VALUES:
            self.wrong(field, f"must be at most {MAX_FILTER_VALUES}")
            return
        for i, value in enumerate(values):
            self.text(f"{field}[{i}]", value, pattern, rule)

    def span(
        self,
        field: str,
        value: Duration,
        *,
        least: timedelta = timedelta(0),
        most: timedelta = LONGEST_SPAN,
    ) -> timedelta | None:
        """A span from `least` to `most`; None if it is wrong, which is noted."""
        if abs(value.nanos) >= _NANOS_PER_S or value.seconds * value.nanos < 0:
            self.wrong(field, "is not a valid duration")
            return None
        us = value.seconds * _US_PER_S + value.nanos // 1000
        span = (
            timedelta(microseconds=us) if abs(value.seconds) <= LONGEST_SPAN.days * 86400 else None
        )
        if span is None or not least <= span <= most:
            longest = f"{most.days} days" if most.days > 1 else f"{most // _HOUR} h"
            self.wrong(field, f"must be from {least.total_seconds():g} s to {longest}")
            return None
        return span

    def instant(self, field: str, value: Timestamp) -> int:
        """An instant in microseconds since the epoch; 0 if it is wrong, which is noted."""
        if not _FIRST_S <= value.seconds <= _LAST_S or not 0 <= value.nanos < _NANOS_PER_S:
            self.wrong(field, "is not a valid timestamp")
            return 0
        return value.seconds * _US_PER_S + value.nanos // 1000

    def number(self, field: str, value: int, least: int, most: int) -> None:
        """A whole number within bounds."""
        if not least <= value <= most:
            self.wrong(field, f"must be from {least} to {most}")

    def labels(self, field: str, labels: Mapping[str, str]) -> None:
        """Labels, as many and as long as the contract allows."""
        if len(labels) > MAX_LABELS:
            self.wrong(field, f"must be at most {MAX_LABELS} entries")
        for key, value in labels.items():
            if not LABEL_KEY.fullmatch(key):
                self.wrong(field, LABEL_KEY_RULE)
            elif len(value) > MAX_LABEL_VALUE or _CONTROL.search(value):
                rule = f"at most {MAX_LABEL_VALUE} characters without control characters"
                self.wrong(f'{field}["{key}"]', f"must be {rule}")


def page_size(value: int, *, default: int) -> int:
    """How many entries a page gets: larger values are lowered.

    Raises:
        InvalidInput: It is negative.
    """
    if value < 0:
        raise InvalidInput.of("page_size", "must not be negative")
    return min(value or default, MAX_PAGE_SIZE)


def task_id(value: str) -> str:
    """The id of a task that the request is about.

    Raises:
        InvalidInput: It cannot be one.
    """
    return _name("task_id", value, TASK_ID, TASK_ID_RULE)


def queue(value: str) -> str:
    """The name of a queue that the request is about.

    Raises:
        InvalidInput: It cannot be one.
    """
    return _name("queue", value, QUEUE, QUEUE_RULE)


def _name(field: str, value: str, pattern: re.Pattern[str], rule: str) -> str:
    checker = Checker()
    checker.text(field, value, pattern, rule)
    checker.raise_if_wrong()
    return value


def reason(value: str) -> str:
    """Why something is cancelled.

    Raises:
        InvalidInput: It is too long.
    """
    if len(value) > MAX_REASON:
        raise InvalidInput.of("reason", f"must be at most {MAX_REASON} characters")
    return value


def rfc3339(us: int) -> str:
    """An instant as people and ProtoJSON write it, to the millisecond."""
    instant = datetime.fromtimestamp(us / _US_PER_S, UTC)
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")
