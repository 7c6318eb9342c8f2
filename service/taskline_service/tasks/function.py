"""What the decorator makes of a function, as type checkers see it.

A function stays the function that it was, and knows its task type besides: callers enqueue
it with its own arguments, but for the TaskContext.
"""

from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterator
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, overload

from taskline_service.tasks.context import TaskContext
from taskline_service.tasks.typed import TypedTask

Whole = ParamSpec("Whole")
P = ParamSpec("P")
Made_co = TypeVar("Made_co", covariant=True)
R = TypeVar("R")
Values = TypeVar("Values", bound=Iterator[Any] | AsyncIterator[Any])
R_co = TypeVar("R_co", covariant=True)


class TaskFunction(TypedTask[P, R_co], Protocol[Whole, Made_co, P, R_co]):
    """A function that is a task."""

    def __call__(self, *args: Whole.args, **kwargs: Whole.kwargs) -> Made_co:
        """Call the function itself, here and now."""


class _AnyValue:
    """Only a parameter that takes anything takes one of these."""


# Which arguments are the caller's, types cannot tell: the first takes anything, so it may be
# the TaskContext or not; or the TaskContext comes second. (Third or later, a call without it
# is an error to type checkers.)
_Unclear = (
    Callable[Concatenate[_AnyValue, ...], R] | Callable[Concatenate[Any, TaskContext, ...], R]
)
_WithContext = Callable[Concatenate[TaskContext, P], R]


class Decorator(Protocol):
    """Gives back the function that it gets.

    Callers' arguments are checked if the TaskContext comes first, or there is none. Of these
    signatures the first that fits counts: a Generator is an Iterator, too.
    """

    @overload
    def __call__(
        self, function: _Unclear[Coroutine[Any, Any, R]], /
    ) -> TaskFunction[..., Coroutine[Any, Any, R], ..., R]: ...
    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, function: _Unclear[Generator[Any, Any, R]], /
    ) -> TaskFunction[..., Generator[Any, Any, R], ..., R]: ...
    @overload
    def __call__(self, function: _Unclear[Values], /) -> TaskFunction[..., Values, ..., None]: ...
    @overload
    def __call__(self, function: _Unclear[R], /) -> TaskFunction[..., R, ..., R]: ...
    @overload
    def __call__(
        self, function: _WithContext[P, Coroutine[Any, Any, R]], /
    ) -> TaskFunction[Concatenate[TaskContext, P], Coroutine[Any, Any, R], P, R]: ...
    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, function: _WithContext[P, Generator[Any, Any, R]], /
    ) -> TaskFunction[Concatenate[TaskContext, P], Generator[Any, Any, R], P, R]: ...
    @overload
    def __call__(
        self, function: _WithContext[P, Values], /
    ) -> TaskFunction[Concatenate[TaskContext, P], Values, P, None]: ...
    @overload
    def __call__(
        self, function: _WithContext[P, R], /
    ) -> TaskFunction[Concatenate[TaskContext, P], R, P, R]: ...
    @overload
    def __call__(
        self, function: Callable[P, Coroutine[Any, Any, R]], /
    ) -> TaskFunction[P, Coroutine[Any, Any, R], P, R]: ...
    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, function: Callable[P, Generator[Any, Any, R]], /
    ) -> TaskFunction[P, Generator[Any, Any, R], P, R]: ...
    @overload
    def __call__(self, function: Callable[P, Values], /) -> TaskFunction[P, Values, P, None]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> TaskFunction[P, R, P, R]: ...
