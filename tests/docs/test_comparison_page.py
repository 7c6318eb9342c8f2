"""docs/comparison.md is what examples/comparison does; the others are not needed for it."""

import sys
from pathlib import Path

from examples.comparison import compare
from tests.docs.pages import ROOT, blocks, rows

PAGE = ROOT / "docs" / "comparison.md"
BIN = Path(sys.executable).parent
TABLE = {name: cells for name, *cells in rows(PAGE.read_text("utf-8").split("\n## ")[0])}


def test_the_table_has_the_versions_and_lines_that_there_are() -> None:
    assert [*TABLE] == [contender.name for contender in compare.CONTENDERS]
    for contender in compare.CONTENDERS:
        assert TABLE[contender.name][:-1] == [contender.versions, *compare.lines_of(contender)]


def test_the_program_on_the_page_is_the_one_in_the_folder() -> None:
    (shown,) = (block.text for block in blocks(PAGE) if block.language == "python")

    assert shown in (compare.TASKLINE.folder / "program.py").read_text("utf-8")


def test_taskline_does_what_the_page_says(redis_url: str) -> None:
    printed = compare.run(compare.TASKLINE, BIN, redis_url).splitlines()

    assert sum("Ended" in line for line in printed) == 10
    assert sum(line.startswith("failed: ") for line in printed) == 1


def test_mypy_finds_the_mistakes_that_the_page_says(tmp_path: Path) -> None:
    found = compare.complaints(compare.TASKLINE, BIN / "mypy", tmp_path)

    assert found["program.py"] == []
    assert TABLE["taskline"][-1] == f"{len(found['mistakes.py'])} of {len(compare.MISTAKES)}"
