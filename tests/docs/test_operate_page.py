"""docs/operate.md tells of every option."""

import typer

from taskline_client.cli import app
from taskline_service import commands
from tests.docs.pages import ROOT, rows, section

PAGE = ROOT / "docs" / "operate.md"


def test_fs2_its_table_of_variables_has_every_one_with_its_commands() -> None:
    told = {row[0]: row[1] for row in rows(section(PAGE, "Options"))}

    offered: dict[str, list[str]] = {}
    service_app = typer.Typer()
    commands.register(service_app)
    for group in (app.app, service_app):
        for name, command in vars(typer.main.get_command(group))["commands"].items():
            for option in command.params:
                if option.envvar:
                    offered.setdefault(option.envvar, []).append(name)
    of_clients = offered.pop("TASKLINE_ADDRESS")
    assert "serve" not in of_clients
    assert told == {"TASKLINE_ADDRESS": "client commands"} | {
        variable: ", ".join(names) for variable, names in offered.items()
    }
