"""Tokens: opaque, safe anywhere, and good only where they come from."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from taskline_service.errors import PageTokenInvalid, ResumeTokenInvalid
from taskline_service.rpc.tokens import (
    ALL_EVENTS,
    MOST_AHEAD,
    STEPS_PER_TASK,
    Position,
    name_after,
    name_token,
    page_position,
    page_token,
    resume_position,
    resume_token,
    subscription,
    task_token,
)

GARBAGE = [
    pytest.param("x", id="too short"),
    pytest.param("not a token!", id="wrong characters"),
    pytest.param("ä" * 20, id="not even ASCII"),
    pytest.param("A" * 24, id="right characters"),
    pytest.param("A" * 1000, id="too long"),
]

_U16 = st.integers(min_value=0, max_value=0xFFFF)


_TOLD = st.tuples(_U16, st.integers(min_value=0, max_value=2**53))


@given(
    st.integers(min_value=0, max_value=2**53),
    _U16,
    _U16,
    st.lists(_U16, max_size=1000),
    st.lists(_TOLD, max_size=MOST_AHEAD),
)
@example(1, 1, 1, [1] * 1000, [(1, 1)] * MOST_AHEAD)
def test_a_resume_token_leads_back_to_its_position(
    revision: int, ordinal: int, introduced: int, held: list[int], ahead: list[tuple[int, int]]
) -> None:
    position = Position(revision, ordinal, introduced, tuple(held), tuple(ahead))
    of = subscription(["a", "b"])

    token = resume_token(of, position)

    assert resume_position(token, of) == position
    assert re.fullmatch(r"[A-Za-z0-9_-]+", token)


def test_the_order_of_the_tasks_makes_no_other_watch() -> None:
    assert subscription(["a", "b"]) == subscription(["b", "a"])
    assert subscription(["a", "b"]) != subscription(["ab"])
    assert subscription(["a"]) != subscription(["a", "b"])


def test_the_token_of_a_task_continues_after_its_snapshot() -> None:
    token = task_token("a", 17)

    assert resume_position(token, subscription(["a"])) == Position(17, ALL_EVENTS, STEPS_PER_TASK)


def test_a_resume_token_of_another_watch_is_refused() -> None:
    token = task_token("a", 17)

    with pytest.raises(ResumeTokenInvalid, match="other tasks"):
        resume_position(token, subscription(["b"]))


@pytest.mark.parametrize("token", GARBAGE)
def test_a_text_that_is_no_resume_token_is_refused(token: str) -> None:
    with pytest.raises(ResumeTokenInvalid):
        resume_position(token, subscription(["a"]))


@given(st.integers(min_value=0, max_value=2**53), st.text(max_size=128))
def test_a_page_token_leads_back_to_its_entry(create_us: int, task_id: str) -> None:
    token = page_token("list", create_us, task_id)

    assert page_position(token, "list", (int, str)) == (create_us, task_id)
    assert re.fullmatch(r"[A-Za-z0-9_-]+", token)


def test_a_page_token_of_another_list_is_refused() -> None:
    token = page_token("list of FAILED", 1, "a")

    with pytest.raises(PageTokenInvalid, match="another filter"):
        page_position(token, "list of RUNNING", (int, str))


@pytest.mark.parametrize(
    "after",
    [
        pytest.param(("a", 1), id="the other way round"),
        pytest.param((1,), id="too few"),
        pytest.param((1, "a", 2), id="too many"),
        pytest.param((True, "a"), id="a bool is no number"),
    ],
)
def test_a_page_token_with_other_keys_is_refused(after: tuple[int | str, ...]) -> None:
    with pytest.raises(PageTokenInvalid):
        page_position(page_token("list", *after), "list", (int, str))


@pytest.mark.parametrize("token", GARBAGE)
def test_a_text_that_is_no_page_token_is_refused(token: str) -> None:
    with pytest.raises(PageTokenInvalid):
        page_position(token, "list", (int, str))


@given(st.text(max_size=60))
def test_no_text_at_all_breaks_the_reading_of_tokens(token: str) -> None:
    with pytest.raises(PageTokenInvalid):
        page_position(token, "list", (int, str))
    with pytest.raises(ResumeTokenInvalid):
        resume_position(token, subscription(["a"]))


def test_a_list_by_name_goes_on_behind_the_last_name_of_its_page() -> None:
    token = name_token(["a", "b", "c"], 2, "queues")

    assert name_after(token, "queues") == "b"
    assert name_after("", "queues") == ""
    with pytest.raises(PageTokenInvalid):
        name_after(token, "workers")


@pytest.mark.parametrize("count", [3, 4])
def test_the_last_page_has_no_token(count: int) -> None:
    assert name_token(["a", "b", "c"], count, "queues") == ""
