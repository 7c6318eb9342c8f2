"""What surrounds every RPC: its span, its duration, and a status for its errors.

One interceptor does it all, because each costs a tenth of a small call. A method is
wrapped when it is first called, and remembered.
"""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any, TypeAlias, cast

import grpc
import grpc.aio

from taskline_service import telemetry
from taskline_service.errors import InvalidInput, ServerDraining, TasklineError
from taskline_service.rpc.status import RpcStatus, code_of, internal_status, to_status
from taskline_service.store import answered_by

log = logging.getLogger(__name__)

Context = grpc.aio.ServicerContext[Any, Any]
Behavior = Callable[[Any, Context], Any]
# Quoted: generic for type checkers only.
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"

# Health checks and reflection answer tools, not users, and know their own errors.
_NOT_OURS = "/grpc."
_DRAINING = "the server is shutting down, and could not finish the call in time"
_MALFORMED = "not a protobuf message of this method, or one that is nested too deeply"

# A caller that hangs up at its deadline may do so a little before ours, in seconds.
_CLOCKS_DIFFER = 0.01
# That the store does not answer is said this much before the caller gives up, in seconds,
# but not before most of its time is over.
_TOLD_BEFORE = 0.1
_MOST = 0.9


class RpcInterceptor(grpc.aio.ServerInterceptor):
    """Traces RPCs, and gives what handlers raise the status that callers are promised.

    Handlers raise domain errors, or anything by mistake; they may also abort. It wraps
    asynchronous handlers with one request, whether they return, yield or write their
    answers, and leaves all others alone.
    """

    def __init__(self) -> None:
        self._wrapped: dict[str, Handler] = {}
        self._running = _Running()

    @property
    def calls(self) -> int:
        """How many calls are under way."""
        return len(self._running.calls)

    def cut_off(self) -> None:
        """End what still runs: its callers are told that the server is draining."""
        self._running.cut_off = True
        for call in self._running.calls:
            call.cancel()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable["Handler | None"]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "Handler | None":
        """Called by gRPC per RPC."""
        method = handler_call_details.method
        if wrapped := self._wrapped.get(method):
            return wrapped
        handler = await continuation(handler_call_details)
        # Unknown methods are not remembered: callers could name any number of them.
        if handler is not None:
            self._wrapped[method] = handler = _wrap(handler, method, self._running)
        return handler


class _Running:
    """The calls under way."""

    def __init__(self) -> None:
        self.calls = set[asyncio.Task[Any]]()
        self.cut_off = False


def _wrap(handler: Handler, method: str, running: _Running) -> Handler:
    # Typed for the synchronous server, whose contexts are others.
    behavior = cast(Behavior, handler.unary_stream or handler.unary_unary)
    if handler.request_streaming or not _asynchronous(behavior):
        return handler
    if method.startswith(_NOT_OURS):
        serve = _readable(behavior)
    else:
        serve = _Method(method, behavior, running).serve
    make = (
        grpc.unary_stream_rpc_method_handler
        if handler.response_streaming
        else grpc.unary_unary_rpc_method_handler
    )
    return make(
        serve,
        request_deserializer=_tolerant(handler.request_deserializer),
        response_serializer=handler.response_serializer,
    )


class _Method:
    """One method of ours, with all that surrounds its handler."""

    def __init__(self, name: str, behavior: Behavior, running: _Running) -> None:
        self._name = name
        self._running = running
        self._behavior = _awaited(behavior)
        self._telemetry = telemetry.ServerMethod(name)

    async def serve(self, request: Any, context: Context) -> Any:
        """Handle one call: whichever way it ends, its span ends and it has a status."""
        call = self._telemetry.start(context.invocation_metadata, context.peer)
        task = asyncio.current_task()
        assert task is not None
        self._running.calls.add(task)
        try:
            if self._running.cut_off:  # it was on its way
                raise ServerDraining(_DRAINING)
            if isinstance(request, _Malformed):
                raise InvalidInput.of("request", _MALFORMED)
            with answered_by(_patience_ends(context)):
                answer = await self._behavior(request, context)
        except asyncio.CancelledError:
            if self._running.cut_off and not context.cancelled():
                call.end("UNAVAILABLE")
                await context.abort_with_status(RpcStatus(to_status(ServerDraining(_DRAINING))))
            call.end("DEADLINE_EXCEEDED" if _out_of_time(context) else "CANCELLED")
            raise
        except grpc.aio.AbortError:
            call.end(_set_code(context))
            raise
        except Exception as error:  # a handler may raise anything
            status, unexpected = self._status_of(error)
            call.end(status.code.name, unexpected)
            await context.abort_with_status(status)
        else:
            call.end(_set_code(context))
            return answer
        finally:
            self._running.calls.discard(task)

    def _status_of(self, error: Exception) -> tuple[RpcStatus, Exception | None]:
        """What the caller is told, and the error again if it is a bug."""
        # A task group wraps even a single error; that one is meant.
        while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]
        if isinstance(error, TasklineError) and code_of(error) is not grpc.StatusCode.INTERNAL:
            return RpcStatus(to_status(error)), None
        trace_id = telemetry.current_trace_id()
        log.error("%s: failed, trace %s", self._name, trace_id or "unknown", exc_info=error)
        return RpcStatus(internal_status(trace_id)), error


def _set_code(context: Context) -> str:
    """Name of the code that the handler has set or aborted with."""
    code: grpc.StatusCode | None = context.code()  # None until somebody sets one
    return code.name if code else "OK"


def _out_of_time(context: Context) -> bool:
    remaining = context.time_remaining()  # None without a deadline
    return remaining is not None and remaining < _CLOCKS_DIFFER


def _patience_ends(context: Context) -> float | None:
    """Until when the store may answer, by the event loop's clock."""
    remaining = context.time_remaining()
    if remaining is None:
        return None
    patience = max(remaining - _TOLD_BEFORE, remaining * _MOST)
    return asyncio.get_running_loop().time() + patience


def _asynchronous(behavior: Behavior) -> bool:
    return inspect.iscoroutinefunction(behavior) or inspect.isasyncgenfunction(behavior)


def _awaited(behavior: Behavior) -> Behavior:
    """A handler that yields, as one that writes: then it has an end.

    A generator that is suspended in a yield does not hear of a cancelled call. Here it
    is closed at once, so that its `finally` runs while the call still exists.
    """
    if not inspect.isasyncgenfunction(behavior):
        return behavior

    async def write_all(request: Any, context: Context) -> None:
        async with aclosing(behavior(request, context)) as answers:
            async for answer in answers:
                try:
                    await context.write(answer)
                except grpc.aio.InternalError as error:  # a write fails if nobody is there
                    raise asyncio.CancelledError from error

    return write_all


def _readable(behavior: Behavior) -> Behavior:
    """A handler that is asked only what could be read, and otherwise left alone."""
    answer = _awaited(behavior)

    async def serve(request: Any, context: Context) -> Any:
        if isinstance(request, _Malformed):
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, _MALFORMED)
        return await answer(request, context)

    return serve


class _Malformed:
    """Stands for a request that could not be read.

    A deserializer that raises ends the call as UNKNOWN, with the text of the exception.
    """


def _tolerant(deserialize: Callable[[bytes], Any] | None) -> Callable[[bytes], Any] | None:
    if deserialize is None:
        return None

    def tolerant(data: bytes) -> Any:
        try:
            return deserialize(data)
        except Exception:  # the caller is told: serve() looks for this
            return _Malformed()

    return tolerant
