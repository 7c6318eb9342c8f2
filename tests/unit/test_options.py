"""EnqueueOptions of the two packages, which must not import each other: one meaning."""

import dataclasses
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any

import pytest

import taskline_client
import taskline_service
from taskline_client import EnqueueRequest, TaskType
from taskline_service import TaskRegistry
from taskline_service.tasks.options import options_from_fields, options_to_fields
from taskline_service.tasks.subtasks import subtask_of

tasks = TaskRegistry()


@tasks.task("divide")
def divide(dividend: float, divisor: float) -> float:
    return dividend / divisor


@tasks.task("nothing")
def nothing() -> None:
    pass


DIVIDE = TaskType[dict[str, float], float]("divide")
NOTHING = TaskType[None, None]("nothing")

OURS = {"client": taskline_client.EnqueueOptions(), "task": taskline_service.EnqueueOptions()}
THEIRS = {"client": OURS["task"], "task": OURS["client"]}
ENQUEUE = {"client": EnqueueRequest, "task": subtask_of}


def shape_of(cls: Any) -> Mapping[str, tuple[str, Any]]:
    def default(field: dataclasses.Field[Any]) -> Any:
        made = field.default_factory
        return field.default if made is dataclasses.MISSING else made()

    return {field.name: (str(field.type), default(field)) for field in dataclasses.fields(cls)}


@pytest.mark.parametrize("name", ["EnqueueOptions", "RetryPolicy"])
def test_a_task_has_the_same_options_as_any_caller(name: str) -> None:
    def told(package: ModuleType) -> str:
        return re.sub(r"taskline_[\w.]+\.", "", str(shape_of(getattr(package, name))))

    assert told(taskline_service) == told(taskline_client)


def test_a_task_has_the_same_conflict_policies_as_any_caller() -> None:
    assert [*map(str, taskline_service.ConflictPolicy)] == [
        *map(str, taskline_client.ConflictPolicy)
    ]


@pytest.mark.parametrize("options", [each.__class__ for each in OURS.values()])
def test_when_it_is_due_is_said_once_and_clearly(options: Any) -> None:
    with pytest.raises(ValueError, match="only one of the two"):
        options(schedule_time=datetime.now(UTC), delay=timedelta(1))
    with pytest.raises(ValueError, match="aware"):
        options(schedule_time=datetime(2026, 1, 1))  # the point


def test_options_come_unchanged_to_another_process() -> None:
    plain = taskline_service.EnqueueOptions()
    full = taskline_service.EnqueueOptions(
        task_id="t",
        request_id="r",
        conflict_policy=taskline_service.ConflictPolicy.REPLACE_TERMINAL,
        queue="q",
        priority=7,
        schedule_time=datetime(2026, 1, 31, 10, 0, 0, 5, tzinfo=UTC),
        queue_timeout=timedelta(microseconds=1),
        execution_timeout=timedelta(days=3),
        retry_policy=taskline_service.RetryPolicy(
            max_attempts=-1, max_backoff=timedelta(hours=1), backoff_multiplier=1.5
        ),
        result_ttl=timedelta(0),
        labels={"a": "b"},
    )
    later = taskline_service.EnqueueOptions(delay=timedelta(seconds=1.5))

    for options in (plain, full, later):
        assert options_from_fields(options_to_fields(options)) == options


@pytest.mark.parametrize("side", ["client", "task"])
def test_they_stand_before_arguments_or_are_named_where_the_task_is(side: str) -> None:
    enqueue: Any = ENQUEUE[side]
    options: Any = dataclasses.replace(OURS[side], priority=9)  # type: ignore[type-var]

    calls = [
        enqueue(divide, options, 1, 2),
        enqueue(divide, options, dividend=1, divisor=2),
        enqueue(DIVIDE, {"dividend": 1, "divisor": 2}, options=options),
        enqueue("divide", {"dividend": 1, "divisor": 2}, options=options),
        enqueue("divide", dividend=1, divisor=2, options=options),
        enqueue(NOTHING, options=options),
    ]

    made = [call[0] if isinstance(call, tuple) else call for call in calls]
    assert [each.options.priority for each in made] == [9] * 6


@pytest.mark.parametrize("side", ["client", "task"])
@pytest.mark.parametrize("kind", ["ours", "theirs"])
def test_anywhere_else_it_is_said_where_they_go_and_of_which_class(side: str, kind: str) -> None:
    enqueue: Any = ENQUEUE[side]
    options: Any = {"ours": OURS, "theirs": THEIRS}[kind][side]
    wrong = [
        lambda: enqueue("divide", options),
        lambda: enqueue("divide", options, {"dividend": 1, "divisor": 2}),
        lambda: enqueue("divide", options, dividend=1, divisor=2),
        lambda: enqueue(divide, 1, 2, options=options),
        lambda: enqueue(divide, 1, options),
        lambda: enqueue(DIVIDE, {}, options),
    ]
    if kind == "theirs":
        wrong += [
            lambda: enqueue(divide, options, 1, 2),
            lambda: enqueue("divide", dividend=1, divisor=2, options=options),
            lambda: enqueue(DIVIDE, {}, options=options),
        ]
    package = {"client": "taskline_client", "task": "taskline_service"}[side]

    call: Any
    for call in wrong:
        with pytest.raises(TypeError) as told:
            call()
        assert f"options are {package}.EnqueueOptions, before the arguments" in str(told.value)
        assert "or by keyword where a task is named" in str(told.value)
        assert str(told.value).startswith(type(options).__module__.partition(".")[0])


@pytest.mark.parametrize("side", ["client", "task"])
def test_options_that_are_none_are_refused(side: str) -> None:
    enqueue: Any = ENQUEUE[side]

    for task in ("divide", DIVIDE):
        with pytest.raises(TypeError, match="pass an input that has a member `options`"):
            enqueue(task, options={"priority": 9})


@pytest.mark.parametrize("side", ["client", "task"])
def test_only_a_task_without_an_input_is_enqueued_without_one(side: str) -> None:
    enqueue: Any = ENQUEUE[side]

    enqueue(NOTHING)
    enqueue(TaskType[Any, Any]("anything"))
    enqueue(nothing)
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        enqueue(DIVIDE)
