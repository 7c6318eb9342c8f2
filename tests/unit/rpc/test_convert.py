"""From what the service knows to the contract: nothing is forgotten, nothing invented."""

from dataclasses import replace
from datetime import timedelta

import pytest
from google.protobuf import json_format
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from taskline.v1 import task_pb2 as pb
from taskline_service.rpc import convert
from taskline_service.rpc.tokens import task_token
from taskline_service.store import QueueInfo, WorkerInfo
from taskline_service.task import (
    Attempt,
    ErrorType,
    Progress,
    RetryPolicy,
    Task,
    TaskError,
    TaskSpec,
    TaskState,
)

US = 1_000_000
ERROR = TaskError(
    error_type=ErrorType.RUNTIME,
    message="no good",
    exception_class="builtins.ValueError",
    traceback="Tb",
    retry_count=1,
    is_retryable=True,
    error_us=5 * US,
    details={"code": 7, "nested": {"list": [None, True]}},
)
PROGRESS = Progress(
    current=1, total=4, message="half of a half", update_us=6 * US, details={"x": 1}
)
SPEC = TaskSpec(
    id="a",
    uid="u",
    task_type="work",
    queue="q",
    priority=9,
    input=b'{"n": 1}',
    labels={"k": "v"},
    retry_policy=RetryPolicy(max_attempts=-1),
    execution_timeout=timedelta(seconds=1.5),
    queue_timeout=timedelta(days=2),
    trace={"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"},
)
TASK = Task(
    spec=SPEC,
    state=TaskState.FAILED,
    sequence=8,
    revision=99,
    attempts=2,
    worker="w",
    create_us=1 * US + 1,
    schedule_us=2 * US,
    start_us=3 * US,
    end_us=5 * US,
    update_us=7 * US,
    cancel_request_us=4 * US,
    result_expire_us=8 * US,
    expire_us=9 * US,
    progress=PROGRESS,
    error=ERROR,
    input_size=8,
    result_size=3,
    attempt_history=(
        Attempt(number=1, worker="v", start_us=1, end_us=2, error=ERROR),
        Attempt(number=2, worker="w", start_us=3 * US),
    ),
)
FULL_ONLY = {"input", "attempt_history", "retry_policy"}


def set_fields(message: pb.Task) -> set[str]:
    return {field.name for field, _ in message.ListFields()}


def test_every_state_has_its_number_and_the_other_way_round() -> None:
    assert set(convert.STATE_TO_PB) == set(TaskState)
    known = set(pb.Task.State.values()) - {pb.Task.STATE_UNSPECIFIED}
    assert set(convert.STATE_FROM_PB) == known
    for state, number in convert.STATE_TO_PB.items():
        assert pb.Task.State.Name(number) == f"STATE_{state}"
        assert convert.STATE_FROM_PB[number] is state


def test_every_error_type_has_its_number() -> None:
    assert set(convert.ERROR_TYPE_TO_PB) == set(ErrorType)
    known = set(pb.TaskError.Type.values()) - {pb.TaskError.TYPE_UNSPECIFIED}
    assert set(convert.ERROR_TYPE_TO_PB.values()) == known
    for error_type, number in convert.ERROR_TYPE_TO_PB.items():
        assert pb.TaskError.Type.Name(number) == f"TYPE_{error_type.value.upper()}"


def test_a_full_task_has_every_field_of_the_contract() -> None:
    message = convert.task_to_pb(TASK, full=True)

    assert set_fields(message) == set(pb.Task.DESCRIPTOR.fields_by_name)
    assert message.id == "a"
    assert message.create_time == Timestamp(seconds=1, nanos=1000)
    assert message.execution_timeout == Duration(seconds=1, nanos=500_000_000)
    assert message.queue_timeout == Duration(seconds=2 * 86400)
    assert message.trace_id == "ab" * 16
    assert message.resume_token == task_token("a", 99)
    assert message.error.traceback == "Tb"
    assert message.input.json.struct_value.fields["n"].number_value == 1
    assert [attempt.number for attempt in message.attempt_history] == [1, 2]
    assert message.attempt_history[0].error.traceback == "Tb"
    assert not message.attempt_history[1].HasField("end_time")


def test_a_basic_task_has_all_but_input_history_and_tracebacks() -> None:
    message = convert.task_to_pb(TASK)

    assert set_fields(message) == set(pb.Task.DESCRIPTOR.fields_by_name) - FULL_ONLY
    assert message.error.message == "no good"
    assert message.error.traceback == ""


def test_what_has_not_happened_is_unset() -> None:
    spec = TaskSpec(id="a", uid="a", task_type="work", queue="q")
    new = Task(spec=spec, state=TaskState.QUEUED, sequence=1, revision=1, create_us=1)

    message = convert.task_to_pb(new)

    assert set_fields(message) == {
        *("id", "uid", "task_type", "queue", "state", "max_attempts", "create_time"),
        "resume_token",
    }


def test_an_error_has_every_field_of_the_contract() -> None:
    message = convert.error_to_pb(ERROR, with_traceback=True)

    assert message is not None
    assert {field.name for field, _ in message.ListFields()} == set(
        pb.TaskError.DESCRIPTOR.fields_by_name
    )
    assert json_format.MessageToDict(message.details) == ERROR.details
    assert convert.error_to_pb(None, with_traceback=True) is None


def test_progress_has_every_field_of_the_contract() -> None:
    message = convert.progress_to_pb(PROGRESS)

    assert message is not None
    assert {field.name for field, _ in message.ListFields()} == set(
        pb.Progress.DESCRIPTOR.fields_by_name
    )
    assert message.percentage == 25
    assert convert.progress_to_pb(None) is None


def test_an_unknown_total_is_unset_not_zero() -> None:
    message = convert.progress_to_pb(replace(PROGRESS, total=None))

    assert message is not None
    assert not message.HasField("total")
    assert message.percentage == 0


@pytest.mark.parametrize(
    "span",
    [
        pytest.param(timedelta(0), id="zero"),
        pytest.param(timedelta(microseconds=1), id="a microsecond"),
        pytest.param(timedelta(days=365, microseconds=-1), id="a year but a microsecond"),
        pytest.param(timedelta(seconds=-1.5), id="negative"),
    ],
)
def test_spans_keep_every_microsecond(span: timedelta) -> None:
    message = convert.duration(span)

    assert message is not None
    assert message.ToTimedelta() == span


def test_no_span_and_no_instant_stay_unset() -> None:
    assert convert.duration(None) is None
    assert convert.timestamp(0) is None


def test_the_age_of_a_queue_is_that_of_a_waiting_task() -> None:
    age = timedelta(seconds=3)
    queue = QueueInfo(name="q", paused=True, queued=2, scheduled=1, running=4, oldest_age=age)

    message = convert.queue_to_pb(queue)

    assert (message.name, message.paused, message.queued_count) == ("q", True, 2)
    assert (message.scheduled_count, message.running_count) == (1, 4)
    assert message.oldest_age == Duration(seconds=3)
    assert not convert.queue_to_pb(replace(queue, queued=0)).HasField("oldest_age")
    assert convert.queue_to_pb(queue, max_queued=7).max_queued == 7


def test_a_worker_has_every_field_of_the_contract() -> None:
    worker = WorkerInfo(
        id="w",
        identity="host process 1",
        queues=("q",),
        task_types=("work",),
        concurrency=16,
        running_task_ids=("a",),
        start_us=1,
        heartbeat_us=2,
        draining=True,
    )

    message = convert.worker_to_pb(worker)

    assert {f.name for f, _ in message.ListFields()} == set(message.DESCRIPTOR.fields_by_name)
