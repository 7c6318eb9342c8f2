"""The pages of the documentation, and the blocks of code in them.

What is to be done with a block stands in its fence, behind the language, where readers do not
see it:

    test               it is run, and has to succeed; `exit=3`: has to end with that code
    file=NAME          it is written to a file of that name, for the blocks after it
    background         it is one command; it is started, and ends with the page
    printed            it is what the block before prints; … stands for anything
    needs=TOOL         it is run only where this program is, apart from the rest of the page
    because="REASON"   it is not run, for this reason
"""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]

_BLOCK = re.compile(r"^```(\w+)(.*)\n((?:.*\n)*?)```$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """A block of code; `place` says where it stands, for people."""

    place: str
    language: str
    marks: Mapping[str, str]
    text: str

    @property
    def needs(self) -> str:
        """The program without which it is not run; empty if nothing is needed."""
        return self.marks.get("needs", "")


def blocks(page: Path) -> list[Block]:
    """All blocks of a page, in order."""
    text, found = page.read_text("utf-8"), []
    for match in _BLOCK.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        marks = (mark.partition("=") for mark in shlex.split(match[2]))
        named = {name: value for name, _, value in marks}
        found.append(Block(f"{page.name}:{line}", match[1], named, match[3]))
    return found


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return _BLOCK.sub("", page.read_text("utf-8"))


def section(page: Path, heading: str) -> str:
    """The text of one section, up to the next heading of its level."""
    text = page.read_text("utf-8").split(f"\n## {heading}\n")[1]
    return re.split(r"^## ", text, maxsplit=1, flags=re.MULTILINE)[0]


def rows(text: str) -> list[list[str]]:
    """The cells of the tables in a text, without their heads."""
    found: list[list[str]] = []
    for table in re.findall(r"(?:^\|.*\n)+", text + "\n", re.MULTILINE):
        lines = [line.strip("|").split(" | ") for line in table.splitlines()]
        found += [[cell.strip() for cell in line] for line in lines[2:]]
    return found
