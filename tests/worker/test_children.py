"""Tasks with executor="process": their code runs in child processes of the worker."""

import asyncio
import logging
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from taskline.v1 import task_pb2
from taskline.v1 import task_service_pb2 as pb
from taskline_client import EnqueueOptions, Output, TaskCancelled, TaskFailed
from taskline_service import TaskRegistry
from taskline_service.execution import children
from taskline_service.execution.call import Call, ChildDied
from taskline_service.store import TaskStore
from taskline_service.task import Progress, TaskState
from taskline_service.tasks.subtasks import Answer, Question
from taskline_service.worker import Worker, attempt
from tests.stack import Stack, divided
from tests.store.making import NO_TIME, reclaim
from tests.worker.child_tasks import tasks

LIMIT = timedelta(seconds=30)
TASKS_AT = "tests.worker.child_tasks:tasks"


@pytest.fixture(autouse=True)
def known_types(stack: Stack) -> None:
    stack.tasks.include(tasks)


@pytest.fixture(autouse=True)
def little_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt, "INTERRUPT_GRACE_S", 0.3)


@asynccontextmanager
async def working(stack: Stack, **options: Any) -> AsyncIterator[Worker]:
    async with stack.worker(tasks=tasks, tasks_at=TASKS_AT, **options) as worker:
        yield worker


async def run(stack: Stack, task_type: str, **task_input: Any) -> Any:
    handle = await stack.client.enqueue(task_type, task_input)
    return await handle.result(timeout=LIMIT)


async def begun(stack: Stack, task_id: str) -> None:
    """Until its code has reported something."""
    await stack.until(task_id, lambda task: task.progress.current > 0)


async def gone(pid: int) -> None:
    """Until there is no such process."""
    async with asyncio.timeout(LIMIT.total_seconds()):
        with suppress(ProcessLookupError):
            while True:
                os.kill(pid, 0)
                await asyncio.sleep(0.02)


async def test_plain_and_async_functions_return_what_they_return_elsewhere(stack: Stack) -> None:
    async with working(stack):
        assert await run(stack, "add", a=2, b=3) == 5
        assert await run(stack, "add_async", a=2, b=3) == 5


async def test_one_warm_child_runs_one_task_after_the_other(stack: Stack) -> None:
    async with working(stack):
        pids = {await run(stack, "pid") for _ in range(5)}

    assert len(pids) == 1
    assert os.getpid() not in pids


async def test_tasks_side_by_side_have_a_child_each(stack: Stack, tmp_path: Path) -> None:
    async with working(stack):
        held = await stack.client.enqueue("hold", {"marks": str(tmp_path / "marks")})
        await begun(stack, held.id)
        first = await run(stack, "pid")
        second = await run(stack, "pid")
        await held.cancel()

    assert first == second


async def test_a_child_is_replaced_after_a_number_of_tasks(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(children, "CALLS_PER_CHILD", 2)
    async with working(stack):
        pids = [await run(stack, "pid") for _ in range(4)]

        assert pids[0] == pids[1] != pids[2] == pids[3]
        await gone(pids[0])


async def test_children_end_with_their_worker(stack: Stack) -> None:
    async with working(stack):
        pid = await run(stack, "pid")

    await gone(pid)


async def test_an_idle_child_that_died_is_replaced(stack: Stack) -> None:
    async with working(stack):
        pid = await run(stack, "pid")
        os.kill(pid, 9)
        await gone(pid)

        assert await run(stack, "pid") != pid


@pytest.mark.parametrize("task_type", ["count", "count_async"])
async def test_what_a_task_yields_is_emitted_in_order(stack: Stack, task_type: str) -> None:
    async with working(stack):
        handle = await stack.client.enqueue(task_type)
        outputs = [e.value async for e in handle.watch() if isinstance(e, Output)]
        task = await handle.get()

    assert outputs == [0, 1, 2]
    assert task.progress is not None
    assert task.progress.current == 3


async def test_the_context_is_that_of_the_task_and_its_reports_arrive(
    stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    async with working(stack):
        options = EnqueueOptions(task_id="about", labels={"shop": "7"})
        handle = await stack.client.enqueue("about", options=options)
        about = await handle.result(timeout=LIMIT)
        task = await handle.get()

    assert about == {
        "id": "about",
        "type": "about",
        "attempt": 1,
        "worker": task.worker,
        "labels": {"shop": "7"},
    }
    assert task.progress is not None
    assert task.progress.percentage == 50
    assert task.progress.details == {"large": str(1 << 70)}
    records = {record.name: record for record in caplog.records}
    told = records["taskline.task"]
    assert told.getMessage() == "in the child: ✓"
    assert (told.levelno, told.__dict__["task_id"]) == (logging.WARNING, "about")
    assert "LookupError: cause" in caplog.text


async def test_a_failure_is_told_as_from_anywhere_else(stack: Stack) -> None:
    async with working(stack):
        with pytest.raises(TaskFailed, match="sold out") as failed:
            await run(stack, "fail")
        with pytest.raises(TaskFailed, match="result of type object") as refused:
            await run(stack, "wrong")

    assert failed.value.error.details == {"sku": str(1 << 70)}
    assert "in fail\n" in failed.value.error.traceback
    assert "child_process" not in failed.value.error.traceback
    assert refused.value.error.error_type.name == "SERIALIZATION"


async def test_the_code_of_a_task_is_part_of_the_trace_of_its_attempt(stack: Stack) -> None:
    caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with working(stack):
        request = pb.EnqueueRequest(task_type="trace_id", task_id="t")
        await stack.stub.Enqueue(request, metadata=(("traceparent", caller),))
        seen = await stack.client.handle("t").result(timeout=LIMIT)

    assert seen == "0af7651916cd43dd8448eb211c80319c"


@pytest.mark.parametrize(
    ("how", "told"),
    [
        pytest.param("exit", "ended with exit code 7", id="exit"),
        pytest.param("segfault", "was killed by SIGSEGV", id="segfault"),
    ],
)
async def test_a_task_that_kills_its_child_is_lost_at_once_and_fails_after_three_times(
    stack: Stack, how: str, told: str
) -> None:
    # With this lease, a loss that only the lease tells of would outlast the limit.
    async with working(stack, lease=timedelta(minutes=5)):
        with pytest.raises(TaskFailed, match=told) as failed:
            await run(stack, "die", how=how)
        (task,) = [t async for t in stack.client.list_tasks()]
        assert await run(stack, "add", a=1, b=1) == 2

    assert failed.value.error.error_type.name == "WORKER_LOST"
    assert task.attempts == 3


@pytest.mark.one_partition
async def test_a_loss_is_no_failure_of_the_task(stack: Stack, store: TaskStore) -> None:
    async with working(stack):
        handle = await stack.client.enqueue("die", {"how": "exit"})
        await stack.until(handle.id, lambda task: task.attempts > 1)
        fields = await store.redis.call(
            b"HMGET", store.keys.prefix + b"t:" + handle.id.encode(), b"fl", b"lo"
        )

    assert fields[0] is None
    assert int(fields[1]) >= 1


@pytest.mark.parametrize("task_type", ["hold", "hold_async"])
async def test_a_cancelled_task_is_interrupted_where_it_waits_and_tidies_up(
    stack: Stack, tmp_path: Path, task_type: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt, "INTERRUPT_GRACE_S", 20)  # not by force
    marks = tmp_path / "marks"
    async with working(stack):
        handle = await stack.client.enqueue(task_type, {"marks": str(marks)})
        await begun(stack, handle.id)
        await handle.cancel()
        with pytest.raises(TaskCancelled):
            await handle.result(timeout=LIMIT)

    assert marks.read_text() == "tidied up"


async def test_a_cancelled_task_that_ignores_everything_is_killed(stack: Stack) -> None:
    async with working(stack):
        handle = await stack.client.enqueue("ignore")
        await begun(stack, handle.id)
        await handle.cancel()
        with pytest.raises(TaskCancelled):
            await handle.result(timeout=LIMIT)

        assert (await handle.get()).attempts == 1
        assert await run(stack, "add", a=1, b=1) == 2


async def test_the_timeout_holds_for_code_that_ignores_everything(stack: Stack) -> None:
    async with working(stack, concurrency=1):
        with pytest.raises(TaskFailed, match="longer than its execution_timeout") as failed:
            await run(stack, "ignore_and_time_out")

        assert await run(stack, "add", a=1, b=1) == 2

    assert failed.value.error.error_type.name == "TIMEOUT"


async def test_more_time_can_be_had(stack: Stack) -> None:
    async with working(stack):
        assert await run(stack, "extend") == "had the time"


async def test_a_shutdown_gives_back_even_what_ignores_everything(
    stack: Stack, store: TaskStore
) -> None:
    async with working(stack):
        handle = await stack.client.enqueue("ignore")
        await begun(stack, handle.id)

    task = await store.get(handle.id, full=True)
    assert (task.state, task.error) == (TaskState.QUEUED, None)
    (claim,), *_ = await store.claim(["ignore"], count=1, worker="next", lease=NO_TIME)
    assert (claim.failures, claim.losses) == (0, 0)


async def test_a_task_that_was_lost_once_runs_in_a_child_that_runs_nothing_else(
    stack: Stack, store: TaskStore
) -> None:
    handles = [await stack.client.enqueue("pid_in_worker") for _ in range(2)]
    await store.claim(["pid_in_worker"], count=2, worker="vanishes", lease=NO_TIME)
    await reclaim(store, 2, retry_delay=NO_TIME)

    async with working(stack):
        pids = [await handle.result(timeout=LIMIT) for handle in handles]
        innocent = await run(stack, "pid_in_worker")

    assert innocent == os.getpid()
    assert len({*pids, innocent}) == 3


def test_an_executor_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match="executor must be 'auto' or 'process'"):
        TaskRegistry().task("a", executor="thread")  # type: ignore[arg-type]  # the mistake


async def test_without_the_place_of_the_registry_such_tasks_are_refused(stack: Stack) -> None:
    with pytest.raises(ValueError, match="tasks_at"):
        async with stack.worker(tasks=tasks):
            pass


async def test_a_child_that_cannot_start_fails_the_attempt(stack: Stack) -> None:
    async with stack.worker(tasks=tasks, tasks_at="no_such_module:tasks"):
        handle = await stack.client.enqueue("pid", options=EnqueueOptions(task_id="p"))
        task = await stack.until("p", lambda t: t.state == task_pb2.Task.STATE_RETRYING)
        await handle.cancel()

    assert task.error.error_type == task_pb2.TaskError.TYPE_UNKNOWN
    assert "before it was ready" in task.error.message


async def test_children_are_gone_when_their_worker_is_killed(stack: Stack, redis_url: str) -> None:
    worker = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("taskline"),
        *(
            "worker",
            "--tasks",
            TASKS_AT,
            "--namespace",
            stack.store.keys.namespace,
            *divided(stack.store),
        ),
        env=os.environ | {"TASKLINE_REDIS_URL": redis_url},
        cwd=Path(__file__).parents[2],
    )
    pid = await run(stack, "pid")
    busy = await stack.client.enqueue("ignore")
    await begun(stack, busy.id)

    worker.kill()
    await worker.wait()

    await gone(pid)


async def test_what_still_runs_when_they_are_closed_is_ended(tmp_path: Path) -> None:
    class Begun:
        """Reports of nobody, but for their beginning."""

        def __init__(self) -> None:
            self.progressed = asyncio.Event()

        def begun(self) -> None: ...
        def called(self, call: Callable[[], str]) -> None: ...
        def log(self, message: str, percentage: float | None) -> None: ...
        def output(self, data: bytes) -> None: ...
        async def room(self) -> None: ...
        def extend(self, span: timedelta, *, asked_at: float) -> None: ...
        async def ask(self, question: Question) -> Answer: ...  # type: ignore[empty-body]
        def wait_for(self, awaitable: Awaitable[Any]) -> Any: ...

        def progress(self, progress: Progress) -> None:
            self.progressed.set()

    pool, reports = children.Children(TASKS_AT, trace=dict), Begun()
    call = Call(
        task_id="t",
        task_type="ignore",
        attempt=1,
        worker="w",
        labels={},
        input=b"{}",
        max_result_size=100,
    )
    running = asyncio.create_task(pool.run(call, reports))
    await reports.progressed.wait()

    await pool.close()

    with pytest.raises(ChildDied, match="ended with exit code 1"):
        await running
