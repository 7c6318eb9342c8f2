"""The span of a task being made."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext

from opentelemetry import trace
from opentelemetry.trace import Link, SpanKind, Tracer

from taskline_service.telemetry import names
from taskline_service.telemetry.instruments import active_tracer
from taskline_service.telemetry.messages import message_attributes
from taskline_service.telemetry.propagation import carrier_of, context_of, current_trace


def enqueue_span(
    queue: str,
    task_id: str,
    task_type: str,
    *,
    trace_context: Mapping[str, str] | None = None,
    batched: bool = False,
) -> AbstractContextManager[dict[str, str]]:
    """A PRODUCER span around the making of one task.

    Args:
        queue: Where the task goes.
        task_id: Its id.
        task_type: Its type.
        trace_context: The trace that the request itself names for this task, if any.
            Otherwise it belongs to that of the call.
        batched: It is one of several in the same call.

    Within it, the trace context to store with the task: TaskSpec.trace.
    """
    own = carrier_of(trace_context.items()) if trace_context else {}
    tracer = active_tracer()
    if tracer is None:
        return nullcontext(own or current_trace())
    operation = "create" if batched else "send"
    attributes = {**message_attributes(operation, queue, task_id), names.TASK_TYPE: task_type}
    return _span(tracer, f"{operation} {queue}", attributes, own)


@contextmanager
def _span(
    tracer: Tracer, name: str, attributes: dict[str, str], own: dict[str, str]
) -> Iterator[dict[str, str]]:
    caller = trace.get_current_span().get_span_context()
    with tracer.start_as_current_span(
        name,
        context=context_of(own) if own else None,
        kind=SpanKind.PRODUCER,
        attributes=attributes,
        links=[Link(caller)] if own and caller.is_valid else [],
    ):
        yield current_trace()
