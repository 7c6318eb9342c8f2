"""What callers and operators alike ask of a deployment: one class for both clients."""

from collections.abc import Iterable
from datetime import timedelta

from taskline_client import _deployment_calls as asynchronous
from taskline_client.deployment import Queue, ServerInfo, TaskTypeInfo, Worker
from taskline_client.statistics import Stats
from taskline_client.sync._portal import Portal


class DeploymentCalls:
    """The part of a client that looks at the deployment and changes nothing."""

    def __init__(self, portal: Portal, calls: asynchronous.DeploymentCalls) -> None:
        self._portal = portal
        self._calls = calls

    def server_info(self) -> ServerInfo:
        """Version, store, limits and defaults of the server that answers."""
        return self._portal.call(self._calls.server_info())

    def stats(self, queues: Iterable[str] = (), *, window: timedelta | None = None) -> Stats:
        """Counts of the tasks now known, and what happened lately."""
        return self._portal.call(self._calls.stats(list(queues), window=window))

    def queues(self) -> list[Queue]:
        """The queues by name, with what waits on them."""
        return self._portal.call(self._calls.queues())

    def workers(self) -> list[Worker]:
        """The workers that have been heard of recently."""
        return self._portal.call(self._calls.workers())

    def task_types(self) -> list[TaskTypeInfo]:
        """The task types that the deployment can run, by name, without schemas."""
        return self._portal.call(self._calls.task_types())
