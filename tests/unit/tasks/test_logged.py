"""What of a call may be logged: what is marked, and nothing else."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from pydantic import BaseModel
from typing_extensions import TypedDict

from taskline_service import Logged, TaskContext, TaskRegistry
from taskline_service.tasks import ProgressReporter

SECRET = "4111-1111"


def logged(function: Callable[..., Any], task_input: bytes) -> str:
    """The call of a task with this input, as its lines have it."""
    tasks = TaskRegistry()
    tasks.task("any")(function)
    progress = ProgressReporter(lambda _: None, task_id="t")
    ctx = TaskContext(task_id="t", task_type="any", attempt=1, worker="w", progress=progress)
    definition = tasks["any"]
    return definition.in_words(definition.arguments(task_input, ctx))


def test_d37_the_lines_of_a_call_read_as_the_call_does() -> None:
    async def process_payment(
        customer: Annotated[str, Logged],
        credit_card: str,
        ctx: TaskContext,
        amount: Annotated[float, Logged()] = 1.0,
    ) -> None: ...

    call = b'{"customer": "12345", "credit_card": "4111-1111", "amount": 150.0}'

    assert logged(process_payment, call) == (
        "process_payment('12345', credit_card=..., amount=150.0)"
    )
    assert logged(process_payment, b'{"customer": "1", "credit_card": "4111-1111"}') == (
        "process_payment('1', credit_card=...)"
    )


def test_d34_what_is_not_marked_is_not_shown() -> None:
    def plain(a: str, *, b: dict[str, Any], c: bool = True) -> None: ...

    assert logged(plain, b'{"a": "4111-1111", "b": {"4111-1111": 1}, "c": false}') == (
        "plain(..., b=..., c=...)"
    )


@pytest.mark.parametrize("mark", [Logged, Logged()], ids=["the class", "an instance"])
def test_d35_both_forms_mark_every_kind_of_parameter(mark: Any) -> None:
    hint = Annotated[int, mark]

    def function(a, b, *, c, d=4): ...  # type: ignore[no-untyped-def]

    function.__annotations__ = {"a": hint, "b": hint | None, "c": hint, "d": hint}

    def whole(a, /): ...  # type: ignore[no-untyped-def]

    whole.__annotations__ = {"a": hint}

    def named(*, a): ...  # type: ignore[no-untyped-def]

    named.__annotations__ = {"a": hint}

    assert logged(function, b'{"a": 1, "b": 2, "c": 3, "d": 5}') == "function(1, b=2, c=3, d=5)"
    assert logged(function, b'{"a": 1, "b": 2, "c": 3}') == "function(1, b=2, c=3)"
    assert logged(whole, b"7") == "whole(7)"
    assert logged(named, b'{"a": 1}') == "named(a=1)"


@pytest.mark.parametrize(
    ("hint", "value", "shown"),
    [
        pytest.param(list[str], b'["4111-1111", "a"]', "[len 2]", id="list"),
        pytest.param(dict[str, int], b'{"4111-1111": 1}', "{len 1}", id="dict"),
        pytest.param(set[str], b'["4111-1111", "a", "b"]', "{len 3}", id="set"),
        pytest.param(str, b'"4111-1111"', "[len 9]", id="text"),
        pytest.param(int, b"4111", "...", id="without a length"),
    ],
)
def test_d36_a_mark_may_show_the_length_only(hint: Any, value: bytes, shown: str) -> None:
    def function(a): ...  # type: ignore[no-untyped-def]

    function.__annotations__ = {"a": Annotated[hint, Logged(length_only=True)]}

    assert logged(function, b'{"a": %b}' % value) == f"function({shown})"


class Card(BaseModel):
    number: str
    kind: Annotated[str, Logged]


@dataclass
class Address:
    street: str
    city: Annotated[str, Logged]


class Payment(BaseModel):
    amount: Annotated[float, Logged]
    secret: str
    card: Card | None = None
    tags: Annotated[list[str], Logged(length_only=True)] = []


class Note(TypedDict):
    title: Annotated[str, Logged]
    body: str


class Nothing(BaseModel):
    secret: str


def test_fields_of_a_model_are_marked_one_by_one() -> None:
    def pay(payment: Payment) -> None: ...

    def send(address: Address) -> None: ...

    def write(note: Note) -> None: ...

    def hide(nothing: Nothing) -> None: ...

    def two(card: Card, address: Address) -> None: ...

    whole = b'{"amount": 7, "secret": "4111-1111", "card": {"number": "4111-1111", "kind": "x"}}'
    assert logged(pay, whole) == (
        "pay(Payment(amount=7.0, secret=..., card=Card(number=..., kind='x'), tags=[len 0]))"
    )
    assert logged(send, b'{"street": "4111-1111", "city": "Ulm"}') == (
        "send(Address(street=..., city='Ulm'))"
    )
    assert logged(write, b'{"title": "t", "body": "4111-1111"}') == (
        "write(Note(title='t', body=...))"
    )
    assert logged(hide, b'{"secret": "4111-1111"}') == "hide(...)"
    both = b'{"card": {"number": "1", "kind": "x"}, "address": {"street": "s", "city": "c"}}'
    assert logged(two, both) == (
        "two(Card(number=..., kind='x'), address=Address(street=..., city='c'))"
    )


def test_the_names_of_members_that_callers_choose_are_not_shown() -> None:
    def function(a: Annotated[int, Logged], **rest: Annotated[str, Logged]) -> None: ...

    assert logged(function, b'{"a": 1, "4111-1111": "x"}') == "function(1, **...)"


class Hostile(BaseModel):
    text: str

    def __repr__(self) -> str:
        raise RuntimeError(self.text)


def test_long_values_are_shortened_and_hostile_ones_do_no_harm() -> None:
    def function(a: Annotated[Any, Logged]) -> None: ...

    def many(a: Annotated[list[str], Logged], **rest: int) -> None: ...

    def hostile(a: Annotated[Hostile, Logged], b: int = 0) -> None: ...

    long = logged(function, b'{"a": "%b"}' % (b"x" * 100_000))
    listed = logged(many, b'{"a": ["1", "2", "3", "4", "5", "6", "7", "8"]}')
    control = logged(function, b'{"a": "\\u001b[31m\\u202e\\n"}')
    unshowable = logged(hostile, b'{"a": {"text": "4111-1111"}}')

    assert len(long) < 100 and "..." in long
    assert listed == "many(['1', '2', '3', '4', '5', '6', ...])"
    assert control == r"function('\x1b[31m\u202e\n')"
    assert SECRET not in unshowable


def test_a_call_with_many_arguments_is_cut() -> None:
    names = [f"parameter_{number}" for number in range(40)]
    namespace: dict[str, Any] = {}
    exec(f"def function({', '.join(names)}): ...", namespace)
    call = json.dumps(dict.fromkeys(names, 1))

    text = logged(namespace["function"], call.encode())

    assert len(text) == 300
    assert text.endswith("…")
