"""Checks of single fields: each wrong one is named, with what would be right."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from taskline_service.errors import InvalidInput
from taskline_service.names import LABEL_KEY, REQUEST_ID, TASK_ID, TASK_TYPE
from taskline_service.rpc import fields
from taskline_service.rpc.fields import Checker

SECOND = timedelta(seconds=1)
YEAR_S = 365 * 86400


def wrong_fields(check: Checker) -> list[str]:
    return [violation.field for violation in check.violations]


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [
        pytest.param(
            TASK_TYPE,
            ["a", "images.resize", "A-b_c.9", "x" * 128],
            ["", "9a", "_a", ".a", "a:b", "a/b", "a b", "ä", "x" * 129, "a\n"],
            id="task type",
        ),
        pytest.param(
            TASK_ID,
            ["a", "9", "order:17", "A-b_c.9:", "x" * 128],
            ["", "_a", ":a", "-a", "a/b", "a b", "ä", "x" * 129, "a\n", "٣"],
            id="task id",
        ),
        pytest.param(
            REQUEST_ID, ["a", "0f-9", "x" * 64], ["", "-a", "x" * 65, "a b"], id="request id"
        ),
        pytest.param(
            LABEL_KEY, ["a", "/", "app/env.x-1", "x" * 63], ["", "a:b", "x" * 64, "ä"], id="label"
        ),
    ],
)
def test_names_are_as_the_contract_says(
    pattern: re.Pattern[str], good: list[str], bad: list[str]
) -> None:
    assert [text for text in good if not pattern.fullmatch(text)] == []
    assert [text for text in bad if pattern.fullmatch(text)] == []


def test_every_wrong_field_is_named() -> None:
    check = Checker("requests[3].")
    check.text("task_type", "", TASK_TYPE, "must be a name")
    check.text("task_id", "a b", TASK_ID, "must be an id")
    check.optional_text("request_id", "", REQUEST_ID, "never told")
    check.number("priority", 10, 0, 9)
    check.number("attempts", 9, 0, 9)

    with pytest.raises(InvalidInput) as raised:
        check.raise_if_wrong()

    assert [(v.field, v.description) for v in raised.value.violations] == [
        ("requests[3].task_type", "required"),
        ("requests[3].task_id", "must be an id"),
        ("requests[3].priority", "must be from 0 to 9"),
    ]
    assert "requests[3].task_id: must be an id" in str(raised.value)


def test_nothing_is_raised_if_nothing_is_wrong() -> None:
    Checker().raise_if_wrong()


@pytest.mark.parametrize(
    ("value", "least", "span"),
    [
        pytest.param(Duration(), timedelta(0), timedelta(0), id="zero"),
        pytest.param(
            Duration(seconds=1, nanos=500_000_999),
            timedelta(0),
            timedelta(microseconds=1_500_000),
            id="to the microsecond",
        ),
        pytest.param(Duration(seconds=1), SECOND, SECOND, id="the least"),
        pytest.param(Duration(seconds=YEAR_S), SECOND, timedelta(days=365), id="a year"),
        pytest.param(Duration(nanos=999_999_999), SECOND, None, id="too short"),
        pytest.param(Duration(seconds=-1), timedelta(0), None, id="negative"),
        pytest.param(Duration(nanos=-1000), timedelta(0), None, id="a little negative"),
        pytest.param(Duration(seconds=YEAR_S + 1), timedelta(0), None, id="over a year"),
        pytest.param(Duration(seconds=2**62), timedelta(0), None, id="beyond all spans"),
        pytest.param(Duration(seconds=-(2**62)), timedelta(0), None, id="beyond all, negative"),
    ],
)
def test_spans_are_read_exactly_or_refused(
    value: Duration, least: timedelta, span: timedelta | None
) -> None:
    check = Checker()

    assert check.span("delay", value, least=least) == span
    assert wrong_fields(check) == ([] if span is not None else ["delay"])


@pytest.mark.parametrize(
    ("value", "instant"),
    [
        pytest.param(Timestamp(seconds=1, nanos=2_000), 1_000_002, id="to the microsecond"),
        pytest.param(Timestamp(seconds=-1), -1_000_000, id="before the epoch"),
        pytest.param(
            Timestamp(seconds=253_402_300_799), 253_402_300_799_000_000, id="end of the year 9999"
        ),
        pytest.param(Timestamp(seconds=253_402_300_800), None, id="the year 10000"),
        pytest.param(Timestamp(seconds=-(2**62)), None, id="before the year 1"),
        pytest.param(Timestamp(nanos=-1), None, id="negative nanoseconds"),
        pytest.param(Timestamp(nanos=1_000_000_000), None, id="too many nanoseconds"),
    ],
)
def test_instants_are_read_exactly_or_refused(value: Timestamp, instant: int | None) -> None:
    check = Checker()

    assert check.instant("deadline", value) == (instant or 0)
    assert wrong_fields(check) == ([] if instant is not None else ["deadline"])


@pytest.mark.parametrize(
    ("labels", "wrong"),
    [
        pytest.param({"app/env": "prod", "empty": ""}, [], id="good"),
        pytest.param({f"k{i}": "" for i in range(16)}, [], id="sixteen"),
        pytest.param({f"k{i}": "" for i in range(17)}, ["labels"], id="seventeen"),
        pytest.param({"k": "ü" * 255}, [], id="long"),
        pytest.param({"k": "x" * 256}, ['labels["k"]'], id="too long"),
        pytest.param({"k": "a\nb"}, ['labels["k"]'], id="two lines"),
        pytest.param({"k": "\x9b31m"}, ['labels["k"]'], id="control character"),
        pytest.param({"a b": ""}, ["labels"], id="wrong key"),
        pytest.param(
            {"a b": "", "k": "\0", "": ""}, ["labels"] * 2 + ['labels["k"]'], id="several"
        ),
    ],
)
def test_labels_are_checked_one_by_one(labels: dict[str, str], wrong: list[str]) -> None:
    check = Checker()

    check.labels("labels", labels)

    assert sorted(wrong_fields(check)) == sorted(wrong)


@pytest.mark.parametrize(
    ("asked", "size"),
    [
        pytest.param(0, 50, id="default"),
        pytest.param(7, 7, id="as asked"),
        pytest.param(1000, 1000, id="the largest"),
        pytest.param(1001, 1000, id="lowered"),
    ],
)
def test_a_page_has_the_size_that_is_asked_for_within_bounds(asked: int, size: int) -> None:
    assert fields.page_size(asked, default=50) == size


def test_a_negative_page_size_is_refused() -> None:
    with pytest.raises(InvalidInput) as raised:
        fields.page_size(-1, default=50)
    assert raised.value.violations[0].field == "page_size"


@pytest.mark.parametrize("value", ["", "a b", "x" * 129])
def test_an_id_that_cannot_be_one_is_refused_before_the_store_is_asked(value: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        fields.task_id(value)
    assert raised.value.violations[0].field == "task_id"


def test_instants_are_written_as_protojson_does() -> None:
    instant = datetime(2026, 1, 31, 10, 0, 0, 123_456, tzinfo=UTC)

    assert fields.rfc3339(int(instant.timestamp() * 1_000_000)) == "2026-01-31T10:00:00.123Z"


@pytest.mark.parametrize(
    "value",
    [
        Duration(seconds=1, nanos=-1),
        Duration(seconds=-1, nanos=1),
        Duration(seconds=1, nanos=1_000_000_000),
    ],
)
def test_an_invalid_duration_is_wrong(value: Duration) -> None:
    check = Checker()

    assert check.span("delay", value) is None
    assert [v.description for v in check.violations] == ["is not a valid duration"]
