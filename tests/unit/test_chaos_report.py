"""What `python -m tests.chaos` does with the page that it is to write into."""

import sys
from pathlib import Path

import pytest

from tests.chaos.__main__ import main
from tests.chaos.report import has_room


@pytest.mark.parametrize("text", [None, "a page without a place for it"])
def test_a_page_without_a_place_for_the_outcome_is_refused_before_the_run(
    text: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    page = tmp_path / "page.md"
    if text is not None:
        page.write_text(text)
    # If it ran, it would end soon, and well.
    monkeypatch.setattr(sys, "argv", ["chaos", "--tasks", "1", "--report", str(page)])

    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == 2
    assert str(page) in capsys.readouterr().err


def test_the_page_of_the_project_has_a_place_for_the_outcome() -> None:
    assert has_room(Path(__file__).parent.parent.parent / "docs" / "reliability.md")
