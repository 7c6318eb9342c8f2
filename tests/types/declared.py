"""Tasks and declarations of every kind, for the type checkers."""

from collections.abc import AsyncIterator, Generator, Iterator
from dataclasses import dataclass
from typing import Any, TypedDict

from pydantic import BaseModel

from taskline_client import TaskType
from taskline_service import TaskContext, TaskRegistry

tasks = TaskRegistry()


@dataclass(frozen=True)
class WordCount:
    words: int


@dataclass(frozen=True)
class CountWords:
    path: str
    top: int = 10


class Shape(BaseModel):
    width: int


class Size(TypedDict):
    bytes: int


@tasks.task("context.first")
async def context_first(ctx: TaskContext, path: str, *, top: int = 10) -> WordCount:
    return WordCount(ctx.attempt)


@tasks.task("context.second")
async def context_second(path: str, ctx: TaskContext, *, top: int = 10) -> WordCount:
    return WordCount(ctx.attempt)


@tasks.task("no.context")
async def no_context(path: str, top: int = 10) -> WordCount | None:
    return None


@tasks.task("plain")
def plain(path: str) -> list[WordCount]:
    return []


@tasks.task("plain.context")
def plain_with_context(ctx: TaskContext, path: str) -> dict[str, int]:
    return {}


@tasks.task("yields.async")
async def yields_async(ctx: TaskContext, count: int) -> AsyncIterator[int]:
    yield count


@tasks.task("yields")
def yields(count: int) -> Iterator[int]:
    yield count


@tasks.task("yields.returns")
def yields_and_returns(count: int) -> Generator[int, None, WordCount]:
    yield count
    return WordCount(count)


@tasks.task("whole")
async def whole(shape: Shape) -> None:
    pass


@tasks.task("nothing")
async def nothing() -> None:
    pass


@tasks.task("anything")
async def anything(value: Any) -> Any:
    return value


COUNT_WORDS = TaskType[CountWords, WordCount]("text.count_words")
RESIZE = TaskType[Shape, Size]("images.resize")
NOTHING = TaskType[None, Size]("demo.nothing")
UNDECLARED = TaskType[Any, Any]("demo.any")
