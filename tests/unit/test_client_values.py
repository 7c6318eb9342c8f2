"""What people write at a shell, as the input of a task."""

import pytest

from taskline_client.cli.values import input_bytes, quoted_as_text


@pytest.mark.parametrize(
    ("argument", "text"),
    [
        pytest.param("x=12", b'{"x": 12}', id="a number"),
        pytest.param("x=0.10", b'{"x": 0.10}', id="decimals"),
        pytest.param("x=12345678901234567.89", b'{"x": 12345678901234567.89}', id="more digits"),
        pytest.param("x=1e400", b'{"x": 1e400}', id="more than a float holds"),
        pytest.param('x={"b":  [1, null]}', b'{"x": {"b":  [1, null]}}', id="an object"),
        pytest.param('x="12"', b'{"x": "12"}', id="text that says so"),
        pytest.param("x=é😀", '{"x": "é😀"}'.encode(), id="text"),
        pytest.param("x=NaN", b'{"x": "NaN"}', id="what is a number to Python alone"),
        pytest.param("x=", b'{"x": ""}', id="nothing"),
        pytest.param('"=1', b'{"\\"": 1}', id="a name to be escaped"),
    ],
)
def test_a_value_reaches_the_server_as_it_was_written(argument: str, text: bytes) -> None:
    assert input_bytes([argument], None) == text


def test_without_arguments_there_is_no_input() -> None:
    assert input_bytes([], None) is None


def test_what_was_read_as_json_is_told_how_to_be_text() -> None:
    assert quoted_as_text(["a=b", "x=12"], "x") == "'x=\"12\"'"
    assert quoted_as_text(["a=b", 'x="12"'], "x") == quoted_as_text(["a=b"], "a") == ""
