"""The whole command line: the client's commands, and those that other packages bring.

`taskline --help` must be quick, so nothing here imports grpc. Other packages add
commands by the entry point group `taskline.commands`: functions that take the app.
"""

from importlib import metadata

from taskline_client.cli import deployment_commands, task_commands  # they declare themselves
from taskline_client.cli.commands import app
from taskline_client.cli.streams import safe_output

__all__ = ["app", "deployment_commands", "run", "task_commands"]


def run() -> None:
    """The whole program."""
    with safe_output():
        for command in metadata.entry_points(group="taskline.commands"):
            command.load()(app)
        app(prog_name="taskline")
