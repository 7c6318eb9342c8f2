"""docs/errors.md is what the code says, about every reason and every kind of failure."""

import ast
from collections import defaultdict
from collections.abc import Iterator

import grpc
from google.rpc import error_details_pb2

from taskline.v1.task_pb2 import TaskError
from taskline_client import _status as client_status
from taskline_client.errors import CallFailed
from taskline_service import errors
from taskline_service.rpc.status import code_of, to_status
from tests.docs.pages import ROOT, rows, section

PAGE = ROOT / "docs" / "errors.md"
CALLS, _, IN_PYTHON = section(PAGE, "When a call fails").partition("Some codes come from gRPC")
# Of no use to all, so the page tells of them below its table.
BESIDES = {"index", "violation_count"}


def kinds(
    of: type[errors.TasklineError] = errors.TasklineError,
) -> Iterator[type[errors.TasklineError]]:
    yield of
    for kind in of.__subclasses__():
        if kind.__module__ == errors.__name__:
            yield from kinds(kind)


def an(kind: type[errors.TasklineError]) -> errors.TasklineError:
    error = kind.__new__(kind)
    error.message, error.metadata = "", {}
    if isinstance(error, errors.InvalidInput):
        error.violations = ()
    return error


def delay_of(kind: type[errors.TasklineError]) -> float | None:
    retry = error_details_pb2.RetryInfo()
    for detail in to_status(an(kind)).details:
        if detail.Unpack(retry):
            delay: float = retry.retry_delay.ToTimedelta().total_seconds()
            return delay
    return None


def names_of(call: ast.Call) -> set[str]:
    """The keywords of a call, those of a dict that is unpacked in it included."""
    names = {keyword.arg for keyword in call.keywords if keyword.arg}
    unpacked = [keyword.value for keyword in call.keywords if keyword.arg is None]
    dicts = [part for value in unpacked for part in ast.walk(value) if isinstance(part, ast.Dict)]
    return names | {
        key.value
        for part in dicts
        for key in part.keys
        if isinstance(key, ast.Constant) and isinstance(key.value, str)
    }


def metadata_in_the_code() -> dict[str, set[str]]:
    """Reason -> the keys with which the service raises it, wherever it does."""
    reasons = {kind.__name__: kind.reason for kind in kinds()}
    found: dict[str, set[str]] = defaultdict(set)
    for module in (ROOT / "service").rglob("*.py"):
        tree = ast.parse(module.read_text("utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                called = node.func
                name = getattr(called, "id", getattr(called, "attr", ""))
                found[reasons.get(name, "")] |= names_of(node)
            if isinstance(node, ast.ClassDef) and node.name in reasons:
                calls = [part for part in ast.walk(node) if isinstance(part, ast.Call)]
                inits = [call for call in calls if getattr(call.func, "attr", "") == "__init__"]
                for call in inits:
                    found[reasons[node.name]] |= names_of(call)
    return found


def test_the_catalogue_has_every_reason_with_its_code() -> None:
    told = {reason: code for reason, code, *_ in rows(CALLS)}

    real = {kind.reason: code_of(an(kind)).name for kind in kinds()}
    assert told == real
    codes = {code for code, *_ in rows(IN_PYTHON)}
    assert codes <= {code.name for code in grpc.StatusCode}


def test_the_catalogue_names_the_metadata_that_the_code_gives() -> None:
    told = {
        reason: set() if metadata == "none" else set(metadata.replace("`", "").split(", "))
        for reason, _, _, metadata, _ in rows(CALLS)
    }

    real = metadata_in_the_code()
    # The status of a bug is made without an exception of ours.
    real["INTERNAL"] = {"trace_id"}
    assert told == {reason: real[reason] - {"violations"} for reason in told}
    assert all(f"`{key}`" in IN_PYTHON + CALLS for key in BESIDES)


def test_the_catalogue_says_how_long_to_wait_where_the_code_does() -> None:
    waits = {"at once": 0.0, "after 1 s": 1.0, "after 5 s": 5.0}
    told = {reason: waits.get(repeat) for reason, *_, repeat in rows(CALLS)}

    assert told == {kind.reason: delay_of(kind) for kind in kinds()}


def test_the_page_names_the_class_that_a_caller_in_python_gets() -> None:
    by_reasons, _, by_codes = section(PAGE, "In Python").partition("Without a reason")
    told = classes_in(by_reasons)

    by_reason, by_code = client_status._BY_REASON, client_status._BY_CODE
    real = {
        kind.reason: by_reason.get(kind.reason, by_code.get(code_of(an(kind)), CallFailed))
        for kind in kinds()
    }
    assert told == {reason: kind.__name__ for reason, kind in real.items()}
    other = {"any other": CallFailed.__name__}
    assert classes_in(by_codes) == other | {
        code.name: kind.__name__ for code, kind in by_code.items()
    }


def classes_in(text: str) -> dict[str, str]:
    return {
        each: name.strip("`")
        for told, name in rows(text.split("\n```", maxsplit=1)[0])
        for each in told.split(", ")
    }


def test_the_page_has_every_type_of_a_tasks_error() -> None:
    told = {name for name, *_ in rows(section(PAGE, "When a task fails"))}

    assert told == {
        name.removeprefix("TYPE_").lower() for name, number in TaskError.Type.items() if number
    }
