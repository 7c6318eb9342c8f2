"""The tracer and the metric instruments, of whichever provider is installed now."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache

from opentelemetry import metrics, trace
from opentelemetry.metrics import (
    CallbackOptions,
    Counter,
    Histogram,
    MeterProvider,
    Observation,
    UpDownCounter,
)
from opentelemetry.trace import NoOpTracerProvider, ProxyTracerProvider, Tracer, TracerProvider

from taskline_service.telemetry import names, queues


class _Sdk:
    """What is known of the SDK of this process."""

    decided = False


def decide() -> None:
    """Whether there is an SDK, and which, is decided: nobody looks again in this process.

    Looking takes time that small tasks and calls would notice.
    """
    _look_for_tracer.cache_clear()
    _look_for_instruments.cache_clear()
    _Sdk.decided = True


def active_tracer() -> Tracer | None:
    """The tracer, or None while nobody has installed an SDK."""
    if not _Sdk.decided:
        _look_for_tracer.cache_clear()
    return _look_for_tracer()


def instruments() -> "Instruments | None":
    """The instruments, or None while nobody has installed an SDK."""
    if not _Sdk.decided:
        _look_for_instruments.cache_clear()
    return _look_for_instruments()


def is_recording() -> bool:
    """Whether anything is done with what is traced or measured."""
    return active_tracer() is not None or instruments() is not None


@lru_cache(maxsize=1)
def _look_for_tracer() -> Tracer | None:
    provider = trace.get_tracer_provider()
    if isinstance(provider, ProxyTracerProvider | NoOpTracerProvider):
        return None
    return _tracer_of(provider)


@lru_cache(maxsize=1)
def _tracer_of(provider: TracerProvider) -> Tracer:
    return provider.get_tracer(names.SCOPE, schema_url=names.SCHEMA_URL)


@dataclass(frozen=True, slots=True)
class Instruments:
    """The metrics that servers and workers record."""

    call_duration: Histogram
    operation_duration: Histogram
    sent: Counter
    consumed: Counter
    process_duration: Histogram
    queue_time: Histogram
    attempts: Counter
    completed: Counter
    failed: Counter
    watches: UpDownCounter
    conflated: Counter


@lru_cache(maxsize=1)
def _look_for_instruments() -> Instruments | None:
    return _instruments_of(metrics.get_meter_provider())


@lru_cache(maxsize=1)
def _instruments_of(provider: MeterProvider) -> Instruments | None:
    if type(provider).__module__.startswith(metrics.__name__):
        return None  # the API's own, which records nothing
    meter = provider.get_meter(names.SCOPE, schema_url=names.SCHEMA_URL)

    def seconds(name: str, description: str) -> Histogram:
        return meter.create_histogram(
            name, "s", description, explicit_bucket_boundaries_advisory=names.DURATION_BOUNDS
        )

    def counted(name: str, unit: str, description: str) -> Counter:
        return meter.create_counter(name, unit, description)

    # Read when somebody asks; what they show comes from where observed_queues() was called.
    meter.create_observable_gauge(
        names.QUEUE_DEPTH, [queues.depths], "{task}", "Tasks on a queue, by state."
    )
    meter.create_observable_gauge(
        names.QUEUE_OLDEST_AGE, [queues.oldest_ages], "s", "How long the oldest one has waited."
    )
    return Instruments(
        call_duration=seconds(names.SERVER_CALL_DURATION, "From receiving a call to its end."),
        operation_duration=seconds(names.OPERATION_DURATION, "Round trips that move tasks."),
        sent=counted(names.SENT, "{message}", "Tasks handed to the store."),
        consumed=counted(names.CONSUMED, "{message}", "Tasks given to workers."),
        process_duration=seconds(names.PROCESS_DURATION, "Run time of one attempt."),
        queue_time=seconds(names.QUEUE_TIME, "From being due to the start of an attempt."),
        attempts=counted(names.ATTEMPTS, "{attempt}", "Attempts, by how they ended."),
        completed=counted(names.COMPLETED, "{task}", "Tasks that ended with a result."),
        failed=counted(names.FAILED, "{task}", "Tasks that ended with an error."),
        watches=meter.create_up_down_counter(names.WATCHES, "{watch}", "Streams under way."),
        conflated=counted(names.CONFLATED, "{event}", "Progress overtaken by later progress."),
    )


def observe_damage(count: Callable[[], int]) -> None:
    """Have a metric show how much this process has met in its store that is damaged."""

    def observations(_options: CallbackOptions) -> Iterable[Observation]:
        return [Observation(count())]

    meter = metrics.get_meter_provider().get_meter(names.SCOPE, schema_url=names.SCHEMA_URL)
    meter.create_observable_counter(
        names.DAMAGED, [observations], "{record}", "What is damaged in the store and passed over."
    )
