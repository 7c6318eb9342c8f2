"""Names that are made to do harm, in every field that takes a text."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from taskline.v1 import admin_service_pb2 as admin_pb
from taskline.v1 import task_service_pb2 as pb
from taskline_client import EnqueueOptions, TaskFilter, TaskHandle
from tests.census import all_keys
from tests.stack import Stack

HOSTILE = {
    "a hash tag": "{x}:",
    "a pattern": "*",
    "two lines": "a\nb",
    "NUL": "a\0b",
    "a path": "../a",
    "10,000 characters": "x" * 10_000,
    "its twin in another form": "\uff41",
    "turned around": "a\u202eb",
    "a space": "a b",
    "an escape": "\x1b[31m",
}

# What each method needs to be asked at all.
REQUESTS: dict[str, Message] = {
    "Enqueue": pb.EnqueueRequest(task_type="work"),
    "BatchEnqueue": pb.BatchEnqueueRequest(requests=[pb.EnqueueRequest(task_type="work")]),
    "Run": pb.RunRequest(enqueue=pb.EnqueueRequest(task_type="work")),
    "GetTask": pb.GetTaskRequest(task_id="t"),
    "GetResult": pb.GetResultRequest(task_id="t"),
    "DownloadResult": pb.DownloadResultRequest(task_id="t"),
    "Watch": pb.WatchRequest(),
    "ListTaskEvents": pb.ListTaskEventsRequest(task_id="t"),
    "ListTasks": pb.ListTasksRequest(),
    "GetStats": pb.GetStatsRequest(),
    "CancelTask": pb.CancelTaskRequest(task_id="t"),
    "ListTaskTypes": pb.ListTaskTypesRequest(),
    "GetTaskType": pb.GetTaskTypeRequest(name="work"),
    "GetServerInfo": admin_pb.GetServerInfoRequest(),
    "ListQueues": admin_pb.ListQueuesRequest(),
    "ListWorkers": admin_pb.ListWorkersRequest(),
    "PauseQueue": admin_pb.PauseQueueRequest(queue="q"),
    "ResumeQueue": admin_pb.ResumeQueueRequest(queue="q"),
    "RetryTask": admin_pb.RetryTaskRequest(task_id="t"),
    "DeleteTask": admin_pb.DeleteTaskRequest(task_id="t"),
    "CancelTasks": admin_pb.CancelTasksRequest(filter=pb.TaskFilter()),
    "RetryTasks": admin_pb.RetryTasksRequest(filter=pb.TaskFilter()),
    "DeleteTasks": admin_pb.DeleteTasksRequest(filter=pb.TaskFilter()),
}
# A key of a label may have dots and slashes.
ALLOWED = {("labels", "a path")}
# Free text: any characters, only so many.
FREE = {"reason", "value of labels"}
# Tokens have an error of their own.
TOKENS = {"page_token", "resume_token"}


@dataclass(frozen=True, slots=True)
class TextField:
    """A place in a request where a text goes."""

    method: str
    parts: tuple[str, ...]
    of_map: str = ""  # "key" or "value"

    def __str__(self) -> str:
        return f"{self.method}:{'.'.join(self.parts)}{self.of_map and ' ' + self.of_map}"

    @property
    def kind(self) -> str:
        return f"value of {self.parts[-1]}" if self.of_map == "value" else self.parts[-1]

    @property
    def required(self) -> bool:
        """Whether the method cannot be asked without it."""
        asked: Any = REQUESTS[self.method]
        for part in self.parts[:-1]:
            asked = getattr(asked, part)
            asked = asked[0] if part == "requests" else asked
        return isinstance(value := getattr(asked, self.kind, None), str) and value != ""

    def request(self, text: str) -> Message:
        """The request of this method, with this text there."""
        request: Any = type(REQUESTS[self.method])()
        request.CopyFrom(REQUESTS[self.method])
        *above, name = self.parts
        holder = request
        for part in above:
            holder = getattr(holder, part)
            holder = holder[0] if part == "requests" else holder
        if self.of_map:
            key, value = (text, "v") if self.of_map == "key" else ("k", text)
            getattr(holder, name)[key] = value
        elif holder.DESCRIPTOR.fields_by_name[name].is_repeated:
            getattr(holder, name).append(text)
        else:
            setattr(holder, name, text)
        return request  # type: ignore[no-any-return]


def texts_of(method: str, kind: Any, above: tuple[str, ...] = ()) -> Iterator[TextField]:
    for field in kind.fields:
        here = (*above, field.name)
        if field.message_type is None:
            if field.type == field.TYPE_STRING:
                yield TextField(method, here)
        elif field.message_type.GetOptions().map_entry:
            yield TextField(method, here, "key")
            yield TextField(method, here, "value")
        # What payloads hold is the task's business; other messages of others have no names.
        elif field.message_type.full_name.startswith("taskline.v1.") and field.name != "input":
            yield from texts_of(method, field.message_type, here)


FIELDS = [f for name, asked in REQUESTS.items() for f in texts_of(name, asked.DESCRIPTOR)]
NAMES = [field for field in FIELDS if field.kind not in FREE | TOKENS]


@pytest.fixture
async def served(stack: Stack) -> Stack:
    @stack.tasks.task("work")
    async def work() -> None: ...

    return stack


async def ask(stack: Stack, method: str, request: Message) -> grpc.aio.AioRpcError | None:
    """Call a method; returns its error, if it has one."""
    call = getattr(stack.stub, method, None) or getattr(stack.admin, method)
    try:
        answer = call(request, timeout=5)
        if hasattr(answer, "read"):
            await answer.read()
            answer.cancel()
        else:
            await answer
    except grpc.aio.AioRpcError as error:
        return error
    return None


def told(error: grpc.aio.AioRpcError) -> tuple[str, list[str]]:
    """The reason, and the fields that are wrong."""
    info, request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    trailers = dict(error.trailing_metadata())
    for detail in status_pb2.Status.FromString(trailers["grpc-status-details-bin"]).details:
        detail.Unpack(info)
        detail.Unpack(request)
    return info.reason, [violation.field for violation in request.field_violations]


async def test_every_method_is_here(served: Stack) -> None:
    methods = {
        method.name
        for file in (pb.DESCRIPTOR, admin_pb.DESCRIPTOR)
        for service in file.services_by_name.values()
        for method in service.methods
    }
    assert methods == REQUESTS.keys()
    assert len(NAMES) > 50


@pytest.mark.parametrize("method", REQUESTS)
async def test_a_hostile_name_is_refused_by_the_path_of_its_field(
    served: Stack, method: str
) -> None:
    before = await all_keys(served.store.redis, served.store.keys)
    for field in [field for field in NAMES if field.method == method]:
        for what in HOSTILE.keys() - {what for kind, what in ALLOWED if kind == field.kind}:
            error = await ask(served, method, field.request(HOSTILE[what]))

            assert error is not None, f"{field} takes {what}"
            assert error.code() is grpc.StatusCode.INVALID_ARGUMENT, f"{field} and {what}"
            reason, wrong = told(error)
            assert reason == "INVALID_INPUT"
            # Run names the fields of what it enqueues as Enqueue does.
            path = ".".join(p for p in field.parts if p not in ("requests", "enqueue"))
            assert any(path in name for name in wrong), f"{field}: {wrong}"
    assert await all_keys(served.store.redis, served.store.keys) == before


@pytest.mark.parametrize("field", [f for f in NAMES if f.required], ids=str)
async def test_a_name_that_is_required_cannot_be_empty(served: Stack, field: TextField) -> None:
    error = await ask(served, field.method, field.request(""))

    assert error is not None
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert told(error)[1][0].endswith(field.kind)


@pytest.mark.parametrize("field", [f for f in FIELDS if f.kind in TOKENS], ids=str)
@pytest.mark.parametrize("what", HOSTILE)
async def test_a_hostile_token_is_no_token(served: Stack, field: TextField, what: str) -> None:
    request: Any = field.request(HOSTILE[what])
    if field.method == "Watch":
        request.filter.SetInParent()

    error = await ask(served, field.method, request)

    assert error is not None
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert told(error)[0] == f"{field.kind.upper()}_INVALID"


# All that a name may be, and what our keys and lines are made of.
OURS = [
    *("stream", "queue", "workers", "t", "leases", "ready", "due", "rev", "log", "paused", "lines"),
    *("t:t", "s:t", "a:b", "i:QUEUED:x:y", "q:work:t", "label:t", "default.0", "0"),
    *("stats:60:0:", "retention", "failed_by", "types", "x:", "x::y", "x:work:default"),
]


@pytest.mark.one_partition
async def test_names_that_look_like_ours_collide_with_nothing(served: Stack) -> None:
    client = served.client
    types = [name for name in OURS if ":" not in name and not name[0].isdigit()]
    for name in types:

        @served.tasks.task(name)
        async def named(text: str) -> str:
            return text

    handles = list[TaskHandle[Any]]()
    for i, name in enumerate(OURS):
        options = EnqueueOptions(task_id=name, queue=name, labels={"t": name})
        handles.append(await client.enqueue(types[i % len(types)], text=name, options=options))
        await served.admin.PauseQueue(admin_pb.PauseQueueRequest(queue=name))
        await served.admin.ResumeQueue(admin_pb.ResumeQueueRequest(queue=name))

    async with served.worker():
        assert [await handle.result() for handle in handles] == OURS

    for name in OURS:
        for chosen in (TaskFilter(labels={"t": name}), TaskFilter(queues=[name])):
            assert [task.id async for task in client.list_tasks(chosen)] == [name]
        await served.store.delete(name)
    left = {"log", "rev", "types", "types_seen", "workers"}
    assert set(await all_keys(served.store.redis, served.store.keys)) <= left
