"""Which tasks a filter selects."""

from dataclasses import replace
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from taskline.v1 import task_pb2
from taskline.v1.task_service_pb2 import TaskFilter
from taskline_service.errors import InvalidInput
from taskline_service.rpc.filtering import query_of_filter
from taskline_service.task import ErrorType, Task, TaskError, TaskSpec, TaskState
from tests.filter_model import matches

US = 1_000_000
SPEC = TaskSpec(id="a", uid="u", task_type="work", queue="text", labels={"k": "v", "empty": ""})
TASK = Task(
    spec=SPEC,
    state=TaskState.FAILED,
    sequence=3,
    revision=3,
    attempts=2,
    worker="w",
    create_us=10 * US,
    end_us=20 * US,
    error=TaskError(error_type=ErrorType.TIMEOUT, message="too slow"),
)
WAITING = replace(TASK, state=TaskState.QUEUED, attempts=0, worker="", end_us=0, error=None)
State, Type = task_pb2.Task.State, task_pb2.TaskError.Type


@pytest.mark.parametrize(
    ("conditions", "failed", "waiting"),
    [
        pytest.param({}, True, True, id="nothing"),
        pytest.param({"queues": ["other", "text"]}, True, True, id="queue"),
        pytest.param({"queues": ["other"]}, False, False, id="another queue"),
        pytest.param({"task_types": ["work"]}, True, True, id="type"),
        pytest.param({"task_types": ["wor"]}, False, False, id="part of a type"),
        pytest.param({"states": [State.STATE_FAILED]}, True, False, id="state"),
        pytest.param({"labels": {"k": "v", "empty": ""}}, True, True, id="labels"),
        pytest.param({"labels": {"k": "v", "l": ""}}, False, False, id="a label it has not"),
        pytest.param({"labels": {"k": "w"}}, False, False, id="another value"),
        pytest.param({"error_types": [Type.TYPE_TIMEOUT]}, True, False, id="error"),
        pytest.param({"error_types": [Type.TYPE_RUNTIME]}, False, False, id="another error"),
        pytest.param({"min_attempts": 2}, True, False, id="attempts"),
        pytest.param({"min_attempts": 3}, False, False, id="more attempts"),
        pytest.param({"workers": ["w"]}, True, False, id="worker"),
        pytest.param({"min_create_time": Timestamp(seconds=10)}, True, True, id="from then"),
        pytest.param(
            {"min_create_time": Timestamp(seconds=10, nanos=1)}, False, False, id="a nanosecond on"
        ),
        pytest.param({"max_create_time": Timestamp(seconds=10)}, False, False, id="before then"),
        pytest.param(
            {"max_create_time": Timestamp(seconds=10, nanos=1)}, True, True, id="just before"
        ),
        pytest.param({"min_end_time": Timestamp(seconds=20)}, True, False, id="ended from then"),
        pytest.param({"min_end_time": Timestamp(seconds=21)}, False, False, id="ended later"),
        pytest.param({"min_end_time": Timestamp()}, True, False, id="ended at any time"),
        pytest.param({"max_end_time": Timestamp(seconds=20)}, False, False, id="ended by then"),
        pytest.param({"max_end_time": Timestamp(seconds=21)}, True, False, id="ended before"),
        pytest.param({"queues": ["text"], "min_attempts": 3}, False, False, id="only one holds"),
    ],
)
def test_a_task_matches_if_every_condition_holds(
    conditions: dict[str, Any], failed: bool, waiting: bool
) -> None:
    task_filter = TaskFilter(**conditions)

    assert matches(task_filter, TASK) is failed
    assert matches(task_filter, WAITING) is waiting


@pytest.mark.parametrize(
    ("conditions", "field"),
    [
        ({"states": [State.STATE_UNSPECIFIED]}, "filter.states"),
        ({"error_types": [Type.TYPE_UNSPECIFIED]}, "filter.error_types"),
        ({"min_attempts": -1}, "filter.min_attempts"),
        ({"max_create_time": Timestamp(nanos=-1)}, "filter.max_create_time"),
    ],
)
def test_what_a_filter_cannot_mean_is_named(conditions: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        query_of_filter(TaskFilter(**conditions))

    assert [violation.field for violation in refused.value.violations] == [field]
