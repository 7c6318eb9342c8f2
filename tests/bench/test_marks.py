import pytest

from bench.marks import MARKS, Mark, Verdict, by_peer, judge, judged, of_peer

MORE = Mark(what="rate", figure="ours, /s", against_peers="rate, /s", must=2, aim=4)
LESS = Mark(what="time", figure="ours, ms", against="echo, ms", must=3, aim=2, at_most=True)


@pytest.mark.parametrize(
    ("mark", "value", "verdict"),
    [
        pytest.param(MORE, 40, Verdict.AIM, id="as many as aimed at"),
        pytest.param(MORE, 39, Verdict.MUST, id="not quite as many as aimed at"),
        pytest.param(MORE, 20, Verdict.MUST, id="as many as must be"),
        pytest.param(MORE, 19, Verdict.MISSED, id="too few"),
        pytest.param(LESS, 20, Verdict.AIM, id="as short as aimed at"),
        pytest.param(LESS, 30, Verdict.MUST, id="as short as must be"),
        pytest.param(LESS, 31, Verdict.MISSED, id="too long"),
    ],
)
def test_a_figure_is_judged_by_its_ratio_to_another(
    mark: Mark, value: float, verdict: Verdict
) -> None:
    figures = {mark.figure: value, of_peer("rate, /s", "one"): 10, "echo, ms": 10}

    assert judge(mark, figures).verdict is verdict


@pytest.mark.parametrize(
    ("at_most", "best"),
    [pytest.param(False, "two", id="most"), pytest.param(True, "one", id="least")],
)
def test_the_best_of_the_peers_counts(at_most: bool, best: str) -> None:
    mark = Mark(what="", figure="ours", against_peers="theirs", must=1, aim=1, at_most=at_most)
    figures = {"ours": 1, of_peer("theirs", "one"): 5, of_peer("theirs", "two"): 8}

    assert judge(mark, figures).other_name == best


def test_a_mark_without_another_figure_is_judged_by_the_figure_itself() -> None:
    mark = Mark(what="", figure="ours, s", must=1.5, aim=0.8, at_most=True)

    assert judge(mark, {"ours, s": 1.0}).verdict is Verdict.MUST


def test_what_was_not_measured_is_not_judged() -> None:
    assert judge(MORE, {"ours, /s": 1}).verdict is Verdict.UNKNOWN
    assert judge(MORE, {of_peer("rate, /s", "one"): 1}).verdict is Verdict.UNKNOWN
    assert {one.verdict for one in judged({})} == {Verdict.UNKNOWN}


def test_a_peer_is_told_from_another_one_and_a_figure_from_a_longer_one() -> None:
    figures = {of_peer("rate", "one"): 1.0, of_peer("rate, stored", "one"): 2.0, "rate": 3.0}

    assert by_peer("rate", figures) == {"one": 1.0}


def test_what_is_aimed_at_is_never_easier_than_what_must_be() -> None:
    easier = [
        mark for mark in MARKS if (mark.aim > mark.must if mark.at_most else mark.aim < mark.must)
    ]

    assert easier == []
