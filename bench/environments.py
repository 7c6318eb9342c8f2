"""The environments of other systems, and of tools that only measurements need.

Each is below .bench/ and holds what peers.toml names for it; it is set up once, and again when that
has changed.
"""

import json
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

from bench.serving import ROOT

FOLDER = ROOT / ".bench"
PEERS_FILE = ROOT / "bench" / "peers" / "peers.toml"
PY_SPY = "py-spy==0.4.3"


@dataclass(frozen=True, slots=True)
class Peer:
    """What peers.toml says of one."""

    requires: list[str]
    settings: str
    default: str
    # Whether execution by one process is also measured with the default settings.
    default_measured: bool = True

    def __str__(self) -> str:
        installed = ", ".join(self.requires).replace("==", " ")
        return f"{self.settings}. Default: {self.default}. Installed: {installed}."


def peers() -> dict[str, Peer]:
    """All of them by name."""
    return {name: Peer(**told) for name, told in tomllib.loads(PEERS_FILE.read_text()).items()}


def environment(name: str, requires: list[str]) -> Path:
    """The folder of programs of an environment that holds this.

    Raises:
        subprocess.CalledProcessError: It could not be set up.
    """
    folder = FOLDER / name
    stamp = folder / "holds.json"
    if not stamp.exists() or json.loads(stamp.read_text()) != requires:
        print(f"setting up {folder.relative_to(ROOT)}, once", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        pip = [
            str(folder / "bin" / "python"),
            "-m",
            "pip",
            "--disable-pip-version-check",
            "--no-input",
        ]
        subprocess.run([*pip, "install", "--quiet", *requires], check=True)
        stamp.write_text(json.dumps(requires))
    return folder / "bin"
