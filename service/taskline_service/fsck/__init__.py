"""Checks that what is in a store makes sense, and mends what can be mended safely."""

from taskline_service.fsck.check import check_store
from taskline_service.fsck.invariants import Invariant
from taskline_service.fsck.repair import Repaired, repair_store, repairs_of_all
from taskline_service.fsck.report import Offence, Report
from taskline_service.fsck.snapshot import SnapshotUnreadable, loaded

__all__ = [
    "Invariant",
    "Offence",
    "Repaired",
    "Report",
    "SnapshotUnreadable",
    "check_store",
    "loaded",
    "repair_store",
    "repairs_of_all",
]
