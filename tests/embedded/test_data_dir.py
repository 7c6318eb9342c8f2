import os
from pathlib import Path

import pytest

from taskline_service.embedded import default_data_dir
from taskline_service.embedded.socket_path import MAX_PATH_BYTES, make_socket_path


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TASKLINE_DATA_DIR", "XDG_STATE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        pytest.param({"TASKLINE_DATA_DIR": "here", "HOME": "/h"}, "here", id="named"),
        pytest.param({"XDG_STATE_HOME": "/s", "HOME": "/h"}, "/s/taskline", id="state directory"),
        pytest.param({"HOME": "/h"}, "/h/.local/state/taskline", id="home"),
        pytest.param({"HOME": ""}, f"{Path.cwd()}/.taskline", id="empty home"),
        pytest.param({}, f"{Path.cwd()}/.taskline", id="nothing"),
    ],
)
def test_the_default_data_directory_is_the_first_that_is_known(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert default_data_dir() == Path(expected)


def test_a_runtime_directory_is_used_for_the_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = Path("/tmp", f"taskline-test-{os.getpid()}")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    runtime.mkdir()
    try:
        socket = make_socket_path(None)
        socket.parent.rmdir()
    finally:
        runtime.rmdir()

    assert socket.is_relative_to(runtime)


def test_a_runtime_directory_with_a_long_path_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = tmp_path / ("r" * 100)
    runtime.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))

    socket = make_socket_path(None)

    socket.parent.rmdir()
    assert len(os.fsencode(socket)) <= MAX_PATH_BYTES


def test_a_previous_socket_directory_that_others_can_enter_is_not_used_again(
    tmp_path: Path,
) -> None:
    previous = tmp_path / "taskline-abcdefgh" / "store.sock"
    previous.parent.mkdir()
    previous.parent.chmod(0o755)

    socket = make_socket_path(previous)

    socket.parent.rmdir()
    assert socket != previous
