"""What there is once for each partition, and how all of them are asked."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Generic, TypeVar

from taskline_service.store.keys import partition_of

_T = TypeVar("_T")
_Item = TypeVar("_Item")
_Answer = TypeVar("_Answer")


class ByPartition(Generic[_T]):
    """One thing of a kind for each partition, in their order."""

    def __init__(self, things: Iterable[_T]) -> None:
        self._things = tuple(things)

    def __iter__(self) -> Iterator[_T]:
        return iter(self._things)

    def __len__(self) -> int:
        return len(self._things)

    def of(self, task_id: str) -> _T:
        """That of the partition that a task is in."""
        return self._things[partition_of(task_id, len(self._things))]

    def divided(self, task_ids: Iterable[str]) -> list[tuple[_T, list[int]]]:
        """The things that some of these tasks belong to, and the places of those."""
        places = defaultdict[int, list[int]](list)
        for place, task_id in enumerate(task_ids):
            places[partition_of(task_id, len(self._things))].append(place)
        return [(self._things[partition], places[partition]) for partition in sorted(places)]

    async def each(
        self,
        items: Sequence[_Item],
        task_id: Callable[[_Item], str],
        act: Callable[[_T, list[_Item]], Awaitable[Sequence[_Answer]]],
    ) -> list[_Answer]:
        """Act on the items of each partition, on all at once; answers in the order of the items."""
        divided = self.divided(map(task_id, items))
        answers = await at_once(
            act(thing, [items[place] for place in places]) for thing, places in divided
        )
        found = {
            place: answer
            for (_, places), some in zip(divided, answers, strict=True)
            for place, answer in zip(places, some, strict=True)
        }
        return [found[place] for place in range(len(items))]


async def at_once(calls: Iterable[Awaitable[_Answer]]) -> list[_Answer]:
    """What all of these answer.

    If some fail, the first error is raised once all are over: none of them goes on unseen.
    """
    answers = await asyncio.gather(*calls, return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    return [answer for answer in answers if not isinstance(answer, BaseException)]
