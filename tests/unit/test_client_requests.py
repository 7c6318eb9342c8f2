"""What a type checker would refuse, or cannot, is refused in words before any call."""

from datetime import timedelta
from typing import Any

import pytest

from taskline_client import EnqueueOptions, EnqueueRequest, TaskFilter, TaskState
from taskline_client._requests import enqueue_request, task_filter


@pytest.mark.parametrize("name", ["queues", "task_types", "workers", "states", "error_types"])
def test_one_text_is_not_taken_for_the_sequence_of_its_letters(name: str) -> None:
    wrong: Any = TaskState.FAILED if name == "states" else "FAILED"

    with pytest.raises(TypeError, match=rf"^{name} must be a sequence, as in \['FAILED'\]$"):
        TaskFilter(**{name: wrong})


@pytest.mark.parametrize("of", [EnqueueOptions, TaskFilter])
def test_a_label_that_is_no_text_is_named(of: Any) -> None:
    assert of(labels={"customer": "4711"}).labels == {"customer": "4711"}

    with pytest.raises(TypeError, match=r"^labels: 'customer': 4711 must be two texts$"):
        of(labels={"customer": 4711})


def test_a_number_is_neither_a_span_nor_a_time() -> None:
    number: Any = 3

    with pytest.raises(TypeError, match=r"^3: a span must be a timedelta$"):
        enqueue_request(EnqueueRequest("t", options=EnqueueOptions(delay=number)))
    with pytest.raises(TypeError, match=r"^3: a time must be a datetime$"):
        task_filter(TaskFilter(min_end_time=number))
    assert (
        enqueue_request(
            EnqueueRequest("t", options=EnqueueOptions(delay=timedelta(seconds=3)))
        ).delay.seconds
        == 3
    )
