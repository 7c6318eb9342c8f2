"""How soon a lost connection to the store is tried again."""

from collections import Counter

from taskline_service.store.redis import backoff


def test_it_is_tried_less_and_less_often_up_to_a_second() -> None:
    longest = [max(backoff(attempt) for _ in range(200)) for attempt in range(8)]

    for attempt, seconds in enumerate(longest):
        limit = min(1.0, 0.05 * 2**attempt)
        assert 0.9 * limit < seconds <= limit
    assert max(backoff(attempt) for attempt in (50, 10_000)) <= 1.0


def test_hundreds_of_processes_do_not_come_back_at_once() -> None:
    moments = [backoff(6) for _ in range(200)]

    # They spread over half a second, and no tenth of it has more than a quarter of them.
    tenths = Counter(min(int((moment - 0.5) * 20), 9) for moment in moments)
    assert set(tenths) <= set(range(10))
    assert max(tenths.values()) < 50
