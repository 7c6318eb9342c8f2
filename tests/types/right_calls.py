"""What mypy and pyright infer of right calls; `make lint` runs both over this.

Nothing here is ever run.
"""

from typing import Any, assert_type

from taskline_client import EnqueueOptions, EnqueueRequest, TaskClient, TaskHandle, TasklineError
from taskline_service import EnqueueOptions as SubtaskOptions
from taskline_service import Subtask, SubtaskError, TaskContext
from tests.types.declared import (
    COUNT_WORDS,
    NOTHING,
    RESIZE,
    UNDECLARED,
    CountWords,
    Shape,
    Size,
    WordCount,
    anything,
    context_first,
    context_second,
    no_context,
    nothing,
    plain,
    plain_with_context,
    whole,
    yields,
    yields_and_returns,
    yields_async,
)

urgent = EnqueueOptions(priority=9)


async def by_function(client: TaskClient) -> None:
    assert_type(await client.enqueue(context_first, path="a"), TaskHandle[WordCount])
    assert_type(await client.enqueue(context_first, "a", top=3), TaskHandle[WordCount])
    assert_type(await client.enqueue(context_first, urgent, path="a"), TaskHandle[WordCount])
    assert_type(await client.enqueue(context_second, path="a"), TaskHandle[WordCount])
    assert_type(await client.enqueue(no_context, "a", 3), TaskHandle[WordCount | None])
    assert_type(await client.enqueue(plain, path="a"), TaskHandle[list[WordCount]])
    assert_type(await client.enqueue(plain_with_context, path="a"), TaskHandle[dict[str, int]])
    assert_type(await client.enqueue(yields_async, count=1), TaskHandle[None])
    assert_type(await client.enqueue(yields, count=1), TaskHandle[None])
    assert_type(await client.enqueue(yields_and_returns, count=1), TaskHandle[WordCount])
    assert_type(await client.enqueue(whole, Shape(width=1)), TaskHandle[None])
    assert_type(await client.enqueue(nothing), TaskHandle[None])
    assert_type(await client.enqueue(anything, value=1), TaskHandle[Any])
    assert_type(await client.run(context_first, path="a"), WordCount)
    assert_type(await client.run(context_first, urgent, path="a"), WordCount)


async def by_declaration(client: TaskClient) -> None:
    words = await client.enqueue(COUNT_WORDS, CountWords(path="a"))
    assert_type(words, TaskHandle[WordCount])
    assert_type(await words.result(), WordCount)
    assert_type(await client.run(RESIZE, Shape(width=1), options=urgent), Size)
    assert_type(await client.run(NOTHING), Size)
    assert_type(await client.run(NOTHING, options=urgent), Size)
    assert_type(EnqueueRequest(NOTHING), EnqueueRequest[Size])
    assert_type(await client.run(RESIZE, urgent, Shape(width=1)), Size)
    assert_type(await client.run(UNDECLARED, {"a": 1}), Any)


async def by_name(client: TaskClient) -> None:
    assert_type(await client.enqueue("text.count_words", path="a"), TaskHandle[Any])
    assert_type(await client.enqueue("text.count_words", {"path": "a"}), TaskHandle[Any])
    assert_type(await client.run("text.count_words", path="a", options=urgent), Any)
    assert_type(client.handle("t-1"), TaskHandle[Any])


async def many(client: TaskClient) -> None:
    request = EnqueueRequest(context_first, path="a")
    assert_type(request, EnqueueRequest[WordCount])
    assert_type(EnqueueRequest(context_first, urgent, path="a"), EnqueueRequest[WordCount])
    assert_type(EnqueueRequest(COUNT_WORDS, CountWords("a")), EnqueueRequest[WordCount])
    assert_type(EnqueueRequest("text.count_words", path="a"), EnqueueRequest[Any])
    assert_type(await client.enqueue_many([request]), list[TaskHandle[WordCount]])


async def together(
    client: TaskClient, words: TaskHandle[WordCount], size: TaskHandle[Size]
) -> None:
    assert_type(await client.gather(words, size), tuple[WordCount, Size])
    assert_type(await client.gather(words, size, words), tuple[WordCount, Size, WordCount])
    assert_type(await client.gather(*[words, words]), tuple[WordCount, ...])
    assert_type(
        await client.gather(words, size, return_exceptions=True),
        tuple[WordCount | TasklineError, Size | TasklineError],
    )
    assert_type(
        await client.gather(*[words], return_exceptions=True),
        tuple[WordCount | TasklineError, ...],
    )


async def the_functions_themselves(ctx: TaskContext) -> None:
    assert_type(await no_context("a"), WordCount | None)
    assert_type(plain("a"), list[WordCount])
    assert_type([value for value in yields(1)], list[int])
    assert_type([value async for value in yields_async(ctx, 1)], list[int])


async def from_within_a_task(ctx: TaskContext) -> None:
    soon = SubtaskOptions(priority=9)
    words = await ctx.enqueue(context_first, path="a")
    assert_type(words, Subtask[WordCount])
    assert_type(await ctx.enqueue(context_first, soon, path="a"), Subtask[WordCount])
    assert_type(await ctx.enqueue(COUNT_WORDS, CountWords("a")), Subtask[WordCount])
    assert_type(await ctx.enqueue("text.count_words", path="a"), Subtask[Any])
    assert_type(await ctx.run(plain, path="a"), list[WordCount])
    assert_type(await ctx.run(RESIZE, Shape(width=1)), Size)
    assert_type(await ctx.run(RESIZE, Shape(width=1), options=soon), Size)
    assert_type(await ctx.run(NOTHING), Size)
    assert_type(await ctx.run("text.count_words", path="a", options=soon), Any)
    assert_type(ctx.wait_for(words.result()), WordCount)
    assert_type(
        await ctx.gather(words, await ctx.enqueue(whole, Shape(width=1))), tuple[WordCount, None]
    )
    assert_type(await ctx.gather(*[words]), tuple[WordCount, ...])
    assert_type(
        await ctx.gather(*[words], return_exceptions=True), tuple[WordCount | SubtaskError, ...]
    )
