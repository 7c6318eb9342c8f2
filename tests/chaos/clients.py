"""Those who use the tormented service: they enqueue, wait, watch and cancel, and keep a ledger."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import grpc
import grpc.aio
from google.protobuf.duration_pb2 import Duration

from taskline.v1 import task_pb2
from taskline.v1 import task_service_pb2 as pb
from taskline.v1.task_service_pb2_grpc import TaskServiceStub
from taskline_client import TaskClient, Unavailable
from taskline_client.events import Ended, Snapshot, TaskEvent

Answer = TypeVar("Answer")

CALL_S = 5.0
# What a call may take beyond its deadline, on a machine that is busy with everything else.
LATE_S = 1.0
_WAIT = Duration(seconds=3)
_PAUSE_S = 0.1
# What a caller is told while servers and the store come and go; anything else is a defect.
PASSING = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        # By gRPC: the server ended before it took the call.
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    }
)
MIX = {
    "chaos.quick": 60,
    "chaos.slow": 24,
    "chaos.thread": 8,
    "chaos.flaky": 6,
    "chaos.failing": 2,
}
_BATCH = 20
# One in so many tasks.
_CANCELLED, _WAITED_FOR, _WATCHED = 50, 40, 40


@dataclass(slots=True)
class Ledger:
    """What the callers were told."""

    # By task id: its number, and its type.
    accepted: dict[str, tuple[int, str]] = field(default_factory=dict)
    cancelled: set[str] = field(default_factory=set)
    # State in which it had ended, as a waiter or a watcher was told.
    told: dict[str, str] = field(default_factory=dict)
    waiting: int = 0
    watching: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    # What must not be: each is a sentence.
    defects: list[str] = field(default_factory=list)


class Clients:
    """Makes so many tasks, of which some are waited for, watched or cancelled."""

    def __init__(
        self, addresses: Sequence[str], *, tasks: int, pills: int, rate: float, seed: int
    ) -> None:
        self.ledger = Ledger()
        self.all_accepted = asyncio.Event()
        self._addresses = tuple(addresses)
        self._random = random.Random(seed)
        self._numbers = iter(range(tasks))
        self._rate = rate
        self._pills = {self._random.randrange(tasks) for _ in range(pills)}
        self._stubs: list[TaskServiceStub] = []

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[TaskClient]:
        """Channels to every server, and our own client to all of them."""
        async with AsyncExitStack() as stack:
            for address in self._addresses:
                channel = await stack.enter_async_context(grpc.aio.insecure_channel(address))
                self._stubs.append(TaskServiceStub(channel))
            yield await stack.enter_async_context(TaskClient("ipv4:" + ",".join(self._addresses)))

    async def run(self) -> None:
        """Enqueue them all; ends when everybody who waits or watches has heard of the end."""
        async with self.connected() as client, asyncio.TaskGroup() as listening:
            async with asyncio.TaskGroup() as enqueuing:
                for numbers in self._batches():
                    enqueuing.create_task(self._hand_over(client, numbers, listening))
                    await asyncio.sleep(len(numbers) / self._rate)
            self.all_accepted.set()

    def _batches(self) -> list[list[int]]:
        numbers, batches = list(self._numbers), list[list[int]]()
        while numbers:
            size = self._random.choice((1, 1, 1, _BATCH))
            batches.append(numbers[:size])
            numbers = numbers[size:]
        return batches

    async def _hand_over(
        self, client: TaskClient, numbers: list[int], group: asyncio.TaskGroup
    ) -> None:
        requests = [self._request(number) for number in numbers]
        if len(requests) == 1:
            await self._until_answered(lambda stub: stub.Enqueue(requests[0], timeout=CALL_S))
        else:
            batch = pb.BatchEnqueueRequest(requests=requests)
            await self._until_answered(lambda stub: stub.BatchEnqueue(batch, timeout=CALL_S))
        for number, request in zip(numbers, requests, strict=True):
            self.ledger.accepted[request.task_id] = (number, request.task_type)
            if not self._random.randrange(_CANCELLED):
                group.create_task(self._cancel(request.task_id))
            if not self._random.randrange(_WAITED_FOR):
                group.create_task(self._wait(request.task_id))
            if not self._random.randrange(_WATCHED):
                group.create_task(self._watch(client, request.task_id))

    def _request(self, number: int) -> pb.EnqueueRequest:
        (task_type,) = self._random.choices(list(MIX), weights=list(MIX.values()))
        if number in self._pills:
            task_type = "chaos.pill"
        task_id = f"{task_type.removeprefix('chaos.')}-{number}"
        given = task_pb2.Payload(json_bytes=f'{{"number": {number}}}'.encode())
        request = pb.EnqueueRequest(
            task_type=task_type, task_id=task_id, request_id=task_id, input=given
        )
        request.retry_policy.initial_backoff.FromMilliseconds(50)
        return request

    async def _cancel(self, task_id: str) -> None:
        await asyncio.sleep(self._random.uniform(0, 0.3))
        self.ledger.cancelled.add(task_id)
        request = pb.CancelTaskRequest(task_id=task_id)
        await self._until_answered(lambda stub: stub.CancelTask(request, timeout=CALL_S))

    async def _wait(self, task_id: str) -> None:
        self.ledger.waiting += 1
        request = pb.GetResultRequest(task_id=task_id, timeout=_WAIT)
        while True:
            answer = await self._until_answered(lambda s: s.GetResult(request, timeout=CALL_S))
            if answer.WhichOneof("outcome"):
                name = task_pb2.Task.State.Name(answer.task.state)
                self._heard(task_id, name.removeprefix("STATE_"))
                self.ledger.waiting -= 1
                return

    async def _watch(self, client: TaskClient, task_id: str) -> None:
        self.ledger.watching += 1
        sequence, shown, ends = 0, False, 0
        async for event in self._events(client, task_id):
            # A snapshot, after a gap too, has the sequence of what happened last, be it the end.
            may_be_equal = shown or isinstance(event, Snapshot)
            if event.sequence < sequence + (not may_be_equal):
                self._defect(f"a watch of {task_id} told {event.sequence} after {sequence}")
            sequence, shown = event.sequence, isinstance(event, Snapshot)
            if isinstance(event, Ended):
                ends += 1
                self._heard(task_id, event.state.name)
        if ends != 1:
            self._defect(f"a watch of {task_id} told of {ends} ends")
        self.ledger.watching -= 1

    async def _events(self, client: TaskClient, task_id: str) -> AsyncIterator[TaskEvent]:
        """A watch that goes on for as long as it takes, longer than our client's patience."""
        token = ""
        while True:
            try:
                async for event in client.watch(task_id, resume_token=token):
                    token = event.resume_token
                    yield event
                return
            except Unavailable:
                self.ledger.errors["UNAVAILABLE (watch)"] += 1

    def _heard(self, task_id: str, state: str) -> None:
        before = self.ledger.told.setdefault(task_id, state)
        if before != state:
            self._defect(f"{task_id} ended twice: {before} and {state}")

    async def _until_answered(self, call: Callable[[TaskServiceStub], Awaitable[Answer]]) -> Answer:
        """Ask one server and then the other, until there is an answer."""
        asked = self._random.randrange(len(self._stubs))
        while True:
            began = time.monotonic()
            try:
                return await call(self._stubs[asked % len(self._stubs)])
            except grpc.aio.AioRpcError as error:
                self.ledger.errors[error.code().name] += 1
                if error.code() not in PASSING:
                    self._defect(f"a call was answered {error.code().name}: {error.details()}")
            took = time.monotonic() - began
            if took > CALL_S + LATE_S:
                self._defect(f"a call with {CALL_S:g} s to go returned after {took:.1f} s")
            asked += 1
            await asyncio.sleep(_PAUSE_S)

    def _defect(self, sentence: str) -> None:
        self.ledger.defects.append(sentence)
