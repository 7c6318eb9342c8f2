"""`result`, and how outcomes are printed."""

import asyncio
import sys
from datetime import timedelta

from taskline.v1 import task_service_pb2 as service
from taskline_client._connection import Connection
from taskline_client._convert import error_from, state_from
from taskline_client._outcome import ask_for_outcome, download
from taskline_client._results import has_ended
from taskline_client.cli import INTERRUPTED
from taskline_client.cli.coming_back import tell_stopped, tell_unheard, watch_command
from taskline_client.cli.connecting import payload_format, run_connected
from taskline_client.cli.exits import Exit, exit_code_for, tell, tell_command
from taskline_client.cli.options import Output
from taskline_client.cli.show import payload_text, print_ids, print_message
from taskline_client.cli.text import (
    error_lines,
    error_text,
    for_this_output,
    printable,
    seconds_text,
)
from taskline_client.errors import Unavailable
from taskline_client.types import TaskError, TaskState

# Days, not infinity: it goes over the wire.
_NO_LIMIT = timedelta(days=365)
# The server ends the wait; this long after it, one that does not answer is left.
_MARGIN = timedelta(milliseconds=300)


def result(
    address: str, task_id: str, output: Output, *, wait: bool, timeout: timedelta | None
) -> None:
    """Print the outcome of a task, waiting for it if asked to; a timeout implies that."""
    longest = timeout if timeout is not None else _NO_LIMIT if wait else timedelta()

    async def work(connection: Connection) -> int:
        limit = (longest + _MARGIN).total_seconds() if longest else None
        way_back = watch_command(connection, [task_id])
        try:
            async with asyncio.timeout(limit):
                answer = await ask_for_outcome(
                    connection, task_id, wait=longest, payload_format=payload_format(output)
                )
        except TimeoutError:
            silent = f"the server did not answer within {seconds_text(longest)}"
            return tell_unheard(connection, silent, way_back=way_back)
        except Unavailable as error:
            return tell_unheard(connection, str(error), way_back=way_back)
        except asyncio.CancelledError:
            tell_stopped("waiting", one=True, way_back=way_back)
            return INTERRUPTED
        return await print_outcome(connection, answer, output, waited=longest)

    run_connected(address, work, timeout=timeout)


async def print_outcome(
    connection: Connection,
    answer: service.GetResultResponse,
    output: Output,
    *,
    waited: timedelta,
) -> int:
    """The result on standard output, anything else about it on standard error."""
    if output in (Output.JSON, Output.JSONL):
        print_message(answer, output)
    elif output is Output.ID:
        print_ids([answer.task.id])
    elif answer.HasField("result"):
        print(for_this_output(payload_text(answer.result)))
    elif has_ended(answer) and not answer.HasField("error"):
        print(for_this_output((await download(connection, answer.task)).decode()))
    if answer.HasField("error"):
        tell_task_error(answer.task.id, state_from(answer.task.state), error_from(answer.error))
    if not has_ended(answer):
        _tell_unfinished(connection, answer, waited)
        return Exit.TIMED_OUT
    return exit_code_for(state_from(answer.task.state))


def tell_task_error(task_id: str, state: TaskState, error: TaskError) -> None:
    """How it ended and why, and below it what else there is to know, with its own traceback."""
    tell(f"task {task_id} {state}: {error_text(error)}")
    if more := error_lines(error):
        tell_lines(more)


def tell_lines(text: str) -> None:
    """Many lines for people on standard error."""
    print(printable(text.rstrip()), file=sys.stderr)


def _tell_unfinished(
    connection: Connection, answer: service.GetResultResponse, waited: timedelta
) -> None:
    task_id, state = answer.task.id, state_from(answer.task.state)
    if waited:
        tell(f"task {task_id} did not complete within {seconds_text(waited)}")
    else:
        tell(f"task {task_id} has not ended")
    tell(f"it is {state}; follow it with:")
    tell_command(watch_command(connection, [task_id]))
