"""Percentiles from bins."""

import math
import random
from collections import Counter
from datetime import timedelta

import pytest

from taskline_service.store.statistics import percentile

GROWTH = 1.18  # as in lua/_statistics.lua


@pytest.mark.parametrize("part", [0.5, 0.95])
@pytest.mark.parametrize("middle", [5e3, 1e6, 3.6e9])
def test_a_percentile_is_at_most_10_percent_off(part: float, middle: float) -> None:
    chance = random.Random(1)
    times = sorted(middle * math.exp(chance.gauss(0, 1.5)) for _ in range(1001))
    bins = Counter(math.floor(math.log(us) / math.log(GROWTH)) for us in times)

    estimate = percentile(bins, part, GROWTH)

    assert estimate is not None
    exact = times[math.ceil(part * len(times)) - 1]
    assert estimate / timedelta(microseconds=1) == pytest.approx(exact, rel=0.1)


def test_there_is_no_percentile_of_nothing() -> None:
    assert percentile({}, 0.5, GROWTH) is None
