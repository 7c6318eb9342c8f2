"""Each page runs as it stands: every block in it, in order, as a reader would do it."""

import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT, Block, blocks, prose
from tests.docs.reader import Reader

RUN = {"test", "file", "background", "printed"}
# Nothing of these can be run.
PROSE = {"text", "mermaid"}

TOOLS = sorted({(page, block.needs) for page in PAGES for block in blocks(page) if block.needs})
# Tells whether a tool can have the packages that a page has it fetch.
REACHES_ITS_REGISTRY = {
    "npm": ("npm", "ping"),
    "go": ("go", "list", "-m", "google.golang.org/grpc@v1.76.0"),
}


def name_of(page: Path) -> str:
    return page.name


# In another terminal; each page that starts no server of its own is tried against it.
MAKE_RUN = Block(
    "make run",
    "sh",
    {"background": ""},
    re.findall(r"^run:.*\n\t@\$\(BIN\)/(.+)$", (ROOT / "Makefile").read_text(), re.M)[0],
)


def follow(reader: Reader, page: list[Block]) -> None:
    printed = ""
    if not any("background" in b.marks and "taskline serve" in b.text for b in page):
        reader.follow(MAKE_RUN, printed)
    for block in page:
        printed = reader.follow(block, printed)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "page", [page for page in PAGES if any("test" in b.marks for b in blocks(page))], ids=name_of
)
def test_a_page_runs_as_it_stands(page: Path, reader: Reader) -> None:
    follow(reader, [block for block in blocks(page) if not block.needs])


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("page", "tool"), TOOLS, ids=lambda part: getattr(part, "name", part))
def test_what_needs_a_tool_runs_where_it_is(page: Path, tool: str, reader: Reader) -> None:
    if not shutil.which(tool):
        pytest.skip(f"there is no {tool} here")
    if subprocess.run(REACHES_ITS_REGISTRY[tool], capture_output=True, check=False).returncode:
        pytest.skip(f"{tool} does not reach its registry")

    follow(reader, [block for block in blocks(page) if block.needs == tool])


@pytest.mark.timeout(300)
def test_a_strict_type_checker_is_content_with_all_that_is_python(tmp_path: Path) -> None:
    for page in PAGES:
        for number, block in enumerate(b for b in blocks(page) if b.language == "python"):
            name = f"{page.stem.replace('-', '_')}_{number}.py"
            if "because" not in block.marks:
                (tmp_path / block.marks.get("file", name)).write_text(block.text)

    checked = subprocess.run(
        (sys.executable, "-m", "mypy", "--cache-dir", ROOT / ".mypy_cache" / "docs", tmp_path),
        cwd=ROOT,
        env={**os.environ, "MYPYPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_of_code_is_run_or_says_why_not(page: Path) -> None:
    shown = [b for b in blocks(page) if b.language not in PROSE and not RUN & set(b.marks)]

    assert [block.place for block in shown if not block.marks.get("because")] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)]+)\)", prose(page))

    ours = [link for link in links if not link.startswith("https://")]
    assert [link for link in ours if not leads_somewhere(page, link)] == []


def leads_somewhere(page: Path, link: str) -> bool:
    """Whether there is such a file and, where the link names one, such a heading in it."""
    name, _, heading = link.partition("#")
    target = page.parent / name if name else page
    return target.exists() and (not heading or heading in anchors(target))


@cache
def anchors(page: Path) -> set[str]:
    """What links call the headings of a page, as GitHub does."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def test_every_page_is_in_the_index() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")

    assert [page.name for page in PAGES[1:] if f"(docs/{page.name})" not in readme] == []
