"""What users and operators do with tasks."""

from collections.abc import Iterable, Sequence
from typing import Any

from taskline_service.errors import TaskDamaged, TaskNotFound, TaskNotTerminal
from taskline_service.store.chunks import LONG_MOVES_PER_CALL, chunks
from taskline_service.store.records import error_to_fields
from taskline_service.store.scripted import Scripted, new_call
from taskline_service.task import TERMINAL_STATES, ErrorType, TaskError, TaskState


class Operations(Scripted):
    """Cancels, retries and deletes tasks."""

    async def cancel(self, task_id: str, *, reason: str = "") -> None:
        """Ask a task to stop; does nothing to one that has ended.

        Raises:
            TaskNotFound: There is no such task.
        """
        (answer,) = await self._cancel([task_id], reason)
        _raise_if_absent(task_id, answer)

    async def cancel_many(
        self, task_ids: Sequence[str], *, states: Iterable[TaskState], reason: str = ""
    ) -> int:
        """Ask those to stop that are in one of these states; returns how many were not before."""
        return _changed([await self._cancel(chunk, reason, states) for chunk in chunks(task_ids)])

    async def _cancel(
        self, task_ids: Sequence[str], reason: str, states: Iterable[TaskState] | None = None
    ) -> list[Any]:
        args = {
            "ids": list(task_ids),
            "states": None if states is None else list(states),
            "error": error_to_fields(_cancelled(reason)),
            "record_ttl": self._record_ttl_us,
        }
        return self._answers(await self._script("cancel", args))

    async def retry(self, task_id: str) -> None:
        """Put a task that has ended back on its queue, with a fresh attempt budget.

        Raises:
            TaskNotFound: There is no such task.
            TaskNotTerminal: It has not ended.
        """
        _raise_unless_changed(task_id, *await self._retry([task_id], TERMINAL_STATES))

    async def retry_many(self, task_ids: Sequence[str], *, states: Iterable[TaskState]) -> int:
        """Put those back that ended in one of these states, in order; returns how many."""
        steps = chunks(task_ids, most=LONG_MOVES_PER_CALL)
        return _changed([await self._retry(chunk, states) for chunk in steps])

    async def _retry(self, task_ids: Sequence[str], states: Iterable[TaskState]) -> list[Any]:
        # The nonce tells a call that is made again, because its answer got lost.
        args = {"ids": list(task_ids), "states": list(states), "call": new_call()}
        return self._answers(await self._script("retry", args))

    async def delete(self, task_id: str) -> None:
        """Remove a task that has ended, and everything stored about it.

        Raises:
            TaskNotFound: There is no such task.
            TaskNotTerminal: It has not ended.
        """
        _raise_unless_changed(task_id, *await self._delete([task_id], TERMINAL_STATES))

    async def delete_many(self, task_ids: Sequence[str], *, states: Iterable[TaskState]) -> int:
        """Remove those that ended in one of these states; returns how many."""
        return _changed([await self._delete(chunk, states) for chunk in chunks(task_ids)])

    async def _delete(self, task_ids: Sequence[str], states: Iterable[TaskState]) -> list[Any]:
        args = {"ids": list(task_ids), "states": list(states)}
        return self._answers(await self._script("delete", args))

    def _answers(self, reply: list[Any]) -> list[Any]:
        self._told_of(key for key in map(_key_of, reply) if key)
        return reply


def _cancelled(reason: str) -> TaskError:
    return TaskError(error_type=ErrorType.CANCELLED, message=reason or "the task was cancelled")


def _changed(answers: Iterable[list[Any]]) -> int:
    return sum(answer is True for step in answers for answer in step)


def _key_of(answer: bytes | bool) -> bytes:
    """The damaged key that a task was held up by, if it was."""
    return answer.partition(b"damaged ")[2] if isinstance(answer, bytes) else b""


def _raise_if_absent(task_id: str, answer: bytes | bool) -> None:
    if not answer:
        raise TaskNotFound(task_id)
    if isinstance(answer, bytes) and answer.startswith(b"damaged"):
        raise TaskDamaged(task_id, key=_key_of(answer).decode(errors="replace"))


def _raise_unless_changed(task_id: str, answer: bytes | bool) -> None:
    _raise_if_absent(task_id, answer)
    if isinstance(answer, bytes):
        state = answer.decode()
        raise TaskNotTerminal(
            f"task {task_id!r} has not ended: it is {state}", task_id=task_id, state=state
        )
