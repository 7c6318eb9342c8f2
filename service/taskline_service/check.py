"""`taskline fsck`: a store or a snapshot, its check or repair, and the report, put together."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from taskline_service import process
from taskline_service.config import FsckConfig, LogLevel, ReportFormat
from taskline_service.embedded import EmbeddedStore, StoreNotRunning, has_data, join
from taskline_service.fsck import (
    Offence,
    Repaired,
    Report,
    SnapshotUnreadable,
    check_store,
    loaded,
    repair_store,
    repairs_of_all,
)
from taskline_service.store import TaskStore
from taskline_service.store.scripted import DEFAULT_RECORD_TTL, DEFAULT_RESULT_TTL

_CLEAN, _OFFENCES, _UNABLE = 0, 1, 6


class NoData(Exception):
    """There is nothing to check."""


def run(config: FsckConfig) -> int:
    """Check, and repair if that is wanted; returns the exit code."""
    return process.run(
        _check(config),
        name="taskline-fsck",
        who="fsck",
        log_level=LogLevel.WARNING.number,
        expected=(NoData, SnapshotUnreadable),
        unable=_UNABLE,
    )


async def _check(config: FsckConfig) -> int:
    async with (
        _url(config) as url,
        process.store_at(
            url,
            config.namespace,
            partitions=config.partitions,
            decide=False,
            result_ttl=DEFAULT_RESULT_TTL,
            record_ttl=DEFAULT_RECORD_TTL,
            max_lost=config.max_lost,
        ) as (store, _),
    ):
        outcome = repairs_of_all(
            [await _outcome_of(partition, config) for partition in store.partitions]
        )
    if not outcome.report.keys and not outcome.mended_total:
        raise NoData(f"there is nothing of namespace {config.namespace} in the store")
    if config.output is ReportFormat.JSON:
        print(json.dumps(_to_json(config, outcome), indent=2, ensure_ascii=False))
    else:
        print("\n".join(_to_lines(config, outcome)))
    return _CLEAN if outcome.report.clean else _OFFENCES


async def _outcome_of(partition: TaskStore, config: FsckConfig) -> Repaired:
    redis, keys = partition.redis, partition.keys
    if config.confirmed:
        return await repair_store(redis, keys, max_lost=config.max_lost)
    return Repaired(0, (), await check_store(redis, keys, max_lost=config.max_lost))


@asynccontextmanager
async def _url(config: FsckConfig) -> AsyncIterator[str]:
    """Where the store is that is to be checked; started if need be."""
    if config.snapshot is not None:
        async with loaded(config.snapshot) as url:
            yield url
    elif config.store.redis_url is not None:
        yield config.store.redis_url
    else:
        assert config.store.data_dir is not None
        async with _embedded(config.store.data_dir) as url:
            yield url


@asynccontextmanager
async def _embedded(data_dir: Path) -> AsyncIterator[str]:
    try:
        url = await join(data_dir)
    except StoreNotRunning:
        if not has_data(data_dir):
            raise NoData(f"no embedded store has kept anything in {data_dir}") from None
    else:
        yield url
        return
    # Meanwhile nobody else can start it.
    async with EmbeddedStore.start(data_dir) as embedded:
        yield embedded.url


def _to_lines(config: FsckConfig, outcome: Repaired) -> list[str]:
    """For people: what was found in one line, then a line for each offence."""
    report = outcome.report
    lines = [_summary(config, outcome)]
    lines += [f"mended: {offence}: {offence.repair}" for offence in outcome.mended]
    lines += _and_more(outcome.mended_total, outcome.mended, "mended")
    for offence in report.offences:
        how = f"would {offence.repair}" if offence.repair else "cannot be mended safely"
        lines.append(f"{offence} ({how})" if config.repair else str(offence))
    lines += _and_more(report.total, report.offences, "found")
    lines += [f"not told: {text}" for text in report.undecided]
    mendable = any(offence.repair for offence in report.offences)
    if mendable and config.snapshot is None and not config.confirmed:
        lines.append("some of it can be mended: --repair tells how, --repair --yes does it")
    return lines


def _summary(config: FsckConfig, outcome: Repaired) -> str:
    report = outcome.report
    verdict = "clean" if report.clean else _number(report.total, "offence")
    if outcome.mended_total:
        verdict = f"{_number(outcome.mended_total, 'offence')} mended, now {verdict}"
    keys = _number(report.keys, "key")
    where = f"{_number(report.tasks, 'task')} ({keys}) of namespace {config.namespace}"
    apart = ""
    if report.set_apart:
        apart = f"; {_number(report.set_apart, 'damaged record')} set apart"
    return f"taskline fsck: {verdict}: {where}{apart}"


def _number(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _and_more(total: int, told: tuple[Offence, ...], what: str) -> list[str]:
    more = total - len(told)
    return [f"… and {more:,} more {what}"] if more else []


def _to_json(config: FsckConfig, outcome: Repaired) -> dict[str, Any]:
    report: Report = outcome.report
    return {
        "namespace": config.namespace,
        "clean": report.clean,
        "tasks": report.tasks,
        "keys": report.keys,
        "set_apart": report.set_apart,
        "total": report.total,
        "offences": [_offence_to_json(offence) for offence in report.offences],
        "undecided": list(report.undecided),
        "mended_total": outcome.mended_total,
        "mended": [_offence_to_json(offence) for offence in outcome.mended],
    }


def _offence_to_json(offence: Offence) -> dict[str, Any]:
    return {
        "invariant": offence.invariant.name.lower(),
        "subject": offence.subject,
        "detail": offence.detail,
        "repair": str(offence.repair) if offence.repair else None,
    }
