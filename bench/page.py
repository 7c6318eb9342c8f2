"""Tells what a run found: for the terminal, and between the markers of a page: pure text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bench.figures import Figures, written
from bench.marks import Judged, Mark, Verdict, judged, peer_in

MEASURED = "measured"
GROWTH = "growth"
PROFILES = "profiles"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What was measured, on what, and what came of it."""

    command: str
    machine: str
    versions: Mapping[str, str]
    rounds: int
    many: int
    figures: Figures
    # What each peer was set to, and its default, in words.
    peers: Mapping[str, str] = field(default_factory=dict)
    # What could not be measured, and why.
    broken: Mapping[str, str] = field(default_factory=dict)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """In Markdown; the first column is text, the others are numbers."""
    lines = [header, ["---", *("---:" for _ in header[1:])], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def marks_table(figures: Figures) -> str:
    """Every mark, and whether it was met."""
    return table(
        ("what", "measured", "must", "aim", "", "figures"),
        [_mark_row(one) for one in judged(figures)],
    )


def _mark_row(one: Judged) -> Sequence[str]:
    mark = one.mark
    ratio = "-" if one.ratio is None else written(one.ratio)
    sign = "≤" if mark.at_most else "≥"
    limits = [f"{sign} {limit:,g}" for limit in (mark.must, mark.aim)]
    verdict = str(one.verdict)
    if one.verdict is Verdict.MISSED:
        verdict = f"**{verdict}**"
    return (mark.what, ratio, *limits, verdict, _absolute(mark, one))


def _absolute(mark: Mark, one: Judged) -> str:
    if one.value is None or one.other is None:
        return ""
    unit = mark.figure.rpartition(", ")[2]
    whose = one.other_name if mark.against_peers else "echo"
    return f"{written(one.value)} {unit}; {whose} {written(one.other)}"


def figures_table(figures: Figures) -> str:
    """Everything that is not a peer's."""
    ours = [
        (name, written(value))
        for name, value in figures.items()
        if not (peer_in(name) or name.startswith(GROWTH))
    ]
    return table(("figure", "median"), ours)


def peers_table(figures: Figures) -> str:
    """A row for each peer, a column for each figure."""
    found = dict[str, dict[str, float]]()
    columns = dict[str, None]()
    for name, value in figures.items():
        if named := peer_in(name):
            column, peer = named
            found.setdefault(peer, {})[column] = value
            columns[column] = None
    rows = [
        (peer, *(written(values[column]) if column in values else "-" for column in columns))
        for peer, values in found.items()
    ]
    return table(("peer", *columns), rows)


def growth_table(figures: Figures) -> str:
    """What more processes bring."""
    found = [(name, written(value)) for name, value in figures.items() if name.startswith(GROWTH)]
    return table(("figure", "median"), found)


def report(run: Run) -> str:
    """All of it."""
    lines = [
        f"Measured by `{run.command}`: {run.rounds} rounds, in which everything has its turn; "
        f"medians. A store with many tasks has {run.many:,}.",
        "",
        f"- Machine: {run.machine}",
        "- Versions: " + ", ".join(f"{name} {version}" for name, version in run.versions.items()),
        *(f"- Not measured: {name}: {reason}" for name, reason in run.broken.items()),
        "",
        "### Marks",
        "",
        marks_table(run.figures),
        "",
        "### Taskline and the limits",
        "",
        figures_table(run.figures),
    ]
    if run.peers:
        lines += ["", "### Peers", "", peers_table(run.figures), ""]
        lines += [f"- **{name}**: {settings}" for name, settings in run.peers.items()]
    return "\n".join(lines)


def has_place(page: str, marker: str) -> bool:
    """Whether a page has the two markers of this name, in their order."""
    begin, end = _markers(marker)
    return end in page.partition(begin)[2]


def placed(page: str, marker: str, text: str) -> str:
    """The page with the text between the two markers of this name; ValueError if it has none."""
    begin, end = _markers(marker)
    if not has_place(page, marker):
        raise ValueError(f"no place for {marker}: {begin} … {end}")
    before, _, rest = page.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n{text}\n{end}{after}"


def _markers(name: str) -> tuple[str, str]:
    return f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
