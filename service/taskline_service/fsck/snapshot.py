"""Loads a snapshot of a store into a private one: a copy, so that the file stays as it is."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from taskline_service.embedded import EmbeddedStore, ServerEnded

# The names that our embedded store has them by.
_SINGLE, _SEVERAL = "appendonly.aof", "appendonlydir"
_MANIFEST = f"{_SINGLE}.manifest"
# An RDB file, an append-only file that begins with one, and one that does not.
_BEGINNINGS = (b"REDIS", b"VALKEY", b"*")


class SnapshotUnreadable(Exception):
    """The file is no snapshot, or not one that our server can read."""


@asynccontextmanager
async def loaded(snapshot: Path) -> AsyncIterator[str]:
    """URL of a private store that has what is in a snapshot, until the block ends.

    Args:
        snapshot: An RDB file, an append-only file, or the directory of one in several parts.

    Raises:
        SnapshotUnreadable: It is something else, or damaged.
        EmbeddedStoreError: There is no server to load it.
    """
    with tempfile.TemporaryDirectory(prefix="taskline-fsck-") as name:
        folder = Path(name)
        try:
            await asyncio.to_thread(_copy, snapshot, folder)
        except (OSError, shutil.Error) as error:
            raise SnapshotUnreadable(f"cannot copy {snapshot}: {error}") from error
        try:
            async with EmbeddedStore.start(folder) as store:
                # A server that knows no files in several parts begins an empty one beside them.
                if (folder / _SEVERAL / _MANIFEST).exists() and (folder / _SINGLE).exists():
                    raise SnapshotUnreadable(
                        f"{store.server} reads no append-only file in several parts: "
                        "it takes Valkey, or Redis 7"
                    )
                yield store.url
        except ServerEnded as error:
            raise SnapshotUnreadable(f"the server cannot read {snapshot}: {error}") from error


def _copy(snapshot: Path, folder: Path) -> None:
    """Put it where a server with the usual names finds it."""
    if (snapshot / _SINGLE).is_file():  # the data directory of a server that writes one file
        snapshot = snapshot / _SINGLE
    if snapshot.is_dir():
        _copy_parts(snapshot, folder)
        return
    with snapshot.open("rb") as file:
        if not file.read(max(map(len, _BEGINNINGS))).startswith(_BEGINNINGS):
            raise SnapshotUnreadable(f"{snapshot} is neither an RDB nor an append-only file")
    # A server reads an RDB file as an append-only file that goes no further.
    shutil.copyfile(snapshot, folder / _SINGLE)


def _copy_parts(snapshot: Path, folder: Path) -> None:
    parts = snapshot / _SEVERAL if (snapshot / _SEVERAL).is_dir() else snapshot
    manifests = list(parts.glob("*.manifest"))
    if len(manifests) != 1:
        raise SnapshotUnreadable(f"{snapshot} has no append-only file in several parts")
    shutil.copytree(parts, folder / _SEVERAL)
    (folder / _SEVERAL / manifests[0].name).rename(folder / _SEVERAL / _MANIFEST)
