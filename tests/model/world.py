"""A store at an hour of its own, every answer of which is compared with the reference."""

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Self

import pytest

from taskline_service.fsck import check_store
from taskline_service.store import Directory, Keys, Redis, RedisAddress, TaskStore
from taskline_service.store.records import unpack
from taskline_service.store.scripts import SCRIPTS, Script
from tests.model.reference import ENDED, Reference

_TIME, _ARGS_TIME = (
    "local seconds_and_us = redis.call('TIME')",
    "local seconds_and_us = { math.floor(args.clock / 1000000), args.clock % 1000000 }",
)
# No two calls happen at the same instant, as with a real clock.
_TICK_US = 137

# Soon reached.
_MAX_LOST, _MAX_SPARED = 2, 1

# What a request to stop leaves with a running task: no event, its worker is told.
_WITHOUT_EVENT = {"cr", "up", "rv"}

_EVERYTHING = """
local all = {}
for _, key in ipairs(redis.call('KEYS', KEYS[1] .. '*')) do
  local kind, value = redis.call('TYPE', key).ok, false
  if kind == 'zset' then value = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES') end
  if kind == 'hash' then value = redis.call('HGETALL', key) end
  if kind == 'set' then value = redis.call('SMEMBERS', key) end
  if kind == 'string' then value = redis.call('GET', key) end
  if key == KEYS[1] .. 'log' then
    value = {}
    for i, entry in ipairs(redis.call('XRANGE', key, '-', '+')) do value[i] = entry[1] end
  end
  all[#all + 1] = { string.sub(key, #KEYS[1] + 1), kind, value }
end
return cmsgpack.pack(all)
"""


def scripts_get_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let scripts take the time from their arguments instead of asking Redis."""
    monkeypatch.setattr("taskline_service.store.due.MAX_SPARED", _MAX_SPARED)
    for name, script in SCRIPTS.items():
        assert script.source.count(_TIME) <= 1  # not all need it
        monkeypatch.setitem(SCRIPTS, name, Script.of(script.source.replace(_TIME, _ARGS_TIME)))


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a script."""

    name: str
    args: Mapping[str, Any]


class ComparedRedis(Redis):
    """Runs scripts when its clock says, and compares each answer with the reference."""

    def __init__(self, address: RedisAddress) -> None:
        super().__init__(address)
        self.begin()

    def begin(self) -> None:
        """Forget everything."""
        self.now = time.time_ns() // 1000
        self.reference = Reference()
        self.calls: list[Call] = []

    async def script(self, name: str, prefix: bytes, args: dict[str, Any], **options: float) -> Any:
        self.now += _TICK_US
        answer = await super().script(name, prefix, args | {"clock": self.now}, **options)
        if hasattr(self.reference, name):
            self.calls.append(Call(name, args))
            self.reference.apply(name, args, self.now, _text(answer))
        return answer


@dataclass(slots=True)
class World:
    """A namespace of its own, and what was seen of it."""

    redis: ComparedRedis
    keys: Keys = field(default_factory=lambda: Keys(f"model-{secrets.token_hex(4)}"))
    _seen: dict[str, dict[str, str]] = field(default_factory=dict)
    _revision: int = 0
    _log: list[tuple[int, int]] = field(default_factory=list)

    @classmethod
    def fresh(cls, redis: ComparedRedis) -> Self:
        redis.begin()
        return cls(redis)

    @property
    def store(self) -> TaskStore:
        return TaskStore(self.redis, self.keys, max_lost=_MAX_LOST)

    @property
    def directory(self) -> Directory:
        return Directory(self.redis, self.keys)

    @property
    def reference(self) -> Reference:
        return self.redis.reference

    def pass_time(self, span: timedelta) -> None:
        """Let it be later."""
        self.redis.now += span // timedelta(microseconds=1)

    async def replay(self, call: Call) -> None:
        """Make a call again, exactly as it was: its answer got lost, or a zombie made it."""
        await self.redis.script(call.name, self.keys.prefix, dict(call.args))

    async def check(self) -> None:
        """The store holds what the reference says, and what only grows has grown."""
        reply = await self.redis.call(b"EVAL", _EVERYTHING, b"1", self.keys.prefix)
        found = {name: (kind, value) for name, kind, value in _text(unpack(reply))}
        sets = {
            k: {member: float(score) for member, score in _dict_of(value).items()}
            for k, (kind, value) in found.items()
            if kind == "zset"
        }
        assert sets == self.reference.lines_of_times()
        strings = {k for k, (kind, _) in found.items() if kind == "string" and k[1] == ":"}
        assert strings == self.reference.strings()
        failed_by = _dict_of(found.get("failed_by", ("", []))[1])
        assert {k: int(v) for k, v in failed_by.items()} == self.reference.failed_by()
        assert set(found.get("paused", ("", []))[1]) == self.reference.paused
        assert set(found.get("lines", ("", []))[1]) == self.reference.lines()
        self._check_records(
            {k[2:]: _dict_of(value) for k, (_, value) in found.items() if k.startswith("t:")}
        )
        revision = int(found.get("rev", ("", 0))[1])
        assert revision >= self._revision
        self._revision = revision
        self._check_log(found.get("log", ("", []))[1], revision)

    async def check_with_fsck(self) -> None:
        """The same, and fsck, which takes ten times as long, finds nothing."""
        await self.check()
        report = await check_store(self.redis, self.keys, max_lost=_MAX_LOST)
        assert report.clean, "\n".join(map(str, report.offences))

    def _check_log(self, ids: Sequence[str], revision: int) -> None:
        log = [(int(of), int(time)) for of, time in (entry.split("-") for entry in ids)]
        kept = [(of, time) for of, time in self._log if time > self.reference.log_forgot]
        assert log[: len(kept)] == kept
        assert [of for of, _ in log] == list(range(revision - len(log) + 1, revision + 1))
        assert all(time > self.reference.log_forgot for _, time in log)
        self._log = log

    def _check_records(self, records: dict[str, dict[str, str]]) -> None:
        assert records.keys() == self.reference.tasks.keys()
        for task_id, fields in records.items():
            task = self.reference.tasks[task_id]
            assert (fields["st"], fields["ln"]) == (task.state, task.line)
            numbers = [int(fields.get(name, 0)) for name in ("at", "fl", "lo", "ct", "du")]
            assert numbers == [task.attempts, task.failed, task.lost, task.create, task.due]
            assert fields.get("no", "").encode("utf-8", "surrogateescape") == task.nonce
            assert ("cr" in fields) == task.cancelled
            assert fields.get("rv", "").encode() == (task.short_result or b"")
            assert ("al" in fields, "ow" in fields) == (task.unstoppable, task.own_process)
            assert ("ea" in fields) == ("xp" in fields) == (task.state in ENDED)
            before = self._seen.get(task_id)
            if before and before["ct"] == fields["ct"]:
                assert int(fields["sq"]) >= int(before["sq"])
                changed = {name for name, _ in fields.items() ^ before.items()}
                assert fields["sq"] != before["sq"] or changed <= _WITHOUT_EVENT
        self._seen = records


def _text(value: Any) -> Any:
    """An answer with its text as text; bytes that are none survive."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, dict):
        return {_text(key): _text(item) for key, item in value.items()}
    return [_text(item) for item in value] if isinstance(value, list) else value


def _dict_of(flat: Sequence[str]) -> dict[str, str]:
    return dict(zip(flat[::2], flat[1::2], strict=True))
