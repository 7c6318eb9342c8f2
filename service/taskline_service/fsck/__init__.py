"""Checks that what is in a store makes sense, and mends what can be mended safely."""

from taskline_service.fsck.check import check_store
from taskline_service.fsck.invariants import Invariant
from taskline_service.fsck.report import Offence, Report

__all__ = ["Invariant", "Offence", "Report", "check_store"]
