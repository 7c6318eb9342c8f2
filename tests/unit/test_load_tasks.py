from pathlib import Path

import pytest

from taskline_service.config import WrongOption
from taskline_service.load_tasks import load_tasks


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, forgotten again by the import system afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_a_registry_is_found_in_the_current_directory(here: Path) -> None:
    (here / "load_tasks_good.py").write_text(
        "from taskline_service.tasks import TaskRegistry\nmine = TaskRegistry()\n"
    )

    registry = load_tasks("load_tasks_good:mine")

    assert type(registry).__name__ == "TaskRegistry"


@pytest.mark.parametrize("reference", ["load_tasks_missing:tasks", "load_tasks_missing.sub:tasks"])
def test_a_missing_module_is_named(here: Path, reference: str) -> None:
    with pytest.raises(WrongOption, match="no module 'load_tasks_missing' in "):
        load_tasks(reference)


def test_a_missing_attribute_is_named(here: Path) -> None:
    (here / "load_tasks_empty.py").touch()

    with pytest.raises(WrongOption, match="load_tasks_empty has no 'tasks'"):
        load_tasks("load_tasks_empty:tasks")


def test_what_is_no_registry_is_refused(here: Path) -> None:
    (here / "load_tasks_other.py").write_text("tasks = []\n")

    with pytest.raises(WrongOption, match="not a TaskRegistry but a list"):
        load_tasks("load_tasks_other:tasks")


def test_an_import_that_fails_inside_the_module_is_the_authors_to_see(here: Path) -> None:
    (here / "load_tasks_broken.py").write_text("import no_such_library\n")

    with pytest.raises(ModuleNotFoundError, match="no_such_library"):
        load_tasks("load_tasks_broken:tasks")


_DECLARES = """
from taskline_service.tasks import TaskRegistry
tasks = TaskRegistry()

@tasks.task("mail.send", {options})
def send(*{star}to: str) -> None: ...
"""


@pytest.mark.parametrize(
    ("options", "star", "message"),
    [
        ("", "", r"load_tasks_wrong, line 5 \(send\): task type 'mail.send': \*to: "),
        ("max_attempts=0", ", ", "load_tasks_wrong, line 5: task type 'mail.send': max_attempts"),
    ],
)
def test_a_wrong_declaration_is_told_with_its_place(
    here: Path, options: str, star: str, message: str
) -> None:
    (here / "load_tasks_wrong.py").write_text(_DECLARES.format(options=options, star=star))

    with pytest.raises(WrongOption, match=message):
        load_tasks("load_tasks_wrong:tasks")


def test_another_value_error_of_the_module_is_the_authors_to_see(here: Path) -> None:
    (here / "load_tasks_value.py").write_text("int('x')\n")

    with pytest.raises(ValueError, match="invalid literal") as raised:
        load_tasks("load_tasks_value:tasks")

    assert not isinstance(raised.value, WrongOption)
