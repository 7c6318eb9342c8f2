import json
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.struct_pb2 import Value
from hypothesis import given
from hypothesis import strategies as st

from taskline.v1 import task_pb2 as pb
from taskline_service.errors import InvalidInput, PayloadTooLarge
from taskline_service.rpc.payload import json_bytes_to_payload, payload_to_json_bytes

MAX_EXACT = 2**53 - 1
MIB = 1 << 20

# Protobuf strings hold no lone surrogates.
text = st.text(st.characters(exclude_categories=["Cs"]))
doubles = st.floats(allow_nan=False, allow_infinity=False)


def documents(integers: Any) -> Any:
    scalars = st.none() | st.booleans() | integers | doubles | text
    return st.recursive(
        scalars,
        lambda inner: st.lists(inner) | st.dictionaries(text, inner),
        max_leaves=20,
    )


def out(data: bytes, payload_format: Any = pb.PAYLOAD_FORMAT_JSON, max_size: int = MIB) -> Any:
    return json_bytes_to_payload(data, payload_format, max_size=max_size)


def stored(payload: pb.Payload, **options: Any) -> Any:
    return json.loads(payload_to_json_bytes(payload, "input", **options))


def same(left: Any, right: Any) -> bool:
    """Equal, types included, except that a whole double is the integer that it is."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    return left == right and isinstance(left, bool) == isinstance(right, bool)


@given(documents(st.integers(-MAX_EXACT, MAX_EXACT)))
def test_a_value_survives_the_way_out_and_in_again(document: Any) -> None:
    payload = out(json.dumps(document).encode())

    assert same(stored(payload), document)


@given(documents(st.integers()))
def test_a_value_is_what_protobufs_own_json_reads_from_it(document: Any) -> None:
    payload = out(json.dumps(document).encode())

    def as_doubles_and_digits(item: Any) -> Any:
        if isinstance(item, dict):
            return {key: as_doubles_and_digits(each) for key, each in item.items()}
        if isinstance(item, list):
            return [as_doubles_and_digits(each) for each in item]
        beyond = type(item) is int and abs(item) > MAX_EXACT
        return str(item) if beyond else item

    assert same(json_format.MessageToDict(payload.json), as_doubles_and_digits(document))


@given(documents(st.integers()))
def test_json_bytes_are_kept_byte_for_byte(document: Any) -> None:
    data = json.dumps(document, ensure_ascii=False, indent=1).encode()

    payload = out(data, pb.PAYLOAD_FORMAT_JSON_BYTES)

    assert payload_to_json_bytes(payload, "input") == data


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("9007199254740991", 9007199254740991.0),
        ("9007199254740992", "9007199254740992"),
        ("-9007199254740993", "-9007199254740993"),
        ("9223372036854775807", "9223372036854775807"),
        ("18446744073709551615", "18446744073709551615"),
        ("18446744073709551616", "18446744073709551616"),
        ("-9223372036854775809", "-9223372036854775809"),
        ("1" * 300, "1" * 300),
        # Not even a double can approximate these.
        ("1" * 310, "1" * 310),
        ("-" + "1" * 5000, "-" + "1" * 5000),
        ("1e19", 1e19),
        ("-1e300", -1e300),
    ],
)
def test_an_integer_is_never_rounded_on_the_way_out(written: str, read: Any) -> None:
    payload = out(f'[1e19, {{"n": {written}}}, 7]'.encode())

    plain: Any = json_format.MessageToDict(payload.json)
    assert plain == [1e19, {"n": read}, 7]


@pytest.mark.parametrize("data", [b"1e400", b"[0.5, -1e400]", b"[" * 5000, b"NaN", b"[1", b"\xff"])
def test_what_a_protobuf_value_cannot_hold_goes_out_as_it_is_stored(data: bytes) -> None:
    assert out(data) == pb.Payload(json_bytes=data)


def test_what_becomes_too_large_is_left_out_whatever_is_in_it() -> None:
    data = b"[" + b"1" * 310 + b",1" * 1000 + b"]"

    assert out(data, max_size=5000) is None


@pytest.mark.parametrize(
    ("number", "text"),
    [(3.0, b"3"), (-0.0, b"0"), (float(MAX_EXACT), b"9007199254740991"), (0.5, b"0.5")],
)
def test_a_whole_double_becomes_an_integer_again(number: float, text: bytes) -> None:
    payload = pb.Payload(json=Value(number_value=number))

    assert payload_to_json_bytes(payload, "input") == text


def test_a_double_beyond_the_exact_integers_stays_a_double() -> None:
    payload = pb.Payload(json=Value(number_value=2.0**53))

    assert type(stored(payload)) is float


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(Value(number_value=float("nan")), id="NaN"),
        pytest.param(Value(number_value=float("-inf")), id="an infinity"),
        pytest.param(Value(), id="no kind"),
    ],
)
def test_a_protobuf_value_that_json_does_not_have_is_refused(value: Value) -> None:
    payload = pb.Payload()
    payload.json.list_value.values.append(value)

    with pytest.raises(InvalidInput) as caught:
        payload_to_json_bytes(payload, "input")

    assert caught.value.violations[0].field == "input.json"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"NaN", id="NaN"),
        pytest.param(b"1e999", id="a number that no double holds"),
        pytest.param(b"\xef\xbb\xbf1", id="byte order mark"),
        pytest.param(b'"\\ud800"', id="a lone surrogate, escaped"),
        pytest.param(b'"\xed\xa0\x80"', id="a lone surrogate"),
        pytest.param(b'"\xff"', id="not UTF-8"),
        pytest.param(b"1 2", id="two values"),
        pytest.param(b"{'a': 1}", id="single quotes"),
        pytest.param(b"[1,]", id="trailing comma"),
        pytest.param(b"01", id="leading zero"),
        pytest.param(b"[" * MIB, id="a million brackets"),
        pytest.param(b"[" * 201 + b"]" * 201, id="201 levels"),
        pytest.param(b'{"a":' * 201 + b"1" + b"}" * 201, id="201 levels of objects"),
    ],
)
def test_text_that_is_not_one_json_value_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidInput) as caught:
        payload_to_json_bytes(pb.Payload(json_bytes=data), "input")

    assert caught.value.violations[0].field == "input.json_bytes"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b' {"a": 1, "a": 2}\n', id="a key twice, and white space"),
        pytest.param(b"[" * 200 + b"]" * 200, id="200 levels"),
        pytest.param(b"[" + b"[]," * 1000 + b"[]]", id="many brackets side by side"),
        pytest.param(b"123456789012345678901234567890", id="a long integer"),
    ],
)
def test_unusual_json_is_kept_as_it_is(data: bytes) -> None:
    assert payload_to_json_bytes(pb.Payload(json_bytes=data), "input") == data


def test_a_payload_that_is_not_set_is_what_the_caller_says() -> None:
    assert payload_to_json_bytes(pb.Payload(), "input") == b"{}"
    assert payload_to_json_bytes(pb.Payload(), "input", unset=b"null") == b"null"


def test_a_protobuf_message_is_refused_for_now() -> None:
    with pytest.raises(InvalidInput, match=r"input\.message"):
        payload_to_json_bytes(pb.Payload(message=AnyMessage()), "input")


@pytest.mark.parametrize(
    "payload",
    [pb.Payload(json_bytes=b'"four"'), pb.Payload(json=Value(string_value="four"))],
    ids=["json_bytes", "json"],
)
def test_a_payload_over_its_limit_is_told_its_size(payload: pb.Payload) -> None:
    with pytest.raises(PayloadTooLarge, match="pass a reference") as caught:
        payload_to_json_bytes(payload, "input", max_size=5)

    assert caught.value.metadata == {"size_bytes": "6", "limit_bytes": "5"}


def test_30_levels_are_a_value_and_31_are_text() -> None:
    shallow, deep = b"[" * 30 + b"]" * 30, b'{"a":' * 31 + b"1" + b"}" * 31

    assert out(shallow).WhichOneof("kind") == "json"
    assert out(deep) == pb.Payload(json_bytes=deep)


def test_a_value_of_30_levels_can_be_parsed_in_every_message_that_carries_it() -> None:
    payload = out(b'{"a":' * 30 + b"1" + b"}" * 30)
    event = pb.TaskEvent(ended=pb.TaskEvent.Ended(result=payload))

    assert pb.TaskEvent.FromString(event.SerializeToString()) == event


def test_31_levels_of_a_protobuf_value_are_refused() -> None:
    payload = pb.Payload()
    value = payload.json
    for _ in range(31):
        value = value.list_value.values.add()
    value.bool_value = True

    with pytest.raises(InvalidInput, match="json_bytes"):
        payload_to_json_bytes(payload, "input")


def size_of(payload: pb.Payload) -> int:
    """Of what is in it: the text, or the protobuf value."""
    return len(payload.json_bytes) or payload.json.ByteSize()


@pytest.mark.parametrize("payload_format", pb.PayloadFormat.values())
def test_what_would_be_too_large_in_the_form_asked_for_is_left_out(payload_format: Any) -> None:
    data = b"[" + b"1," * 999 + b"1]"
    size = size_of(out(data, payload_format))

    assert out(data, payload_format, max_size=size) is not None
    assert out(data, payload_format, max_size=size - 1) is None


def test_a_list_of_small_numbers_grows_fivefold_and_is_left_out_early() -> None:
    data = b"[" + b"1," * (MIB // 2 - 1) + b"1]"

    assert out(data, max_size=3 * MIB) is None
    assert out(data, pb.PAYLOAD_FORMAT_JSON_BYTES, max_size=3 * MIB) is not None


@given(documents(st.integers()), st.integers(0, 2000))
def test_the_size_is_never_misjudged(document: Any, max_size: int) -> None:
    data = json.dumps(document).encode()

    payload = out(data, max_size=max_size)

    assert (payload is None) == (size_of(out(data)) > max_size)
