"""One child process, as its worker sees it."""

import asyncio
import contextvars
import logging
import os
import signal
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any, Self

from taskline_service import logs
from taskline_service.execution.call import Call, ChildDied, Ended, Reports
from taskline_service.execution.messages import (
    LENGTH_BYTES,
    Answered,
    Asked,
    Called,
    Emitted,
    Extended,
    Finished,
    Hello,
    Logged,
    Message,
    Progressed,
    Ready,
    Recorded,
    Run,
    Stop,
    Stopped,
    Unasked,
    answer_to_fields,
    call_to_fields,
    ended_from_fields,
    from_frame,
    length_of,
    progress_from_fields,
    question_from_fields,
    to_frame,
)

log = logging.getLogger(__name__)

# It imports the code of the tasks first, which may take a while on a busy machine.
START_LIMIT_S = 60.0
# When it is to end, or is dead: for what it still has to say.
_END_LIMIT_S = 3.0
_LAST_WORDS_LIMIT_S = 1.0


class ChildNotStarted(Exception):
    """There is no child process to run the task."""


class Child:
    """A process that runs one task at a time."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.calls = 0
        self._process = process
        self._reader = reader
        self._writer = writer
        self._interrupted = False
        self._reports: Reports | None = None
        # Questions of the present call that have no answer yet, by their numbers.
        self._open: dict[int, asyncio.Task[None]] = {}
        loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[None] = loop.create_future()
        # How the present call ended; cancelled if it was interrupted.
        self._ended: asyncio.Future[Ended] = loop.create_future()
        # In a context of its own: it is about no task, whichever it was started for.
        self._life = loop.create_task(
            self._live(), name=f"child-{process.pid}", context=contextvars.Context()
        )

    @classmethod
    async def start(cls, tasks_at: str) -> Self:
        """Start one; it is ready when this returns.

        Call from a thread that lives as long as the child is to live.

        Raises:
            ChildNotStarted: It did not become ready.
        """
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-P", "-m", "taskline_service.child_process"),
                    *(str(theirs.fileno()), str(os.getpid())),
                    pass_fds=(theirs.fileno(),),
                    stdin=asyncio.subprocess.DEVNULL,
                    # Signals of a terminal are for the worker alone; and what the code starts
                    # can be killed with it.
                    start_new_session=True,
                )
            child = cls(process, *await asyncio.open_unix_connection(sock=ours))
        except OSError as error:
            ours.close()
            raise ChildNotStarted(f"no child process could be started: {error}") from error
        except BaseException:
            ours.close()
            raise
        await child._become_ready(tasks_at)
        return child

    async def _become_ready(self, tasks_at: str) -> None:
        log_level = logging.getLogger().getEffectiveLevel()
        try:
            self._send(Hello([str(folder) for folder in sys.path], tasks_at, log_level))
            async with asyncio.timeout(START_LIMIT_S):
                await self._ready
        except BaseException as error:
            await self.kill()
            if isinstance(error, TimeoutError):
                raise ChildNotStarted(
                    f"the child process was not ready after {START_LIMIT_S:g} s"
                ) from None
            raise

    @property
    def reusable(self) -> bool:
        """Whether it can run another task: it lives, and was never interrupted."""
        return not self._life.done() and not self._interrupted

    async def run(self, call: Call, reports: Reports, trace: Mapping[str, str]) -> Ended:
        """Run the code of a task.

        Cancelling interrupts the code. Cancelling again kills the process.

        Raises:
            ChildDied: The process is gone.
        """
        self.calls += 1
        self._reports = reports
        self._ended = ended = asyncio.get_running_loop().create_future()
        if self._life.done():
            raise ChildDied("the child process was gone already")
        self._send(Run(self.calls, call_to_fields(call), dict(trace), dict(logs.about())))
        reports.begun()
        try:
            return await self._see_it_end(call, ended)
        finally:
            await self._close_questions()

    async def _see_it_end(self, call: Call, ended: "asyncio.Future[Ended]") -> Ended:
        try:
            return await asyncio.shield(ended)
        except asyncio.CancelledError:
            self._interrupted = True
            if ended.cancelled():
                raise
            self._send(Stop(self.calls))
        try:
            return await asyncio.shield(ended)  # unless interrupted: it finished first
        except asyncio.CancelledError:
            if not ended.cancelled():
                ended.cancel()
                log.warning("task %s: does not stop; its process is killed", call.task_id)
                await self.kill()
            raise

    async def end(self) -> None:
        """Have it end; kill it if that takes too long."""
        self._writer.close()
        await asyncio.wait([self._life], timeout=_END_LIMIT_S)
        await self.kill()

    async def kill(self) -> None:
        """Kill it, with what its code started; it is gone when this returns."""
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        await asyncio.wait([self._life])

    def _send(self, message: Message) -> None:
        self._writer.write(to_frame(message))

    async def _live(self) -> None:
        """Listen until the process is gone."""
        exited = asyncio.ensure_future(self._process.wait())
        listening = asyncio.ensure_future(self._listen())
        await asyncio.wait([exited, listening], return_when=asyncio.FIRST_COMPLETED)
        # One may come a little later than the other. But a descendant may keep our connection
        # open, and code may close it.
        await asyncio.wait([exited, listening], timeout=_LAST_WORDS_LIMIT_S)
        listening.cancel()
        if self._process.returncode is None:
            self._process.kill()
        code = await exited
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()
        self._gone(_how(code))

    def _gone(self, how: str) -> None:
        if not self._ready.done():
            self._ready.set_exception(
                ChildNotStarted(f"the child process {how} before it was ready")
            )
            self._ready.exception()  # perhaps nobody waits for it any more
        if not self._ended.done():
            self._ended.set_exception(ChildDied(f"the child process that ran the task {how}"))
            self._ended.exception()

    async def _listen(self) -> None:
        try:
            while True:
                head = await self._reader.readexactly(LENGTH_BYTES)
                body = await self._reader.readexactly(length_of(head))
                await self._take(from_frame(body))
        except (asyncio.IncompleteReadError, OSError):
            return  # it is gone
        except Exception:  # its memory may be damaged, or the code wrote into the connection
            log.exception("child process %d: does not make sense", self._process.pid)

    async def _take(self, message: Message) -> None:
        match message:
            case Ready():
                if not self._ready.done():
                    self._ready.set_result(None)
            case Recorded(record):
                made = logging.makeLogRecord(record)
                logger = logging.getLogger(made.name)
                if logger.isEnabledFor(made.levelno):
                    logger.handle(made)
            case (
                Called(number)
                | Progressed(number)
                | Logged(number)
                | Emitted(number)
                | Extended(number)
                | Asked(number)
                | Unasked(number)
                | Finished(number)
                | Stopped(number)
            ):
                # What a thread of an earlier call still tells is of no interest.
                if number == self.calls and not self._ended.done():
                    await self._tell(message)

    async def _tell(self, message: Message) -> None:
        reports = self._reports
        assert reports is not None
        match message:
            case Called(_, call):
                reports.called(lambda: call)
            case Progressed(_, progress):
                reports.progress(progress_from_fields(progress))
            case Logged(_, text, percentage):
                reports.log(text, percentage)
            case Emitted(_, output):
                reports.output(output)
                # Nothing more is read meanwhile: so the child waits too.
                await reports.room()
            case Extended(_, seconds, asked_at):
                reports.extend(timedelta(seconds=seconds), asked_at=asked_at)
            case Asked(number, question, asked):
                answering = self._answer(reports, number, question, asked)
                self._open[question] = asyncio.create_task(answering)
            case Unasked(_, question):
                if question in self._open:
                    self._open[question].cancel()
            case Finished(_, ended):
                self._ended.set_result(ended_from_fields(ended))
            case Stopped():
                self._ended.cancel()

    async def _answer(
        self, reports: Reports, number: int, question: int, asked: dict[str, Any]
    ) -> None:
        try:
            answer = await reports.ask(question_from_fields(asked))
            self._send(Answered(number, question, answer_to_fields(answer)))
        finally:
            del self._open[question]

    async def _close_questions(self) -> None:
        questions = list(self._open.values())
        for question in questions:
            question.cancel()
        await asyncio.gather(*questions, return_exceptions=True)


def _how(code: int) -> str:
    """As in "ended with exit code 3"."""
    if code >= 0:
        return f"ended with exit code {code}"
    with suppress(ValueError):
        return f"was killed by {signal.Signals(-code).name}"
    return f"was killed by signal {-code}"
