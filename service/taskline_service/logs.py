"""Logging of our processes: to standard error, one line per record."""

import logging
import sys

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


# What tasks and callers say may be long; their records have it whole.
_LONGEST_LINE = 500


class _Formatter(logging.Formatter):
    def formatMessage(self, record: logging.LogRecord) -> str:
        line = super().formatMessage(record)
        return line if len(line) <= _LONGEST_LINE else line[: _LONGEST_LINE - 1] + "…"


def configure(level: int) -> None:
    """Send what is logged to standard error; standard output is for the ready line alone."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter(_FORMAT))
    logging.basicConfig(level=level, handlers=[handler])
