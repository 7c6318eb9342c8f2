"""How far a watch by filter has come in the order of all events, which its tokens tell.

Where the first that is heard of a task is its end, or where there is a gap, its snapshot is read
after that, so it may be ahead of the stream: what it has told already is then passed over, also by
whoever continues.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import replace

from taskline_service.rpc import tokens
from taskline_service.rpc.pacing import Pacing
from taskline_service.rpc.tokens import ALL_EVENTS, MOST_AHEAD, Ahead, FilterPosition
from taskline_service.store import End, Event
from taskline_service.task import Progress, Task

# Tasks with progress held back, in a token. Where there are more, who continues may be told
# progress again; the sequence shows it.
_MOST_HELD = 100


class Course:
    """What has been passed, what was told ahead of that, and what is still owed."""

    def __init__(self, subscription: bytes) -> None:
        self._subscription = subscription
        self._position = FilterPosition(0)
        self._ahead: deque[Ahead] = deque(maxlen=MOST_AHEAD)
        # Of a stream that continues: what the token says was ahead, and the progress it owes.
        self.resumed = False
        self._ahead_before: dict[bytes, Ahead] = {}
        self._owed: dict[str, Event] | None = None
        self._first_owed = 0
        # Whose progress that is; empty if that is not known.
        self._owed_of: frozenset[bytes] = frozenset()

    def begin(self, revision: int) -> None:
        """With what happens after this revision."""
        self._position = FilterPosition(revision)

    def resume(self, position: FilterPosition) -> None:
        """Where a token was."""
        self.resumed = True
        self._position = FilterPosition(position.revision, position.ordinal)
        self._ahead.extend(position.ahead)
        self._ahead_before = {ahead.digest: ahead for ahead in position.ahead}
        if position.first_held:
            self._owed, self._first_owed = {}, position.first_held
            self._owed_of = frozenset(position.held)

    @property
    def read_from(self) -> int:
        """The revision up to which nothing in the log is still to be told."""
        whole = self._position.ordinal == ALL_EVENTS
        revision = self._position.revision - (0 if whole else 1)
        return min(revision, self._first_owed - 1) if self._owed is not None else revision

    def new(self, events: Sequence[Event], came_to: int) -> list[Event]:
        """Those behind the position, and before them the progress that was held back."""
        new = list[Event]()
        for event in events:
            if self._is_behind(event):
                new.append(event)
            elif self._owed is not None:
                self._owed.pop(event.task_id, None)
                if isinstance(event.change, Progress) and self._is_owed(event):
                    self._owed[event.task_id] = event
        if self._owed is not None and came_to >= self._position.revision:
            new, self._owed = [*self._owed.values(), *new], None
        return new

    def _is_owed(self, event: Event) -> bool:
        return not self._owed_of or tokens.task_digest(event.task_id) in self._owed_of

    def settle(self, revision: int) -> None:
        """All up to this revision is told."""
        if revision >= self._position.revision and self._owed is None:
            self._position = FilterPosition(revision)
            while self._ahead and self._ahead[0].revision <= revision:
                self._ahead.popleft()
            if not self._ahead:
                self._ahead_before.clear()

    def passed(self, event: Event) -> None:
        """All up to this event is told."""
        if self._is_behind(event):
            self._position = FilterPosition(event.revision, event.ordinal)
            while self._ahead and self._ahead[0].revision < event.revision:
                self._ahead.popleft()

    def _is_behind(self, event: Event) -> bool:
        position = (self._position.revision, self._position.ordinal)
        return (event.revision, event.ordinal) > position

    def was_ahead(self, event: Event) -> bool:
        """Whether a snapshot before the token had what this event tells."""
        if not self._ahead_before:
            return False
        ahead = self._ahead_before.get(tokens.task_digest(event.task_id))
        if ahead is None or event.revision > ahead.revision:
            return False
        return not (ahead.end_owed and isinstance(event.change, End))

    def is_ahead(self, task: Task) -> None:
        """The snapshot of a task told more than has been passed."""
        self._ahead.append(_ahead(task))

    def end_is_owed(self, task: Task) -> None:
        """The snapshot of a task told more than has been passed, all but its end."""
        self._ahead.append(replace(_ahead(task), end_owed=True))

    def end_is_told(self, task: Task) -> None:
        """Nothing is owed of the task any more."""
        self._ahead.remove(replace(_ahead(task), end_owed=True))
        self._ahead.append(_ahead(task))

    def token(self, pacing: Pacing) -> str:
        """Where to continue, with what `pacing` holds back still to be told."""
        first_held, owing = pacing.first_held, frozenset[bytes]()
        if len(pacing.held) <= _MOST_HELD:
            owing = frozenset(map(tokens.task_digest, pacing.held))
        if self._owed is not None:  # not yet read again: they are still owed
            first_held = min(first_held, self._first_owed) if first_held else self._first_owed
            owing = owing | self._owed_of if self._owed_of else frozenset()
        position = replace(
            self._position,
            first_held=first_held,
            held=tuple(sorted(owing)) if len(owing) <= _MOST_HELD else (),
            ahead=tuple(self._ahead),
        )
        return tokens.filter_token(self._subscription, position)


def _ahead(task: Task) -> Ahead:
    return Ahead(tokens.task_digest(task.id), task.revision)
