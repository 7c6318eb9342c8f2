"""A random fault run of a whole deployment, for anyone to repeat: `make chaos`.

    python -m tests.chaos [--tasks N] [--seed N] [--report FILE]

Servers and workers are killed, stopped and shut down, the store is restarted and killed, and
connections are cut, reset, slowed down and held up, while clients enqueue, wait, watch and cancel.
At the end, every task that was accepted must have reached one end, and the store must be sound.
Exits with 0 if so.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from taskline_service.store import Keys, Redis, TaskStore, parse_redis_url
from tests.chaos.clients import Clients
from tests.chaos.deployment import NAMESPACE, deployed
from tests.chaos.mischief import Mischief
from tests.chaos.report import Run, has_room, summary, write_report
from tests.chaos.verdict import judge, quiescence

QUIET_WITHIN_S = 180.0


async def run(*, tasks: int, pills: int, rate: float, seed: int) -> Run:
    """Torment a deployment until so many tasks were made; then let it come to rest, and judge."""
    with tempfile.TemporaryDirectory(prefix="taskline-chaos-") as name:
        folder = Path(name)
        async with deployed(folder) as deployment:
            clients = Clients(deployment.addresses, tasks=tasks, pills=pills, rate=rate, seed=seed)
            mischief = Mischief(deployment, seed=seed)
            began = time.monotonic()
            tormenting = asyncio.create_task(mischief.run())
            clients_done = asyncio.create_task(clients.run())
            accepted = asyncio.create_task(clients.all_accepted.wait())
            all_of_it = [accepted, tormenting, clients_done]
            await asyncio.wait(all_of_it, return_when=asyncio.FIRST_COMPLETED)
            if tormenting.done():  # it goes on for ever, unless something is wrong with it
                tormenting.result()
            if clients_done.done():  # the same, before all is accepted
                clients_done.result()
            tormenting.cancel()
            await asyncio.wait([tormenting])
            tormented_s = time.monotonic() - began
            redis = Redis(parse_redis_url(f"redis://127.0.0.1:{deployment.store_port}"))
            store = TaskStore(redis, Keys(NAMESPACE))
            try:
                await quiescence(store, within_s=QUIET_WITHIN_S)
                await asyncio.wait([clients_done], timeout=30)
                clients_done.cancel()
                verdict = await judge(store, clients.ledger, folder / "executions")
            finally:
                await redis.close()
            return Run(
                seed=seed,
                tormented_s=tormented_s,
                mischief=mischief.done,
                cuts=sum(proxy.cuts for proxy in deployment.proxies),
                deaths={process.name: process.deaths for process in deployment.processes},
                errors=clients.ledger.errors,
                verdict=verdict,
            )


def main() -> int:
    """Read the options, run, tell."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--tasks", type=int, default=20_000)
    parser.add_argument("--pills", type=int, default=10, help="tasks that kill their worker")
    parser.add_argument("--rate", type=float, default=100.0, help="new tasks per second")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--report", type=Path, help="a page to write the outcome into")
    options = parser.parse_args()
    if options.report and not has_room(options.report):
        # Before all the work, rather than after it.
        parser.error(f"{options.report} has no place for an outcome, as docs/reliability.md has")
    seed = options.seed if options.seed is not None else time.time_ns() % 1_000_000
    outcome = asyncio.run(
        run(tasks=options.tasks, pills=options.pills, rate=options.rate, seed=seed)
    )
    print(summary(outcome))
    if options.report:
        write_report(options.report, outcome)
    return 0 if outcome.verdict.sound else 1


if __name__ == "__main__":
    sys.exit(main())
