"""Logging of our processes: to standard error, one line per record.

What tasks and callers wrote can neither steer the terminal nor pass for a record of its own.
"""

import logging
import re
import sys
import textwrap
from types import TracebackType

# Several processes may write to one terminal: each line says whose it is.
_FORMAT = "%(asctime)s %(levelname)s [%(who)s] %(name)s: %(message)s"


# What tasks and callers say may be long; their records have it whole.
_LONGEST_LINE = 500


# All that ends a line but newline, C0 but tab, DEL, C1, and what reverses the direction of text.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def _escaped(text: str) -> str:
    return _CONTROLS.sub(lambda found: ascii(found[0])[1:-1], text)


class _Formatter(logging.Formatter):
    def formatMessage(self, record: logging.LogRecord) -> str:
        line = _escaped(super().formatMessage(record)).replace("\n", "\\n")
        return line if len(line) <= _LONGEST_LINE else line[: _LONGEST_LINE - 1] + "…"

    def formatException(
        self,
        ei: tuple[type[BaseException], BaseException, TracebackType | None]
        | tuple[None, None, None],
    ) -> str:
        # Set in, which no record is.
        return textwrap.indent(_escaped(super().formatException(ei)), "    ")


def configure(level: int, *, who: str) -> None:
    """Send what is logged to standard error; standard output is for the ready line alone.

    Args:
        level: As `logging` counts.
        who: What this process is, such as "server 4711".
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter(_FORMAT, defaults={"who": who}))
    logging.basicConfig(level=level, handlers=[handler])
