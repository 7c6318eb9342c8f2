"""docs/shell.md tells of every exit code and every form of output."""

from taskline_client.cli.exits import Exit
from taskline_client.cli.options import Output
from tests.docs.pages import ROOT, rows, section

PAGE = ROOT / "docs" / "shell.md"


def test_the_page_has_every_exit_code() -> None:
    assert [int(code) for code, _ in rows(section(PAGE, "Exit codes"))] == [*Exit]


def test_the_page_has_every_form_of_output() -> None:
    assert {form.strip("`") for form, _ in rows(section(PAGE, "Output"))} == {*Output}
