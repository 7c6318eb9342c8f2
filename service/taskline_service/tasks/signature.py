"""How a function's parameters read the input, found once, at decoration."""

import inspect
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, is_dataclass
from inspect import Parameter
from typing import Annotated, Any, NotRequired, Union, Unpack, get_args, get_origin

from pydantic import BaseModel, ConfigDict, TypeAdapter, with_config
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python
from typing_extensions import TypedDict, is_typeddict

from taskline_service.tasks.context import TaskContext
from taskline_service.tasks.logged import LoggedCall
from taskline_service.tasks.published import JsonSchema
from taskline_service.tasks.schemas import input_schema


@dataclass(frozen=True, slots=True)
class BoundCall:
    """The arguments for one call of a task's function."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """How one function takes its input."""

    adapter: TypeAdapter[Any]
    # None if the input is not declared.
    schema: JsonSchema | None
    # The one parameter that takes the whole input; None: each takes its member.
    whole: str | None
    positional: tuple[str, ...]
    context: str | None
    # Those of the caller: all but the context.
    parameters: inspect.Signature
    logged_call: LoggedCall

    def input_of(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """What the adapter reads these arguments from, as JSON can write it.

        Raises:
            TypeError: They do not fit the parameters.
            ValueError: They have no JSON form.
        """
        bound = self.parameters.bind(*args, **kwargs)
        value = dict(zip(bound.arguments, bound.args, strict=False)) | bound.kwargs
        # Whether the values fit is for the service to say, as it does for every caller.
        return self.adapter.dump_python(
            value if self.whole is None else value[self.whole],
            mode="json",
            by_alias=True,
            warnings=False,
        )

    def bound(self, value: Any, ctx: TaskContext) -> BoundCall:
        """Arguments from a value that the adapter has read."""
        kwargs: dict[str, Any] = dict(value) if self.whole is None else {self.whole: value}
        if self.context is not None:
            kwargs[self.context] = ctx
        return BoundCall(tuple(kwargs.pop(name) for name in self.positional), kwargs)

    def in_words(self, call: BoundCall) -> str:
        """A bound call, as far as it may be logged."""
        arguments = dict(zip(self.positional, call.args, strict=False)) | call.kwargs
        arguments.pop(self.context or "", None)
        return self.logged_call.text(arguments)


def type_hints(function: Callable[..., Any], local_names: Mapping[str, Any]) -> dict[str, Any]:
    """The function's annotations, those written as strings resolved.

    Raises:
        ValueError: A name in them is not known at run time.
    """
    try:
        return typing.get_type_hints(function, localns=dict(local_names), include_extras=True)
    except NameError as error:
        raise ValueError(
            f"an annotation cannot be resolved: {error}. Import it at run time, "
            "not only under TYPE_CHECKING"
        ) from error


def read_signature(function: Callable[..., Any], hints: Mapping[str, Any], title: str) -> Signature:
    """Decide how the function gets its input.

    Raises:
        ValueError: No input can be made to fit the parameters.
    """
    parameters = list(inspect.signature(function).parameters.values())
    _refuse_unsupported(parameters)
    contexts = [p for p in parameters if _is_context(hints.get(p.name))]
    if len(contexts) > 1:
        raise ValueError("more than one parameter is annotated TaskContext")
    inputs = [p for p in parameters if p not in contexts]
    positional = tuple(p.name for p in parameters if p.kind is Parameter.POSITIONAL_ONLY)
    whole = _whole_input(inputs, hints)
    hint = hints.get(whole.name, Any) if whole else _members(inputs, hints, title)
    adapter: TypeAdapter[Any] = TypeAdapter(hint)
    schema = None if hint in (Any, object) else input_schema(adapter)
    return Signature(
        adapter=adapter,
        schema=schema if whole or schema is None else _with_defaults(schema, inputs),
        whole=whole.name if whole else None,
        positional=positional,
        context=contexts[0].name if contexts else None,
        parameters=inspect.Signature(inputs),
        logged_call=LoggedCall(function, inputs, hints),
    )


def _refuse_unsupported(parameters: list[Parameter]) -> None:
    for parameter in parameters:
        if parameter.kind is Parameter.VAR_POSITIONAL:
            raise ValueError(f"*{parameter.name}: the members of the input have names")
        if isinstance(parameter.default, FieldInfo):
            raise ValueError(
                f"parameter {parameter.name}: write Annotated[type, Field(...)] = default "
                "instead of a Field as the default"
            )


def _is_context(hint: Any) -> bool:
    if get_origin(hint) is Annotated:
        return _is_context(get_args(hint)[0])
    if get_origin(hint) in (Union, types.UnionType):
        return any(_is_context(part) for part in get_args(hint))
    return isinstance(hint, type) and issubclass(hint, TaskContext)


def _whole_input(inputs: list[Parameter], hints: Mapping[str, Any]) -> Parameter | None:
    positional = [p for p in inputs if p.kind is Parameter.POSITIONAL_ONLY]
    if positional and len(inputs) > 1:
        raise ValueError("a positional-only parameter takes the whole input: there can be only one")
    if positional:
        return positional[0]
    if len(inputs) != 1 or inputs[0].kind is Parameter.VAR_KEYWORD:
        return None
    return inputs[0] if _is_model(hints.get(inputs[0].name)) else None


def _is_model(hint: Any) -> bool:
    if get_origin(hint) is Annotated:
        return _is_model(get_args(hint)[0])
    cls = get_origin(hint) or hint  # Model[int] is a class of its own, Dataclass[int] is not
    if is_typeddict(cls):
        return True
    return isinstance(cls, type) and (issubclass(cls, BaseModel) or is_dataclass(cls))


def _members(inputs: list[Parameter], hints: Mapping[str, Any], title: str) -> Any:
    """A TypedDict of the parameters: what is left out stays out, for the function's default."""
    fields: dict[str, Any] = {}
    extra: Any = None
    for parameter in inputs:
        hint = hints.get(parameter.name, Any)
        if parameter.kind is Parameter.VAR_KEYWORD:
            if get_origin(hint) is Unpack:
                raise ValueError(f"**{parameter.name}: name the parameters instead of Unpack")
            extra = hint
        else:
            required = parameter.default is Parameter.empty
            fields[parameter.name] = hint if required else NotRequired[hint]
    if extra is None:
        return with_config(ConfigDict(extra="forbid"))(TypedDict(title, fields))  # type: ignore[operator]  # made at run time
    return TypedDict(title, fields, extra_items=extra)  # type: ignore[operator]  # made at run time


def _with_defaults(schema: JsonSchema, inputs: list[Parameter]) -> JsonSchema:
    """The schema with the defaults that JSON can show."""
    properties = schema.get("properties", {})
    for parameter in inputs:
        if parameter.name in properties and parameter.default is not Parameter.empty:
            try:
                default = to_jsonable_python(parameter.default, inf_nan_mode="strings")
            except ValueError:
                continue  # the function has it all the same
            properties[parameter.name]["default"] = default
    return schema
