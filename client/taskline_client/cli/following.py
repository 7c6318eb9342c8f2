"""`watch` and `wait`: follow tasks until they have ended."""

import asyncio
import os
import sys
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal, Protocol, TextIO

from taskline.v1 import task_pb2 as pb
from taskline.v1 import task_service_pb2 as service
from taskline_client._connection import Connection
from taskline_client._convert_events import event_from
from taskline_client._requests import task_filter
from taskline_client._watch import follow
from taskline_client.cli import INTERRUPTED
from taskline_client.cli.choosing import Chosen
from taskline_client.cli.coming_back import (
    tell_stopped,
    tell_unheard,
    this_command,
    watch_command,
)
from taskline_client.cli.connecting import payload_format, run_connected
from taskline_client.cli.exits import Exit, exit_code_for, tell, tell_command
from taskline_client.cli.options import Output
from taskline_client.cli.show import print_ids, print_message
from taskline_client.cli.text import counted, on_one_line, seconds_text
from taskline_client.cli.watched import Watched
from taskline_client.errors import Unavailable
from taskline_client.events import TaskEvent
from taskline_client.requests import TaskFilter

_MAX_IDS_TOLD = 5


class Board(Protocol):
    """Shows events to people as they come."""

    def __enter__(self) -> "Board": ...

    def __exit__(self, *_: object) -> None: ...

    def show(self, event: TaskEvent, task: Watched) -> None:
        """The event is new; the task is as it leaves it."""

    def tell(self, message: str) -> None:
        """Something about the watch itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """Which tasks, and how they are shown."""

    task_ids: Sequence[str] = ()
    # Instead of ids.
    tasks: TaskFilter | None = None
    # The one task, as the answer to Enqueue had it: then everything since is shown.
    enqueued: pb.Task | None = None
    # Standard output is for results, where there are any.
    stream: Literal["stdout", "stderr"] = "stdout"
    # Only how the tasks ended.
    ends_only: bool = False

    def request(self, output: Output) -> service.WatchRequest:
        """What to ask the server for."""
        tasks = None if self.tasks is None else task_filter(self.tasks)
        return service.WatchRequest(
            task_ids=self.task_ids, filter=tasks, payload_format=payload_format(output)
        )


@dataclass(slots=True)
class _Course:
    """What is known of the tasks that are followed."""

    tasks: dict[str, Watched] = field(default_factory=dict)
    codes: set[Exit] = field(default_factory=set)
    # Why nothing has come since the last event, if that is known.
    unheard: Unavailable | None = None

    def learn(self, event: TaskEvent) -> Watched:
        task = self.tasks.setdefault(event.task_id, Watched(event.task_id))
        task.learn(event)
        return task

    @property
    def code(self) -> Exit:
        """That of the worst end."""
        worst = (Exit.TASK_FAILED, Exit.CANCELLED)
        return next((code for code in worst if code in self.codes), Exit.OK)


@dataclass(frozen=True, slots=True)
class _Outages:
    """Says why nothing comes, and when it comes again."""

    course: _Course
    board: Board

    def failed(self, error: Unavailable) -> None:
        self.course.unheard = error

    def begun(self, error: Unavailable) -> None:
        what = on_one_line(str(error))
        # With a reason, it is a server that answered so.
        gone = what if error.reason else f"the server is gone ({what})"
        self.board.tell(f"{gone}; trying again")

    def over(self) -> None:
        error, self.course.unheard = self.course.unheard, None
        again = "it goes on again" if error and error.reason else "the server is back"
        self.board.tell(again)


def watch(address: str, chosen: Chosen, output: Output, *, timeout: timedelta | None) -> None:
    """Show what happens to the tasks; the exit code tells how they ended."""
    followed = Followed(task_ids=_once(chosen.task_ids), tasks=chosen.tasks)

    async def work(connection: Connection) -> int:
        if chosen.tasks is not None and sys.stderr.isatty():
            tell("watching for tasks that something happens to; Ctrl-C stops it")
        return await follow_tasks(connection, followed, output, timeout=timeout)

    run_connected(address, work, timeout=timeout)


def wait(
    address: str, task_ids: Sequence[str], output: Output, *, timeout: timedelta | None
) -> None:
    """Show how the tasks end, each when it does."""
    followed = Followed(task_ids=_once(task_ids), ends_only=True)

    async def work(connection: Connection) -> int:
        return await follow_tasks(connection, followed, output, timeout=timeout)

    run_connected(address, work, timeout=timeout)


async def follow_tasks(
    connection: Connection,
    followed: Followed,
    output: Output,
    *,
    timeout: timedelta | None = None,
    asked_for: timedelta | None = None,
) -> int:
    """Until all have ended, the time is over, or Ctrl-C, which stops this and not the tasks.

    Args:
        connection: To the server.
        followed: Which tasks.
        output: How events are printed.
        timeout: None for no limit.
        asked_for: What people are told of the timeout, if some of it was spent before.
    """
    course, board = _Course(), _board_for(followed, output)
    watch = follow(
        connection,
        followed.request(output),
        _Outages(course, board),
        enqueued=followed.enqueued,
    )
    try:
        async with asyncio.timeout(timeout.total_seconds() if timeout is not None else None):
            await _show_all(watch, course, board, followed, output)
        return course.code
    except TimeoutError:
        return _tell_over(connection, course, followed, asked_for or timeout or timedelta())
    except Unavailable as error:
        way_back = _way_back(connection, course, followed)
        return tell_unheard(connection, str(error), way_back=way_back)
    except asyncio.CancelledError:
        one = followed.tasks is None and len(_unended(course, followed)) == 1
        tell_stopped("watching", one=one, way_back=_way_back(connection, course, followed))
        return INTERRUPTED


async def _show_all(
    watch: AsyncGenerator[pb.TaskEvent, None],
    course: _Course,
    board: Board,
    followed: Followed,
    output: Output,
) -> None:
    with board:
        show = _printer(board, followed, output)
        async with aclosing(watch) as events:
            async for message in events:
                course.unheard = None
                event = event_from(message)
                task = course.learn(event) if event else None
                if message.WhichOneof("event") == "ended" and task:
                    course.codes.add(exit_code_for(task.state))
                show(message, event, task)


def _printer(
    board: Board, followed: Followed, output: Output
) -> Callable[[pb.TaskEvent, TaskEvent | None, Watched | None], None]:
    """Shows an event in the way that was asked for."""

    def show(message: pb.TaskEvent, event: TaskEvent | None, task: Watched | None) -> None:
        ended = message.WhichOneof("event") == "ended"
        if output is Output.TABLE:
            if event and task:
                board.show(event, task)
        elif output is Output.ID:
            if ended:
                print_ids([message.task_id])
        elif ended or not followed.ends_only:
            print_message(message, output)
        sys.stdout.flush()

    return show


def _board_for(followed: Followed, output: Output) -> Board:
    """Bars on a terminal, else a line per event."""
    stream: TextIO = getattr(sys, followed.stream)
    if followed.ends_only or output is not Output.TABLE:
        from taskline_client.cli.lines import EndBoard

        return EndBoard(stream)
    if stream.isatty() and os.environ.get("TERM", "") not in ("dumb", "unknown"):
        from taskline_client.cli.live import LiveBoard

        return LiveBoard(stream)
    from taskline_client.cli.lines import LineBoard

    return LineBoard(stream)


def _tell_over(
    connection: Connection, course: _Course, followed: Followed, waited: timedelta
) -> Exit:
    """The time is over: say what is known, and not more."""
    seconds = seconds_text(waited)
    unended = _unended(course, followed)
    # Each task that can be asked for is told of at once.
    if course.unheard or not course.tasks.keys() >= set(unended):
        why = course.unheard or "the server did not answer"
        whose = f"task {unended[0]}" if len(unended) == 1 else "the tasks"
        return tell_unheard(
            connection,
            f"could not learn within {seconds} how {whose} ended: {why}",
            way_back=_way_back(connection, course, followed),
        )
    if followed.tasks is not None:
        tell(f"stopped watching after {seconds}")
    else:
        _tell_unended(connection, course, unended, seconds)
    return Exit.TIMED_OUT


def _tell_unended(
    connection: Connection, course: _Course, unended: Sequence[str], seconds: str
) -> None:
    for task_id in unended[:_MAX_IDS_TOLD]:
        tell(f"task {task_id} did not complete within {seconds}")
    if len(unended) > _MAX_IDS_TOLD:
        tell(f"nor did {counted(len(unended) - _MAX_IDS_TOLD, 'other task')}")
    go_on = "they go" if len(unended) > 1 else f"it is {course.tasks[unended[0]].state} and goes"
    tell(f"{go_on} on. Come back with:")
    tell_command(watch_command(connection, unended))


def _unended(course: _Course, followed: Followed) -> list[str]:
    return [task for task in followed.task_ids if not _has_ended(course, task)]


def _has_ended(course: _Course, task_id: str) -> bool:
    task = course.tasks.get(task_id)
    return task is not None and task.state.terminal


def _way_back(connection: Connection, course: _Course, followed: Followed) -> str:
    """To what goes on; what has ended was shown."""
    if followed.tasks is not None:
        return this_command()
    return watch_command(connection, _unended(course, followed))


def _once(task_ids: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(task_ids))
