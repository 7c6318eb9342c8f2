"""What is wrong with where a task is, and with what the store says of its partitions.

Neither is mended: which of two places is the right one only people know.
"""

from collections.abc import Iterator

from taskline_service.fsck.invariants import Invariant
from taskline_service.fsck.report import Offence, quoted, shown
from taskline_service.store import Keys
from taskline_service.store.keys import partition_of


def judge_partition(task_id: bytes, keys: Keys) -> Iterator[Offence]:
    """A task that is not where it will be looked for."""
    text = task_id.decode(errors="replace")
    if not keys.hold(text):
        right = partition_of(text, keys.partitions)
        detail = f"is in partition {keys.partition}, and belongs in {right}"
        yield Offence(Invariant.PARTITION, f"task {shown(task_id)}", detail)


def judge_number(told: bytes | None, keys: Keys) -> Iterator[Offence]:
    """How many partitions the store says that there are, if it says so here."""
    subject = "the number of partitions"
    if told is not None and keys.partition:
        detail = f"is said in partition {keys.partition}, and should be in the first alone"
        yield Offence(Invariant.PARTITION, subject, detail)
    elif told is not None and told != str(keys.partitions).encode():
        detail = f"is {quoted(told)}, and should be '{keys.partitions}'"
        yield Offence(Invariant.PARTITION, subject, detail)
