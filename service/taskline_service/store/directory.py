"""Who is there: task types, workers and queues; and what the store itself is like."""

import time
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from taskline_service.errors import StoreFull, StoreUnavailable, TooManyQueues
from taskline_service.limits import MAX_PAUSED_QUEUES
from taskline_service.store.chunks import WORKERS_PER_CALL
from taskline_service.store.connection import StoreError
from taskline_service.store.damage import UNREADABLE
from taskline_service.store.keys import Keys, split_line
from taskline_service.store.lines import in_steps, known_lines
from taskline_service.store.records import from_us, pack, to_us, unpack
from taskline_service.store.redis import Redis
from taskline_service.task import TaskState

_LINES_LOOKED_AT = 1000
_WORKERS_LOOKED_AT = 1000
_QUEUES_PER_STEP = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerInfo:
    """A process that executes tasks."""

    id: str
    identity: str
    queues: tuple[str, ...]
    task_types: tuple[str, ...]
    concurrency: int
    running_task_ids: tuple[str, ...]
    start_us: int
    heartbeat_us: int = 0
    draining: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueInfo:
    """A queue and what is on it."""

    name: str
    paused: bool
    queued: int
    scheduled: int
    running: int
    oldest_age: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreInfo:
    """What the store is like."""

    product: str
    version: str
    # "always", "everysec", "no", or "off" without an append-only file; "" if it will not say.
    persistence: str
    eviction_policy: str
    time_us: int
    latency: timedelta

    @property
    def version_text(self) -> str:
        """For example "valkey 9.1.2"."""
        return f"{self.product} {self.version}"


class Directory:
    """Task types, workers and queues of one namespace, as far as one partition has them."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys
        self.damage = redis.damage

    async def _script(self, name: str, **args: Any) -> Any:
        return await self._redis.script(name, self._keys.prefix, args)

    async def register_types(self, definitions: Mapping[str, bytes]) -> None:
        """Make task types known to every server, as their code publishes them."""
        await self._script("register_types", types=dict(definitions))

    async def types(self) -> dict[str, bytes]:
        """Every known task type, as it was published."""
        reply = await self._redis.call(b"HGETALL", self._keys.types)
        pairs = iter(reply)
        return {
            name.decode(errors="replace"): definition
            for name, definition in zip(pairs, pairs, strict=True)
        }

    async def heartbeat(
        self, worker: WorkerInfo, *, ttl: timedelta, leaving: bool = False
    ) -> frozenset[str]:
        """Say that a worker lives; it stays listed for `ttl`, or goes at once if `leaving`.

        Returns those of its task types that are not known, because the store has lost them.
        """
        about = pack(
            {
                "identity": worker.identity,
                "queues": list(worker.queues),
                "types": list(worker.task_types),
                "concurrency": worker.concurrency,
                "running": list(worker.running_task_ids),
                "start": worker.start_us,
                "draining": worker.draining,
            }
        )
        unknown = await self._script(
            "heartbeat",
            worker=worker.id,
            about=about,
            types=list(worker.task_types),
            ttl=to_us(ttl),
            leaving=leaving,
        )
        return frozenset(name.decode() for name in unknown)

    async def workers(self, *, after: str = "", count: int) -> list[WorkerInfo]:
        """Live workers by id, those behind `after`."""
        workers, asked = list[WorkerInfo](), 0
        while asked < count:
            wanted = min(count - asked, WORKERS_PER_CALL)
            entries = await self._script("workers", after=after, count=wanted)
            workers += (worker for worker in map(self._worker, entries) if worker is not None)
            if len(entries) < wanted:
                break
            asked, after = asked + wanted, entries[-1][b"id"].decode(errors="replace")
        return workers

    def _worker(self, entry: dict[bytes, Any]) -> WorkerInfo | None:
        try:
            return _worker(entry)
        except UNREADABLE as error:
            self.damage.found(f"what worker {entry[b'id']!r} says of itself", error)
            return None

    async def queues(self, *, after: str = "", count: int) -> list[QueueInfo]:
        """Queues by name, those behind `after`."""
        names = await self._redis.call(b"SMEMBERS", self._keys.paused)
        paused = {name.decode(errors="replace") for name in names}
        lines_of = defaultdict[str, list[str]](list, {name: [] for name in paused})
        for line in await known_lines(self._redis, self._keys):
            lines_of[split_line(line)[1]].append(line)
        names = sorted(name for name in lines_of if name > after)[:count]
        told = await self._told_of([line for name in names for line in lines_of[name]])
        return [
            _queue(name, name in paused, [told[line] for line in lines_of[name]]) for name in names
        ]

    async def _told_of(self, lines: Sequence[str]) -> dict[str, dict[bytes, int]]:
        told = dict[str, dict[bytes, int]]()
        for step in in_steps(lines, indexes=len(TaskState)):
            replies = await self._script("on_lines", lines=list(step))
            told.update(zip(step, replies, strict=True))
        return told

    async def all_queues(self) -> list[QueueInfo]:
        """Every queue by name, read in bounded steps."""
        queues = list[QueueInfo]()
        while True:
            after = queues[-1].name if queues else ""
            page = await self.queues(after=after, count=_QUEUES_PER_STEP)
            queues += page
            if len(page) < _QUEUES_PER_STEP:
                return queues

    async def pause(self, queue: str) -> QueueInfo:
        """Hand out no more tasks of a queue, which need not have any yet.

        Raises:
            TooManyQueues: As many queues are paused as may be.
        """
        if not await self._script("pause", queue=queue, pause=True, max_paused=MAX_PAUSED_QUEUES):
            raise TooManyQueues(
                f"{MAX_PAUSED_QUEUES} queues are paused, as many as may be",
                queue=queue,
                limit=str(MAX_PAUSED_QUEUES),
            )
        return await self._one_queue(queue, paused=True)

    async def resume(self, queue: str) -> QueueInfo:
        """Hand out tasks of a queue again."""
        await self._script("pause", queue=queue, pause=False)
        return await self._one_queue(queue, paused=False)

    async def _one_queue(self, name: str, *, paused: bool) -> QueueInfo:
        lines = await known_lines(self._redis, self._keys, queues=[name])
        return _queue(name, paused, (await self._told_of(lines)).values())

    async def unserved_types(self) -> frozenset[str]:
        """Task types that have waiting tasks, but no live worker that knows them."""
        waiting = await self.waiting_types()
        served = {
            name for w in await self.workers(count=_WORKERS_LOOKED_AT) for name in w.task_types
        }
        return waiting - served

    async def waiting_types(self) -> frozenset[str]:
        """Task types that have waiting tasks."""
        lines = await self._redis.call(b"ZRANGE", self._keys.ready, b"0", str(_LINES_LOOKED_AT))
        return frozenset(line.decode(errors="replace").partition(":")[0] for line in lines)

    async def partitions(self, wanted: int | None = None) -> int | None:
        """How many partitions the namespace has, as the first who wanted some has decided.

        None if nobody has. To be asked of the first partition.
        """
        known: int | None = await self._script("partitions", wanted=wanted)
        return known

    async def store_info(self) -> StoreInfo:
        """Ask the store about itself; measures one round trip."""
        fields = _info(await self._redis.call(b"INFO"))
        began = time.perf_counter()
        seconds, us = await self._redis.call(b"TIME")
        latency = timedelta(seconds=time.perf_counter() - began)
        valkey = "valkey_version" in fields
        append_only = fields.get("aof_enabled") == "1"
        return StoreInfo(
            product="valkey" if valkey else "redis",
            version=fields["valkey_version" if valkey else "redis_version"],
            persistence=await self._fsync_policy() if append_only else "off",
            eviction_policy=fields.get("maxmemory_policy", ""),
            time_us=int(seconds) * 1_000_000 + int(us),
            latency=latency,
        )

    async def check_writable(self) -> None:
        """Try a write that changes nothing.

        A PING would not do: a replica answers it, and so does a store whose disk is full.

        Raises:
            StoreUnavailable: It is not taken now.
        """
        await self._redis.call(b"DEL", self._keys.prefix + b"nothing")

    async def refusal(self) -> str:
        """Why the store takes no new tasks now, as without memory or disk; "" if it takes them."""
        try:
            # Changes nothing either. What only takes memory away, as DEL, is never refused for it.
            await self._redis.call(b"SETRANGE", self._keys.prefix + b"nothing", b"0", b"")
        except (StoreFull, StoreUnavailable) as error:
            return str(error)
        return ""

    async def _fsync_policy(self) -> str:
        try:
            reply: Sequence[bytes] = await self._redis.call(b"CONFIG", b"GET", b"appendfsync")
        except StoreError:  # a user of the store without the right to ask
            return ""
        return reply[1].decode() if len(reply) > 1 else ""


def _queue(name: str, paused: bool, lines: Collection[Mapping[bytes, int]]) -> QueueInfo:
    return QueueInfo(
        name=name,
        paused=paused,
        queued=sum(line[b"queued"] for line in lines),
        scheduled=sum(line[b"scheduled"] for line in lines),
        running=sum(line[b"running"] for line in lines),
        oldest_age=from_us(max((line[b"oldest_age"] for line in lines), default=0)),
    )


def _worker(entry: dict[bytes, Any]) -> WorkerInfo:
    about = unpack(entry[b"about"])
    return WorkerInfo(
        id=entry[b"id"].decode(),
        identity=about[b"identity"].decode(),
        queues=tuple(name.decode() for name in about[b"queues"]),
        task_types=tuple(name.decode() for name in about[b"types"]),
        concurrency=about[b"concurrency"],
        running_task_ids=tuple(task_id.decode() for task_id in about[b"running"]),
        start_us=about[b"start"],
        heartbeat_us=entry[b"heartbeat"],
        draining=about[b"draining"],
    )


def _info(text: bytes) -> dict[str, str]:
    lines = (line for line in text.decode().splitlines() if ":" in line)
    return dict(line.split(":", 1) for line in lines)
