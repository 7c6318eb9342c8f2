"""A task type with its code: reads inputs, writes results."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, NoReturn

from pydantic import TypeAdapter
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError
from pydantic_core import SchemaError

from taskline_service.errors import FieldViolation
from taskline_service.task import RetryPolicy
from taskline_service.tasks.context import TaskContext
from taskline_service.tasks.culprit import type_name
from taskline_service.tasks.declaration import Executor
from taskline_service.tasks.inputs import InputMismatch, InputReader
from taskline_service.tasks.published import JsonSchema, TaskTypeInfo
from taskline_service.tasks.results import ResultWriter
from taskline_service.tasks.schemas import output_schema
from taskline_service.tasks.signature import BoundCall, Signature, read_signature, type_hints
from taskline_service.tasks.yielding import emits, emitted_and_returned


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskDefinition:
    """One registered task: what is published about it, and its function."""

    info: TaskTypeInfo
    function: Callable[..., Any]
    # Otherwise it is a plain function.
    is_async: bool
    # In bytes; None: only the worker's own limit counts.
    max_result_size: int | None
    executor: Executor = Executor.AUTO
    _signature: Signature
    _input: InputReader
    _result: ResultWriter
    # Of a function that yields: writes its outputs. None for any other.
    _output: ResultWriter | None

    @property
    def emits(self) -> bool:
        """Whether the function yields, and each value is an output of the task."""
        return self._output is not None

    @property
    def name(self) -> str:
        """Name of the task type."""
        return self.info.name

    @property
    def description(self) -> str:
        """For people; the docstring unless given."""
        return self.info.description

    @property
    def queue(self) -> str:
        """Queue unless the enqueuer names another."""
        return self.info.queue

    @property
    def execution_timeout(self) -> timedelta:
        """Longest time for one attempt."""
        return self.info.execution_timeout

    @property
    def retry_policy(self) -> RetryPolicy:
        """How failed attempts are repeated."""
        return self.info.retry_policy

    @property
    def input_schema(self) -> JsonSchema | None:
        """JSON Schema of the input; None if anything will do."""
        return self.info.input_schema

    @property
    def output_schema(self) -> JsonSchema | None:
        """JSON Schema of the result; None if it is not declared."""
        return self.info.output_schema

    def arguments(self, input: bytes, ctx: TaskContext) -> BoundCall:
        """The arguments that a call of `function` takes from this JSON.

        No bytes at all count as an empty object. Of a member that is there twice the
        last one counts.

        Raises:
            InputMismatch: It does not fit the function.
        """
        return self._signature.bound(self._input.read(input), ctx)

    def input_of(self, *args: Any, **kwargs: Any) -> Any:
        """The input of a task that is called with these arguments, as JSON can write it.

        Raises:
            TypeError: They are not those of the function, without its TaskContext.
            ValueError: They have no JSON form.
        """
        return self._signature.input_of(args, kwargs)

    def read_result(self, json: bytes) -> Any:
        """What the function returned, from its JSON; raises ValueError if it is something else."""
        return self._result.read(json)

    def tell(self, function: Any) -> None:
        """Make the function a TaskFunction: it says what to enqueue."""
        function.task_type = self.name
        function.task_input = self.input_of
        function.task_result = self.read_result

    def in_words(self, call: BoundCall | None) -> str:
        """How the function is called, with what of its arguments may be logged; None: unknown."""
        if call is None:
            return self._signature.logged_call.unknown
        return self._signature.in_words(call)

    def violations(self, input: bytes) -> list[FieldViolation]:
        """What is wrong with this input, one for each wrong field; empty if it fits."""
        try:
            self._input.read(input)
        except InputMismatch as mismatch:
            return list(mismatch.violations)
        except Exception as error:  # a validator is the author's code: it may raise anything
            # The class alone: what it says may hold the input.
            problem = f"the type's own check failed with {type_name(error)}"
            return [FieldViolation("input", problem)]
        return []

    def dump_result(self, value: Any, *, max_size: int | None = None) -> bytes:
        """What the function returned, as JSON of exactly that value.

        Raises:
            ResultNotSerializable: It does not fit the declared type, or JSON.
            ResultTooLarge: It takes more than `max_size` bytes, or than the type may.
        """
        limits = [size for size in (max_size, self.max_result_size) if size is not None]
        return self._result.dump(value, max_size=min(limits, default=None))

    def dump_output(self, value: Any, *, max_size: int | None = None) -> bytes:
        """What the function yielded, as JSON of exactly that value.

        Raises:
            ResultNotSerializable: It does not fit the declared type, or JSON.
            ResultTooLarge: It takes more than `max_size` bytes.
        """
        assert self._output is not None
        return self._output.dump(value, root="output", max_size=max_size)


def define(
    function: Callable[..., Any],
    info: TaskTypeInfo,
    local_names: Mapping[str, Any],
    *,
    max_result_size: int | None = None,
) -> TaskDefinition:
    """Make a function a task.

    Args:
        function: The task's code.
        info: What is declared; the schemas, and a missing description, come from the code.
        local_names: What annotations that are strings may also name.
        max_result_size: Largest result in bytes; None if only the worker's own limit counts.

    Raises:
        ValueError: The function cannot be a task.
    """
    try:
        return _define(function, info, local_names, max_result_size)
    except (PydanticSchemaGenerationError, PydanticUserError, SchemaError) as error:
        text = str(error).partition("\n")[0]
        raise ValueError(f"task type {info.name!r}: {text}") from error
    except ValueError as error:
        raise ValueError(f"task type {info.name!r}: {error}") from error


def _define(
    function: Callable[..., Any],
    info: TaskTypeInfo,
    local_names: Mapping[str, Any],
    max_result_size: int | None,
) -> TaskDefinition:
    _refuse_unsupported(function)
    hints = type_hints(function, local_names)
    signature = read_signature(function, hints, info.name)
    returned = hints.get("return", Any)
    output = None
    if emits(function):
        emitted, returned = emitted_and_returned(function, returned)
        output, _ = _writer(emitted)
    writer, result_schema = _writer(returned)
    return TaskDefinition(
        info=replace(
            info,
            description=info.description or inspect.getdoc(function) or "",
            input_schema=signature.schema,
            output_schema=result_schema,
        ),
        function=function,
        is_async=inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function),
        max_result_size=max_result_size,
        _signature=signature,
        _input=InputReader(signature.adapter, signature.schema),
        _result=writer,
        _output=output,
    )


def _refuse_unsupported(function: Callable[..., Any]) -> None:
    if not inspect.isroutine(function):
        raise ValueError("a task must be a function")


def _writer(hint: Any) -> tuple[ResultWriter, JsonSchema | None]:
    declared = hint not in (Any, object, NoReturn)
    adapter: TypeAdapter[Any] = TypeAdapter(hint if declared else Any)
    schema = output_schema(adapter) if declared else None
    if _has_plain_bytes(schema):
        raise ValueError(
            "bytes have no JSON form of their own: declare the result as pydantic.Base64Bytes"
        )
    return ResultWriter(adapter, hint if declared else Any, schema), schema


def _has_plain_bytes(schema: Any) -> bool:
    if isinstance(schema, dict):
        if schema.get("type") == "string" and schema.get("format") == "binary":
            return True
        return any(_has_plain_bytes(part) for part in schema.values())
    return isinstance(schema, list) and any(_has_plain_bytes(part) for part in schema)
