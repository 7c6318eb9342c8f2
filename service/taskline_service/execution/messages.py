"""What a worker and its child processes say to each other, as bytes. Pure.

A message is a frame: its length in 4 bytes, then a msgpack list of its kind and its fields.
"""

import json
import struct
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any

import msgpack

from taskline_service.execution.call import Call, Ended
from taskline_service.task import ErrorType, Progress, TaskError
from taskline_service.tasks.options import options_from_fields, options_to_fields
from taskline_service.tasks.subtasks import Answer, AwaitEnd, Cancel, Enqueue, Question

LENGTH_BYTES = 4

# To the child


@dataclass(frozen=True, slots=True)
class Hello:
    """What a child needs to become ready."""

    sys_path: list[str]
    # MODULE:ATTRIBUTE of the registry.
    tasks_at: str
    log_level: int


@dataclass(frozen=True, slots=True)
class Run:
    """Call this; `number` grows, and comes back with all that the call tells."""

    number: int
    call: dict[str, Any]
    # What propagates the trace of the attempt.
    trace: dict[str, str]
    # What its log records say of the task.
    about: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Stop:
    """Interrupt the call."""

    number: int


@dataclass(frozen=True, slots=True)
class Answered:
    """What the worker says to a question of the call."""

    number: int
    question: int
    answer: dict[str, Any]


# From the child


@dataclass(frozen=True, slots=True)
class Ready:
    """It can run tasks."""


@dataclass(frozen=True, slots=True)
class Called:
    """The code is called, with what may be logged of its arguments."""

    number: int
    call: str


@dataclass(frozen=True, slots=True)
class Progressed:
    """The code is so far."""

    number: int
    progress: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Logged:
    """The code has a line for those who watch."""

    number: int
    message: str
    percentage: float | None


@dataclass(frozen=True, slots=True)
class Emitted:
    """The code yielded a value."""

    number: int
    output: bytes


@dataclass(frozen=True, slots=True)
class Extended:
    """The code needs more time."""

    number: int
    seconds: float
    # By the monotonic clock, which all processes of a machine share.
    asked_at: float


@dataclass(frozen=True, slots=True)
class Asked:
    """The code asks the worker; several questions may be open."""

    number: int
    question: int
    asked: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Unasked:
    """The code does not wait for the answer any more."""

    number: int
    question: int


@dataclass(frozen=True, slots=True)
class Recorded:
    """A record for the log of the worker."""

    record: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Finished:
    """The code ended by itself."""

    number: int
    ended: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Stopped:
    """The code was interrupted."""

    number: int


Message = (
    Hello
    | Run
    | Stop
    | Answered
    | Ready
    | Called
    | Progressed
    | Logged
    | Emitted
    | Extended
    | Asked
    | Unasked
    | Recorded
    | Finished
    | Stopped
)
_KINDS = Message.__args__
_KIND_OF = {kind: number for number, kind in enumerate(_KINDS)}


def to_frame(message: Message) -> bytes:
    """A message as it is sent."""
    values = [getattr(message, field.name) for field in fields(message)]
    # Text may hold what is no Unicode: it is for others to judge.
    body: bytes = msgpack.packb([_KIND_OF[type(message)], *values], unicode_errors="surrogatepass")
    return struct.pack(">I", len(body)) + body


def length_of(head: bytes) -> int:
    """How many bytes follow the first LENGTH_BYTES of a frame."""
    return int(struct.unpack(">I", head)[0])


def from_frame(body: bytes) -> Message:
    """The message, from what follows the length."""
    kind, *values = msgpack.unpackb(body, unicode_errors="surrogatepass", strict_map_key=False)
    message: Message = _KINDS[kind](*values)
    return message


def call_to_fields(call: Call) -> dict[str, Any]:
    """A call, for Run."""
    values = {field.name: getattr(call, field.name) for field in fields(call)}
    return values | {"labels": dict(call.labels)}


def call_from_fields(values: dict[str, Any]) -> Call:
    """The other way."""
    return Call(**values)


def progress_to_fields(progress: Progress) -> dict[str, Any]:
    """Progress, for Progressed; details may hold numbers that only JSON can."""
    values = {field.name: getattr(progress, field.name) for field in fields(progress)}
    return values | {"details": _to_json(progress.details)}


def progress_from_fields(values: dict[str, Any]) -> Progress:
    """The other way."""
    return Progress(**values | {"details": _from_json(values["details"])})


def ended_to_fields(ended: Ended) -> dict[str, Any]:
    """How a call ended, for Finished."""
    error = ended.error
    return {
        "took": ended.took,
        "result": ended.result,
        "error": error and _error_to_fields(error),
        "retry_after": None if ended.retry_after is None else ended.retry_after.total_seconds(),
    }


def ended_from_fields(values: dict[str, Any]) -> Ended:
    """The other way."""
    error, retry_after = values["error"], values["retry_after"]
    return Ended(
        took=values["took"],
        result=values["result"],
        error=error and _error_from_fields(error),
        retry_after=None if retry_after is None else timedelta(seconds=retry_after),
    )


def question_to_fields(question: Question) -> dict[str, Any]:
    """A question, for Asked."""
    values = {field.name: getattr(question, field.name) for field in fields(question)}
    if isinstance(question, Enqueue):
        values["options"] = options_to_fields(question.options)
    return {"kind": type(question).__name__, **values}


def question_from_fields(values: dict[str, Any]) -> Question:
    """The other way."""
    match values.pop("kind"):
        case Enqueue.__name__:
            return Enqueue(**values | {"options": options_from_fields(values["options"])})
        case AwaitEnd.__name__:
            return AwaitEnd(**values)
        case _:
            return Cancel(**values)


def answer_to_fields(answer: Answer) -> dict[str, Any]:
    """An answer, for Answered."""
    values = {field.name: getattr(answer, field.name) for field in fields(answer)}
    return values | {"error": answer.error and _error_to_fields(answer.error)}


def answer_from_fields(values: dict[str, Any]) -> Answer:
    """The other way."""
    error = values["error"]
    return Answer(**values | {"error": error and _error_from_fields(error)})


def _error_to_fields(error: TaskError) -> dict[str, Any]:
    values = {field.name: getattr(error, field.name) for field in fields(error)}
    return values | {"details": _to_json(error.details)}


def _error_from_fields(values: dict[str, Any]) -> TaskError:
    return TaskError(
        **values
        | {
            "error_type": ErrorType(values["error_type"]),
            "details": _from_json(values["details"]),
        }
    )


def _to_json(value: Any) -> str | None:
    return None if value is None else json.dumps(value)


def _from_json(text: str | None) -> Any:
    return None if text is None else json.loads(text)
