"""Log lines: for people, so no longer than they read."""

import subprocess
import sys

_LOG = """
import logging
from taskline_service import logs
logs.configure(logging.INFO)
logging.info("x" * 10_000)
try:
    raise ValueError("y" * 1000)
except ValueError:
    logging.exception("short")
"""


def test_a_long_line_is_cut_and_a_traceback_is_whole() -> None:
    finished = subprocess.run(
        [sys.executable, "-c", _LOG], capture_output=True, text=True, check=True
    )

    first, second, *rest = finished.stderr.splitlines()
    assert len(first) == 500 and first.endswith("…")
    assert second.endswith("root: short")
    assert "y" * 1000 in rest[-1]
