"""docs/requirements.md has every requirement, each with the tests that prove it."""

import subprocess
import sys

import pytest

from tools import requirements

# How many there are of each kind; of F so many points under each number, from 0.
LAST = {"O": 50, "D": 52, "FT": 8, "FS": 2, "A": 42, "C": 13}
POINTS = (3, 7, 4, 4, 7, 5, 6, 4, 6, 4, 5, 2, 5, 3)


def page() -> str:
    return requirements.PAGE.read_text("utf-8")


def test_the_page_is_what_the_tests_say() -> None:
    checked = subprocess.run(
        (sys.executable, "-m", "tools.requirements", "--check"),
        cwd=requirements.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (checked.returncode, checked.stderr) == (0, "")


def test_no_requirement_is_missing() -> None:
    expected = {f"{kind}{n}" for kind, last in LAST.items() for n in range(1, last + 1)}
    expected |= {f"F{i}.{j}" for i, last in enumerate(POINTS) for j in range(1, last + 1)}

    there = [line.split(" | ")[0].removeprefix("| ") for line in page().splitlines()]
    assert {row for row in there if row[1:2].isdigit() or row[2:3].isdigit()} == expected


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("test_o4_o5_get_result_answers", ("O4", "O5")),
        ("test_f8_2_and_f8_3_the_end", ("F8.2", "F8.3")),
        ("test_f4_4_ft3_o27_a_result", ("F4.4", "FT3", "O27")),
        ("test_a_task_is_known", ()),
        ("test_f20_a_request", ()),
    ],
)
def test_a_test_says_by_its_name_what_it_proves(name: str, rows: tuple[str, ...]) -> None:
    assert requirements.rows_of(name) == rows


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ("| O51 | New. | |", "O51 is proved by no test"),
        ("| O1 | Again. | |", "O1 is there twice"),
    ],
)
def test_a_page_that_cannot_be_right_is_refused(row: str, complaint: str) -> None:
    with pytest.raises(requirements.PageWrong, match=complaint):
        requirements.filled_in(page() + row)


def test_a_row_that_is_proved_but_not_there_is_told() -> None:
    without = "\n".join(line for line in page().splitlines() if not line.startswith("| O1 |"))

    with pytest.raises(requirements.PageWrong, match="proves O1, which is not there"):
        requirements.filled_in(without)
