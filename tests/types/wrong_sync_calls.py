"""Wrong calls of the synchronous client, each an error to mypy and to pyright.

`make lint` runs both over this; wrong_calls.py says how. Nothing here is ever run.
"""

from taskline_client import EnqueueOptions
from taskline_client import TaskHandle as AsyncTaskHandle
from taskline_client.sync import TaskClient, TaskHandle
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


def arguments_of_a_function(client: TaskClient) -> None:
    client.enqueue(context_first)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    client.enqueue(context_first, path=1)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    client.enqueue(context_first, pth="a")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    client.enqueue(context_first, "a", 3)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    client.enqueue(no_context, path="a", top="3")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    client.enqueue(whole, 3)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    client.enqueue(plain, path="a", options=EnqueueOptions())  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    client.enqueue(plain, {"priority": 9}, path="a")  # type: ignore[arg-type, misc]  # pyright: ignore[reportCallIssue]
    client.run(context_first, path=1)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]


def inputs_of_a_declaration(client: TaskClient) -> None:
    client.enqueue(NOTHING, CountWords("a"))  # type: ignore[misc]  # pyright: ignore[reportArgumentType, reportCallIssue]
    client.enqueue(COUNT_WORDS)  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue]
    client.enqueue(COUNT_WORDS, Shape(width=1))  # type: ignore[misc]  # pyright: ignore[reportArgumentType, reportCallIssue]
    client.enqueue(COUNT_WORDS, path="a")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    client.enqueue(COUNT_WORDS, CountWords("a"), options={"priority": 9})  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.run(COUNT_WORDS, {"path": "a"})  # type: ignore[misc]  # pyright: ignore[reportArgumentType, reportCallIssue]


def names(client: TaskClient) -> None:
    client.enqueue("text.count_words", options={"priority": 9})  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    client.enqueue(b"text.count_words")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    client.enqueue(len, [])  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]


def results(client: TaskClient, handle: TaskHandle[WordCount]) -> None:
    first: str = handle.result()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    second: str = client.run(context_first, path="a")  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    third: TaskHandle[str] = client.enqueue(COUNT_WORDS, CountWords("a"))  # type: ignore[arg-type]  # pyright: ignore[reportAssignmentType]
    fourth: tuple[str, WordCount] = client.gather(handle, handle)  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    print(first, second, third, fourth)


async def what_is_no_coroutine(client: TaskClient, other: AsyncTaskHandle[WordCount]) -> None:
    await client.get("t-1")  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    client.gather(other, other)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
