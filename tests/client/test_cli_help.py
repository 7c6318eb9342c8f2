"""The help of every command, the service's too."""

from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from taskline_client.cli.app import app as client
from taskline_service import commands

service = typer.Typer(rich_markup_mode=None)
commands.register(service)


def commands_of(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, command in group.commands.items():
        yield (*path, name)
        yield from commands_of(command, (*path, name)) if hasattr(command, "commands") else ()


@pytest.mark.parametrize(
    ("app", "command"),
    [
        pytest.param(each, command, id=" ".join(command))
        for each in (client, service)
        for command in commands_of(typer.main.get_command(each))
    ],
)
def test_every_command_shows_how_it_is_called(app: typer.Typer, command: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(app, [*command, "--help"]).output

    _, heading, below = shown.partition("\n  Examples:\n")
    examples = below.partition("\n\n")[0].splitlines()
    assert heading and examples
    for example in examples:
        assert f"taskline {' '.join(command)}" in example
