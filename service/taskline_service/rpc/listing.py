"""ListTasks: from its request to a query of the store, and back to a page."""

from dataclasses import replace

from taskline.v1 import task_pb2
from taskline.v1 import task_service_pb2 as pb
from taskline_service.errors import InvalidInput
from taskline_service.rpc import fields, tokens
from taskline_service.rpc.convert import task_to_pb
from taskline_service.rpc.enums import is_full, payload_format
from taskline_service.rpc.filter_selection import CONDITIONS, Selection
from taskline_service.rpc.filtering import query_of_filter
from taskline_service.rpc.fitting import that_fit
from taskline_service.store.values import ListQuery, TaskPage

DEFAULT_PAGE_SIZE = 50

_NEWEST_FIRST = {"": True, "create_time desc": True, "create_time": False}


def query_of(request: pb.ListTasksRequest) -> tuple[ListQuery, int]:
    """What to ask the store, and for how many tasks.

    Raises:
        InvalidInput, PageTokenInvalid: The request is wrong.
    """
    if request.order_by not in _NEWEST_FIRST:
        raise InvalidInput.of("order_by", 'must be "create_time desc" or "create_time"')
    query = query_of_filter(request.filter)
    count = fields.page_size(request.page_size, default=DEFAULT_PAGE_SIZE)
    after = None
    if request.page_token:
        create_us, task_id = tokens.page_position(request.page_token, _list_of(request), (int, str))
        after = (int(create_us), str(task_id))
    query = replace(
        query,
        newest_first=_NEWEST_FIRST[request.order_by],
        full=is_full(request.view, default=task_pb2.TASK_VIEW_BASIC),
        after=after,
    )
    return query, count


def page_to_pb(
    request: pb.ListTasksRequest, query: ListQuery, page: TaskPage
) -> pb.ListTasksResponse:
    """The answer; cut short where it would become too large."""
    response = pb.ListTasksResponse(total_size=page.total)
    form, after = payload_format(request.payload_format), page.after
    response.tasks.extend(
        that_fit(task_to_pb(task, full=query.full, payload_format=form) for task in page.tasks)
    )
    if len(response.tasks) < len(page.tasks):
        last = page.tasks[len(response.tasks) - 1]
        after = (last.create_us, last.id)
    if after is not None:
        response.next_page_token = tokens.page_token(_list_of(request), *after)
    if not request.page_token and _can_be_watched(request.filter):
        subscription = Selection.of(request.filter).subscription
        response.resume_token = tokens.joined(
            [
                tokens.filter_token(subscription, tokens.FilterPosition(revision))
                for revision in page.revisions
            ]
        )
    return response


def _can_be_watched(chosen: pb.TaskFilter) -> bool:
    return all(descriptor.name in CONDITIONS for descriptor, _ in chosen.ListFields())


def _list_of(request: pb.ListTasksRequest) -> str:
    """Everything that must stay the same from page to page."""
    chosen = request.filter
    conditions = {
        descriptor.name: sorted(value.items() if descriptor.name == "labels" else value)
        if descriptor.is_repeated
        else str(value)
        for descriptor, value in chosen.ListFields()
    }
    return repr(
        (
            sorted(conditions.items()),
            _NEWEST_FIRST.get(request.order_by),
            request.view,
            request.payload_format,
        )
    )
