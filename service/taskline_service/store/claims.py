"""What workers do with tasks, each under the claim that it was given."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from taskline_service.errors import TaskDamaged
from taskline_service.queue_order import EVERY_QUEUE, QueueChoice
from taskline_service.store.chunks import (
    CLAIMS_PER_CALL,
    LINES_PER_CLAIM,
    LONG_MOVES_PER_CALL,
    chunks,
)
from taskline_service.store.records import (
    claim_from_fields,
    error_to_fields,
    progress_to_fields,
    to_us,
)
from taskline_service.store.scripted import Scripted, new_call
from taskline_service.store.values import Claimed, Completion, Failure, LogLine, Output, Verdict
from taskline_service.task import Claim, ErrorType, Progress, TaskError


class Claims(Scripted):
    """Hands out tasks, and takes what becomes of them."""

    async def claim(
        self,
        task_types: Sequence[str],
        *,
        count: int,
        worker: str,
        lease: timedelta,
        queues: QueueChoice = EVERY_QUEUE,
        call: bytes = b"",
        isolates: bool = False,
    ) -> Claimed:
        """Take up to `count` waiting tasks of these types, in the order of `queues`.

        A worker whose call had no answer repeats it with the same `call`, which new_call() makes,
        and gets what it was given then. One that `isolates` gives what is to run alone a process of
        its own, and tells if that is lost.

        A task of which only what was enqueued is lost has FAILED.
        """
        nonce = call or new_call()
        args = {
            "types": list(task_types),
            "queues": list(queues.ranked()) or None,
            "by_rank": queues.by_rank,
            "count": min(count, CLAIMS_PER_CALL),
            "most_lines": LINES_PER_CLAIM,
            "worker": worker,
            "isolates": isolates,
            "nonce": nonce,
            "lease": to_us(lease),
            "record_ttl": self._record_ttl_us,
        }
        reply = await self._script("claim", args)
        self._told_of(reply[b"damaged"])
        claims, unreadable = list[Claim](), list[dict[bytes, Any]]()
        for fields in reply[b"claims"]:
            try:
                claims.append(claim_from_fields(fields, nonce))
            except TaskDamaged:
                unreadable.append(fields)
        if unreadable:
            await self._fail_unreadable(unreadable, nonce)
        dangling = reply[b"dangling"] + [fields[b"id"] for fields in unreadable]
        return Claimed(
            claims, [task_id.decode(errors="replace") for task_id in dangling], reply[b"more"]
        )

    async def _fail_unreadable(self, claims: Sequence[dict[bytes, Any]], nonce: bytes) -> None:
        """End tasks that nobody can execute: what was enqueued cannot be understood."""
        error = TaskError(
            error_type=ErrorType.STORAGE, message="what was enqueued cannot be understood"
        )
        outcomes = [
            {"id": c[b"id"], "attempt": c[b"attempt"], "nonce": nonce}
            | {"error": error_to_fields(error), "traceback": ""}
            for c in claims
        ]
        await self._script("fail", {"outcomes": outcomes, "record_ttl": self._record_ttl_us})

    async def renew(self, claims: Sequence[Claim], *, lease: timedelta) -> list[Verdict]:
        """Prolong leases; HELD, CANCEL, LOST or, if its outcome is recorded, REPEATED for each."""
        verdicts = list[Verdict]()
        for chunk in chunks(claims):
            args = {"claims": [_held(claim) for claim in chunk], "lease": to_us(lease)}
            verdicts += self._verdicts(await self._script("renew", args))
        return verdicts

    async def report_progress(self, reports: Sequence[tuple[Claim, Progress]]) -> list[Verdict]:
        """Store the latest progress of running tasks."""
        verdicts = list[Verdict]()
        for chunk in chunks(reports):
            fields = [_held(claim) | {"progress": progress_to_fields(p)} for claim, p in chunk]
            verdicts += self._verdicts(await self._script("progress", {"reports": fields}))
        return verdicts

    async def append(self, entries: Sequence[LogLine | Output]) -> list[Verdict]:
        """Append log lines and outputs to the story of running tasks."""
        verdicts = list[Verdict]()
        for chunk in chunks(entries, [entry.size for entry in entries]):
            fields = [_held(entry.claim) | _appended(entry) for entry in chunk]
            verdicts += self._verdicts(await self._script("append", {"entries": fields}))
        return verdicts

    async def complete(self, completions: Sequence[Completion]) -> list[Verdict]:
        """Record results; the tasks have ended."""
        verdicts = list[Verdict]()
        for chunk in chunks(completions, [len(c.result) for c in completions]):
            outcomes = [
                _held(c.claim)
                | {
                    "result": c.result,
                    "result_ttl": to_us(
                        self.result_ttl
                        if c.claim.spec.result_ttl is None
                        else c.claim.spec.result_ttl
                    ),
                }
                for c in chunk
            ]
            args = {"outcomes": outcomes, "record_ttl": self._record_ttl_us}
            verdicts += self._verdicts(await self._script("complete", args))
        return verdicts

    async def fail(self, failures: Sequence[Failure]) -> list[Verdict]:
        """Record failed attempts; those with a delay are tried again after it."""
        verdicts = list[Verdict]()
        sizes = [len(f.error.traceback) for f in failures]
        for chunk in chunks(failures, sizes, most=LONG_MOVES_PER_CALL):
            outcomes = [
                _held(f.claim)
                | {
                    "error": error_to_fields(f.error),
                    "traceback": f.error.traceback,
                    "retry_delay": None if f.retry_delay is None else to_us(f.retry_delay),
                    "unstoppable": f.unstoppable or None,
                }
                for f in chunk
            ]
            args = {
                "outcomes": outcomes,
                "max_lost": self._max_lost,
                "record_ttl": self._record_ttl_us,
            }
            verdicts += self._verdicts(await self._script("fail", args))
        if any(f.retry_delay is not None for f in failures):
            self.on_scheduled()
        return verdicts

    async def release(self, claims: Sequence[Claim]) -> list[Verdict]:
        """Give tasks back to the place in their queue; the attempt does not count as failed."""
        verdicts = list[Verdict]()
        for chunk in chunks(claims):
            args = {
                "claims": [_held(claim) for claim in chunk],
                "record_ttl": self._record_ttl_us,
            }
            verdicts += self._verdicts(await self._script("release", args))
        return verdicts

    def _verdicts(self, reply: Sequence[bytes]) -> list[Verdict]:
        verdicts = list[Verdict]()
        for text in reply:
            if key := text.partition(b"damaged ")[2]:
                self._told_of([key])
                verdicts.append(Verdict.DAMAGED)
            else:
                verdicts.append(Verdict(text.decode()))
        return verdicts


def _held(claim: Claim) -> dict[str, Any]:
    return {"id": claim.task_id, "attempt": claim.attempt, "nonce": claim.nonce}


def _appended(entry: LogLine | Output) -> dict[str, Any]:
    if isinstance(entry, Output):
        return {"number": entry.number, "output": entry.data}
    return {
        "number": entry.number,
        "message": entry.message,
        "percentage": entry.percentage,
    }
