"""`doctor`: is the deployment well, and if not, what to do."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

from taskline_client.cli.connecting import connected, run
from taskline_client.cli.deployment import look
from taskline_client.cli.exits import Exit
from taskline_client.cli.health import Finding, Level, examine, no_server, no_store
from taskline_client.cli.options import Output
from taskline_client.cli.show import print_ids
from taskline_client.cli.text import on_one_line
from taskline_client.cli.versions import installed_version
from taskline_client.errors import Unavailable

_MOST_RUNNING = 1000
_SAMPLES = 5
# Something has failed: as fsck says it.
_NOT_WELL = 1
_COLOURS = {Level.OK: "green", Level.WARNING: "yellow", Level.FAILED: "bold red"}


def doctor(address: str, output: Output) -> None:
    """Print what every check found; as ids, those that did not pass."""

    async def work() -> int:
        try:
            async with connected(address) as connection:
                seen = await look(connection, most_running=_MOST_RUNNING, samples=_SAMPLES)
        except Unavailable as error:
            # With a reason, it is a server that answered so.
            findings = no_store(address, error) if error.reason else no_server(error)
            failed = _NOT_WELL if error.reason else Exit.UNAVAILABLE
        else:
            findings, failed = examine(seen, client_version=installed_version()), _NOT_WELL
        found = list(findings)
        _print(found, output)
        return failed if any(each.level is Level.FAILED for each in found) else Exit.OK

    run(work)


def _print(findings: Sequence[Finding], output: Output) -> None:
    match output:
        case Output.JSON:
            checks = [asdict(finding) for finding in findings]
            print(json.dumps({"checks": checks}, indent=2, ensure_ascii=False))
        case Output.JSONL:
            for finding in findings:
                print(json.dumps(asdict(finding), ensure_ascii=False))
        case Output.ID:
            print_ids(each.check for each in findings if each.level is not Level.OK)
        case Output.TABLE if sys.stdout.isatty():
            _print_rich(findings)
        case Output.TABLE:
            for level, line in _lines(findings):
                print(f"{level.ljust(_level_width())}  {line}")


def _print_rich(findings: Sequence[Finding]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2, 0, 0))
    for level, line in _lines(findings):
        table.add_row(
            Text(level, style=_COLOURS.get(Level(level), "") if level else ""), Text(line)
        )
    Console().print(table)


def _lines(findings: Sequence[Finding]) -> Sequence[tuple[str, str]]:
    """A line for what was found, and one below it for how to mend it."""
    lines: list[tuple[str, str]] = []
    for finding in findings:
        lines.append((finding.level, on_one_line(f"{finding.check}: {finding.found}")))
        if finding.fix and finding.level is not Level.OK:
            lines.append(("", on_one_line(f"fix: {finding.fix}")))
    return lines


def _level_width() -> int:
    return max(map(len, Level))
