"""The task types that this server knows: those of its own code, and those that were published."""

import asyncio
import difflib
import logging

from taskline_service.errors import (
    FieldViolation,
    StoreFull,
    StoreUnavailable,
    TasklineError,
    TaskTypeNotFound,
)
from taskline_service.store import Directory
from taskline_service.store.damage import UNREADABLE
from taskline_service.tasks import (
    InputMismatch,
    InputValidator,
    TaskRegistry,
    TaskTypeInfo,
    parse_input,
)

log = logging.getLogger(__name__)

REFRESH_EVERY_S = 5.0
# An unknown type is looked up at once, but not more often than this.
_LOOK_AGAIN_S = 0.2


class _Published:
    """A task type whose code is elsewhere: inputs are checked by its JSON Schema."""

    def __init__(self, definition: bytes) -> None:
        self.definition = definition
        self.info = TaskTypeInfo.from_json(definition)
        schema = self.info.input_schema
        self._validator = InputValidator(schema) if schema is not None else None

    def violations(self, task_input: bytes) -> list[FieldViolation]:
        """What is wrong with an input."""
        try:
            value = parse_input(task_input)
        except InputMismatch as mismatch:
            return list(mismatch.violations)
        return self._validator.violations(value) if self._validator is not None else []


class TaskCatalog:
    """Knows task types by name, and checks inputs for them."""

    def __init__(self, directory: Directory, own: TaskRegistry) -> None:
        self._directory = directory
        self._own = own
        self._published: dict[str, _Published] = {}
        self._refreshed_at = float("-inf")
        self._refreshing = asyncio.Lock()
        self._tried = asyncio.Event()

    async def run(self) -> None:
        """Publish our own types and keep up with those of others, until cancelled."""
        unpublished = {task.name: task.info.to_json() for task in self._own}
        while True:
            try:
                if unpublished:
                    unpublished = await self._publish_own(unpublished)
                await self.refresh()
                self._tried.set()
            except TasklineError as error:  # whatever it is, it may pass
                log.warning("task types: %s", error)
            await asyncio.sleep(REFRESH_EVERY_S)

    async def _publish_own(self, types: dict[str, bytes]) -> dict[str, bytes]:
        """Returns what is left to be published: all of it, if the store takes nothing now."""
        try:
            await self._directory.register_types(types)
        except (StoreFull, StoreUnavailable) as error:
            log.warning("task types: not published yet: %s", error)
            return types
        return {}

    async def published(self) -> None:
        """Wait until our own types are published, unless the store takes none, and others known."""
        await self._tried.wait()

    async def refresh(self) -> None:
        """Read what is published now."""
        known = await self._directory.types()
        for name in self._published.keys() - known.keys():
            del self._published[name]
        for name, definition in known.items():
            if name not in self._published or self._published[name].definition != definition:
                self._publish(name, definition)
        self._refreshed_at = asyncio.get_running_loop().time()

    def _publish(self, name: str, definition: bytes) -> None:
        try:
            self._published[name] = _Published(definition)
        except (*UNREADABLE, RecursionError) as error:
            # Another version's, or damaged: it must not keep the other types from being known.
            self._directory.damage.found(f"task type {name}", error)

    async def find(self, name: str) -> TaskTypeInfo:
        """The task type of this name.

        Raises:
            TaskTypeNotFound: Nobody can run it.
        """
        own = self._own.get(name)
        if own is not None:
            return own.info
        if name not in self._published:
            await self._refresh_unless_just_done()
        if name in self._published:
            return self._published[name].info
        closest = difflib.get_close_matches(name, self._names(), n=1)
        hint = f"; did you mean {closest[0]!r}?" if closest else ""
        raise TaskTypeNotFound(
            f"task type {name!r} not found{hint}",
            task_type=name,
            **({"closest": closest[0]} if closest else {}),
        )

    def violations(self, name: str, task_input: bytes) -> list[FieldViolation]:
        """What is wrong with an input for a task type that `find` has found."""
        own = self._own.get(name)
        if own is not None:
            return own.violations(task_input)
        return self._published[name].violations(task_input)

    async def all(self) -> list[TaskTypeInfo]:
        """Every task type, by name."""
        await self._refresh_unless_just_done()
        known = {name: published.info for name, published in self._published.items()}
        known |= {task.name: task.info for task in self._own}
        return [known[name] for name in sorted(known)]

    def _names(self) -> list[str]:
        return sorted({*self._published, *(task.name for task in self._own)})

    async def _refresh_unless_just_done(self) -> None:
        async with self._refreshing:
            if asyncio.get_running_loop().time() - self._refreshed_at > _LOOK_AGAIN_S:
                await self.refresh()
