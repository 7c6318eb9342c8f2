"""A child process of a worker, from its beginning to its end: runs one task at a time.

Imports as little as it can: a task may wait for it.
"""

import contextlib
import contextvars
import functools
import inspect
import logging
import os
import queue
import signal
import socket
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from taskline_service import logs
from taskline_service.die_with_parent import die_with_parent
from taskline_service.execution.call import Ended
from taskline_service.execution.code import Code
from taskline_service.execution.interrupting import Interrupted, main_thread_interrupts
from taskline_service.execution.messages import (
    Answered,
    Finished,
    Hello,
    Message,
    Ready,
    Run,
    Stop,
    Stopped,
    answer_from_fields,
    call_from_fields,
    ended_to_fields,
)
from taskline_service.execution.parent import Parent, ParentGone
from taskline_service.execution.plain import Raised, call_plain
from taskline_service.execution.reports_to_parent import LogToParent, ReportsToParent
from taskline_service.forked import Contained
from taskline_service.load_tasks import load_tasks
from taskline_service.task import ErrorType, TaskError
from taskline_service.tasks import TaskRegistry

if TYPE_CHECKING:
    import asyncio

_INSIST_EVERY_S = 0.05


def main() -> None:
    """Serve the worker that started this, until it closes the connection."""
    connection, parent_pid = int(sys.argv[1]), int(sys.argv[2])
    # At once, and by a signal that no code can hold off.
    die_with_parent(parent_pid, by=signal.SIGKILL)
    os.set_inheritable(connection, False)
    parent = Parent(socket.socket(fileno=connection))
    with contextlib.suppress(ParentGone):
        _serve(parent)


def _serve(parent: Parent) -> None:
    hello = parent.receive()
    assert isinstance(hello, Hello)
    sys.path[:] = hello.sys_path
    # Before the code of the tasks sets up another.
    logging.basicConfig(level=hello.log_level, handlers=[LogToParent(parent)])
    logging.captureWarnings(True)
    tasks = load_tasks(hello.tasks_at)
    shut_down_telemetry = _set_up_telemetry()
    try:
        ChildProcess(parent, tasks).serve()
    finally:
        shut_down_telemetry()


class ChildProcess:
    """Runs what the worker asks for in the main thread, while another thread listens."""

    def __init__(self, parent: Parent, tasks: TaskRegistry) -> None:
        self._parent = parent
        self._tasks = tasks
        self._runs: queue.SimpleQueue[Run | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        # Of the call that is asked for, or runs; 0 while there is none.
        self._number = 0
        self._stop_asked = False
        self._reports: ReportsToParent | None = None
        # Whether Interrupted may be raised in the main thread: it runs the code of a task.
        self._interruptible = False
        self._interrupt: Callable[[], None] = lambda: None
        self._cancel: Callable[[], object] | None = None
        self._runner: asyncio.Runner | None = None
        parent.interrupted = self._interrupted

    def serve(self) -> None:
        """Run call after call until the worker closes the connection."""
        with main_thread_interrupts(self._interrupted) as self._interrupt:
            threading.Thread(target=self._listen, name="parent", daemon=True).start()
            self._parent.send(Ready())
            while (run := self._runs.get()) is not None:
                self._parent.send(self._answer(run))

    # In a thread of its own

    def _listen(self) -> None:
        try:
            while True:
                message = self._parent.receive()
                if isinstance(message, Run):
                    self._number, self._stop_asked = message.number, False
                    self._runs.put(message)
                elif isinstance(message, Stop):
                    self._stop(message.number)
                elif isinstance(message, Answered) and message.number == self._number:
                    assert self._reports is not None
                    self._reports.answered(message.question, answer_from_fields(message.answer))
        except ParentGone:
            if self._number:
                os._exit(1)  # nobody waits for the result
            self._runs.put(None)

    def _stop(self, number: int) -> None:
        with self._lock:
            if number != self._number:
                return  # it has just ended
            self._stop_asked = True
            if self._cancel is not None:
                self._cancel()
                return
        threading.Thread(target=self._insist, args=(number,), daemon=True).start()

    def _insist(self, number: int) -> None:
        """Interrupt the main thread until it has noticed.

        A signal that comes just before a system call does not interrupt it.
        """
        while number == self._number and self._stop_asked and self._cancel is None:
            self._interrupt()
            time.sleep(_INSIST_EVERY_S)

    # In the main thread

    def _interrupted(self) -> bool:
        """Whether Interrupted is to be raised here and now; once."""
        if not (self._stop_asked and self._interruptible) or self._parent.main_is_sending:
            return False
        self._stop_asked = False
        return True

    def _answer(self, run: Run) -> Message:
        call = call_from_fields(run.call)
        reports = self._reports = ReportsToParent(self._parent, run.number)
        logs.bind(run.about)
        definition = self._tasks.get(call.task_type)
        try:
            if definition is None:
                ended = _no_such_type(call.task_type)
            else:
                with _inside(run.trace):
                    ended = self._run(Code(definition, call, reports))
        except Interrupted:
            self._interruptible = False
            ended = None
        reports.flush()
        logs.bind({})
        with self._lock:
            self._number = 0
        return (
            Stopped(run.number) if ended is None else Finished(run.number, ended_to_fields(ended))
        )

    def _run(self, code: Code) -> Ended:
        if code.definition.is_async:
            from taskline_service.execution.on_loop import run_on_loop

            return self._on_loop(run_on_loop(code))
        try:
            self._interruptible = True
            if self._interrupted():  # asked before it began
                raise Interrupted
            value = self._called(code)
            if isinstance(value, Ended):
                return value
        finally:
            self._interruptible = False
        from taskline_service.execution.on_loop import end_with

        return self._on_loop(end_with(code, Contained(value)))

    def _called(self, code: Code) -> Ended | Awaitable[Any]:
        """How a plain function ended; or what it returned, if that has to be awaited."""
        try:
            value = call_plain(code, code.function(), wait_for_room=lambda: None)
            if isinstance(value, Raised):
                return code.raised(value.error)
            return value if inspect.isawaitable(value) else code.returned(value)
        except Exception as error:  # an input or a value that was refused
            return code.raised(error)

    def _on_loop(self, ends: Coroutine[Any, Any, Ended]) -> Ended:
        import asyncio

        async def cancellable() -> Ended:
            loop, task = asyncio.get_running_loop(), asyncio.current_task()
            assert task is not None
            cancel = functools.partial(loop.call_soon_threadsafe, task.cancel)
            with self._lock:
                self._cancel = cancel
                if self._stop_asked:
                    cancel()
            try:
                return await ends
            finally:
                with self._lock:
                    self._cancel = None

        self._runner = self._runner or asyncio.Runner()
        try:
            return self._runner.run(cancellable(), context=contextvars.copy_context())
        except asyncio.CancelledError:
            raise Interrupted from None


def _no_such_type(task_type: str) -> Ended:
    message = f"the child process has no task type {task_type!r}: its code was changed"
    error = TaskError(error_type=ErrorType.UNKNOWN, message=message, is_retryable=True)
    return Ended(took=0.0, error=error)


def _set_up_telemetry() -> Callable[[], None]:
    if not any(name.startswith("OTEL_") for name in os.environ):
        return lambda: None
    from taskline_service import telemetry

    return telemetry.setup("taskline-worker")


def _inside(trace: Mapping[str, str]) -> AbstractContextManager[None]:
    """The trace of the attempt, as the present one."""
    if not trace:
        return contextlib.nullcontext()
    from taskline_service import telemetry

    return telemetry.inside(trace)


if __name__ == "__main__":
    main()
