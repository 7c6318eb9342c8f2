"""Taskline in half a minute: real tasks, enqueued, executed, followed live and answered.

`make demo`, or `python -m examples.demo` in the root of the repository. If anything is
not as it should be, it says so, shows the service's log and exits with 1.
"""

import asyncio
import sys
import sysconfig
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta
from pathlib import Path

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from examples.screen import Screen
from examples.serving import ServiceFailed, taskline_serve
from examples.spans import BrokenTrace, SpanCollector, tree_of
from taskline_client import (
    Ended,
    EnqueueRequest,
    ProgressReported,
    Snapshot,
    StateChanged,
    Task,
    TaskClient,
    TaskFailed,
    TaskFilter,
    TaskHandle,
    TasklineError,
    TaskState,
)

LIBRARY = Path(sysconfig.get_path("stdlib"))
MOST_FILES = 5000
FAILURES = 2
TIMEOUT = timedelta(seconds=30)
# The service sends its spans this often (milliseconds), so that nobody has to wait for them.
SPAN_DELAY_MS = "100"
LOG_LINES = 30

NEXT = (
    ".venv/bin/taskline types",
    ".venv/bin/taskline run text.count_words path=README.md top=3",
    ".venv/bin/taskline list",
    "",
    "grpcurl -plaintext 127.0.0.1:50051 describe taskline.v1.TaskService.Enqueue",
    """grpcurl -plaintext -d '{"enqueue": {"task_type": "text.count_words",""",
    """  "input": {"json": {"path": "README.md", "top": 3}}}}' \\""",
    "  127.0.0.1:50051 taskline.v1.TaskService/Run",
)


class NotAsShown(Exception):
    """The service answered, and not what the demo promises."""


def expect(true: bool, what: str) -> None:
    """The demo shows nothing that it has not checked."""
    if not true:
        raise NotAsShown(what)


def modules() -> list[Path]:
    """Python's own modules, the topmost ones."""
    return sorted(LIBRARY.glob("*.py"))


async def hash_files(client: TaskClient, screen: Screen) -> None:
    """One long task, followed live."""
    screen.chapter(f"Hash up to {MOST_FILES:,} files of Python's own library: one task, live")
    handle = await client.enqueue(
        "files.hash_tree",
        root=str(LIBRARY),
        pattern="*",
        skip=["site-packages", "dist-packages"],
        limit=MOST_FILES,
    )
    with screen.bar("files") as advance:
        async with aclosing(handle.watch()) as events:
            async for event in events:
                if isinstance(event, ProgressReported):
                    progress = event.progress
                    advance(progress.current, progress.total, progress.message)
    digest = await handle.result()
    last = (await handle.get()).progress
    expect(digest["files"] > 0, f"files.hash_tree found no file in {LIBRARY}")
    expect(last is not None and last.current == digest["files"], "the last progress is missing")
    megabytes = digest["bytes"] / 1e6
    screen.say(f"{digest['files']:,} files, {megabytes:.1f} MB, SHA-256 {digest['sha256'][:32]}…")


async def count_words(client: TaskClient, screen: Screen) -> None:
    """Many short tasks, handed over in one call and followed by one watch."""
    paths = modules()
    screen.chapter(f"Count the words of {len(paths)} modules: {len(paths)} tasks in one call")
    began = time.monotonic()
    handles = await client.enqueue_many(
        EnqueueRequest("text.count_words", {"path": str(path)}) for path in paths
    )
    counts = []
    with screen.bar("tasks") as advance:
        async with aclosing(client.watch(*(handle.id for handle in handles))) as events:
            async for event in events:
                if isinstance(event, Ended):
                    expect(event.state is TaskState.COMPLETED, f"{event.task_id}: {event.error}")
                    counts.append(event.result)
                    advance(len(counts), len(handles), Path(event.result["path"]).name)
    took = time.monotonic() - began
    expect(len(counts) == len(handles) > 0, "not every task ended exactly once")
    longest = max(counts, key=lambda count: int(count["words"]))
    words = sum(count["words"] for count in counts)
    screen.say(f"{words:,} words in {took:.1f} s; most of them in {Path(longest['path']).name}:")
    top = list(longest["most_frequent"].items())[:5]
    screen.say(", ".join(f"{word!r} {times:,} times" for word, times in top))


async def retry(client: TaskClient, screen: Screen) -> TaskHandle[str]:
    """A task that fails, and is tried again."""
    screen.chapter("A task that fails twice, is tried again by itself, and succeeds")
    handle = await client.enqueue("demo.flaky", failures=FAILURES)
    async with aclosing(handle.watch()) as events:
        async for event in events:
            match event:
                case Snapshot(task=Task(error=error, attempts=attempts)) if error:
                    screen.state(TaskState.RETRYING, f"attempt {attempts}: {error.message}")
                case StateChanged(state=TaskState.RETRYING, error=error) if error:
                    screen.state(event.state, f"attempt {event.attempts}: {error.message}")
                case Ended():
                    screen.state(event.state, f"attempt {event.attempts}: {event.result}")
    task = await handle.get()
    errors = [attempt.error for attempt in task.attempt_history]
    expect(task.state is TaskState.COMPLETED, f"demo.flaky is {task.state}")
    expect(len(list(filter(None, errors))) == FAILURES, f"demo.flaky's failures were {errors}")
    return handle


async def fail(client: TaskClient, screen: Screen) -> None:
    """A task that cannot succeed, and what its caller gets."""
    screen.chapter("A task that fails for good, and what its caller gets")
    handle = await client.enqueue("demo.divide", dividend=1, divisor=0)
    try:
        await handle.result(timeout=TIMEOUT)
    except TaskFailed as failed:
        error = failed.error
        expect(error.exception_class == "builtins.ZeroDivisionError", f"unexpected: {error}")
        kind = error.exception_class.removeprefix("builtins.")
        screen.state(TaskState.FAILED, f"{kind}: {error.message}")
        for line in error.traceback.rstrip().splitlines()[-3:]:
            screen.say(line, style="dim")
    else:
        raise NotAsShown("demo.divide did not fail")


async def list_tasks(client: TaskClient, screen: Screen) -> None:
    """What has become of all tasks."""
    screen.chapter("All tasks by state, and the newest of them")
    for state in (TaskState.COMPLETED, TaskState.FAILED):
        page = await client.list_page(TaskFilter(states=[state]), page_size=1)
        expect(bool(page.total_size), f"no task is {state}")
        screen.state(state, f"{page.total_size:,}")
    screen.gap()
    screen.tasks((await client.list_page(page_size=5)).tasks)


async def show_trace(
    client: TaskClient, handle: TaskHandle[str], collector: SpanCollector, screen: Screen
) -> None:
    """Where the time of the retried task went: three processes, one trace."""
    task = await handle.get()
    screen.chapter("The life of the retried task as one OpenTelemetry trace")
    expect(bool(task.trace_id), "the task has no trace")
    # Of the client's call, the server's, what put it into the queue, and every attempt.
    kinds = ["client", "server", "producer", *["consumer"] * task.attempts]
    async with asyncio.timeout(TIMEOUT.total_seconds()):
        spans = await collector.trace(task.trace_id, spans=len(kinds))
    tree = tree_of(spans)
    expect([span.kind for _, span in tree] == kinds, "these are not the spans of one task")
    screen.spans(tree)
    screen.say(f"trace {task.trace_id}: client, server and workers", style="dim")


def say_goodbye(screen: Screen) -> None:
    """What to try next."""
    screen.say("Now you: `make run` in one terminal, and in another one")
    screen.gap()
    screen.code(*NEXT)


async def tell(screen: Screen, folder: Path) -> None:
    """The whole story."""
    async with SpanCollector.running() as collector, traced(collector) as provider:
        telemetry = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_BSP_SCHEDULE_DELAY": SPAN_DELAY_MS,
        }
        screen.chapter("Start the service, with a store of its own and two worker processes")
        screen.code("taskline serve --tasks examples.tasks:tasks --workers 2")
        began = time.monotonic()
        async with (
            taskline_serve(folder, workers=2, environment=telemetry) as address,
            TaskClient(address) as client,
        ):
            store = (await client.server_info()).store_version
            took = time.monotonic() - began
            screen.say(f"serving on {address} after {took:.1f} s; the store is {store}")
            await hash_files(client, screen)
            await count_words(client, screen)
            retried = await retry(client, screen)
            await fail(client, screen)
            await list_tasks(client, screen)
            await asyncio.to_thread(provider.force_flush)
            await show_trace(client, retried, collector, screen)
        took = time.monotonic() - began
        screen.chapter(f"The service has ended in order; all this took {took:.1f} s")
    say_goodbye(screen)


@asynccontextmanager
async def traced(collector: SpanCollector) -> AsyncIterator[TracerProvider]:
    """This process's own spans go to the collector as well: those of the client."""
    provider = TracerProvider(resource=Resource.create({"service.name": "demo"}))
    exporter = OTLPSpanExporter(endpoint=collector.endpoint, insecure=True)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    try:
        yield provider
    finally:
        await asyncio.to_thread(provider.shutdown)


def main() -> int:
    """Tell the story; returns the exit code."""
    screen = Screen()
    with tempfile.TemporaryDirectory(prefix="taskline-demo-") as folder:
        log = Path(folder) / "service.log"
        try:
            asyncio.run(tell(screen, Path(folder)))
        except (NotAsShown, ServiceFailed, BrokenTrace, TasklineError, TimeoutError) as error:
            lines = log.read_text("utf-8", "replace").splitlines() if log.exists() else []
            screen.failed(str(error) or type(error).__name__, "\n".join(lines[-LOG_LINES:]))
            return 1
        except KeyboardInterrupt:
            return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
