"""One stream made of those of several partitions: as each tells it, with the tokens of all."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, aclosing

from taskline.v1 import task_pb2 as pb
from taskline_service.rpc import tokens

_Stream = AsyncGenerator[pb.TaskEvent, None]


async def merged(streams: Sequence[_Stream], places: list[str]) -> _Stream:
    """The messages of all streams, until all have ended, or one fails.

    Args:
        streams: Of one partition each.
        places: Their tokens before they began; the caller may set one as long as its stream has
            told nothing.
    """
    async with AsyncExitStack() as closing:
        for stream in streams:
            await closing.enter_async_context(aclosing(stream))
        steps = {asyncio.create_task(_step(stream)): at for at, stream in enumerate(streams)}
        closing.push_async_callback(_cancelled, steps)
        # Whose message was the last, as long as it goes on: its heartbeat says that all are silent.
        last: int | None = None
        while steps:
            done, _ = await asyncio.wait(steps, return_when=asyncio.FIRST_COMPLETED)
            for step in sorted(done, key=steps.__getitem__):
                at, message = steps.pop(step), step.result()
                if message is None:
                    last = None if last == at else last
                    continue
                places[at] = message.resume_token
                is_heartbeat = message.WhichOneof("event") == "heartbeat"
                if not is_heartbeat or last in (None, at):
                    last = at
                    message.resume_token = tokens.joined(places)
                    yield message
                steps[asyncio.create_task(_step(streams[at]))] = at


async def _step(stream: _Stream) -> pb.TaskEvent | None:
    return await anext(stream, None)


async def _cancelled(steps: dict["asyncio.Task[pb.TaskEvent | None]", int]) -> None:
    for step in steps:
        step.cancel()
    await asyncio.gather(*steps, return_exceptions=True)
