"""Log lines: for people, so no longer than they read, and harmless."""

import subprocess
import sys

_LONG = """
import logging
from taskline_service import logs
logs.configure(logging.INFO, who="server 1")
logging.info("x" * 10_000)
try:
    raise ValueError("y" * 1000)
except ValueError:
    logging.exception("short")
"""


def test_a_long_line_is_cut_and_a_traceback_is_whole() -> None:
    finished = subprocess.run(
        [sys.executable, "-c", _LONG], capture_output=True, text=True, check=True
    )

    first, second, *rest = finished.stderr.splitlines()
    assert len(first) == 500 and first.endswith("…")
    assert second.endswith(" ERROR [server 1] root: short")
    assert "y" * 1000 in rest[-1]


_HOSTILE = r"""
import logging
from taskline_service import logs
logs.configure(logging.INFO, who="server 1")
forged = "\n2026-01-01 00:00:00,000 ERROR [server 1] root: forged"
logging.info("task said %s", "\0\x1b[31m\x9b1m\u202e\u2028\r" + forged)
try:
    raise ValueError("\x1b]0;title\x07" + forged)
except ValueError:
    logging.exception("failed")
"""


def test_text_from_elsewhere_neither_steers_a_terminal_nor_passes_for_a_record() -> None:
    finished = subprocess.run(
        [sys.executable, "-c", _HOSTILE], capture_output=True, check=True, encoding="utf-8"
    )

    lines = finished.stderr.split("\n")
    assert r"task said \x00\x1b[31m\x9b1m\u202e\u2028\r\n2026" in lines[0]
    assert [line for line in lines if line.startswith("2026-01-01")] == []
    assert all(character.isprintable() for character in finished.stderr.replace("\n", ""))
