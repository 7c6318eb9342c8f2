"""What the record of a task must be like, the same for scripts, reads and `taskline fsck`. Pure.

Numbers are whole ones from 0 on, in digits alone. What is beyond these limits was not written by
us, and would end a script in the middle of its writes, or an answer that has no room for it.
"""

import re
from collections.abc import Mapping

from taskline_service.task import TaskState

# From here on a script could no longer count by one.
TOO_LARGE = 1 << 53
_TOO_MANY = 1 << 31

# By the names of lua/_prelude.lua: below what each must be.
NUMBERS: Mapping[bytes, int] = {
    **dict.fromkeys(b"ct du qd sa ea up cr re xp".split(), TOO_LARGE),
    **dict.fromkeys(b"sq ss hs lg rs hb".split(), TOO_LARGE),
    **dict.fromkeys(b"pr at fl lo lb al ow".split(), _TOO_MANY),
}

# Without these no move can be made with a task; nor, once it was started, without the others.
NEEDED = frozenset(b"st ln ct du sq".split())
NEEDED_ONCE_STARTED = frozenset(b"at no wo sa ss".split())

LINE = re.compile(rb"[A-Za-z0-9._-]+:[A-Za-z0-9._:-]+")
_DIGITS = re.compile(rb"[0-9]{1,16}")


def number_of(name: bytes, text: bytes) -> int:
    """A number of a record.

    Raises:
        ValueError: It is none that we write.
    """
    return _below(NUMBERS[name], text)


def count_of(text: bytes) -> int:
    """What a counter has.

    Raises:
        ValueError: It is none that we write.
    """
    return _below(TOO_LARGE, text)


def _below(limit: int, text: bytes) -> int:
    if not _DIGITS.fullmatch(text) or (number := int(text)) >= limit:
        raise ValueError(f"{text[:40]!r} is no number below {limit}")
    return number


def line_of(text: bytes) -> str:
    """The line of a record.

    Raises:
        ValueError: It is none that we write.
    """
    if not LINE.fullmatch(text):
        raise ValueError(f"the line is {text[:40]!r}")
    return text.decode()


def is_started(state: TaskState, attempts: int) -> bool:
    """Whether the record of a task must have NEEDED_ONCE_STARTED."""
    return attempts > 0 or state is TaskState.RUNNING


def numbers_in_lua() -> str:
    """NUMBERS as a Lua table, for load()."""
    rows = (f"{name.decode()} = {limit}" for name, limit in NUMBERS.items())
    return f"local NUMBERS, TOO_LARGE = {{ {', '.join(rows)} }}, {TOO_LARGE}\n"
