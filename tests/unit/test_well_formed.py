"""Traces as callers send them: what is no trace is dropped, and nothing is logged of it."""

import logging
import time
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import baggage, propagate, trace
from opentelemetry.context import Context

from taskline_service.telemetry.well_formed import well_formed

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE_ID}-b7ad6b7169203331-01"
LONG = "x" * 600

SOUND: dict[str, dict[str, str]] = {
    "a parent alone": {"traceparent": PARENT},
    "of a later version": {"traceparent": f"cc-{TRACE_ID}-b7ad6b7169203331-01-what.comes"},
    "with a state": {"traceparent": PARENT, "tracestate": "vendor=1, t4@other=x y,,"},
    "with baggage": {"traceparent": PARENT, "baggage": "a=b, user = 1;ttl=3;secret ,empty="},
    "of another propagator": {"b3": "anything \x1b", "x-b3-traceid": "0"},
}

HOSTILE: dict[str, dict[str, str]] = {
    "a long parent": {"traceparent": PARENT + "-" + LONG},
    "a parent that is none": {"traceparent": "\x1b[2J"},
    "a parent with more lines": {"traceparent": PARENT + "\n"},
    "a state with words": {"tracestate": "look at me"},
    "a state with capitals": {"tracestate": "Vendor=1"},
    "a state that repeats itself": {"tracestate": "a=1,a=2"},
    "a state with too many members": {"tracestate": ",".join(f"k{i}=1" for i in range(33))},
    "a long state": {"tracestate": "a=" + LONG * 20},
    "a state with escapes": {"tracestate": "a=\x1b[2J"},
    "baggage with words": {"baggage": "look at me"},
    "baggage that is no text": {"baggage": "a=\N{SNOWMAN}"},
    "baggage without a name": {"baggage": "=1"},
    "baggage with an odd property": {"baggage": "a=1;b c"},
    "long baggage": {"baggage": "a=" + LONG * 20},
    "a long member of baggage": {"baggage": "a=" + LONG * 8},
    "baggage of too many members": {"baggage": ",".join(f"k{i}=1" for i in range(181))},
}


def extracted(carrier: Mapping[str, str]) -> Context:
    return propagate.extract(well_formed(carrier), context=Context())


@pytest.mark.parametrize("carrier", SOUND.values(), ids=SOUND)
def test_a_sound_trace_stays_as_it_is(
    carrier: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    assert well_formed(carrier) == carrier
    extracted(carrier)
    assert caplog.records == []


def test_what_is_sound_is_understood() -> None:
    context = extracted(SOUND["with a state"] | SOUND["with baggage"])

    span = trace.get_current_span(context).get_span_context()
    assert trace.format_trace_id(span.trace_id) == TRACE_ID
    assert span.trace_state == {"vendor": "1", "t4@other": "x y"}
    assert baggage.get_all(context)["a"] == "b"


@pytest.mark.parametrize("carrier", HOSTILE.values(), ids=HOSTILE)
def test_what_is_no_trace_is_dropped_alone_and_in_silence(
    carrier: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    sent = {"traceparent": PARENT} | carrier

    assert well_formed(sent) == {name: sent[name] for name in sent.keys() - carrier.keys()}
    extracted(sent)
    assert caplog.records == []


@given(
    st.dictionaries(
        st.sampled_from(["traceparent", "tracestate", "baggage"]),
        st.text(st.sampled_from("0a-=,;@ \t*/_A%\x1b\N{SNOWMAN}"), max_size=60) | st.just(PARENT),
    )
)
def test_nothing_that_is_sent_is_ever_complained_of(carrier: dict[str, str]) -> None:
    complaints = list[str]()
    handler = logging.Handler()
    handler.emit = lambda record: complaints.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("opentelemetry")
    logger.addHandler(handler)
    try:
        extracted(carrier)
    finally:
        logger.removeHandler(handler)

    assert complaints == []


@pytest.mark.parametrize("name", ["traceparent", "tracestate", "baggage"])
@pytest.mark.parametrize("piece", [" ", "a=" + " " * 80 + ";", "a@", "a;", ",", "00-"])
def test_long_nonsense_takes_no_time(name: str, piece: str) -> None:
    began = time.perf_counter()

    well_formed({name: (piece * 100_000)[:8000] + "\x01"})

    assert time.perf_counter() - began < 0.5
