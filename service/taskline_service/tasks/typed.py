"""What can be enqueued with its types, on the side of the service."""

from typing import Any, ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
I_contra = TypeVar("I_contra", contravariant=True)
R_co = TypeVar("R_co", covariant=True)


class TypedTask(Protocol[P, R_co]):
    """What can be enqueued with arguments of its own, and has a result of its own.

    The client has the same: what one knows as a task, the other does.
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


class NamedTask(Protocol[I_contra, R_co]):
    """What names a task that has an input of one type, as a TaskType of the client does."""

    @property
    def task_type(self) -> str:
        """Names the task type."""

    @property
    def needs_input(self) -> bool:
        """Whether it cannot be enqueued without one."""

    def task_input(self, input: I_contra, /) -> Any:
        """As that of TypedTask."""

    def task_result(self, json: bytes) -> R_co:
        """As that of TypedTask."""
