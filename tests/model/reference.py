"""What the scripts do, said a second time in plain Python: the store is compared with this.

Each method is the script of its name, and takes the arguments that Redis gets. It checks the
answer of the store and makes the same move. `shape` is what must then be in Redis.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

MINUTE = 60_000_000
ENDED = frozenset({"COMPLETED", "FAILED", "CANCELLED"})
REFUSED = frozenset({"taken", "reused", "full", "crowded"})

Args = Mapping[str, Any]
Answer = Any


@dataclass(slots=True, kw_only=True)
class RefTask:
    """A task; instants and spans are in microseconds."""

    id: str
    line: str
    uid: str
    request_id: str | None
    digest: bytes | None
    labels: tuple[str, ...]
    create: int
    due: int
    priority: int
    queue_timeout: int | None
    state: str = "QUEUED"
    attempts: int = 0
    failed: int = 0
    lost: int = 0
    unstoppable: bool = False  # its code could not be stopped once
    own_process: bool = False  # the present attempt has a process of its own
    nonce: bytes = b""
    must_start: int | None = None
    lease: int = 0
    cancelled: bool = False
    error: str | None = None  # its type, while there is one to show
    progress: bool = False
    appended: int = 0
    result: bytes | None = None
    kept_until: int = 0
    expire: int = 0
    retry_call: bytes | None = None

    @property
    def queue(self) -> str:
        return self.line.partition(":")[2]

    @property
    def short_result(self) -> bytes | None:
        """Its result, if that is so short that it is in the record."""
        return self.result if self.result and len(self.result) <= 64 else None

    @property
    def score(self) -> int:
        return self.due - self.priority * MINUTE

    def wait(self, since: int) -> None:
        """Waits for a worker, who has to start it so long after `since` if it is impatient."""
        self.state = "QUEUED"
        self.must_start = since + self.queue_timeout if self.queue_timeout else None


@dataclass(slots=True)
class Reference:
    """All tasks of a namespace."""

    tasks: dict[str, RefTask] = field(default_factory=dict)
    paused: set[str] = field(default_factory=set)
    log_forgot: int = 0  # what happened until then
    _given: dict[str, tuple[bytes, tuple[str, ...]]] = field(default_factory=dict)
    now: int = 0

    def apply(self, name: str, args: Args, now: int, answer: Answer) -> None:
        """Make the move that the store has just made."""
        self.now = now
        getattr(self, name)(args, answer)

    # Accepting tasks

    def enqueue(self, args: Args, answer: Answer) -> None:
        added: dict[str, int] = defaultdict(int)
        lines = self.lines()
        statuses = [self._status(entry, args, added, lines) for entry in args["tasks"]]
        assert [outcome["status"] for outcome in answer["outcomes"]] == statuses
        if args["check_only"] or (REFUSED & set(statuses) and not args["partial"]):
            return
        for i, (entry, status) in enumerate(zip(args["tasks"], statuses, strict=True)):
            if status in ("created", "replaced"):
                self._create(entry, self.now + i)

    def _status(self, entry: Args, args: Args, added: dict[str, int], lines: set[str]) -> str:
        task = self.tasks.get(entry["id"])
        if task is not None and (known := self._of_known(entry, task)) != "replaced":
            return known
        if entry["line"] not in lines and len(lines) >= args["max_lines"]:
            return "crowded"
        lines.add(entry["line"])
        queue = entry["line"].partition(":")[2]
        waiting = sum(t.state == "QUEUED" and t.queue == queue for t in self.tasks.values())
        if args["max_queued"] and waiting + added[queue] >= args["max_queued"]:
            return "full"
        added[queue] += not entry["delay"] and (entry["due"] or 0) <= self.now
        return "replaced" if task else "created"

    def _of_known(self, entry: Args, task: RefTask) -> str:
        if entry["uid"] == task.uid:
            return "repeated"
        if entry["request_id"] and entry["request_id"] == task.request_id:
            return "repeated" if entry["digest"] == task.digest else "reused"
        match entry["on_conflict"]:
            case "use_existing":
                return "existing"
            case "replace_terminal":
                return "replaced" if task.state in ENDED else "existing"
        return "taken"

    def _create(self, entry: Args, create: int) -> None:
        due = max(create, entry["due"] or create + (entry["delay"] or 0))
        task = RefTask(
            create=create,
            due=due,
            priority=entry["priority"] or 0,
            labels=tuple(entry["labels"] or ()),
            **{k: entry[k] for k in ("id", "line", "uid", "request_id", "digest", "queue_timeout")},
        )
        self.tasks[task.id] = task
        if due > create:
            task.state = "SCHEDULED"
        else:
            task.wait(due)

    # What workers do

    def claim(self, args: Args, answer: Answer) -> None:
        nonce, given = self._given.get(args["worker"], (None, ()))
        if nonce == args["nonce"]:
            self._give_again(given, args, answer)
            return

        def servable(task: RefTask) -> bool:
            task_type, _, queue = task.line.partition(":")
            return (
                task.state == "QUEUED"
                and task_type in args["types"]
                and queue not in self.paused
                and (not args["queues"] or queue in args["queues"])
            )

        def urgency(task: RefTask) -> tuple[int, int]:
            ranked = args["by_rank"] and args["queues"]
            return ranked.index(task.queue) if ranked else 0, task.score

        waiting = sorted(urgency(task) for task in self.tasks.values() if servable(task))
        claims = answer["claims"]
        chosen = [self.tasks[claim["id"]] for claim in claims]
        # Which of two equally urgent ones comes first is the store's choice.
        assert all(map(servable, chosen))
        assert [urgency(task) for task in chosen] == waiting[: args["count"]]
        assert not answer["dangling"]
        for claim, task in zip(claims, chosen, strict=True):
            task.state, task.nonce = "RUNNING", args["nonce"]
            task.attempts += 1
            task.lease = self.now + args["lease"]
            task.must_start = None
            if task.attempts > 1:
                task.error, task.progress = None, False
                task.own_process = args["isolates"] and (task.lost > 0 or task.unstoppable)
            assert (claim["attempt"], claim["failed"]) == (task.attempts, task.failed)
            assert (claim["lost"], claim["alone"]) == (task.lost, task.unstoppable)
        if chosen:
            self._given[args["worker"]] = (args["nonce"], tuple(task.id for task in chosen))

    def _give_again(self, given: Sequence[str], args: Args, answer: Answer) -> None:
        tasks = [self.tasks[task_id] for task_id in given if task_id in self.tasks]
        still = [task for task in tasks if (task.state, task.nonce) == ("RUNNING", args["nonce"])]
        assert [(claim["id"], claim["attempt"]) for claim in answer["claims"]] == [
            (task.id, task.attempts) for task in still
        ]
        for task in still:
            task.lease = self.now + args["lease"]

    def _verdict(self, claim: Args) -> tuple[RefTask | None, str]:
        task = self.tasks.get(claim["id"])
        if task is None or (task.attempts, task.nonce) != (claim["attempt"], claim["nonce"]):
            return None, "lost"
        return (task, "ok") if task.state == "RUNNING" else (None, "repeated")

    def renew(self, args: Args, answer: Answer) -> None:
        for claim, verdict in zip(args["claims"], answer, strict=True):
            task, expected = self._verdict(claim)
            if task:
                task.lease = self.now + args["lease"]
                expected = "cancel" if task.cancelled else "held"
            assert verdict == expected

    def progress(self, args: Args, answer: Answer) -> None:
        for report, verdict in zip(args["reports"], answer, strict=True):
            task, expected = self._verdict(report)
            assert verdict == expected
            if task:
                task.progress = True

    def append(self, args: Args, answer: Answer) -> None:
        for entry, verdict in zip(args["entries"], answer, strict=True):
            task, expected = self._verdict(entry)
            if task and entry["number"] <= task.appended:
                task, expected = None, "repeated"
            assert verdict == expected
            if task:
                task.appended = entry["number"]

    def complete(self, args: Args, answer: Answer) -> None:
        for outcome, verdict in zip(args["outcomes"], answer, strict=True):
            task, expected = self._verdict(outcome)
            assert verdict == expected
            if task:
                task.result, task.error = outcome["result"], None
                ttl = outcome["result_ttl"]
                record_ttl = args["record_ttl"]
                if ttl >= record_ttl:
                    record_ttl = ttl + min(record_ttl, 24 * 60 * MINUTE)
                self._end(task, "COMPLETED", None, record_ttl)
                task.kept_until = self.now + ttl

    def fail(self, args: Args, answer: Answer) -> None:
        for outcome, verdict in zip(args["outcomes"], answer, strict=True):
            task, expected = self._verdict(outcome)
            if task:
                self._fail(task, args, outcome)
                given_up = (task.state, task.error) == ("FAILED", "worker_lost")
                expected = "given up" if given_up else "ok"
            assert verdict == expected

    def _fail(self, task: RefTask, args: Args, outcome: Args) -> None:
        error, delay = outcome["error"]["type"], outcome["retry_delay"]
        if error == "worker_lost":
            self._lose(task, args, delay, counted=True)
            return
        task.failed += 1
        task.unstoppable |= bool(outcome["unstoppable"])
        if task.cancelled:
            self._end(task, "CANCELLED", "cancelled", args["record_ttl"])
        elif delay is not None:
            self._try_again(task, error, delay)
        else:
            self._end(task, "FAILED", error, args["record_ttl"])

    def release(self, args: Args, answer: Answer) -> None:
        for claim, verdict in zip(args["claims"], answer, strict=True):
            task, expected = self._verdict(claim)
            assert verdict == expected
            if task and task.cancelled:
                self._end(task, "CANCELLED", "cancelled", args["record_ttl"])
            elif task:
                task.nonce = b""
                task.wait(self.now)

    def _end(self, task: RefTask, state: str, error: str | None, record_ttl: int) -> None:
        task.state, task.error = state, error
        task.kept_until = task.expire = self.now + record_ttl

    def _lose(self, task: RefTask, args: Args, delay: int, *, counted: bool) -> None:
        task.lost += counted
        if task.cancelled:
            self._end(task, "CANCELLED", "cancelled", args["record_ttl"])
        elif task.lost >= args["max_lost"]:
            self._end(task, "FAILED", "worker_lost", args["record_ttl"])
        else:
            self._try_again(task, "worker_lost", delay)

    def _try_again(self, task: RefTask, error: str, delay: int) -> None:
        task.state, task.error, task.due = "RETRYING", error, self.now + delay

    # What users and operators do

    def _chosen(self, args: Args, answer: Answer) -> Iterable[tuple[int, RefTask]]:
        """Those that the move is about; the others are told what they are."""
        for i, (task_id, told) in enumerate(zip(args["ids"], answer, strict=True)):
            task = self.tasks.get(task_id)
            states = args["states"]
            if task is None:
                assert told is False
            elif states is not None and task.state not in states:
                assert told == task.state
            else:
                yield i, task

    def cancel(self, args: Args, answer: Answer) -> None:
        for i, task in self._chosen(args, answer):
            changes = task.state not in ENDED and not (task.state == "RUNNING" and task.cancelled)
            assert answer[i] == (changes or task.state)
            if not changes:
                continue
            task.cancelled = True
            if task.state == "RUNNING":
                task.error = "cancelled"
            else:
                self._end(task, "CANCELLED", "cancelled", args["record_ttl"])

    def retry(self, args: Args, answer: Answer) -> None:
        for i, (task_id, told) in enumerate(zip(args["ids"], answer, strict=True)):
            task = self.tasks.get(task_id)
            if task and task.retry_call == args["call"]:
                assert told is True  # this very call made it before
            elif not task or task.state not in args["states"]:
                assert told == (task.state if task else False)
            else:
                assert told is True
                task.failed = task.lost = 0
                task.unstoppable = task.own_process = False
                task.cancelled, task.error, task.result = False, None, None
                task.due, task.retry_call = self.now + i, args["call"]
                task.wait(task.due)

    def delete(self, args: Args, answer: Answer) -> None:
        for i, task in self._chosen(args, answer):
            assert answer[i] is True
            del self.tasks[task.id]

    def pause(self, args: Args, answer: Answer) -> None:
        assert answer is True
        self.paused.discard(args["queue"])
        if args["pause"]:
            self.paused.add(args["queue"])

    # Upkeep

    def _overdue(self, state: str, name: str, count: int) -> list[RefTask]:
        times = [(getattr(t, name), t.id) for t in self.tasks.values() if t.state == state]
        ripe = sorted((time, task_id) for time, task_id in times if time and time <= self.now)
        return [self.tasks[task_id] for _, task_id in ripe[:count]]

    def promote(self, args: Args, answer: Answer) -> None:
        both = [*self._overdue("SCHEDULED", "due", 1000), *self._overdue("RETRYING", "due", 1000)]
        ripe = sorted(both, key=lambda task: (task.due, task.id))[: args["count"]]
        assert (answer["promoted"], answer["dangling"]) == (len(ripe), [])
        for task in ripe:
            task.wait(task.due)

    def queue_timeout(self, args: Args, answer: Answer) -> None:
        ripe = self._overdue("QUEUED", "must_start", args["count"])
        assert answer["failed"] == [task.line for task in ripe]
        for task in ripe:
            self._end(task, "FAILED", "queue_timeout", args["record_ttl"])

    def reclaim(self, args: Args, answer: Answer) -> None:
        ripe = self._overdue("RUNNING", "lease", args["count"])
        for task in ripe:
            task.nonce = b""
            # What has a process of its own kills that, and not its worker; up to a point.
            neither = task.attempts - task.failed - task.lost
            spared = task.own_process and neither <= args["max_spared"]
            self._lose(task, args, args["retry_delay"], counted=not spared)
        assert [(r["id"], r["state"]) for r in answer["reclaimed"]] == [
            (task.id, task.state) for task in ripe
        ]

    def expire(self, args: Args, answer: Answer) -> None:
        self.log_forgot = max(self.log_forgot, self.now - args["result_ttl"])
        ended = [t for t in self.tasks.values() if t.state in ENDED and t.kept_until <= self.now]
        ripe = sorted(ended, key=lambda task: (task.kept_until, task.id))[: args["count"]]
        assert answer["dropped"] == len(ripe)
        for task in ripe:
            if task.expire > self.now:
                task.result, task.kept_until = None, task.expire
            else:
                del self.tasks[task.id]

    # What must be in Redis

    def lines_of_times(self) -> dict[str, dict[str, float]]:
        """Every sorted set, by what follows the prefix of its key."""
        sets: dict[str, dict[str, float]] = defaultdict(dict)
        for task in self.tasks.values():
            sets[f"i:{task.state}:{task.line}"][task.id] = task.create
            for label in task.labels:
                sets[f"label:{label}"][task.id] = task.create
            match task.state:
                case "SCHEDULED" | "RETRYING":
                    sets["due"][task.id] = task.due
                case "RUNNING":
                    sets["leases"][task.id] = task.lease
                case "QUEUED":
                    sets[f"q:{task.line}"][task.id] = task.score
                    first = sets["ready"].get(task.line, task.score)
                    sets["ready"][task.line] = min(first, task.score)
                    if task.must_start:
                        sets["queue_timeouts"][task.id] = task.must_start
                case _:
                    sets["retention"][task.id] = task.kept_until
        return dict(sets)

    def lines(self) -> set[str]:
        """Pairs of a task type and a queue that have tasks."""
        return {task.line for task in self.tasks.values()}

    def failed_by(self) -> dict[str, int]:
        """FAILED tasks by kind of error and queue."""
        counts: dict[str, int] = defaultdict(int)
        for task in self.tasks.values():
            if task.state == "FAILED":
                counts[f"{task.error}:{task.queue}"] += 1
        return dict(counts)

    def strings(self) -> set[str]:
        """Which of the keys there must be that hold the parts of tasks, or what was given last."""
        names = {f"c:{worker}" for worker in self._given}
        for task in self.tasks.values():
            long_result = task.result and not task.short_result
            parts = {"s": True, "r": long_result, "e": task.error, "g": task.progress}
            names |= {f"{kind}:{task.id}" for kind, part in parts.items() if part}
        return names
