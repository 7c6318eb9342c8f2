"""Chooses where the server's unix socket lies: a short path in a directory of our own.

A socket's path has a limit of about a hundred bytes, so it cannot lie in the data
directory, whose path may be of any length.
"""

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

# The limit of macOS; that of Linux is 107.
MAX_PATH_BYTES = 103

_PREFIX = "taskline-"
_NAME = "store.sock"
_EXAMPLE = f"{_PREFIX}abcdefgh/{_NAME}"


def make_socket_path(previous: Path | None) -> Path:
    """A path for a socket in an existing directory that only this user can enter.

    The `previous` path again, if that is possible.
    """
    if previous is not None and _ours_again(previous):
        previous.unlink(missing_ok=True)
        return previous
    return Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_base()), _NAME)


def socket_url(socket: Path) -> str:
    """The `unix://` URL of a socket."""
    return f"unix://{quote(str(socket))}"


def remove_socket(socket: Path) -> None:
    """Remove a socket and its directory, as far as they are still there."""
    socket.unlink(missing_ok=True)
    with suppress(FileNotFoundError):
        socket.parent.rmdir()


def _ours_again(socket: Path) -> bool:
    # Its name was once drawn at random; what lies there now may be somebody else's.
    folder = socket.parent
    if socket.name != _NAME or not folder.name.startswith(_PREFIX):
        return False
    with suppress(FileExistsError):
        try:
            folder.mkdir(mode=0o700)
        except (FileNotFoundError, PermissionError):
            return False
    found = folder.lstat()
    return (
        stat.S_ISDIR(found.st_mode)
        and found.st_uid == os.geteuid()
        and not found.st_mode & (stat.S_IRWXG | stat.S_IRWXO)
    )


def _base() -> Path:
    """The first directory for temporary things of this user that is short enough."""
    candidates = (os.environ.get("XDG_RUNTIME_DIR", ""), tempfile.gettempdir())
    for candidate in candidates:
        path = Path(candidate)
        short = len(os.fsencode(path / _EXAMPLE)) <= MAX_PATH_BYTES
        if path.is_absolute() and short and os.access(path, os.W_OK | os.X_OK):
            return path
    return Path("/tmp")
