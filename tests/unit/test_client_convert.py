"""Enum maps are total, and values cross in both directions."""

from taskline.v1 import task_pb2 as pb
from taskline.v1 import task_service_pb2 as service
from taskline_client import ConflictPolicy, ErrorType, TaskState
from taskline_client._convert import ERROR_TYPES, STATES, task_from
from taskline_client._requests import CONFLICT_POLICIES, state_number


def test_every_state_of_the_contract_has_a_name() -> None:
    assert set(STATES) == set(pb.Task.State.values())
    assert set(STATES.values()) == set(TaskState)


def test_every_error_type_of_the_contract_has_a_name() -> None:
    assert set(ERROR_TYPES) == set(pb.TaskError.Type.values())
    assert set(ERROR_TYPES.values()) == set(ErrorType)


def test_every_conflict_policy_of_the_contract_can_be_asked_for() -> None:
    unspecified = {service.CONFLICT_POLICY_UNSPECIFIED}
    assert set(CONFLICT_POLICIES) == set(ConflictPolicy)
    assert set(CONFLICT_POLICIES.values()) == set(service.ConflictPolicy.values()) - unspecified


def test_states_go_there_and_back() -> None:
    for state in set(TaskState) - {TaskState.UNKNOWN}:
        assert STATES[state_number(state)] is state


def test_an_empty_task_converts() -> None:
    task = task_from(pb.Task())

    assert task.state is TaskState.UNKNOWN
    assert task.create_time is None and task.error is None and task.input is None
