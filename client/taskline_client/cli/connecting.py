"""From a command to its calls: an event loop, a connection, errors told."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from taskline.v1 import task_pb2 as pb
from taskline_client._connection import Connection
from taskline_client.cli import INTERRUPTED, traces
from taskline_client.cli.exits import errors_told
from taskline_client.cli.options import Output

# Someone waits at the prompt: no server is an answer too.
_TIME_TO_CONNECT = timedelta(seconds=5)


def run_connected(
    address: str,
    work: Callable[[Connection], Awaitable[int]],
    *,
    timeout: timedelta | None = None,
) -> None:
    """Run work that needs a server.

    The work keeps to its `timeout` itself; no more than that is spent on connecting.
    """
    within = min(_TIME_TO_CONNECT, timeout or _TIME_TO_CONNECT)

    async def connect_and_work() -> int:
        async with connected(address, within=within) as connection:
            return await work(connection)

    run(connect_and_work)


def run(work: Callable[[], Coroutine[Any, Any, int]]) -> None:
    """Run the work of a command, and exit with the code it gives."""
    with errors_told(), traces.exported():
        try:
            code = asyncio.run(work())
        except KeyboardInterrupt:
            code = INTERRUPTED
        sys.stdout.flush()
    sys.exit(code)


@asynccontextmanager
async def connected(
    address: str, *, within: timedelta = _TIME_TO_CONNECT
) -> AsyncIterator[Connection]:
    """A connection to a server that is there."""
    connection = Connection(address)
    try:
        await connection.check(within=within)
        yield connection
    finally:
        await connection.close()


def payload_format(output: Output) -> pb.PayloadFormat.ValueType:
    """What grpcurl gets if the answer is printed as it prints it; else exact bytes."""
    as_grpcurl = output in (Output.JSON, Output.JSONL)
    return pb.PAYLOAD_FORMAT_JSON if as_grpcurl else pb.PAYLOAD_FORMAT_JSON_BYTES
