"""What the chaos run torments: a store, servers and workers, each a process of its own."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import grpc.aio

from taskline_service.die_with_parent import wrapped
from taskline_service.embedded.binary import find_server
from taskline_service.errors import StoreUnavailable
from taskline_service.store import Keys, Redis, parse_redis_url
from tests.chaos.tasks import LEDGER
from tests.faults.proxy import Proxy

ROOT = Path(__file__).parents[2]
NAMESPACE = "chaos"
SERVERS, WORKERS = 2, 4
CONCURRENCY = 8
LEASE_S = 2.0
_READY_S = 30
_REBIRTH_S = 0.2


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Process:
    """A process that is killed, stopped and started again, always with the same command."""

    def __init__(
        self, name: str, command: Sequence[str], *, log: Path, env: dict[str, str]
    ) -> None:
        self.name = name
        self.deaths = 0
        # Set whenever another life begins.
        self.reborn = asyncio.Event()
        self._command = tuple(command)
        self._log = log
        self._env = os.environ | env
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """Of the life that it is in."""
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        """Begin a life."""
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *wrapped(*self._command),
                cwd=ROOT,
                env=self._env,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if it lives."""
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def ended(self) -> int:
        """Wait for the end of this life."""
        assert self._process is not None
        return await self._process.wait()

    async def keep_running(self) -> None:
        """Begin another life whenever one ends, until cancelled."""
        while True:
            await self.ended()
            self.deaths += 1
            await asyncio.sleep(_REBIRTH_S)
            await self.start()
            self.reborn.set()

    async def end(self) -> int:
        """End it in order, however it is now; by force after a while."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(_READY_S):
                return await self.ended()
        except TimeoutError:
            self.signal(signal.SIGKILL)
            return await self.ended()


def store_process(folder: Path, port: int) -> Process:
    """A Redis or Valkey with an append-only file, as the README asks for."""
    data = folder / "store"
    data.mkdir()
    options = ("--port", str(port), "--bind", "127.0.0.1", "--dir", str(data), "--save", "")
    durable = ("--appendonly", "yes", "--appendfsync", "everysec")
    command = (str(find_server()), *options, *durable)
    return Process("store", command, log=folder / "store.log", env={})


def server_process(folder: Path, number: int, *, redis_url: str, port: int) -> Process:
    """A `taskline serve` without workers."""
    options = ("--listen", f"127.0.0.1:{port}", "--workers", "0", "--grace", "2")
    return _taskline(f"server-{number}", folder, "serve", redis_url, *options)


def worker_process(folder: Path, number: int, *, redis_url: str) -> Process:
    """A `taskline worker`."""
    options = ("--lease", str(LEASE_S), "--concurrency", str(CONCURRENCY), "--grace", "2")
    return _taskline(f"worker-{number}", folder, "worker", redis_url, *options)


def _taskline(name: str, folder: Path, command: str, redis_url: str, *options: str) -> Process:
    program = (sys.executable, "-m", "taskline_client.cli", command)
    store = ("--redis-url", redis_url, "--namespace", NAMESPACE)
    what = ("--tasks", "tests.chaos.tasks:tasks", "--log-level", "info")
    return Process(
        name,
        (*program, *what, *store, *options),
        log=folder / f"{name}.log",
        env={LEDGER: str(folder / "executions")},
    )


async def store_answers(port: int) -> None:
    """Wait until the store has loaded what it has."""
    redis = Redis(parse_redis_url(f"redis://127.0.0.1:{port}"), name="chaos")
    try:
        async with asyncio.timeout(_READY_S):
            while True:
                with suppress(StoreUnavailable):
                    await redis.call(b"GET", Keys(NAMESPACE).revision)
                    return
    finally:
        await redis.close()


async def server_answers(port: int) -> None:
    """Wait until a server listens."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        async with asyncio.timeout(_READY_S):
            await channel.channel_ready()


@dataclass(frozen=True, slots=True)
class Deployment:
    """What is running; each server and worker reaches the store through a proxy of its own."""

    store: Process
    store_port: int
    servers: list[Process]
    workers: list[Process]
    proxies: list[Proxy]
    # Of the servers, HOST:PORT.
    addresses: list[str]

    @property
    def processes(self) -> list[Process]:
        """All of them."""
        return [self.store, *self.servers, *self.workers]


@asynccontextmanager
async def deployed(folder: Path) -> AsyncIterator[Deployment]:
    """A deployment whose processes are reborn whenever they end, until the block does."""
    async with AsyncExitStack() as stack:
        store_port = free_port()
        store = store_process(folder, store_port)
        await store.start()
        stack.push_async_callback(store.end)
        await store_answers(store_port)
        address = parse_redis_url(f"redis://127.0.0.1:{store_port}")
        proxies = [
            await stack.enter_async_context(Proxy(address)) for _ in range(SERVERS + WORKERS)
        ]
        ports = [free_port() for _ in range(SERVERS)]
        servers = [
            server_process(folder, number, redis_url=proxy.url, port=port)
            for number, (proxy, port) in enumerate(zip(proxies, ports, strict=False))
        ]
        workers = [
            worker_process(folder, number, redis_url=proxy.url)
            for number, proxy in enumerate(proxies[SERVERS:])
        ]
        for process in (*servers, *workers):
            await process.start()
            stack.push_async_callback(process.end)
        for port in ports:
            await server_answers(port)
        keepers = await stack.enter_async_context(asyncio.TaskGroup())
        deployment = Deployment(
            store, store_port, servers, workers, proxies, [f"127.0.0.1:{port}" for port in ports]
        )
        for process in deployment.processes:
            keeping = keepers.create_task(process.keep_running())
            stack.callback(keeping.cancel)
        yield deployment
