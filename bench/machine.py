"""What was measured on: the machine, and the versions of what was measured."""

import os
import platform
import re
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

_OURS = ("taskline", "grpcio", "protobuf", "uvloop", "hiredis")


def machine() -> str:
    """In one line."""
    cpu = _found(r"model name\s*: (.+)", Path("/proc/cpuinfo")) or platform.processor()
    memory = _found(r"MemTotal:\s+(\d+) kB", Path("/proc/meminfo"))
    parts = [f"{os.cpu_count()} processors ({cpu})", platform.system(), platform.release()]
    if memory:
        parts.insert(1, f"{int(memory) / 2**20:.0f} GiB")
    return ", ".join(parts) + "; all processes of a measurement share it"


def versions(names: Iterable[str] = _OURS) -> dict[str, str]:
    """Of Python, and of what is installed."""
    return {"Python": platform.python_version(), **{name: version(name) for name in names}}


def _found(pattern: str, file: Path) -> str:
    if not file.exists():
        return ""
    match = re.search(pattern, file.read_text())
    return match[1] if match else ""
