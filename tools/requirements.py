"""Fills in docs/requirements.md: which tests prove which requirement.

The table's rows and sentences are written by hand. The last column comes from the names of
the tests: `test_o4_o5_get_result_…` proves O4 and O5. Where no test does, it says why not, in
italics, by hand.

    python -m tools.requirements            writes the page
    python -m tools.requirements --check    exits with 1 if it is not what the tests say
"""

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "requirements.md"

_ROW = re.compile(r"^\| (?P<id>[A-Z]+\d+(?:\.\d+)?) \| (?P<sentence>.+?) \|(?P<proof>.*)\|$")
_PROVING = re.compile(r"test_(?P<ids>(?:(?:and_)?(?:f[ts]\d+|f\d+_\d+|[oadc]\d+)_)+)[a-z]")
_ID = re.compile(r"(f[ts]|[foadc])(\d+)(?:_(\d+))?")


@dataclass(frozen=True, slots=True)
class Proof:
    """A test, and the rows that it proves."""

    test: str
    file: str
    rows: tuple[str, ...]

    @property
    def link(self) -> str:
        """As the page shows it."""
        return f"[{self.test}](../{self.file})"


class PageWrong(Exception):
    """The page and the tests do not go together."""


def rows_of(test: str) -> tuple[str, ...]:
    """The rows that a test proves, by its name."""
    match = _PROVING.match(test)
    if match is None:
        return ()
    return tuple(
        f"{kind.upper()}{number}.{point}" if point and kind == "f" else f"{kind.upper()}{number}"
        for kind, number, point in _ID.findall(match["ids"])
    )


def proofs() -> Iterator[Proof]:
    """Every test that proves a row, file by file."""
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and rows_of(node.name):
                yield Proof(node.name, path.relative_to(ROOT).as_posix(), rows_of(node.name))


def filled_in(page: str) -> str:
    """The page with its last column as the tests have it.

    Raises:
        PageWrong: A row is there twice or is proved by nothing, or a test proves one that is
            not there.
    """
    links: dict[str, list[str]] = {}
    for proof in proofs():
        for row in proof.rows:
            links.setdefault(row, []).append(proof.link)
    lines, wrong, seen = list[str](), list[str](), set[str]()
    for line in page.splitlines():
        match = _ROW.match(line)
        if match is None:
            lines.append(line)
            continue
        row, by_hand = match["id"], match["proof"].strip()
        if row in seen:
            wrong.append(f"{row} is there twice")
        seen.add(row)
        if row not in links and not re.fullmatch(r"\*[^*]+\*", by_hand):
            wrong.append(f"{row} is proved by no test, and nothing says why")
        cell = "<br>".join(links[row]) if row in links else by_hand
        lines.append(f"| {row} | {match['sentence']} | {cell} |")
    wrong += [f"{links[row][0]} proves {row}, which is not there" for row in links.keys() - seen]
    if wrong:
        raise PageWrong("; ".join(sorted(wrong)))
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write the page, or check it; returns the exit code."""
    page = PAGE.read_text("utf-8")
    try:
        right = filled_in(page)
    except PageWrong as error:
        print(f"{PAGE.name}: {error}", file=sys.stderr)
        return 1
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(right, "utf-8")
    elif page != right:
        print(f"{PAGE.name} is not what the tests say: make requirements", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
