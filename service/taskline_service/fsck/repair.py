"""Mends what can be mended without a guess: every repair follows from what else is stored."""

from collections.abc import Sequence
from dataclasses import dataclass

from taskline_service.errors import StoreDamaged
from taskline_service.fsck.check import TOLD, Check
from taskline_service.fsck.facts import Inspector
from taskline_service.fsck.report import Findings, Offence, Report, of_all
from taskline_service.limits import MAX_LOST
from taskline_service.store import Keys, Redis, StoreError

# What is mended may show what it had hidden.
_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Repaired:
    """The outcome of a repair."""

    # How many offences were mended, and the first of them.
    mended_total: int
    mended: tuple[Offence, ...]
    # Of the check after it.
    report: Report


def repairs_of_all(parts: Sequence[Repaired], *, told: int = TOLD) -> Repaired:
    """One outcome for the partitions of a namespace."""
    return Repaired(
        sum(part.mended_total for part in parts),
        tuple(offence for part in parts for offence in part.mended)[:told],
        of_all([part.report for part in parts], told=told),
    )


async def repair_store(
    redis: Redis, keys: Keys, *, max_lost: int = MAX_LOST, told: int = TOLD
) -> Repaired:
    """Mend what can be mended safely, and check again until nothing more can be.

    The store may be in use: a repair is made only if its reason still holds at that instant.
    Arguments are those of check_store().
    """
    inspector, mended = Inspector(redis, keys), Findings(told)
    for _ in range(_ROUNDS):
        check, left, before = Check(redis, keys, max_lost=max_lost), Findings(told), mended.total
        async for offence in check.offences():
            done = await _mend(inspector, offence)
            (mended if done else left).add(offence)
        if mended.total == before:
            break
    return Repaired(mended.total, mended.offences, check.report(left))


async def _mend(inspector: Inspector, offence: Offence) -> bool:
    if offence.repair is None:
        return False
    try:
        return await inspector.mend(offence.repair)
    except (
        StoreError,
        StoreDamaged,
    ):  # a key of the wrong type is in the way, which is an offence of its own
        return False
