"""docs/results.md tells of every way to end and every limit."""

import re

from taskline.v1.task_pb2 import TaskError
from tests.docs.pages import ROOT


def test_fs2_the_page_about_results_tells_of_every_way_to_end_and_every_limit() -> None:
    page = (ROOT / "docs" / "results.md").read_text("utf-8")

    assert set(TaskError.DESCRIPTOR.fields_by_name) <= set(re.findall(r"`(\w+)`", page))
    kinds = {
        name.removeprefix("TYPE_").lower() for name, number in TaskError.Type.items() if number
    }
    (told,) = re.findall(r"`error_type` \| ([\w, ]+) \|", page)
    assert set(told.split(", ")) == kinds
    for option in ("--max-input-size", "--max-result-size", "--result-ttl", "--record-ttl"):
        assert option in page
    assert {"RESULT_EXPIRED", "TASK_NOT_FOUND"} <= set(re.findall(r"\b[A-Z]+_[A-Z_]+\b", page))
