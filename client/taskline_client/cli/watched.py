"""What is known of a task that is watched: each event brings it up to date."""

from dataclasses import dataclass
from datetime import datetime

from taskline_client.events import Ended, ProgressReported, Snapshot, StateChanged, TaskEvent
from taskline_client.types import Progress, Task, TaskError, TaskState


@dataclass(slots=True)
class Watched:
    """A task as the latest event left it. One that has ended stays so, unless it starts anew."""

    id: str
    task_type: str = ""
    state: TaskState = TaskState.UNKNOWN
    worker: str = ""
    attempts: int = 0
    max_attempts: int = 0
    schedule_time: datetime | None = None
    start_time: datetime | None = None
    update_time: datetime | None = None
    end_time: datetime | None = None
    progress: Progress | None = None
    error: TaskError | None = None

    def learn(self, event: TaskEvent) -> None:
        """What the event tells."""
        match event:
            case Snapshot():
                self._be(event.task)
            case StateChanged():
                self._change(event)
            case ProgressReported():
                self.progress = event.progress
            case Ended():
                self.state, self.attempts = event.state, event.attempts
                self.error, self.end_time = event.error, event.event_time
        self.update_time = event.event_time or self.update_time

    def _be(self, task: Task) -> None:
        self.task_type, self.state, self.worker = task.task_type, task.state, task.worker
        self.attempts, self.max_attempts = task.attempts, task.max_attempts
        self.schedule_time, self.start_time = task.schedule_time, task.start_time
        self.update_time, self.end_time = task.update_time, task.end_time
        self.progress, self.error = task.progress, task.error

    def _change(self, event: StateChanged) -> None:
        self.state, self.attempts, self.error = event.state, event.attempts, event.error
        self.schedule_time, self.end_time = event.schedule_time, None
        if event.state is TaskState.RUNNING:
            self.worker, self.start_time = event.worker, event.event_time
            # It begins anew with each attempt.
            self.progress = None
