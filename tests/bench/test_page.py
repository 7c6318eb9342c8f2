import pytest

from bench.figures import medians, percentile, written
from bench.marks import of_peer
from bench.page import Run, marks_table, peers_table, placed, report
from bench.plot import plot

ECHO, OURS = "echo: 100 in flight, /s", "enqueue: single calls, 100 in flight, /s"
PEER = of_peer("enqueue: 100 in flight, /s", "saq")


def test_a_table_tells_of_each_mark_what_was_found_and_whether_that_is_enough() -> None:
    lines = marks_table({OURS: 7_000, ECHO: 10_000}).splitlines()

    assert lines[2] == (
        "| single Enqueue calls, 100 in flight, against a gRPC echo | 0.70 | ≥ 0.65 | ≥ 0.85 | "
        "must met | 7,000 /s; echo 10,000 |"
    )
    assert "| - | ≥ 2 | ≥ 4 | not measured |" in lines[3]


def test_a_mark_that_is_missed_stands_out() -> None:
    assert "**missed**" in marks_table({OURS: 1, ECHO: 10})


def test_each_peer_has_a_row_and_each_of_their_figures_a_column() -> None:
    other = of_peer("round trip: p50, ms", "arq")

    assert peers_table({OURS: 1, PEER: 12_345.6, other: 1.234}).splitlines() == [
        "| peer | enqueue: 100 in flight, /s | round trip: p50, ms |",
        "| --- | ---: | ---: |",
        "| saq | 12,346 | - |",
        "| arq | - | 1.23 |",
    ]


def test_a_report_names_what_could_not_be_measured() -> None:
    run = Run(
        command="make bench",
        machine="one",
        versions={"Python": "3"},
        rounds=3,
        many=10,
        figures={OURS: 1.0},
        broken={"celery": "it did not start"},
    )

    assert "- Not measured: celery: it did not start" in report(run)


def test_a_text_takes_the_place_of_what_stood_between_its_markers() -> None:
    page = "a\n<!-- x: begin -->\nold\n<!-- x: end -->\nb"

    assert placed(page, "x", "new") == "a\n<!-- x: begin -->\nnew\n<!-- x: end -->\nb"
    with pytest.raises(ValueError, match="no place for y"):
        placed(page, "y", "new")


def test_a_bar_is_as_long_as_its_figure_is_large() -> None:
    svg = plot({OURS: 50, ECHO: 100, PEER: 25})

    widths = [
        line.split('width="')[1].split('"')[0] for line in svg.splitlines() if "<rect x" in line
    ]
    assert widths == ["240.0", "480.0", "120.0"]
    assert "saq" in svg


def test_the_median_of_a_figure_is_of_the_rounds_that_found_it() -> None:
    assert medians([{"a": 1, "b": 5}, {"a": 3}, {"a": 2}]) == {"a": 2, "b": 5}


def test_a_percentile_is_a_value_that_was_found() -> None:
    assert percentile([5, 1, 3], 0.5) == 3
    assert percentile([5, 1, 3], 0.99) == 5


@pytest.mark.parametrize(
    ("value", "text"), [(12_345.6, "12,346"), (12.34, "12.3"), (1.234, "1.23"), (0, "0.00")]
)
def test_a_figure_is_written_with_about_three_digits(value: float, text: str) -> None:
    assert written(value) == text


def test_a_bar_that_is_far_too_long_ends_so_that_the_others_can_be_told_apart() -> None:
    figure = "round trip: p50, ms"

    svg = plot({of_peer(figure, "slow"): 100, of_peer(figure, "fast"): 7.5})

    widths = [line.split('"')[5] for line in svg.splitlines() if "<rect x" in line]
    assert widths == ["480.0", "240.0"]
