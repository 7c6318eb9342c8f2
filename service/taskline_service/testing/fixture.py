"""The fixture of pytest, which is imported only by those who use it."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from taskline_service.tasks import TaskRegistry
from taskline_service.testing.in_thread import serving_in_thread
from taskline_service.testing.service import Service


def taskline_fixture(
    tasks: TaskRegistry,
    *,
    tasks_at: str | None = None,
    concurrency: int = 16,
    longest_backoff: timedelta | None = None,
) -> Any:
    """A fixture that gives each test a `Service` of its own; see `serving_in_thread`.

    It works in synchronous and in asynchronous tests. Assign it, in conftest.py or in a module
    of tests, to the name that tests are to ask for.
    """
    import pytest

    @pytest.fixture
    def taskline() -> Iterator[Service]:
        with serving_in_thread(
            tasks,
            tasks_at=tasks_at,
            concurrency=concurrency,
            longest_backoff=longest_backoff,
        ) as service:
            yield service

    return taskline
