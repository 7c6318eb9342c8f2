"""Asks a Redis server on a unix socket whether it is ready; too little to need a client."""

import asyncio
from enum import Enum
from pathlib import Path

_LIMIT_S = 2.0


class Readiness(Enum):
    """What a server said to PING."""

    # It answers, if only that it takes no writes now, as on a full disk.
    READY = "ready"
    # It is reading its data, and will be ready.
    LOADING = "loading"
    SILENT = "silent"


async def ping(socket: Path) -> Readiness:
    """Ask once; a server that cannot be reached or is stuck for two seconds is SILENT."""
    try:
        async with asyncio.timeout(_LIMIT_S):
            reply = await _ask(socket)
    except (OSError, TimeoutError):
        return Readiness.SILENT
    if reply.startswith(b"-LOADING"):
        return Readiness.LOADING
    return Readiness.READY if reply else Readiness.SILENT


async def _ask(socket: Path) -> bytes:
    reader, writer = await asyncio.open_unix_connection(socket)
    try:
        writer.write(b"*1\r\n$4\r\nPING\r\n")
        return await reader.readline()
    finally:
        writer.close()
