"""Page tokens and resume tokens: opaque to callers, bound to what they belong to. Pure."""

import base64
import hashlib
import json
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import orjson

from taskline_service.errors import PageTokenInvalid, ResumeTokenInvalid
from taskline_service.limits import MAX_TOKEN_CHARACTERS

_DIGEST_BYTES = 6
_RESUME = struct.Struct(f">{_DIGEST_BYTES}sQHHH")
_FILTER = struct.Struct(f">{_DIGEST_BYTES}sQHQB")
_AHEAD = struct.Struct(f">{_DIGEST_BYTES}sQ")
_TOLD = struct.Struct(">HQ")
# Tasks that are ahead, in a token. Where there are more, who continues may be told again what
# a snapshot had; the sequence shows it.
MOST_AHEAD = 100
ALL_EVENTS = 0xFFFF
STEPS_PER_TASK = 2
# No sequence, revision or instant of ours is beyond what the store's scripts tell apart.
_MOST = 2**53

_NO_PAGE_TOKEN = "page_token: not a token of this service"
_NO_RESUME_TOKEN = "resume_token: not a token of this service"


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(token: str) -> bytes:
    """Raises ValueError if the token is not one of ours."""
    if len(token) > MAX_TOKEN_CHARACTERS:
        raise ValueError("too long")
    return base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=_DIGEST_BYTES).digest()


def joined(tokens: Sequence[str]) -> str:
    """The resume token of a watch over several partitions, from those of its parts."""
    return ".".join(tokens)


def parts(token: str, count: int) -> list[str]:
    """The tokens that it was joined from, in their order; of none, none for each part.

    Raises:
        ResumeTokenInvalid: It is of a watch with another number of parts.
    """
    if not token:
        return [""] * count
    found = token.split(".", count)
    if len(found) != count or not all(found):
        raise ResumeTokenInvalid(_NO_RESUME_TOKEN)
    return found


def subscription(task_ids: Iterable[str]) -> bytes:
    """What a watch of these tasks is recognised by, in whatever order they are named."""
    return _digest("\n".join(sorted(task_ids)))


@dataclass(frozen=True, slots=True)
class Position:
    """How far a stream of events has come.

    Everything up to the event `ordinal` of `revision` has been sent. Tasks are introduced in
    the order of their ids, each in two steps: its snapshot, and its end if it had ended
    before; `introduced` counts these steps. `held` are the places, in that order, of the tasks
    whose progress was held back; it may be older than what was sent. `ahead` are places too, of
    tasks that are told up to a sequence of their own, further than the rest.
    """

    revision: int
    ordinal: int = ALL_EVENTS
    introduced: int = 0
    held: tuple[int, ...] = ()
    ahead: tuple[tuple[int, int], ...] = ()

    @property
    def read_from(self) -> int:
        """The revision up to which nothing is still to be told."""
        return self.revision - (0 if self.ordinal == ALL_EVENTS else 1)


def resume_token(of: bytes, position: Position) -> str:
    """Where a subscription can continue."""
    held = position.held
    head = _RESUME.pack(of, position.revision, position.ordinal, position.introduced, len(held))
    ahead = (_TOLD.pack(*told) for told in position.ahead)
    return _encode(b"".join((head, struct.pack(f">{len(held)}H", *held), *ahead)))


def task_token(task_id: str, revision: int) -> str:
    """Where a watch of one task can continue that has seen it as it was at this revision."""
    return resume_token(subscription([task_id]), Position(revision, introduced=STEPS_PER_TASK))


def resume_position(token: str, of: bytes) -> Position:
    """Where a stream continues.

    Raises:
        ResumeTokenInvalid: The token is no such token, or of another subscription.
    """
    try:
        data = _decode(token)
        owner, revision, ordinal, introduced, count = _RESUME.unpack_from(data)
        held = struct.unpack_from(f">{count}H", data, _RESUME.size)
        ahead = tuple(_TOLD.iter_unpack(data[_RESUME.size + 2 * count :]))
    except (ValueError, struct.error):
        raise ResumeTokenInvalid(_NO_RESUME_TOKEN) from None
    if revision > _MOST:
        raise ResumeTokenInvalid(_NO_RESUME_TOKEN)
    if owner != of:
        raise ResumeTokenInvalid("resume_token: belongs to a watch of other tasks")
    return Position(revision, ordinal, introduced, held, ahead)


def filter_subscription(
    queues: Iterable[str], task_types: Iterable[str], labels: Mapping[str, str]
) -> bytes:
    """What a watch by this filter is recognised by. No task id begins with a bracket."""
    return _digest(
        json.dumps([sorted(set(queues)), sorted(set(task_types)), sorted(labels.items())])
    )


def task_digest(task_id: str) -> bytes:
    """A task in a token."""
    return _digest(task_id)


@dataclass(frozen=True, slots=True)
class Ahead:
    """A task whose snapshot told more than the stream has come to: all up to `revision`.

    `end_owed`: but not its end.
    """

    digest: bytes
    revision: int
    end_owed: bool = False


@dataclass(frozen=True, slots=True)
class FilterPosition:
    """How far a watch by filter has come: up to the event `ordinal` of `revision`.

    `first_held`: the revision of the oldest progress that was held back; 0 if none was.
    `held`: of which tasks; empty if those are too many to name.
    """

    revision: int
    ordinal: int = ALL_EVENTS
    first_held: int = 0
    held: tuple[bytes, ...] = ()
    ahead: tuple[Ahead, ...] = ()


def filter_token(of: bytes, position: FilterPosition) -> str:
    """Where a watch by filter can continue."""
    head = _FILTER.pack(
        of, position.revision, position.ordinal, position.first_held, len(position.held)
    )
    ahead = (_AHEAD.pack(a.digest, a.revision << 1 | a.end_owed) for a in position.ahead)
    return _encode(b"".join((head, *position.held, *ahead)))


def filter_position(token: str, of: bytes) -> FilterPosition:
    """Where a watch by filter continues.

    Raises:
        ResumeTokenInvalid: The token is no such token, or of another subscription.
    """
    try:
        data = _decode(token)
        owner, revision, ordinal, first_held, count = _FILTER.unpack_from(data)
        held = struct.unpack_from(f"{_DIGEST_BYTES}s" * count, data, _FILTER.size)
        tasks = list(_AHEAD.iter_unpack(data[_FILTER.size + _DIGEST_BYTES * count :]))
    except (ValueError, struct.error):
        raise ResumeTokenInvalid(_NO_RESUME_TOKEN) from None
    if max(revision, first_held) > _MOST:
        raise ResumeTokenInvalid(_NO_RESUME_TOKEN)
    if owner != of:
        raise ResumeTokenInvalid("resume_token: belongs to a watch by another filter")
    ahead = tuple(Ahead(digest, number >> 1, bool(number & 1)) for digest, number in tasks)
    return FilterPosition(revision, ordinal, first_held, held, ahead)


def page_token(of: str, *after: int | str) -> str:
    """Where a list that is described by `of` goes on: behind the entry with these keys."""
    return _encode(_digest(of) + json.dumps(after).encode())


def page_position(token: str, of: str, kinds: tuple[type, ...]) -> tuple[int | str, ...]:
    """The keys of the entry to go on behind; `kinds` are their types.

    Raises:
        PageTokenInvalid: The token is no such token, or of another list.
    """
    try:
        data = _decode(token)
        # Refuses deep nesting and text that is not Unicode; json does not.
        after = orjson.loads(data[_DIGEST_BYTES:])
    except ValueError:
        raise PageTokenInvalid(_NO_PAGE_TOKEN) from None
    if not isinstance(after, list) or tuple(type(part) for part in after) != kinds:
        raise PageTokenInvalid(_NO_PAGE_TOKEN)
    if any(isinstance(part, int) and not 0 <= part <= _MOST for part in after):
        raise PageTokenInvalid(_NO_PAGE_TOKEN)
    if data[:_DIGEST_BYTES] != _digest(of):
        raise PageTokenInvalid("page_token: belongs to a list with another filter or order")
    return tuple(after)


def name_token(names: Sequence[str], count: int, of: str) -> str:
    """The token behind the first `count` of these names; empty if there are no more."""
    return page_token(of, names[count - 1]) if len(names) > count else ""


def name_after(token: str, of: str) -> str:
    """The name that a list by name goes on behind; empty from the start.

    Raises:
        PageTokenInvalid: The token is no such token, or of another list.
    """
    return str(page_position(token, of, (str,))[0]) if token else ""
