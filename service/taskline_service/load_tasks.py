"""Finds the registry that `--tasks MODULE:ATTRIBUTE` names."""

import importlib
import os
import sys
from types import ModuleType

from taskline_service.config import WrongOption
from taskline_service.tasks import TaskRegistry


def load_tasks(reference: str) -> TaskRegistry:
    """Import the module, from the current directory too, and return its registry.

    An exception that the module raises passes through: it is the author's to see whole.

    Raises:
        WrongOption: There is no such module or attribute, or it is no TaskRegistry.
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
