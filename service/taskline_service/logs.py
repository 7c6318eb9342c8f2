"""Logging of our processes: to standard error, one line per record."""

import logging
import sys

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def configure(level: int) -> None:
    """Send what is logged to standard error; standard output is for the ready line alone."""
    logging.basicConfig(level=level, format=_FORMAT, stream=sys.stderr)
