"""`taskline`: the command line. It is a client: what it shows, it learned over gRPC."""

import os
import sys

# What gRPC's core says of its connections is said in our words, or not at all. It reads
# this when it is imported.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

_NEEDED = {"typer", "rich", "click"}
INTERRUPTED = 130  # what shells expect after Ctrl-C


def main() -> None:
    """Run the command line. Ctrl-C ends it quietly, also while it still imports."""
    try:
        _run()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def _run() -> None:
    """Without its libraries, say how to get them and exit with 2."""
    try:
        from taskline_client.cli.app import run
    except ModuleNotFoundError as missing:
        if missing.name not in _NEEDED:
            raise
        print(
            f"taskline: the command line needs {missing.name}: "
            "pip install '/path/to/taskline[cli]'",
            file=sys.stderr,
        )
        sys.exit(2)
    run()
