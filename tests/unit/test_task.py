"""The table of moves, and what a task says about itself."""

import re
from pathlib import Path

import pytest

from taskline_service.task import EDGES, TERMINAL_STATES, Progress, TaskState

PROTO = Path(__file__).parents[2] / "protos" / "taskline" / "v1" / "task.proto"


def test_every_state_has_its_moves() -> None:
    assert set(EDGES) == set(TaskState)
    assert set().union(*EDGES.values()) <= set(TaskState)


def test_only_a_retry_leads_out_of_a_terminal_state() -> None:
    assert {state for state in TaskState if EDGES[state] == {TaskState.QUEUED}} >= TERMINAL_STATES
    assert {state for state in TaskState if state.terminal} == TERMINAL_STATES


def test_every_state_can_be_reached() -> None:
    reached = {TaskState.SCHEDULED, TaskState.QUEUED}
    while more := set().union(*(EDGES[state] for state in reached)) - reached:
        reached |= more

    assert reached == set(TaskState)


def test_every_task_can_end_and_be_cancelled() -> None:
    for state in set(TaskState) - TERMINAL_STATES:
        assert TaskState.CANCELLED in EDGES[state]


def test_only_a_running_task_completes_or_is_tried_again() -> None:
    for target in (TaskState.COMPLETED, TaskState.RETRYING):
        assert [state for state in TaskState if target in EDGES[state]] == [TaskState.RUNNING]


def test_a_task_runs_only_from_its_queue() -> None:
    assert [s for s in TaskState if TaskState.RUNNING in EDGES[s]] == [TaskState.QUEUED]


def test_the_contract_has_the_same_states() -> None:
    names = re.findall(r"STATE_(\w+) = [1-9]", PROTO.read_text("utf-8"))

    assert names == [state.value for state in TaskState]


@pytest.mark.parametrize(
    ("current", "total", "percentage"),
    [
        pytest.param(0, None, 0.0, id="total unknown"),
        pytest.param(5, None, 0.0, id="some of an unknown total"),
        pytest.param(0, 10, 0.0, id="nothing yet"),
        pytest.param(1, 3, 33.33, id="two decimals"),
        pytest.param(2, 3, 66.67, id="rounded"),
        pytest.param(10, 10, 100.0, id="all"),
        pytest.param(0.5, 2.0, 25.0, id="fractions"),
    ],
)
def test_the_percentage_is_of_the_total(
    current: float, total: float | None, percentage: float
) -> None:
    assert Progress(current=current, total=total).percentage == percentage
