"""How the client connects: one place for channel options and the service config."""

from functools import cache
from pathlib import Path

import grpc

# Other languages load the same file; see the README.
_SERVICE_CONFIG = Path(__file__).with_name("service_config.json")

_KEEPALIVE = (
    # Finds a dead connection under a silent stream within 40 s.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
)

# Back within seconds after a restart, however long the server was away: gRPC's own
# pause between attempts to connect grows to two minutes.
_RECONNECT = (
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 5_000),
)

# A reader that stalls must slow the server down. With probing the window grows to
# megabytes, and minutes of stale progress would be replayed to it afterwards.
_SMALL_WINDOW = (("grpc.http2.bdp_probe", 0),)


def open_channel(address: str, *, for_watching: bool = False) -> grpc.aio.Channel:
    """A channel to `address` (HOST:PORT or a gRPC target); connects when first used."""
    options: tuple[tuple[str, str | int], ...] = (
        ("grpc.service_config", _service_config()),
        *_KEEPALIVE,
        *_RECONNECT,
        *(_SMALL_WINDOW if for_watching else ()),
    )
    return grpc.aio.insecure_channel(address, options=options)


@cache
def _service_config() -> str:
    """Retries, backoff and load balancing. No timeouts: those never reach the server."""
    return _SERVICE_CONFIG.read_text(encoding="utf-8")
