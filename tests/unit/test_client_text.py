"""What servers and tasks wrote cannot steer a terminal."""

import pytest

from taskline_client import Progress
from taskline_client.cli.text import on_one_line, printable, progress_text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("plain é 😀\nnext\tcolumn", "plain é 😀\nnext\tcolumn", id="text stays"),
        pytest.param("\x1b[1;31mred\x1b[0m", "red", id="colours"),
        pytest.param("\x1b]0;title\x07after", "after", id="window title"),
        pytest.param("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link", id="link"),
        pytest.param("\x1b]52;c;ZXZpbA==", "", id="unfinished clipboard write"),
        pytest.param("\x1b(Bx\x1bcy", "xy", id="character set and reset"),
        pytest.param("\x9b31mred", "31mred", id="C1"),
        pytest.param("a\rb\x08c\x00", "abc", id="overwriting"),
        pytest.param("abc\u202etxt.exe", "abctxt.exe", id="reversed text"),
    ],
)
def test_control_characters_are_stripped(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_line_stays_one_line() -> None:
    assert on_one_line(" a\n\n b\t c ") == "a b c"


@pytest.mark.parametrize(
    ("progress", "text"),
    [
        (Progress(current=60, total=100, percentage=60), "60/100 (60.0%)"),
        (Progress(current=2500000, total=10000000, percentage=25), "2500000/10000000 (25.0%)"),
        (Progress(current=0.5, total=3, percentage=16.67), "0.5/3 (16.7%)"),
        (Progress(current=7), "7"),
    ],
)
def test_progress_is_shown_with_its_share(progress: Progress, text: str) -> None:
    assert progress_text(progress) == text
