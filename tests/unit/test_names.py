"""Names: what is accepted cannot be mistaken for anything else in a key of the store."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskline_service.names import LABEL_KEY, QUEUE, REQUEST_ID, TASK_ID, TASK_TYPE, WORKER
from taskline_service.store.keys import Keys, label, line, split_line

PATTERNS = [TASK_TYPE, TASK_ID, QUEUE, WORKER, REQUEST_ID, LABEL_KEY]

task_types, queues = st.from_regex(TASK_TYPE, fullmatch=True), st.from_regex(QUEUE, fullmatch=True)
label_keys = st.from_regex(LABEL_KEY, fullmatch=True)


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: pattern.pattern)
@given(text=st.text())
def test_a_name_has_nothing_that_means_anything_elsewhere(
    pattern: re.Pattern[str], text: str
) -> None:
    accepted = pattern.fullmatch(text) is not None

    assert not accepted or (text.isascii() and text.isprintable())
    # Hash tags, patterns of KEYS and SCAN, shells, what a label is split by.
    assert not accepted or not set(text) & set("{}*?[]\\ '\"$`=")


@given(task_types, queues)
def test_a_line_is_split_into_what_it_was_made_of(task_type: str, queue: str) -> None:
    assert split_line(line(task_type, queue)) == (task_type, queue)


@given(label_keys, st.text(), label_keys, st.text())
def test_different_labels_have_different_keys(key: str, value: str, key2: str, value2: str) -> None:
    assert (label(key, value) == label(key2, value2)) == ((key, value) == (key2, value2))


@given(st.lists(st.text("a0_-", min_size=1, max_size=4), min_size=2, max_size=2, unique=True))
def test_namespaces_share_no_prefix(namespaces: list[str]) -> None:
    one, other = (Keys(name).prefix for name in namespaces)

    assert not one.startswith(other) and not other.startswith(one)
