"""Tasks known by their function, by a declaration, or by name: what is sent, what comes back."""

import traceback
import typing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, NotRequired
from uuid import UUID

import pytest
from pydantic import BaseModel, Field, TypeAdapter
from typing_extensions import TypedDict

from taskline_client import (
    EnqueueOptions,
    EnqueueRequest,
    InvalidInput,
    ResultMismatch,
    TaskHandle,
    TaskType,
)
from taskline_client._reading import Misfit, reader_of
from taskline_service import TaskContext, TaskRegistry
from tests.stack import Stack


@dataclass(frozen=True)
class WordCount:
    path: str
    words: int


@dataclass
class CountWords:
    path: str
    top: int = 10


class Shape(BaseModel):
    width: int = Field(alias="w")
    deadline: timedelta = timedelta(seconds=90)


class Sizes(TypedDict):
    small: int
    large: NotRequired[int]


# Which pydantic does not take before Python 3.12.
class StandardCount(typing.TypedDict):
    path: str
    words: int


tasks = TaskRegistry()


@tasks.task("text.count_words")
async def count_words(ctx: TaskContext, path: str, *, top: int = 10) -> WordCount:
    return WordCount(f"{path} {ctx.attempt}", top)


@tasks.task("whole")
def whole(shape: Shape) -> set[int]:
    return {shape.width, round(shape.deadline.total_seconds())}


@tasks.task("options")
def with_options_of_its_own(options: dict[str, int]) -> int:
    return len(options)


@tasks.task("extra")
async def extra(first: int, **others: float) -> dict[str, float]:
    return {"first": first, **others}


COUNT_WORDS = TaskType[CountWords, WordCount]("text.count_words")


async def test_a32_a_function_is_enqueued_with_its_arguments_and_gives_its_result(
    stack: Stack,
) -> None:
    stack.tasks.include(tasks)
    client = stack.client

    async with stack.worker():
        by_name = await client.enqueue(count_words, path="README.md")
        by_place = await client.enqueue(count_words, "README.md", top=3)

        assert await by_name.result() == WordCount("README.md 1", 10)
        assert await by_place.result() == WordCount("README.md 1", 3)
        assert await client.run(whole, Shape(w=7)) == {7, 90}
        assert await client.run(whole, shape=Shape(w=7)) == {7, 90}
        assert await client.run(with_options_of_its_own, options={"a": 1}) == 1
        assert await client.run(extra, 1, second=2.5) == {"first": 1, "second": 2.5}


async def test_a32_a_declaration_gives_the_type_that_it_declares(stack: Stack) -> None:
    stack.tasks.include(tasks)

    async with stack.worker():
        result = await stack.client.run(COUNT_WORDS, CountWords("README.md", top=2))

    assert result == WordCount("README.md 1", 2)


async def test_options_come_before_the_arguments_of_a_function(stack: Stack) -> None:
    stack.tasks.include(tasks)
    urgent = EnqueueOptions(priority=9)

    first = await stack.client.enqueue(count_words, urgent, path="a")
    second = await stack.client.enqueue(COUNT_WORDS, CountWords("a"), options=urgent)
    third = await stack.client.enqueue(COUNT_WORDS, urgent, CountWords("a"))

    assert [(await handle.get()).priority for handle in (first, second, third)] == [9, 9, 9]


async def test_many_tasks_of_different_types_are_enqueued_in_one_call(stack: Stack) -> None:
    stack.tasks.include(tasks)
    requests = [
        EnqueueRequest(count_words, EnqueueOptions(task_id="t-1"), "a", top=1),
        EnqueueRequest(COUNT_WORDS, CountWords("b", 2), options=EnqueueOptions(task_id="t-2")),
    ]

    async with stack.worker():
        handles: list[TaskHandle[WordCount]] = await stack.client.enqueue_many(requests)
        plain = await stack.client.enqueue_many([EnqueueRequest("text.count_words", path="c")])

        assert [handle.id for handle in handles] == ["t-1", "t-2"]
        assert await handles[1].result() == WordCount("b 1", 2)
        assert await plain[0].result() == {"path": "c 1", "words": 10}


async def test_a_dict_type_of_the_standard_library_will_do(stack: Stack) -> None:
    stack.tasks.include(tasks)
    declared = TaskType[CountWords, StandardCount]("text.count_words")

    async with stack.worker():
        assert (await stack.client.run(declared, CountWords("a")))["words"] == 10


async def test_what_does_not_fit_a_function_is_a_type_error_before_any_call(stack: Stack) -> None:
    with pytest.raises(TypeError, match="missing a required argument: 'path'"):
        await stack.client.enqueue(count_words)  # type: ignore[call-overload]  # the point
    with pytest.raises(TypeError, match="EnqueueOptions cannot stand here"):
        await stack.client.enqueue(  # type: ignore[call-overload]  # the point
            count_words, path="a", options=EnqueueOptions()
        )
    with pytest.raises(TypeError, match="is no task"):
        await stack.client.enqueue(len, [])  # type: ignore[call-overload]  # the point


async def test_values_of_a_wrong_type_are_told_by_the_service(stack: Stack) -> None:
    stack.tasks.include(tasks)

    with pytest.raises(InvalidInput) as refused:
        await stack.client.enqueue(count_words, path=3)  # type: ignore[call-overload]  # the point

    assert [violation.field for violation in refused.value.violations] == ["input.path"]


async def test_a_result_of_another_type_than_declared_says_so(stack: Stack) -> None:
    stack.tasks.include(tasks)
    wrong = TaskType[CountWords, Sizes]("text.count_words")

    async with stack.worker():
        handle = await stack.client.enqueue(wrong, CountWords("a"))
        with pytest.raises(ResultMismatch, match=f"result of task {handle.id} is not of the decl"):
            await handle.result()

        assert await stack.client.handle(handle.id).result() == {"path": "a 1", "words": 10}


async def test_d37_a_result_of_another_type_is_not_repeated_by_what_says_so(stack: Stack) -> None:
    newer = TaskRegistry()

    @stack.tasks.task("secrets.tell")
    async def tell() -> dict[str, str]:
        return {"small": "canary"}

    @newer.task("secrets.tell")
    async def tell_sizes() -> dict[str, int]:
        return {}

    async with stack.worker():
        for task in (tell_sizes, TaskType[None, Sizes]("secrets.tell")):
            with pytest.raises(ResultMismatch, match=r"result\.small: int_parsing$") as mismatch:
                await stack.client.run(task)

            as_it_is_logged = "".join(traceback.format_exception(mismatch.value))
            assert "canary" not in as_it_is_logged


class Colour(Enum):
    RED = "red"


class Tree(TypedDict):
    name: str
    below: "list[Tree]"


@dataclass
class Everything:
    name: str
    colour: Colour
    sizes: Sizes
    share: float
    when: datetime
    day: date
    id: UUID
    price: Decimal
    pair: tuple[int, str]
    many: tuple[int, ...]
    tags: frozenset[str]
    kind: Literal["a", 1]
    maybe: WordCount | None
    counts: dict[str, list[int]]
    noted: Annotated[int, "any note"] = 5
    extra: list[int] = field(default_factory=list)


JSON: dict[str, Any] = {
    "name": "x",
    "colour": "red",
    "sizes": {"small": 1},
    "share": 2,
    "when": "2026-01-31T10:00:00Z",
    "day": "2026-01-31",
    "id": "5f0e1c1e-6f5b-4b0e-9d7c-2f4b5b7c9d10",
    "price": "1.50",
    "pair": [1, "b"],
    "many": [1, 2],
    "tags": ["t"],
    "kind": 1,
    "maybe": {"path": "p", "words": 1, "new in a later version": True},
    "counts": {"a": [1]},
    "unknown": None,
}


def test_declared_types_are_read_without_pydantic_as_with_it() -> None:
    read = reader_of(Everything)(JSON, "result")

    assert read == TypeAdapter(Everything).validate_python(JSON)
    assert read.when == datetime(2026, 1, 31, 10, tzinfo=UTC)
    assert read.maybe == WordCount("p", 1)
    tree = {"name": "a", "below": [{"name": "b", "below": []}]}
    assert reader_of(Tree)(tree, "result") == tree


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"name": 1}, "result.name: must be str, not int"),
        ({"colour": "blue"}, "result.colour: is no Colour"),
        ({"sizes": {}}, "result.sizes.small: is missing"),
        ({"share": True}, "result.share: must be float, not bool"),
        ({"day": "yesterday"}, "result.day: is no date"),
        ({"pair": [1]}, "result.pair: must be an array of 2, not list"),
        ({"many": [1, "2"]}, "result.many[1]: must be int, not str"),
        ({"kind": True}, "result.kind: must be one of 'a', 1, not bool"),
        ({"counts": {"a": [None]}}, "result.counts.a[0]: must be int, not NoneType"),
        (
            {"maybe": {"path": "p"}},
            "result.maybe.words: is missing; or result.maybe: must be one of None, not dict",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_is_not_of_the_declared_type_is_named(change: dict[str, Any], problem: str) -> None:
    with pytest.raises(Misfit) as misfit:
        reader_of(Everything)(JSON | change, "result")

    assert str(misfit.value) == problem


@pytest.mark.parametrize("hint", [timedelta, Shape, dict[int, str]], ids=str)
def test_what_only_pydantic_can_read_is_refused_without_it(hint: Any) -> None:
    with pytest.raises(TypeError, match="only pydantic can read this type"):
        reader_of(hint)
