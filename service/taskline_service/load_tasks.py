"""Finds the registry that `--tasks MODULE:ATTRIBUTE` names."""

import importlib
import inspect
import os
import sys
import traceback
from types import FrameType, ModuleType

from taskline_service.config import WrongOption
from taskline_service.tasks import TaskRegistry


def load_tasks(reference: str) -> TaskRegistry:
    """Import the module, from the current directory too, and return its registry.

    An exception that the module raises passes through: it is the author's to see whole.

    Raises:
        WrongOption: There is no such module or attribute, it is no TaskRegistry, or a task
            is declared wrong.
    """
    module_name, _, attribute = reference.partition(":")
    module = _import(module_name)
    try:
        found = getattr(module, attribute)
    except AttributeError as error:
        raise WrongOption("--tasks", f"{module_name} has no {attribute!r}") from error
    if not isinstance(found, TaskRegistry):
        kind = type(found).__name__
        raise WrongOption("--tasks", f"{reference} is not a TaskRegistry but a {kind}")
    return found


def _import(name: str) -> ModuleType:
    # As with `python -m`; a console script has its own folder there instead.
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        # Only if it is this module, or a package above it, that is missing.
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        raise WrongOption(
            "--tasks", f"no module {error.name!r} in {os.getcwd()} or among what is installed"
        ) from error
    except ValueError as error:
        if (place := _declaration(error)) is None:
            raise
        raise WrongOption("--tasks", f"{place}: {error}") from error


def _declaration(error: ValueError) -> str | None:
    """Where the task is that was declared wrong; None if the error is about something else."""
    frames = list(traceback.walk_tb(error.__traceback__))
    if not _is_declaring(frames[-1][0]):
        return None
    frame, line = next(found for found in reversed(frames) if not _is_declaring(found[0]))
    below = (found.f_locals.get("function") for found, _ in frames)
    function = next((each for each in below if inspect.isroutine(each)), None)
    name = f" ({function.__qualname__})" if function is not None else ""
    return f"{frame.f_globals.get('__name__')}, line {line}{name}"


def _is_declaring(frame: FrameType) -> bool:
    module = str(frame.f_globals.get("__name__"))
    return f"{module}.".startswith("taskline_service.tasks.")
