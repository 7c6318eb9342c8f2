"""How often, and when, a failed attempt is repeated."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskline_service.retry import JITTER, attempts_left, delay_after
from taskline_service.task import UNLIMITED_ATTEMPTS, RetryPolicy

MS = timedelta(milliseconds=1)
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("max_attempts", "failures", "again"),
    [
        pytest.param(1, 1, False, id="one attempt only"),
        pytest.param(3, 1, True, id="after the first of three"),
        pytest.param(3, 2, True, id="after the second of three"),
        pytest.param(3, 3, False, id="after the third of three"),
        pytest.param(UNLIMITED_ATTEMPTS, 1_000_000, True, id="without a limit"),
    ],
)
def test_a_task_is_tried_as_often_as_its_policy_says(
    max_attempts: int, failures: int, again: bool
) -> None:
    assert attempts_left(RetryPolicy(max_attempts=max_attempts), failures) is again


def test_the_delay_doubles_up_to_five_minutes_unless_configured() -> None:
    delays = [delay_after(RetryPolicy(), n, jitter=0).total_seconds() for n in range(1, 12)]

    assert delays == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]


def test_the_policy_sets_the_delay() -> None:
    policy = RetryPolicy(initial_backoff=10 * MS, max_backoff=100 * MS, backoff_multiplier=3)

    assert [delay_after(policy, n, jitter=0) / MS for n in (1, 2, 3, 4)] == [10, 30, 90, 100]


def test_a_multiplier_of_one_keeps_the_delay() -> None:
    policy = RetryPolicy(backoff_multiplier=1)

    assert {delay_after(policy, n, jitter=0) for n in (1, 50)} == {timedelta(seconds=1)}


@pytest.mark.parametrize(("jitter", "factor"), [(-1, 0.8), (0, 1.0), (1, 1.2)])
def test_the_jitter_is_twenty_percent_either_way(jitter: float, factor: float) -> None:
    assert delay_after(RetryPolicy(), 1, jitter=jitter) == timedelta(seconds=factor)


def test_the_delays_of_many_tasks_are_spread() -> None:
    delays = [delay_after(RetryPolicy(), 1).total_seconds() for _ in range(1000)]

    assert all(1 - JITTER <= delay <= 1 + JITTER for delay in delays)
    assert min(delays) < 0.85
    assert max(delays) > 1.15


@given(
    first=st.timedeltas(min_value=timedelta(0), max_value=DAY),
    longest=st.timedeltas(min_value=timedelta(0), max_value=DAY),
    multiplier=st.floats(min_value=1, max_value=1e300),
    failures=st.integers(min_value=1, max_value=10_000_000),
)
def test_no_policy_and_no_number_of_failures_makes_a_wrong_delay(
    first: timedelta, longest: timedelta, multiplier: float, failures: int
) -> None:
    policy = RetryPolicy(initial_backoff=first, max_backoff=longest, backoff_multiplier=multiplier)

    assert timedelta(0) <= delay_after(policy, failures, jitter=0) <= longest
