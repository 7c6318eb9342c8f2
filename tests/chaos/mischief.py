"""What is done to the deployment, at random."""

import asyncio
import random
import signal
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

from tests.chaos.deployment import LEASE_S, Deployment, Process, store_answers
from tests.faults.proxy import Proxy


class Mischief:
    """Kills, stops and restarts processes, and spoils connections, one thing after the other."""

    def __init__(self, deployment: Deployment, *, seed: int) -> None:
        self.done = Counter[str]()
        self._on = deployment
        self._random = random.Random(seed)

    async def run(self) -> None:
        """Go on until cancelled."""
        kinds: dict[str, tuple[int, Callable[[], Awaitable[None]]]] = {
            "worker killed": (5, self._kill_worker),
            "worker stopped beyond its lease": (3, self._stop_worker),
            "worker shut down": (2, self._shut_down_worker),
            "server killed": (3, self._kill_server),
            "server shut down": (2, self._shut_down_server),
            "store restarted": (1, self._restart_store),
            "store killed": (1, self._kill_store),
            "connections reset": (3, self._reset),
            "replies cut": (5, self._cut_replies),
            "store out of reach": (1, self._blackhole),
            "store slow": (1, self._slow),
        }
        weights = [weight for weight, _ in kinds.values()]
        async with asyncio.TaskGroup() as aside:
            self._aside = aside
            while True:
                await asyncio.sleep(self._random.uniform(0.5, 2.5))
                (kind,) = self._random.choices(list(kinds), weights=weights)
                self.done[kind] += 1
                await kinds[kind][1]()

    def _worker(self) -> Process:
        return self._random.choice(self._on.workers)

    async def _kill_worker(self) -> None:
        self._worker().signal(signal.SIGKILL)

    async def _shut_down_worker(self) -> None:
        self._worker().signal(signal.SIGTERM)

    async def _stop_worker(self) -> None:
        """It comes back when others have its tasks."""
        worker = self._worker()
        worker.signal(signal.SIGSTOP)

        async def go_on() -> None:
            try:
                await asyncio.sleep(LEASE_S * self._random.uniform(1.5, 2.5))
            finally:
                worker.signal(signal.SIGCONT)

        self._aside.create_task(go_on())

    async def _kill_server(self) -> None:
        self._random.choice(self._on.servers).signal(signal.SIGKILL)

    async def _shut_down_server(self) -> None:
        self._random.choice(self._on.servers).signal(signal.SIGTERM)

    async def _restart_store(self) -> None:
        await self._end_store(signal.SIGTERM)

    async def _kill_store(self) -> None:
        await self._end_store(signal.SIGKILL)

    async def _end_store(self, number: signal.Signals) -> None:
        self._on.store.reborn.clear()
        self._on.store.signal(number)
        await self._on.store.reborn.wait()
        await store_answers(self._on.store_port)

    async def _reset(self) -> None:
        for proxy in self._some():
            proxy.reset()

    async def _cut_replies(self) -> None:
        for proxy in self._some():
            proxy.cut_reply(of=b"EVALSHA")

    async def _blackhole(self) -> None:
        for proxy in self._some():
            proxy.blackhole()
            self._heal_later(proxy, LEASE_S * self._random.uniform(0.5, 2))

    async def _slow(self) -> None:
        for proxy in self._some():
            proxy.latency_s, proxy.jitter_s = 0.02, 0.05
            self._heal_later(proxy, 1.0)

    def _heal_later(self, proxy: Proxy, seconds: float) -> None:
        async def heal() -> None:
            try:
                await asyncio.sleep(seconds)
            finally:
                proxy.heal()

        self._aside.create_task(heal())

    def _some(self) -> Sequence[Proxy]:
        proxies = self._on.proxies
        return self._random.sample(proxies, k=self._random.randint(1, len(proxies)))
