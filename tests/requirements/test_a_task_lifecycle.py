"""A1-A6, A10-A24: what a task goes through, and what its author has to do for that (nothing)."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import grpc
import pytest
from google.protobuf import json_format
from google.rpc import error_details_pb2, status_pb2
from pydantic import BaseModel, Field

import taskline.v1
from taskline.v1 import task_pb2 as pb
from taskline.v1 import task_service_pb2 as service
from taskline_service import TaskContext, TaskRegistry
from taskline_service.ids import new_id
from taskline_service.store.values import Completion, NewTask, Verdict
from taskline_service.task import EDGES, TaskSpec, TaskState
from tests.requirements.every_state import one_task_in_each_state
from tests.requirements.wire import (
    State,
    enqueue,
    get_result,
    get_task,
    listed,
    result_within,
    states_told,
    whole_life,
)
from tests.stack import Stack

SOON = timedelta(milliseconds=1)
A_MINUTE = timedelta(minutes=1)


class Report(BaseModel):
    """What A12-A14 ask for in a typed context."""

    title: Annotated[str, Field(min_length=1)]
    pages: Annotated[int, Field(ge=1, le=100)] = 3
    tags: list[str] = Field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Score:
    score: float


def refused_fields(error: grpc.aio.AioRpcError) -> list[str]:
    """The fields that an INVALID_ARGUMENT names."""
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    metadata = dict(error.trailing_metadata() or ())
    status = status_pb2.Status.FromString(metadata["grpc-status-details-bin"])
    bad = error_details_pb2.BadRequest()
    assert any(detail.Unpack(bad) for detail in status.details)
    return [violation.field for violation in bad.field_violations]


# A1-A6: states


async def test_a1_every_state_is_reached_by_legal_moves_only(stack: Stack) -> None:
    @stack.tasks.task("act", max_attempts=2, initial_backoff=SOON)
    async def act(how: str, ctx: TaskContext) -> None:
        if how == "fail" or (how == "retry" and ctx.attempt == 1):
            raise ValueError(how)
        if how == "cancel":
            await asyncio.Event().wait()

    tasks = [await enqueue(stack, "act", delay=SOON, how=h) for h in ("go", "retry", "fail")]
    stopped = await enqueue(stack, "act", how="cancel")
    async with stack.worker():
        await stack.until(stopped.id, lambda task: task.state == State.STATE_RUNNING)
        await stack.stub.CancelTask(service.CancelTaskRequest(task_id=stopped.id))
        lives = [
            [task.state, *states_told(await whole_life(stack, task.id, task.resume_token))]
            for task in (*tasks, stopped)
        ]

    steps = {
        (TaskState(State.Name(a)[6:]), TaskState(State.Name(b)[6:]))
        for life in lives
        for a, b in pairwise(life)
    }
    assert [life[-1] for life in lives] == [
        State.STATE_COMPLETED,
        State.STATE_COMPLETED,
        State.STATE_FAILED,
        State.STATE_CANCELLED,
    ]
    assert {state for step in steps for state in step} == set(TaskState)
    assert [step for step in steps if step[1] not in EDGES[step[0]]] == []


async def test_a1_what_ended_stays_as_it_ended(stack: Stack) -> None:
    async with one_task_in_each_state(stack) as ids:
        ended = [State.STATE_COMPLETED, State.STATE_FAILED, State.STATE_CANCELLED]
        before = [await get_task(stack, ids[state]) for state in ended]
        for state in ended:
            await stack.stub.CancelTask(service.CancelTaskRequest(task_id=ids[state]))

        assert [await get_task(stack, ids[state]) for state in ended] == before


async def test_a2_a_task_is_known_and_waiting_or_neither_also_when_connections_break(
    stack: Stack,
) -> None:
    @stack.tasks.task("work")
    async def work() -> None: ...

    async def cut() -> None:
        await stack.store.redis.call(b"CLIENT", b"KILL", b"TYPE", b"normal", b"SKIPME", b"no")

    enqueuing = [enqueue(stack, "work") for _ in range(100)]
    await asyncio.gather(*enqueuing, cut(), return_exceptions=True)

    known = {task.id for task in await listed(stack)}
    waiting = set[str]()
    while claims := (await stack.store.claim(["work"], count=100, worker="w", lease=A_MINUTE))[0]:
        waiting |= {claim.task_id for claim in claims}
    assert waiting == known != set()


@pytest.mark.parametrize("kind", ["coroutine", "plain function"])
async def test_a3_a_task_is_running_before_the_first_line_of_its_function(
    stack: Stack, kind: str
) -> None:
    def look(task_id: str) -> str:
        with grpc.insecure_channel(stack.address) as channel:
            get = channel.unary_unary(
                "/taskline.v1.TaskService/GetTask",
                request_serializer=service.GetTaskRequest.SerializeToString,
                response_deserializer=service.GetTaskResponse.FromString,
            )
            return State.Name(get(service.GetTaskRequest(task_id=task_id)).task.state)

    if kind == "coroutine":

        @stack.tasks.task("look")
        async def look_async(ctx: TaskContext) -> str:
            return await asyncio.to_thread(look, ctx.task_id)

    else:

        @stack.tasks.task("look")
        def look_plain(ctx: TaskContext) -> str:
            return look(ctx.task_id)

    async with stack.worker():
        answer = await result_within(stack, (await enqueue(stack, "look")).id)

    assert answer.result.json.string_value == "STATE_RUNNING"


async def test_a4_progress_is_taken_only_while_the_task_runs(stack: Stack) -> None:
    kept = list[TaskContext]()

    @stack.tasks.task("leaves.its.context")
    async def leaves_its_context(ctx: TaskContext) -> None:
        kept.append(ctx)
        await ctx.progress.set_message("in time")

    async with stack.worker():
        first = (await result_within(stack, (await enqueue(stack, "leaves.its.context")).id)).task
        await kept[0].progress.set_message("too late")
        # What a later task reports is written behind it.
        second = (await result_within(stack, (await enqueue(stack, "leaves.its.context")).id)).task

    assert second.progress.message == "in time"
    now = await get_task(stack, first.id)
    assert (now.progress, now.update_time) == (first.progress, first.update_time)
    assert now.progress.message == "in time"


async def test_a5_a22_no_one_ever_sees_an_end_without_its_outcome(stack: Stack) -> None:
    @stack.tasks.task("number")
    async def number(n: int) -> int:
        if n % 5 == 4:
            raise ValueError(n)
        return n

    ids = [
        (
            await stack.stub.Enqueue(
                service.EnqueueRequest(
                    task_type="number",
                    input=pb.Payload(json_bytes=b'{"n": %d}' % n),
                    retry_policy=pb.RetryPolicy(max_attempts=1),
                )
            )
        ).task.id
        for n in range(40)
    ]
    outcomes = dict[str, str | None]()
    async with stack.worker(concurrency=3):
        while len(outcomes) < len(ids):
            for task_id in ids:
                answer = await get_result(stack, task_id)
                if answer.task.state not in (State.STATE_QUEUED, State.STATE_RUNNING):
                    outcomes.setdefault(task_id, answer.WhichOneof("outcome"))

    assert [outcomes[task_id] for task_id in ids] == [
        "error" if n % 5 == 4 else "result" for n in range(40)
    ]


async def test_a5_the_event_of_the_end_has_the_outcome_with_it(stack: Stack) -> None:
    @stack.tasks.task("answer")
    async def answer() -> int:
        return 42

    task = await enqueue(stack, "answer")
    async with stack.worker():
        events = await whole_life(stack, task.id)

    assert events[-1].ended.state == State.STATE_COMPLETED
    assert events[-1].ended.result.json.number_value == 42


async def test_a6_a_worker_goes_on_after_a_task_that_raises(stack: Stack) -> None:
    raised = [ValueError("no good"), SystemExit(3), KeyboardInterrupt(), RecursionError()]

    @stack.tasks.task("raises", max_attempts=1)
    async def raises(n: int) -> None:
        raise raised[n]

    @stack.tasks.task("answer")
    async def answer() -> int:
        return 42

    broken = [await enqueue(stack, "raises", n=n) for n in range(len(raised))]
    good = await enqueue(stack, "answer")
    async with stack.worker(concurrency=1):
        failures = [(await result_within(stack, task.id)) for task in broken]
        success = await result_within(stack, good.id)

    assert [f.error.exception_class for f in failures] == [
        f"builtins.{type(error).__name__}" for error in raised
    ]
    assert success.task.state == State.STATE_COMPLETED
    assert {answer.task.worker for answer in failures} == {success.task.worker}


# A10-A14: what the author writes


async def test_a10_a_task_is_known_by_its_explicit_name(stack: Stack) -> None:
    @stack.tasks.task("reports.build")
    async def some_other_name() -> str:
        return "built"

    async with stack.worker():
        answer = await result_within(stack, (await enqueue(stack, "reports.build")).id)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await enqueue(stack, "some_other_name")

    assert answer.result.json.string_value == "built"
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a11_a_function_gets_its_task_and_a_typed_input_and_may_return_nothing(
    stack: Stack,
) -> None:
    got = list[object]()

    @stack.tasks.task("build")
    async def build(report: Report, ctx: TaskContext) -> None:
        got.extend([report, ctx.task_id, ctx.task_type, ctx.attempt])

    async with stack.worker():
        task = await enqueue(stack, "build", title="Q3", tags=["a"])
        answer = await result_within(stack, task.id)

    assert got == [Report(title="Q3", pages=3, tags=["a"]), task.id, "build", 1]
    assert json_format.MessageToDict(answer.result) == {"json": None}


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        pytest.param({}, ["input.title"], id="missing"),
        pytest.param({"title": ""}, ["input.title"], id="too short"),
        pytest.param({"title": 7}, ["input.title"], id="wrong type"),
        pytest.param({"title": "x", "tags": ["a", 1]}, ["input.tags[1]"], id="inside a list"),
        pytest.param({"title": "x", "pages": 0}, ["input.pages"], id="too small"),
        pytest.param({"title": "", "pages": 101}, ["input.title", "input.pages"], id="two at once"),
    ],
)
async def test_a12_a13_d51_a_wrong_input_is_refused_at_enqueue_field_by_field(
    stack: Stack, arguments: dict[str, Any], wrong: list[str]
) -> None:
    @stack.tasks.task("build")
    async def build(report: Report) -> None: ...

    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await enqueue(stack, "build", **arguments)

    assert sorted(refused_fields(refused.value)) == sorted(wrong)
    assert await listed(stack) == []


async def test_a12_an_input_is_checked_again_before_execution(stack: Stack) -> None:
    ran = list[str]()

    @stack.tasks.task("build")
    async def as_the_server_knows_it(title: str | int) -> None: ...

    newer = TaskRegistry()

    @newer.task("build")
    async def as_the_worker_knows_it(title: int) -> None:
        ran.append("should not")

    async with stack.worker(tasks=newer):
        answer = await result_within(stack, (await enqueue(stack, "build", title="text")).id)

    assert answer.error.error_type == pb.TaskError.TYPE_SERIALIZATION
    assert "title" in answer.error.message
    assert (answer.task.state, answer.task.attempts) == (State.STATE_FAILED, 1)
    assert ran == []


async def test_a13_defaults_are_filled_in(stack: Stack) -> None:
    @stack.tasks.task("model")
    async def model(report: Report) -> Report:
        return report

    @stack.tasks.task("parameters")
    async def parameters(title: str, *, pages: int = 7, tags: tuple[str, ...] = ("x",)) -> Any:
        return [title, pages, tags]

    async with stack.worker():
        by_model = await result_within(stack, (await enqueue(stack, "model", title="a")).id)
        by_name = await result_within(stack, (await enqueue(stack, "parameters", title="a")).id)

    assert json_format.MessageToDict(by_model.result.json) == {
        "title": "a",
        "pages": 3,
        "tags": [],
    }
    assert json_format.MessageToDict(by_name.result) == {"json": ["a", 7, ["x"]]}


async def test_a14_task_types_tell_their_schema_and_packages_their_types(stack: Stack) -> None:
    @stack.tasks.task("build", queue="reports")
    async def build(report: Report) -> Score:
        """Build a report."""
        return Score(1.0)

    listing = await stack.stub.ListTaskTypes(service.ListTaskTypesRequest())
    described = (await stack.stub.GetTaskType(service.GetTaskTypeRequest(name="build"))).task_type

    assert [(t.name, t.queue, t.description) for t in listing.task_types] == [
        ("build", "reports", "Build a report.")
    ]
    schema = json_format.MessageToDict(described.input_schema)
    assert schema["required"] == ["title"]
    assert schema["properties"]["title"]["minLength"] == 1
    assert schema["properties"]["pages"]["default"] == 3
    output = json_format.MessageToDict(described.output_schema)
    assert output["properties"]["score"]["type"] == "number"
    stubs = Path(taskline.v1.__path__[0])
    assert (stubs / "task_service_pb2.pyi").exists()
    assert (stubs / "task_service_pb2_grpc.pyi").exists()
    assert (stubs.parent / "py.typed").exists()


# A15-A18: order


async def executed(stack: Stack, *requests: service.EnqueueRequest) -> list[str]:
    """The names of tasks of type "note" in the order in which one slot executed them."""
    order = list[str]()

    @stack.tasks.task("note")
    async def note(name: str) -> None:
        order.append(name)

    ids = [(await stack.stub.Enqueue(request)).task.id for request in requests]
    async with stack.worker(concurrency=1):
        for task_id in ids:
            await result_within(stack, task_id)
    return order


def note(name: str, *, priority: int = 0, queue: str = "") -> service.EnqueueRequest:
    input_ = pb.Payload(json_bytes=b'{"name": "%s"}' % name.encode())
    return service.EnqueueRequest(task_type="note", priority=priority, queue=queue, input=input_)


@pytest.mark.one_partition
async def test_a15_the_default_priority_is_the_lowest(stack: Stack) -> None:
    order = await executed(stack, note("default"), note("one", priority=1), note("0", priority=0))

    assert order == ["one", "default", "0"]
    assert {task.priority for task in await listed(stack)} == {0, 1}


@pytest.mark.one_partition
async def test_a16_a_high_priority_overtakes_all_waiting_low_ones(stack: Stack) -> None:
    low = [f"low-{i}" for i in range(20)]

    order = await executed(stack, *map(note, low), note("high", priority=9))

    assert order == ["high", *low]


@pytest.mark.one_partition
@pytest.mark.parametrize("priority", [0, 9])
async def test_a17_tasks_of_one_priority_run_in_the_order_of_their_coming(
    stack: Stack, priority: int
) -> None:
    names = [f"{i * 7 % 30}" for i in range(30)]
    queues = ["x", "y", ""]

    order = await executed(
        stack,
        *(note(n, priority=priority, queue=queues[i % 3]) for i, n in enumerate(names)),
    )

    assert order == names


async def test_a18_workers_choose_the_queues_that_tasks_were_sent_to(stack: Stack) -> None:
    @stack.tasks.task("note", queue="usual")
    async def take(name: str, ctx: TaskContext) -> str:
        return ctx.worker

    special = (await stack.stub.Enqueue(note("a", queue="special"))).task
    usual = (await stack.stub.Enqueue(note("b"))).task
    async with stack.worker(queues=["special"]):
        first = await result_within(stack, special.id)
        assert await stack.state(usual.id) == State.STATE_QUEUED
    async with stack.worker(queues=["usual", "other"]):
        second = await result_within(stack, usual.id)

    assert (first.task.queue, second.task.queue) == ("special", "usual")
    assert first.result.json.string_value != second.result.json.string_value


# A19-A24: from enqueue to outcome


async def test_a19_enqueue_answers_with_id_and_type_and_full_views_with_the_input(
    stack: Stack,
) -> None:
    @stack.tasks.task("build")
    async def build(report: Report) -> None: ...

    task = await enqueue(stack, "build", title="Q3", tags=["ä"])

    assert task.id
    assert (task.task_type, task.state) == ("build", State.STATE_QUEUED)
    assert not task.HasField("input")
    full = await get_task(stack, task.id)
    assert json_format.MessageToDict(full.input.json) == {"title": "Q3", "tags": ["ä"]}


async def test_a9_a20_a_task_is_not_lost_with_the_worker_that_took_it(stack: Stack) -> None:
    @stack.tasks.task("answer")
    async def answer(ctx: TaskContext) -> int:
        return ctx.attempt

    task = await enqueue(stack, "answer")
    (dead,), *_ = await stack.store.claim(["answer"], count=1, worker="vanishes", lease=SOON)
    async with stack.worker():
        outcome = await result_within(stack, task.id)

    assert outcome.result.json.number_value == outcome.task.attempts == 2
    assert await stack.store.complete([Completion(dead, b'"from the grave"')]) == [Verdict.LOST]
    assert (await get_result(stack, task.id)).result == outcome.result
    first, _ = (await get_task(stack, task.id)).attempt_history
    assert (first.worker, first.error.error_type) == ("vanishes", pb.TaskError.TYPE_WORKER_LOST)


@pytest.mark.parametrize(
    "undecodable",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b'{"n": 1', id="cut off"),
        pytest.param(b'{"n": "\xff"}', id="not UTF-8"),
        pytest.param(b"[" * 100_000, id="very deep"),
        pytest.param(b"[1]", id="not an object"),
    ],
)
async def test_a21_o27_an_input_that_cannot_be_read_fails_its_task_and_not_the_worker(
    stack: Stack, undecodable: bytes
) -> None:
    @stack.tasks.task("double")
    async def double(n: int) -> int:
        return 2 * n

    # No server lets such an input in; an older one, or a damaged store, may have.
    spec = TaskSpec(
        id="damaged", uid=new_id(), task_type="double", queue="default", input=undecodable
    )
    await stack.store.enqueue([NewTask(spec=spec)])
    good = await enqueue(stack, "double", n=21)
    async with stack.worker(concurrency=1):
        damaged = await result_within(stack, "damaged")
        fine = await result_within(stack, good.id)

    assert damaged.error.error_type == pb.TaskError.TYPE_SERIALIZATION
    assert damaged.task.attempts == 1
    assert fine.result.json.number_value == 42
    assert fine.task.worker == damaged.task.worker


async def test_a23_a_result_of_none_ends_every_wait_at_once(stack: Stack) -> None:
    let_go = asyncio.Event()

    @stack.tasks.task("nothing")
    async def nothing() -> None:
        await let_go.wait()

    task = await enqueue(stack, "nothing")
    waits = [
        asyncio.create_task(result_within(stack, task.id, timedelta(seconds=50))) for _ in range(10)
    ]
    async with stack.worker():
        await stack.until(task.id, lambda task: task.state == State.STATE_RUNNING)
        assert not any(wait.done() for wait in waits)
        let_go.set()
        async with asyncio.timeout(10):
            answers = await asyncio.gather(*waits)

    for answer in answers:
        assert not answer.wait_timed_out
        assert answer.WhichOneof("outcome") == "result"
        assert json_format.MessageToDict(answer.result) == {"json": None}
    assert await stack.client.handle(task.id).result() is None


async def test_a24_the_life_of_a_task_needs_no_call_from_its_code(stack: Stack) -> None:
    @stack.tasks.task("unaware", initial_backoff=SOON)
    async def unaware(*, failures: list[int] = []) -> str:  # noqa: B006  # what it remembers
        failures.append(1)
        if len(failures) == 1:
            raise ConnectionError("not yet")
        return "done"

    task = await enqueue(stack, "unaware")
    async with stack.worker():
        events = await whole_life(stack, task.id, task.resume_token)

    assert states_told(events) == [
        State.STATE_RUNNING,
        State.STATE_RETRYING,
        State.STATE_QUEUED,
        State.STATE_RUNNING,
        State.STATE_COMPLETED,
    ]
