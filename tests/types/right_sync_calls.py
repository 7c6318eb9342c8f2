"""What mypy and pyright infer of right calls of the synchronous client.

`make lint` runs both over this. Nothing here is ever run.
"""

from typing import Any, assert_type

from taskline_client import EnqueueOptions, EnqueueRequest, Stats, Task, TaskEvent, TasklineError
from taskline_client.sync import AdminClient, TaskClient, TaskHandle
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


def by_function(client: TaskClient) -> None:
    assert_type(client.enqueue(context_first, path="a"), TaskHandle[WordCount])
    assert_type(client.enqueue(context_first, "a", top=3), TaskHandle[WordCount])
    assert_type(client.enqueue(context_first, urgent, path="a"), TaskHandle[WordCount])
    assert_type(client.enqueue(context_second, path="a"), TaskHandle[WordCount])
    assert_type(client.enqueue(no_context, "a", 3), TaskHandle[WordCount | None])
    assert_type(client.enqueue(plain, path="a"), TaskHandle[list[WordCount]])
    assert_type(client.enqueue(plain_with_context, path="a"), TaskHandle[dict[str, int]])
    assert_type(client.enqueue(yields_async, count=1), TaskHandle[None])
    assert_type(client.enqueue(yields, count=1), TaskHandle[None])
    assert_type(client.enqueue(yields_and_returns, count=1), TaskHandle[WordCount])
    assert_type(client.enqueue(whole, Shape(width=1)), TaskHandle[None])
    assert_type(client.enqueue(nothing), TaskHandle[None])
    assert_type(client.enqueue(anything, value=1), TaskHandle[Any])
    assert_type(client.run(context_first, path="a"), WordCount)
    assert_type(client.run(context_first, urgent, path="a"), WordCount)


def by_declaration(client: TaskClient) -> None:
    words = client.enqueue(COUNT_WORDS, CountWords(path="a"))
    assert_type(words, TaskHandle[WordCount])
    assert_type(words.result(), WordCount)
    assert_type(client.run(RESIZE, Shape(width=1), options=urgent), Size)
    assert_type(client.run(NOTHING), Size)
    assert_type(client.run(NOTHING, options=urgent), Size)
    assert_type(EnqueueRequest(NOTHING), EnqueueRequest[Size])
    assert_type(client.run(RESIZE, urgent, Shape(width=1)), Size)
    assert_type(client.run(UNDECLARED, {"a": 1}), Any)


def by_name(client: TaskClient) -> None:
    assert_type(client.enqueue("text.count_words", path="a"), TaskHandle[Any])
    assert_type(client.enqueue("text.count_words", {"path": "a"}), TaskHandle[Any])
    assert_type(client.run("text.count_words", path="a", options=urgent), Any)
    assert_type(client.handle("t-1"), TaskHandle[Any])


def many(client: TaskClient) -> None:
    request = EnqueueRequest(context_first, path="a")
    assert_type(request, EnqueueRequest[WordCount])
    assert_type(EnqueueRequest(context_first, urgent, path="a"), EnqueueRequest[WordCount])
    assert_type(EnqueueRequest(COUNT_WORDS, CountWords("a")), EnqueueRequest[WordCount])
    assert_type(EnqueueRequest("text.count_words", path="a"), EnqueueRequest[Any])
    assert_type(client.enqueue_many([request]), list[TaskHandle[WordCount]])


def together(client: TaskClient, words: TaskHandle[WordCount], size: TaskHandle[Size]) -> None:
    assert_type(client.gather(words, size), tuple[WordCount, Size])
    assert_type(client.gather(words, size, words), tuple[WordCount, Size, WordCount])
    assert_type(client.gather(*[words, words]), tuple[WordCount, ...])
    assert_type(
        client.gather(words, size, return_exceptions=True),
        tuple[WordCount | TasklineError, Size | TasklineError],
    )
    assert_type(
        client.gather(*[words], return_exceptions=True),
        tuple[WordCount | TasklineError, ...],
    )


def one_after_the_other(client: TaskClient, admin: AdminClient) -> None:
    assert_type([event for event in client.handle("t-1").watch()], list[TaskEvent])
    assert_type([event for event in client.watch_tasks()], list[TaskEvent])
    assert_type([task for task in client.list_tasks()], list[Task])
    assert_type(client.get("t-1"), Task)
    assert_type(admin.stats(), Stats)
    with client as same, admin as other:
        assert_type(same, TaskClient)
        assert_type(other, AdminClient)
