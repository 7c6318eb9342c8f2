"""Registering tasks: names, options, and what is published."""

from collections.abc import AsyncIterator, Generator
from datetime import timedelta
from typing import Any, assert_type

import pytest

from taskline_service.task import RetryPolicy
from taskline_service.tasks import ResultNotSerializable, TaskContext, TaskRegistry, TaskTypeInfo


def test_a_task_has_the_documented_defaults() -> None:
    tasks = TaskRegistry()

    @tasks.task("text.count")
    async def count(path: str) -> int:
        """Count the words."""
        return len(path)

    task = tasks["text.count"]
    assert (task.name, task.queue, task.description) == (
        "text.count",
        "default",
        "Count the words.",
    )
    assert task.execution_timeout == timedelta(minutes=5)
    assert task.retry_policy == RetryPolicy(
        max_attempts=3,
        initial_backoff=timedelta(seconds=1),
        max_backoff=timedelta(minutes=5),
        backoff_multiplier=2.0,
    )
    assert task.function is count
    assert task.is_async


def test_the_decorated_function_stays_as_it_is() -> None:
    tasks = TaskRegistry()

    def double(x: int) -> int:
        return 2 * x

    assert tasks.task("double")(double) is double
    assert not tasks["double"].is_async


async def test_d51_a_decorated_function_keeps_its_types() -> None:
    tasks = TaskRegistry()

    @tasks.task("half")
    async def half(x: int, *, exact: bool = False) -> float:
        return x / 2

    assert_type(await half(3, exact=True), float)
    with pytest.raises(TypeError):
        await half("no")  # type: ignore[arg-type]  # mypy says so, too


def test_a_name_can_be_registered_once() -> None:
    tasks = TaskRegistry()
    tasks.task("a")(lambda: None)

    with pytest.raises(ValueError, match="'a' is registered already"):
        tasks.task("a")(lambda: None)


@pytest.mark.parametrize("name", ["", "1a", "a b", "ä", "a" * 129, "a/b", "a\n"])
def test_a_bad_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="must be 1 to 128 characters"):
        TaskRegistry().task(name)


def test_the_longest_name_is_accepted() -> None:
    TaskRegistry().task("a" * 128)


@pytest.mark.parametrize("queue", ["", ".a", "a b", "a" * 129])
def test_a_bad_queue_is_refused(queue: str) -> None:
    with pytest.raises(ValueError, match="queue"):
        TaskRegistry().task("a", queue=queue)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"timeout": timedelta(0)}, id="no time"),
        pytest.param({"timeout": 5}, id="time without a unit"),
        pytest.param({"max_attempts": 0}, id="no attempt"),
        pytest.param({"max_attempts": -2}, id="fewer than no limit"),
        pytest.param({"max_attempts": True}, id="not a number of attempts"),
        pytest.param({"initial_backoff": timedelta(-1)}, id="backoff into the past"),
        pytest.param({"max_backoff": timedelta(0)}, id="longest below the first"),
        pytest.param({"backoff_multiplier": 0.5}, id="shrinking backoff"),
        pytest.param({"backoff_multiplier": float("nan")}, id="backoff that is not a number"),
        pytest.param({"max_result_size": 0}, id="no result at all"),
        pytest.param({"max_result_size": 5.0}, id="not a number of bytes"),
        pytest.param({"max_result_size": (64 << 20) + 1}, id="more than any service keeps"),
    ],
)
def test_bad_numbers_are_refused_at_decoration(options: dict[str, Any]) -> None:
    (name,) = options

    with pytest.raises(ValueError, match=name):
        TaskRegistry().task("a", **options)


def test_no_limit_of_attempts_can_be_declared() -> None:
    tasks = TaskRegistry()
    tasks.task("a", max_attempts=-1)(lambda: None)

    assert tasks["a"].retry_policy.max_attempts == -1


def test_a_registry_is_iterated_and_looked_up() -> None:
    tasks = TaskRegistry()
    tasks.task("a")(lambda: None)
    tasks.task("b")(lambda: None)

    assert [task.name for task in tasks] == ["a", "b"]
    assert len(tasks) == 2
    assert "a" in tasks and "c" not in tasks
    assert tasks.get("c") is None
    with pytest.raises(KeyError):
        tasks["c"]


def test_a_registry_includes_another_whole_or_not_at_all() -> None:
    tasks, more, clashing = TaskRegistry(), TaskRegistry(), TaskRegistry()
    tasks.task("a")(lambda: None)
    more.task("b")(lambda: None)
    clashing.task("c")(lambda: None)
    clashing.task("a")(lambda: None)

    tasks.include(more)
    with pytest.raises(ValueError, match="'a'"):
        tasks.include(clashing)

    assert [task.name for task in tasks] == ["a", "b"]


def test_what_is_published_survives_the_store_exactly() -> None:
    tasks = TaskRegistry()

    @tasks.task("größe.nein".replace("ö", "oe").replace("ß", "ss"), description="Größe", queue="q")
    async def size(n: int = 2**63, ctx: TaskContext | None = None) -> dict[str, int]:
        return {"n": n}

    (task,) = tasks
    again = TaskTypeInfo.from_json(task.info.to_json())
    assert again == task.info
    assert again.to_json() == task.info.to_json()
    assert task.input_schema is not None
    assert list(task.input_schema["properties"]) == ["n"]
    assert task.input_schema["properties"]["n"]["default"] == 2**63


def test_a_task_that_yields_emits_what_it_declares_and_returns_the_rest() -> None:
    tasks = TaskRegistry()

    @tasks.task("sync")
    def numbers() -> Generator[int, None, str]:
        yield 1
        return "end"

    @tasks.task("async")
    async def later() -> AsyncIterator[dict[str, int]]:
        yield {"n": 1}

    assert tasks["sync"].emits and tasks["async"].emits
    assert tasks["async"].is_async and not tasks["sync"].is_async
    assert tasks["sync"].dump_output(1) == b"1"
    assert tasks["async"].dump_output({"n": 1}) == b'{"n":1}'
    assert tasks["sync"].output_schema == {"type": "string"}
    assert tasks["async"].dump_result(None) == b"null"
    with pytest.raises(ResultNotSerializable, match="output"):
        tasks["sync"].dump_output("one")


def test_a_class_is_no_task() -> None:
    with pytest.raises(ValueError, match="must be a function"):
        TaskRegistry().task("a")(dict)


def test_bytes_as_a_result_are_refused_with_advice() -> None:
    def read() -> dict[str, bytes]:
        return {}

    with pytest.raises(ValueError, match="Base64Bytes"):
        TaskRegistry().task("a")(read)


def test_a_result_type_without_json_form_is_refused() -> None:
    class Handle: ...

    def read() -> Handle:
        return Handle()

    with pytest.raises(ValueError, match="task type 'a'"):
        TaskRegistry().task("a")(read)
