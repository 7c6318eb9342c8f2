"""Where a Redis is: redis://, rediss:// and unix:// URLs."""

import ssl
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit

DEFAULT_PORT = 6379


class InvalidRedisUrl(ValueError):
    """The URL does not say where a Redis is."""


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """One Redis server, and who we are to it."""

    host: str = ""
    port: int = DEFAULT_PORT
    path: str = ""
    database: int = 0
    username: str = ""
    password: str = field(default="", repr=False)
    tls: ssl.SSLContext | None = field(default=None, repr=False)

    def __str__(self) -> str:
        if self.path:
            return f"unix://{self.path}"
        return f"{'rediss' if self.tls else 'redis'}://{self.host}:{self.port}/{self.database}"


def parse_redis_url(url: str) -> RedisAddress:
    """Read `redis[s]://[user:password@]host[:port][/db]` or `unix:///path[?db=0]`.

    `rediss://` verifies the server's certificate; `?ca_file=…` names a CA of your own.

    Raises:
        InvalidRedisUrl: The text is something else. The message never holds the password.
    """
    try:
        parts = urlsplit(url)
        options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        username, password = unquote(parts.username or ""), unquote(parts.password or "")
        if parts.scheme == "unix" and parts.path:
            database = int(options.pop("db", "0"))
            address = RedisAddress(
                path=unquote(parts.path), database=database, username=username, password=password
            )
        elif parts.scheme in ("redis", "rediss") and parts.hostname:
            tls = None
            if parts.scheme == "rediss":
                tls = ssl.create_default_context(cafile=options.pop("ca_file", None))
            address = RedisAddress(
                host=parts.hostname,
                port=parts.port or DEFAULT_PORT,
                database=int(parts.path.strip("/") or "0"),
                tls=tls,
                username=username,
                password=password,
            )
        else:
            raise InvalidRedisUrl("expected redis://HOST:PORT/DB, rediss://… or unix:///PATH")
    except (ValueError, OSError) as error:
        raise InvalidRedisUrl(f"not a Redis URL: {error}") from None
    if options:
        raise InvalidRedisUrl(f"unknown option in the Redis URL: {', '.join(sorted(options))}")
    return address
