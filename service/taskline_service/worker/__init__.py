"""Executes tasks: claims them, runs their functions, records how they ended."""

from taskline_service.worker.worker import Worker

__all__ = ["Worker"]
