"""The app that all commands belong to, and how one is declared.

A command says what it does in its docstring, shows how it is called in examples, and may
take options in groups: a parameter that a group makes is replaced by the group's options.
"""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import typer
from typer.core import TyperGroup

Function = TypeVar("Function", bound=Callable[..., Any])

# In the order in which the help shows them.
COMMANDS = """
    serve worker
    enqueue run watch wait result get events list cancel retry delete
    queues workers types stats top stubs doctor fsck version
"""


class _InOrder(TyperGroup):
    """Commands in the order of the table; what it does not know comes last."""

    def list_commands(self, ctx: Any) -> list[str]:
        names = super().list_commands(ctx)
        known = COMMANDS.split()
        return sorted(names, key=lambda name: (*known, name).index(name))


app: typer.Typer = typer.Typer(
    name="taskline",
    cls=_InOrder,
    help="Enqueue tasks, follow them live, read their results; operate the service.\n\n"
    "Each command has examples: taskline COMMAND --help",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    # Rich's help costs a hundred milliseconds each time.
    rich_markup_mode=None,
)


def command(
    *examples: str, name: str | None = None, of: typer.Typer = app, **groups: Callable[..., Any]
) -> Callable[[Function], Function]:
    """Declare a command of the app.

    Args:
        examples: Whole lines, as people type them.
        name: Its name, if it is not the function's.
        of: What it is a command of.
        groups: By the name of a parameter, the function that makes its value from options.
    """

    def declare(function: Function) -> Function:
        help_text = help_with(inspect.getdoc(function) or "", examples)
        of.command(name, help=help_text)(_with_groups(function, groups))
        return function

    return declare


def help_with(text: str, examples: tuple[str, ...]) -> str:
    """A help text with examples below, which are never wrapped."""
    if not examples:
        return text
    return "\n".join([text, "", "\b", "Examples:", *(f"  {example}" for example in examples)])


def said_at_prompt(ctx: typer.Context, option: str) -> bool:
    """Whether an option was given with the command, not by default or environment."""
    source = ctx.get_parameter_source(option)
    return source is not None and source.name == "COMMANDLINE"


def _with_groups(
    function: Callable[..., Any], groups: dict[str, Callable[..., Any]]
) -> Callable[..., Any]:
    """The function as typer is to see it: with the options of groups in their place."""
    options = {name: inspect.signature(make).parameters for name, make in groups.items()}

    @wraps(function)
    def call(**values: Any) -> Any:
        made = {
            name: make(**{option: values.pop(option) for option in options[name]})
            for name, make in groups.items()
        }
        return function(**made, **values)

    signature = inspect.signature(function)
    parameters: list[inspect.Parameter] = []
    for parameter in signature.parameters.values():
        parameters += options.get(parameter.name, {parameter.name: parameter}).values()
    keyword_only = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in parameters]
    vars(call)["__signature__"] = signature.replace(parameters=keyword_only)
    call.__annotations__ = {each.name: each.annotation for each in parameters}
    return call
