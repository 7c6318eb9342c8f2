"""What is told of a failure: from an exception to a TaskError. Pure."""

import traceback
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from taskline_service.task import ErrorType, TaskError
from taskline_service.tasks import ResultNotSerializable, TaskFailure, checked_details

MAX_NAME_BYTES = 512
MAX_MESSAGE_BYTES = 4 * 1024
MAX_REMARK_BYTES = 512
MAX_TRACEBACK_BYTES = 64 * 1024
_OUR_PACKAGE = __name__.split(".", 1)[0]


def error_from(exception: BaseException) -> TaskError:
    """Describe an exception that task code raised, without the frames of the worker."""
    details, left_out = _details_of(exception)
    return TaskError(
        error_type=ErrorType.RUNTIME,
        message=cut_end(_text_of(exception), MAX_MESSAGE_BYTES - len(left_out.encode())) + left_out,
        exception_class=qualified_name(type(exception)),
        traceback=cut_middle(_traceback_of(exception), MAX_TRACEBACK_BYTES),
        is_retryable=bool(exception.retryable) if isinstance(exception, TaskFailure) else True,
        details=details,
    )


def serialization_error(error: Exception) -> TaskError:
    """Describe an input or a value that was refused; a traceback would show our code only."""
    return TaskError(
        error_type=ErrorType.SERIALIZATION,
        message=cut_end(str(error), MAX_MESSAGE_BYTES),
        exception_class=qualified_name(type(error)),
    )


def _details_of(exception: BaseException) -> tuple[Mapping[str, Any] | None, str]:
    """What the task attached; if that cannot be shown, a remark that says so."""
    if not isinstance(exception, TaskFailure) or exception.details is None:
        return None, ""
    try:
        return checked_details(exception.details), ""
    except (ResultNotSerializable, ValueError, TypeError) as error:
        return None, cut_end(f" (details left out: {error})", MAX_REMARK_BYTES)


def qualified_name(cls: type) -> str:
    """Such as "builtins.ValueError"."""
    name = f"{cls.__module__}.{cls.__qualname__}".encode("utf-8", "replace").decode()
    return cut_end(name, MAX_NAME_BYTES)


def _text_of(exception: BaseException) -> str:
    try:
        text = str.encode(str(exception), "utf-8", "replace").decode()
    except BaseException:  # foreign code: an exception that cannot even say what it is
        text = ""
    return text or type(exception).__name__


def _traceback_of(exception: BaseException) -> str:
    frames = _without_our_frames(exception.__traceback__)
    try:
        lines = traceback.format_exception(type(exception), exception, frames)
    except BaseException:  # foreign code again: __str__ and __cause__ may do anything
        lines = [*traceback.format_tb(frames), type(exception).__name__]
    return "".join(lines).encode("utf-8", "replace").decode()


def _without_our_frames(trace: TracebackType | None) -> TracebackType | None:
    first = trace
    while first is not None and _is_ours(first):
        first = first.tb_next
    return first if first is not None else trace


def _is_ours(trace: TracebackType) -> bool:
    module = trace.tb_frame.f_globals.get("__name__", "")
    return module.split(".", 1)[0] in (_OUR_PACKAGE, "asyncio", "contextlib")


def cut_end(text: str, limit: int) -> str:
    """At most `limit` bytes of UTF-8; "..." stands for what is missing at the end."""
    data = text.encode()
    if len(data) <= limit:
        return text
    return data[: limit - 3].decode("utf-8", "ignore") + "..."


def cut_middle(text: str, limit: int) -> str:
    """At most `limit` bytes of UTF-8; "..." stands for what is missing in the middle."""
    data = text.encode()
    if len(data) <= limit:
        return text
    half = (limit - 5) // 2
    head, tail = data[:half].decode("utf-8", "ignore"), data[-half:].decode("utf-8", "ignore")
    return f"{head}\n...\n{tail}"
