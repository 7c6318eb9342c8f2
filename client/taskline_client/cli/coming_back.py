"""How to come back to tasks that go on, and how to find out why nothing can be learned of them."""

import os
import shlex
import sys
from collections.abc import Sequence

from taskline_client._connection import Connection
from taskline_client.cli.exits import Exit, tell, tell_command
from taskline_client.cli.options import DEFAULT_ADDRESS


def tell_stopped(doing: str, *, one: bool, way_back: str) -> None:
    """After Ctrl-C."""
    tell(f"stopped {doing}; the {'task goes' if one else 'tasks go'} on. Come back with:")
    tell_command(way_back)


def tell_unheard(connection: Connection, what: str, *, way_back: str) -> Exit:
    """No server, or none that can take this now: what that means, and the code that says so."""
    tell(what)
    tell("find out why, and come back, with:")
    tell_command(_command(connection, "doctor"))
    tell_command(way_back)
    return Exit.UNAVAILABLE


def watch_command(connection: Connection, task_ids: Sequence[str]) -> str:
    """The command that follows these tasks at this server."""
    return _command(connection, "watch", *task_ids)


def this_command() -> str:
    """What was typed."""
    return shlex.join(["taskline", *sys.argv[1:]])


def _command(connection: Connection, name: str, *arguments: str) -> str:
    known = connection.address == os.environ.get("TASKLINE_ADDRESS", DEFAULT_ADDRESS)
    address = [] if known else ["--address", connection.address]
    return shlex.join(["taskline", name, *address, *arguments])
