"""What is wrong with what is told of lines, of task types, and of the log."""

import re
from collections.abc import Iterator

from taskline_service.fsck.facts import Repair, Seen
from taskline_service.fsck.invariants import Invariant
from taskline_service.fsck.report import Offence, quoted, shown

_NUMBER = re.compile(rb"[0-9]{1,16}")


def judge_line(seen: Seen) -> Iterator[Offence]:
    """A line."""
    line: bytes = seen.subject
    known, has_tasks, first, ready = seen.facts
    subject = f"line {shown(line)}"
    if has_tasks and not known:
        add = Repair("add it", seen, ((b"SADD", b"lines", line),))
        yield Offence(Invariant.LINES, subject, "has tasks, but is not in lines", add)
    elif known and not has_tasks:
        forget = Repair("forget it", seen, ((b"SREM", b"lines", line),))
        yield Offence(Invariant.LINES, subject, "is in lines, but has no task", forget)
    if first is False and ready is not False:
        remove = Repair("take it out", seen, ((b"ZREM", b"ready", line),))
        yield Offence(Invariant.READY, subject, "is in ready, but has no waiting task", remove)
    elif first is not False and (ready is False or float(first) != float(ready)):
        found = "not in ready" if ready is False else f"in ready by {shown(ready)}"
        put = Repair("put it there", seen, ((b"ZADD", b"ready", first, line),))
        detail = f"its first task waits by {shown(first)}, but it is {found}"
        yield Offence(Invariant.READY, subject, detail, put)


def judge_task_type(seen: Seen, *, time_us: int) -> Iterator[Offence]:
    """A published task type."""
    name: bytes = seen.subject
    published, known = seen.facts
    subject = f"task type {shown(name)}"
    if published and not known:
        see = Repair("count it as seen now", seen, ((b"ZADD", b"types_seen", str(time_us), name),))
        yield Offence(Invariant.TYPES, subject, "it is not known when it was last seen", see)
    elif known and not published:
        forget = Repair("forget it", seen, ((b"ZREM", b"types_seen", name),))
        yield Offence(Invariant.TYPES, subject, "was seen, but is not published", forget)


def judge_log(seen: Seen) -> Iterator[Offence]:
    """The revision and the last entry of the log."""
    revision, last = seen.facts
    latest = 0 if last is False else int(last.split(b"-")[0])
    if revision is not False and not _NUMBER.fullmatch(revision):
        detail = f"is {quoted(revision)}, which is no number"
    elif latest > int(revision or 0):
        detail = f"is {shown(revision or b'0')}, but the log goes up to {latest}"
    else:
        return
    # Every revision that was given out had an entry in the log; which was the last, it remembers.
    repair = Repair(f"set it to {latest}", seen, ((b"SET", b"rev", str(latest)),))
    yield Offence(Invariant.REVISION, "the revision", detail, repair)
