"""What watches say, all but their tokens, which are each stream's own."""

from collections import OrderedDict
from dataclasses import replace
from typing import TypeAlias

from taskline.v1 import task_pb2 as pb
from taskline_service.errors import TaskNotFound
from taskline_service.offload import off_loop
from taskline_service.rpc.convert import task_to_pb
from taskline_service.rpc.event_convert import end_of, event_to_pb
from taskline_service.rpc.payload import to_translate
from taskline_service.rpc.sharing import Sharing
from taskline_service.store import Emitted, End, Event, Logged, TaskStore
from taskline_service.task import Task

# All watchers take an event at about the same time, and one of these may have two megabytes.
_KEPT = 16

_Format: TypeAlias = pb.PayloadFormat.ValueType
# An event as it was handed out, to everybody the same object, and a form of it.
_Key: TypeAlias = tuple[int, _Format]


def snapshot_of(task: Task, *, gap: bool) -> pb.TaskEvent:
    """A task as it is."""
    message = pb.TaskEvent(task_id=task.id, sequence=task.sequence)
    message.event_time.FromMicroseconds(task.update_us)
    message.snapshot.task.CopyFrom(task_to_pb(task))
    message.snapshot.gap = gap
    return message


def heartbeat() -> pb.TaskEvent:
    """A sign of life."""
    message = pb.TaskEvent()
    message.event_time.GetCurrentTime()
    message.heartbeat.SetInParent()
    return message


class NoLongerKept(Exception):
    """What came with an event is gone: so much came after it. Its task is to be told anew."""

    def __init__(self, task: Task | None) -> None:
        # As it is now; None if it is gone too, or another one has its id.
        self.task = task


class EventMessages:
    """The messages of events. That of an event is made once, however many watch.

    So it is for the last few events; who is further behind has its own made.
    """

    def __init__(self, store: TaskStore) -> None:
        self._store = store
        # With the event, so that no other gets its id meanwhile.
        self._made: OrderedDict[_Key, tuple[Event, pb.TaskEvent]] = OrderedDict()
        self._reading = Sharing[_Key, pb.TaskEvent]()

    async def of(self, event: Event, payload_format: _Format) -> pb.TaskEvent:
        """A copy of the message of an event, which has everything: what is long is read.

        Raises:
            NoLongerKept: Not everything of a line or an output is there any more.
        """
        key = (id(event), payload_format)
        if key in self._made:
            _, made = self._made[key]
        elif _is_whole(event):
            made = event_to_pb(event, payload_format)
            self._keep(key, event, made)
        else:
            made = await self._reading.of(key, lambda: self._read(key, event, payload_format))
        message = pb.TaskEvent()
        message.CopyFrom(made)
        return message

    async def end_of(self, task: Task, payload_format: _Format) -> pb.TaskEvent:
        """The end of a task that had ended before it was watched."""
        whole, result = await self._outcome_of(task)
        end = end_of(whole, result)
        event = Event(task.id, whole.sequence, whole.end_us, whole.revision, 0, end)
        size = to_translate(len(result or b""), payload_format)
        return await off_loop(size, event_to_pb, event, payload_format)

    async def _outcome_of(self, task: Task) -> tuple[Task, bytes | None]:
        if task.short_result is not None:  # whose time may be over: then it is not told
            return task, task.short_result
        try:
            whole, result = await self._store.get_outcome(task.id)
        except TaskNotFound:  # its record went meanwhile
            return task, None
        # Another one may have taken its place.
        return (whole, result) if whole.end_us == task.end_us else (task, None)

    def _keep(self, key: _Key, event: Event, message: pb.TaskEvent) -> None:
        self._made[key] = (event, message)
        if len(self._made) > _KEPT:
            self._made.popitem(last=False)

    async def _read(self, key: _Key, told: Event, payload_format: _Format) -> pb.TaskEvent:
        """The message of an event without what came with it; it is kept for who comes later."""
        event = told
        if isinstance(event.change, End):
            event = await self._with_outcome(event)
            size = len(event.change.result or b"") if isinstance(event.change, End) else 0
        else:
            is_output = isinstance(event.change, Emitted)
            output = await self._store.output(event) if is_output else None
            if output is None:
                (task,) = await self._store.get_many([event.task_id])
                same = task is not None and task.create_us <= event.event_us
                raise NoLongerKept(task if same else None)
            event, size = replace(event, change=Emitted(output)), len(output)
        size = to_translate(size, payload_format)
        made = await off_loop(size, event_to_pb, event, payload_format)
        self._keep(key, told, made)
        return made

    async def _with_outcome(self, event: Event) -> Event:
        try:
            task, result = await self._store.get_outcome(event.task_id)
        except TaskNotFound:  # the end is true all the same
            return event
        # Another task may have taken its place meanwhile, and its outcome is not ours to tell.
        same = task.end_us == event.event_us
        return replace(event, change=end_of(task, result)) if same else event


def _is_whole(event: Event) -> bool:
    """Whether nothing of it is missing: it was not too long to come along, and is still kept."""
    if isinstance(event.change, End):
        return event.change.result is not None or event.change.error is not None
    if isinstance(event.change, Logged):
        return event.change.message is not None
    return not isinstance(event.change, Emitted) or event.change.data is not None
