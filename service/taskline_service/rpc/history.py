"""ListTaskEvents: the recorded story of one task, page by page."""

from taskline.v1 import task_pb2
from taskline.v1 import task_service_pb2 as pb
from taskline_service.errors import PageTokenInvalid
from taskline_service.offload import off_loop
from taskline_service.rpc import fields, tokens
from taskline_service.rpc.convert import task_to_pb, timestamp
from taskline_service.rpc.enums import payload_format
from taskline_service.rpc.event_convert import event_to_pb
from taskline_service.rpc.fitting import that_fit
from taskline_service.rpc.payload import to_translate
from taskline_service.store import Emitted, End, TaskStore
from taskline_service.store.story import Story

DEFAULT_PAGE_SIZE = 100


async def list_task_events(
    request: pb.ListTaskEventsRequest, store: TaskStore
) -> pb.ListTaskEventsResponse:
    """One page of events.

    Raises:
        InvalidInput, PageTokenInvalid: The request is wrong.
        TaskNotFound: There is no such task.
    """
    task_id, form = fields.task_id(request.task_id), payload_format(request.payload_format)
    count = fields.page_size(request.page_size, default=DEFAULT_PAGE_SIZE)
    of, after, uid = f"events of {task_id}", 0, ""
    if request.page_token:
        position, begun = tokens.page_position(request.page_token, of, (int, str))
        after, uid = int(position), str(begun)
    story = await store.story(task_id, after=after, count=count)
    if uid and story.task.spec.uid != uid:
        raise PageTokenInvalid("page_token: belongs to the events of an earlier task of this id")
    response = await off_loop(to_translate(_weight(story), form), _page, story, form)
    told = len(response.events) - story.gap
    if story.more or told < len(story.events):
        after = response.events[-1].sequence if told else after
        response.next_page_token = tokens.page_token(of, after, story.task.spec.uid)
    return response


def _page(story: Story, form: task_pb2.PayloadFormat.ValueType) -> pb.ListTaskEventsResponse:
    response = pb.ListTaskEventsResponse()
    if story.gap:
        response.events.append(_gap(story))
    told = (event_to_pb(event, form) for event in story.events)
    for event in that_fit(told, used=response.ByteSize()):
        response.events.append(event)  # extend() copies all of them before anybody else can run
    return response


def _weight(story: Story) -> int:
    """Outputs and results, in bytes."""
    outputs = (e.change.data or b"" for e in story.events if isinstance(e.change, Emitted))
    results = (e.change.result or b"" for e in story.events if isinstance(e.change, End))
    return sum(map(len, (*outputs, *results)))


def _gap(story: Story) -> task_pb2.TaskEvent:
    """Says that older events are no longer kept, and how the task is now."""
    task = task_to_pb(story.task)
    task.ClearField("resume_token")
    return task_pb2.TaskEvent(
        task_id=story.task.id,
        sequence=story.events[0].sequence - 1 if story.events else story.task.sequence,
        event_time=timestamp(story.task.update_us),
        snapshot=task_pb2.TaskEvent.Snapshot(task=task, gap=True),
    )
