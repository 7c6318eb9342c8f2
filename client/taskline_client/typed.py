"""Tasks whose arguments and results have types, for callers and their type checkers."""

import typing
from functools import cached_property
from types import NoneType
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Protocol, TypeVar

if TYPE_CHECKING:
    from taskline_client._models import Model

P = ParamSpec("P")
I = TypeVar("I")  # noqa: E741  # the input
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class TypedTask(Protocol[P, R_co]):
    """What can be enqueued with arguments of its own, and has a result of its own.

    A function is one that `TaskRegistry.task` of the service has decorated, without its
    TaskContext; a TaskType is another.
    """

    @property
    def task_type(self) -> str:
        """Names the task type."""

    def task_input(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """The input of a task that is called like this, as JSON can write it.

        Raises:
            TypeError: The arguments do not fit.
        """

    def task_result(self, json: bytes) -> R_co:
        """What the task returned, from its JSON.

        Raises:
            ValueError: It is something else.
        """


class TaskType(Generic[I, R]):
    """A task type without its code: the types of its input and its result.

    COUNT_WORDS = TaskType[CountWords, WordCount]("text.count_words")

    They are models of pydantic, dataclasses, TypedDicts, or anything that JSON has; Any
    takes whatever comes, and an input of None is for tasks that take none. With pydantic
    installed, all of its types can be used.
    """

    def __init__(self, name: str) -> None:
        """Declare it; the service need not know it yet.

        Args:
            name: Of the task type.
        """
        self._name = name

    def __repr__(self) -> str:
        return f"TaskType({self._name!r})"

    @property
    def task_type(self) -> str:
        """Names the task type."""
        return self._name

    @property
    def needs_input(self) -> bool:
        """Whether it cannot be enqueued without one: unless it takes none, or anything."""
        return self._declared[0] not in (NoneType, Any)

    def task_input(self, input: I, /) -> Any:
        """The input as JSON can write it.

        Raises:
            TypeError, ValueError: It has no JSON form.
        """
        return {} if self._declared[0] is NoneType else self._models[0].to_json(input)

    def task_result(self, json: bytes) -> R:
        """What the task returned, from its JSON.

        Raises:
            ValueError: It is something else.
        """
        result: R = self._models[1].from_json(json)
        return result

    @cached_property
    def _models(self) -> "tuple[Model, Model]":
        from taskline_client._models import model_of  # not before there are types to read

        return model_of(self._declared[0]), model_of(self._declared[1])

    @property
    def _declared(self) -> tuple[Any, ...]:
        # Where Python keeps what the class was subscripted with; nowhere without that.
        return typing.get_args(getattr(self, "__orig_class__", None)) or (Any, Any)
