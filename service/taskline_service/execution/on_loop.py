"""The place of `async def` functions: the event loop."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress
from typing import Any

from taskline_service.execution.call import Ended, LeftBehind
from taskline_service.execution.code import Code
from taskline_service.execution.interrupting import Interrupted
from taskline_service.forked import Contained
from taskline_service.offload import LARGE_BYTES, in_thread, off_loop
from taskline_service.tasks import is_large


async def run_on_loop(code: Code) -> Ended:
    """Run an `async def` function to its end; cancelling it cancels the function."""
    return await end_with(code, _value_of(code))


async def end_with(code: Code, value: Awaitable[Any]) -> Ended:
    """Await what becomes the result."""
    try:
        return await _returned(code, await value)
    except (asyncio.CancelledError, LeftBehind):
        raise
    except Interrupted:
        raise asyncio.CancelledError from None
    except BaseException as error:  # task code may raise anything, and must end nothing else
        return code.raised(error)


async def _value_of(code: Code) -> Any:
    function = await function_of(code)
    try:
        if not code.definition.emits:
            return await Contained(function())
        async with aclosing(function()) as values:
            with suppress(StopAsyncIteration):
                while True:
                    code.emit(await Contained(values.__anext__()))
                    await code.reports.room()
        return None
    finally:
        code.clock.stop()


async def function_of(code: Code) -> Callable[[], Any]:
    """The function, ready to be called; long inputs are read elsewhere."""
    return await off_loop(len(code.call.input), code.function)


async def _returned(code: Code, value: Any) -> Ended:
    if is_large(value, LARGE_BYTES):
        return await in_thread(code.returned, value)
    return code.returned(value)
