"""The ids that the service makes."""

import itertools
import re
import threading
import time

import pytest

from taskline_service.ids import new_id


def milliseconds_of(task_id: str) -> int:
    return int(task_id, 32) >> 80


def test_a42_an_id_is_safe_in_urls_and_shells() -> None:
    assert re.fullmatch(r"[0-9a-v]{26}", new_id())


def test_ids_grow_as_they_are_made() -> None:
    made = [new_id() for _ in range(10_000)]

    assert made == sorted(set(made))


def test_an_id_begins_with_the_time() -> None:
    before = time.time_ns() // 1_000_000
    made = new_id()
    after = time.time_ns() // 1_000_000

    # Ids made within one millisecond may borrow from the next.
    assert before <= milliseconds_of(made) <= after + 1


def test_ids_grow_also_when_the_clock_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    first = new_id()
    monkeypatch.setattr(time, "time_ns", lambda: 1)

    assert new_id() > first


def test_a42_one_id_does_not_tell_the_next() -> None:
    numbers = [int(new_id(), 32) for _ in range(1000)]

    steps = {b - a for a, b in itertools.pairwise(numbers)}
    assert len(steps) == 999
    assert min(steps) > 1 << 20


def test_threads_never_make_the_same_id() -> None:
    made = list[str]()
    threads = [
        threading.Thread(target=lambda: made.extend(new_id() for _ in range(2000)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(made)) == 16_000
