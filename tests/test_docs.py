"""The tests that docs/ names are there; docs/reliability.md says of every row what proves it."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs").glob("*.md"))
RELIABILITY = (ROOT / "docs" / "reliability.md").read_text("utf-8")

_LINK = re.compile(r"\[(test_\w+)\]\(\.\./(tests/[\w/]+\.py)\)")
_ROW = re.compile(r"^\| ([VKF]\d+) \| [^|]+ \| ([^|]+) \|", re.MULTILINE)
_ITALIC = re.compile(r"\*[^*]+\*")


@cache
def functions_of(file: str) -> set[str]:
    """The names of the functions of a file; none if it is not there."""
    path = ROOT / file
    tree = ast.parse(path.read_text("utf-8") if path.exists() else "")
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.walk(tree) if isinstance(node, functions)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_test_that_is_named_is_there(page: Path) -> None:
    named = sorted(set(_LINK.findall(page.read_text("utf-8"))))

    assert [f"{file}: {name}" for name, file in named if name not in functions_of(file)] == []


def test_every_row_is_there_once_and_says_what_proves_it_or_why_nothing_can() -> None:
    rows = _ROW.findall(RELIABILITY)

    expected = [f"V{number}" for number in range(1, 26)] + [f"K{number}" for number in range(1, 51)]
    assert [row for row, _ in rows if not row.startswith("F")] == expected
    faults = [1, 2, 3, 4, 5, 8, 9, 11, 13, 14, 15, 20, 21, 24, 26, 28, 29]
    assert [row for row, _ in rows if row.startswith("F")] == [f"F{number}" for number in faults]
    assert [row for row, cell in rows if not (_LINK.search(cell) or _ITALIC.fullmatch(cell))] == []
