"""Puts before a script what it needs of the shared ones, and nothing else. Pure.

A script is run from its first line each time it is called, and whatever it defines is made anew:
all that the scripts share takes longer to make than most of them take for what they do.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

# Definitions begin at the margin, and whatever is in them does not.
_DEFINITION = re.compile(r"^local (?:function )?([\w, ]+?)(?: =|\()|^(\w+)\.\w+ = ", re.M)
_NO_NAMES = re.compile(r"--.*|'[^'\n]*'")
_NAME = re.compile(r"[A-Za-z_]\w*")


@dataclass(frozen=True, slots=True)
class _Definition:
    """Of some names, or of a part of what one of them has."""

    text: str
    names: frozenset[str]
    uses: frozenset[str]


def linked(body: str, shared: Sequence[str]) -> str:
    """A script, and before it the definitions of the shared texts that it needs, in order."""
    definitions = [one for text in shared for one in _definitions(text)]
    needed, left = frozenset[str](), _names_in(body)
    while left:
        needed |= left
        used = [one.uses for one in definitions if one.names & left]
        left = frozenset[str]().union(*used) - needed
    return "".join(one.text for one in definitions if one.names & needed) + body


def _definitions(text: str) -> Iterator[_Definition]:
    starts = list(_DEFINITION.finditer(text))
    ends = [*(start.start() for start in starts[1:]), len(text)]
    for start, end in zip(starts, ends, strict=True):
        code = text[start.start() : end]
        names = frozenset(_NAME.findall(start[1] or start[2]))
        yield _Definition(code, names, _names_in(code))


def _names_in(code: str) -> frozenset[str]:
    return frozenset(_NAME.findall(_NO_NAMES.sub("", code)))
