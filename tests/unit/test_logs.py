"""Log lines: for people, so no longer than they read, or for programs; and harmless."""

import json
import subprocess
import sys
from typing import Any

import pytest

_START = "import logging\nfrom taskline_service import logs\n"


def logged(code: str, *, as_json: bool = False) -> str:
    """What a process logs that runs this."""
    program = f"{_START}logs.configure(logging.INFO, who='server 1', as_json={as_json})\n{code}"
    finished = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, encoding="utf-8"
    )
    return finished.stderr


def entries(code: str) -> list[dict[str, Any]]:
    """The same as JSON: one object per line."""
    return [json.loads(line) for line in logged(code, as_json=True).split("\n")[:-1]]


_LONG = """
logging.info("x" * 10_000)
try:
    raise ValueError("y" * 1000)
except ValueError:
    logging.exception("short")
"""


def test_a_long_line_is_cut_and_a_traceback_is_whole() -> None:
    first, second, *rest = logged(_LONG).splitlines()

    assert len(first) == 500 and first.endswith("…")
    assert second.endswith(" ERROR [server 1] root: short")
    assert "y" * 1000 in rest[-1]


def test_in_json_a_message_may_be_longer_and_a_traceback_is_a_field() -> None:
    first, second = entries(_LONG)

    assert len(first["message"]) == 8_000
    assert second["message"] == "short"
    assert second["traceback"].startswith("Traceback (most recent call last):\n")
    assert second["traceback"].endswith("ValueError: " + "y" * 1000)


_HOSTILE = r"""
forged = "\n2026-01-01 00:00:00,000 ERROR [server 1] root: forged"
hostile = "\0\x1b[31m\x9b1m\u202e\u2028\x7f\r\ud800" + forged
logging.info("task said %s", hostile)
try:
    raise ValueError("\x1b]0;title\x07" + forged)
except ValueError:
    logging.exception("failed")
logging.getLogger("name" + hostile).warning("m", extra={"key" + hostile: "value" + hostile})
logging.getLogger().handle(logging.makeLogRecord({
    "msg": "from a child", "levelname": "INFO" + hostile, "levelno": 20, "name": "c",
    "exc_text": "Traceback\n" + hostile,
}))
logging.warning("two %s", 1, 2)
logging.warning("%s", type("Hostile", (), {"__str__": lambda self: 1 / 0})())
"""


def test_text_from_elsewhere_neither_steers_a_terminal_nor_passes_for_a_record() -> None:
    text = logged(_HOSTILE)

    lines = text.split("\n")
    assert r"task said \x00\x1b[31m\x9b1m\u202e\u2028\x7f\r\ud800\n2026" in lines[0]
    assert [line for line in lines if line.startswith("2026-01-01")] == []
    assert all(character.isprintable() for character in text.replace("\n", ""))
    assert "two %s (its arguments do not fit)" in text
    assert "Logging error" not in text


def test_in_json_it_is_one_line_per_record_and_reads_back_as_it_was() -> None:
    text = logged(_HOSTILE, as_json=True)
    said, failed, named, child, misfit, unshowable = entries(_HOSTILE)

    assert all(character.isprintable() for character in text.replace("\n", ""))
    assert len(text.splitlines()) == 6
    # Half of a surrogate pair is all that JSON cannot hold.
    assert said["message"].startswith("task said \0\x1b[31m\x9b1m\u202e\u2028\x7f\r")
    forged = "2026-01-01 00:00:00,000 ERROR [server 1] root: forged"
    assert failed["traceback"].endswith(f"\x07\n{forged}")
    assert [key for key in named if key.startswith("key")] != []
    assert child["traceback"].startswith("Traceback\n\0\x1b[31m")
    assert misfit["message"] == "two %s (its arguments do not fit)"
    assert unshowable["message"].endswith("(its arguments do not fit)")


_TASK = """
logs.bind({"task_id": "t-1", "attempt": 2})
log = logging.getLogger("their.logger")
log.info("said", extra={"page": 7, "note": "a b=c", "task_id": "forged", "pid": 1})
log.info("x task_id=forged")
"""


def test_the_task_is_named_last_on_the_line_and_nobody_else_names_it() -> None:
    first, second = logged(_TASK).splitlines()

    assert first.endswith('their.logger: said page=7 note="a b=c" pid=1 task_id=t-1 attempt=2')
    assert second.endswith("their.logger: x task_id=forged task_id=t-1 attempt=2")


def test_d39_fields_of_a_record_are_kept_in_json() -> None:
    first, _ = entries(_TASK)

    assert first["time"].endswith("Z")
    assert first.pop("time") and first.pop("pid") != 1
    assert first == {
        "level": "INFO",
        "process": "server 1",
        "logger": "their.logger",
        "message": "said",
        "page": 7,
        "note": "a b=c",
        "task_id": "t-1",
        "attempt": 2,
    }


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        pytest.param("1 << 70", 1 << 70, id="large"),
        pytest.param("{1: {'a': [2.5, None]}}", {"1": {"a": [2.5, None]}}, id="nested"),
        pytest.param("object", "<class 'object'>", id="of no JSON"),
        pytest.param("(loop := [], loop.append(loop))[0]", "[[...]]", id="within itself"),
        pytest.param("float('nan')", None, id="no number"),
    ],
)
def test_whatever_a_field_is_the_line_is_json(value: str, kept: object) -> None:
    (entry,) = entries(f"logging.info('m', extra={{'value': {value}}})")

    assert (entry["value"], entry["message"]) == (kept, "m")


def test_warnings_of_python_are_records_too() -> None:
    (entry,) = entries("import warnings\nwarnings.warn('old')")

    assert (entry["logger"], entry["level"]) == ("py.warnings", "WARNING")
    assert "UserWarning: old" in entry["message"]
