"""Where the log goes, and in which form."""

import logging
import sys

from taskline_service.logs.about_task import NamesTask
from taskline_service.logs.formats import AsJson, ForPeople


def configure(level: int, *, who: str, as_json: bool = False) -> None:
    """Send what is logged to standard error; standard output is for the ready line alone.

    Args:
        level: As `logging` counts.
        who: What this process is, such as "server 4711".
        as_json: Whether the log is for programs.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(AsJson(who) if as_json else ForPeople(who))
    handler.addFilter(NamesTask())
    logging.basicConfig(level=level, handlers=[handler])
    logging.captureWarnings(True)
