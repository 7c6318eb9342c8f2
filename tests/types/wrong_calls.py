"""Wrong calls, each an error to mypy and to pyright; `make lint` runs both over this.

A comment for each checker says which error: both report comments that are not needed, and so
a wrong call that they would let pass. Nothing here is ever run.
"""

from taskline_client import EnqueueOptions, EnqueueRequest, TaskClient, TaskHandle
from taskline_service import EnqueueOptions as SubtaskOptions
from taskline_service import TaskContext
from tests.types.declared import (
    COUNT_WORDS,
    NOTHING,
    CountWords,
    Shape,
    WordCount,
    context_first,
    no_context,
    plain,
    whole,
)


async def arguments_of_a_function(client: TaskClient) -> None:
    await client.enqueue(context_first)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    await client.enqueue(context_first, path=1)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await client.enqueue(context_first, pth="a")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    await client.enqueue(context_first, "a", 3)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    await client.enqueue(no_context, path="a", top="3")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await client.enqueue(whole, 3)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await client.enqueue(plain, path="a", options=EnqueueOptions())  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    await client.enqueue(plain, {"priority": 9}, path="a")  # type: ignore[arg-type, misc]  # pyright: ignore[reportCallIssue]
    await client.run(context_first, path=1)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]


async def inputs_of_a_declaration(client: TaskClient) -> None:
    await client.enqueue(NOTHING, CountWords("a"))  # type: ignore[misc]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await client.enqueue(COUNT_WORDS)  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue]
    await client.enqueue(COUNT_WORDS, Shape(width=1))  # type: ignore[misc]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await client.enqueue(COUNT_WORDS, path="a")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    await client.enqueue(COUNT_WORDS, CountWords("a"), options={"priority": 9})  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await client.run(COUNT_WORDS, {"path": "a"})  # type: ignore[misc]  # pyright: ignore[reportArgumentType, reportCallIssue]


async def names(client: TaskClient) -> None:
    await client.enqueue("text.count_words", options={"priority": 9})  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await client.enqueue(b"text.count_words")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await client.enqueue(len, [])  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]


async def requests(client: TaskClient) -> None:
    EnqueueRequest(context_first)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    EnqueueRequest(COUNT_WORDS, Shape(width=1))  # type: ignore[misc]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await client.enqueue_many(["text.count_words"])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def results(client: TaskClient, handle: TaskHandle[WordCount]) -> None:
    first: str = await handle.result()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    second: str = await client.run(context_first, path="a")  # type: ignore[call-overload]  # pyright: ignore[reportAssignmentType]
    third: TaskHandle[str] = await client.enqueue(COUNT_WORDS, CountWords("a"))  # type: ignore[arg-type]  # pyright: ignore[reportAssignmentType]
    fourth: tuple[str, WordCount] = await client.gather(handle, handle)  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    print(first, second, third, fourth)


async def functions_themselves() -> None:
    await no_context(3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    plain()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def from_within_a_task(ctx: TaskContext) -> None:
    await ctx.enqueue(context_first, path=1)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await ctx.enqueue(plain, path="a", options=SubtaskOptions())  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    await ctx.enqueue(context_first, EnqueueOptions(), path="a")  # type: ignore[arg-type, misc]  # pyright: ignore[reportCallIssue]
    await ctx.enqueue("text.count_words", options=EnqueueOptions(), path="a")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await ctx.run(COUNT_WORDS, Shape(width=1))  # type: ignore[misc]  # pyright: ignore[reportArgumentType, reportCallIssue]
    words: int = await ctx.run(context_first, path="a")  # type: ignore[call-overload]  # pyright: ignore[reportAssignmentType]
    print(words)
