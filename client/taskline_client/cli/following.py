"""`watch`: follow tasks until they have ended."""

import asyncio
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Protocol

from taskline.v1 import task_pb2 as pb
from taskline.v1 import task_service_pb2 as service
from taskline_client._connection import Connection
from taskline_client._convert_events import event_from
from taskline_client._watch import follow
from taskline_client.cli.connecting import payload_format, run_connected
from taskline_client.cli.exits import Exit, exit_code_for, tell
from taskline_client.cli.options import Output
from taskline_client.cli.show import print_ids, print_message
from taskline_client.cli.text import on_one_line
from taskline_client.errors import Unavailable
from taskline_client.events import Ended, TaskEvent

_INTERRUPTED = 130  # what shells expect after Ctrl-C


class Board(Protocol):
    """Shows events to people as they come."""

    def __enter__(self) -> "Board": ...

    def __exit__(self, *_: object) -> None: ...

    def show(self, event: TaskEvent) -> None:
        """The event is new."""


class _Outages:
    """Says on standard error why nothing comes, and when it comes again."""

    def begun(self, error: Unavailable) -> None:
        tell(f"the server is gone ({on_one_line(str(error))}); trying again")

    def over(self) -> None:
        tell("the server is back")


def watch(address: str, task_ids: Sequence[str], output: Output) -> None:
    """Show what happens to the tasks; the exit code tells how they ended."""

    async def work(connection: Connection) -> int:
        return await follow_tasks(connection, task_ids, output)

    run_connected(address, work)


async def follow_tasks(
    connection: Connection,
    task_ids: Sequence[str],
    output: Output,
    *,
    enqueued: pb.Task | None = None,
) -> int:
    """Until all have ended, or Ctrl-C, which stops this and not the tasks.

    Shows what happens from now on; of the one that was just `enqueued`, everything.
    """
    request = service.WatchRequest(task_ids=task_ids, payload_format=payload_format(output))
    try:
        return await _show_all(follow(connection, request, _Outages(), enqueued=enqueued), output)
    except asyncio.CancelledError:
        tell("stopped watching; the task goes on. Come back with:")
        tell(f"  taskline watch --address {connection.address} {' '.join(task_ids)}")
        sys.exit(_INTERRUPTED)


async def _show_all(watch: AsyncGenerator[pb.TaskEvent, None], output: Output) -> int:
    codes: set[Exit] = set()
    with _board_for(output) as board:
        async with aclosing(watch) as events:
            async for message in events:
                _show(message, board, output)
                if message.WhichOneof("event") == "ended":
                    codes.add(exit_code_of_end(message))
    return next((code for code in (Exit.TASK_FAILED, Exit.CANCELLED) if code in codes), Exit.OK)


def exit_code_of_end(message: pb.TaskEvent) -> Exit:
    """Of one task's last event."""
    event = event_from(message)
    return exit_code_for(event.state) if isinstance(event, Ended) else Exit.OK


def _show(message: pb.TaskEvent, board: Board, output: Output) -> None:
    if output in (Output.JSON, Output.JSONL):
        print_message(message, output)
        sys.stdout.flush()
    elif output is Output.ID and message.WhichOneof("event") == "ended":
        print_ids([message.task_id])
    elif output is Output.TABLE and (event := event_from(message)):
        board.show(event)


def _board_for(output: Output) -> Board:
    """Bars on a terminal, else a line per event. Standard output is for results."""
    if output is Output.TABLE and sys.stderr.isatty():
        from taskline_client.cli.live import LiveBoard

        return LiveBoard()
    from taskline_client.cli.lines import LineBoard

    return LineBoard()
