"""How tasks are described in the words that all messaging systems share."""

from taskline_service.telemetry import names


def message_kind(operation: str) -> dict[str, str]:
    """What is done with messages of ours: "send", "receive", "process" or "settle"."""
    return {
        names.MESSAGING_SYSTEM: names.SCOPE,
        names.MESSAGING_OPERATION_NAME: operation,
    }


def message_attributes(operation: str, queue: str, task_id: str) -> dict[str, str]:
    """The same of one message; for spans, as a metric never names a task."""
    return {
        **message_kind(operation),
        names.MESSAGING_OPERATION_TYPE: operation,
        names.MESSAGING_DESTINATION: queue,
        names.MESSAGING_MESSAGE_ID: task_id,
    }
