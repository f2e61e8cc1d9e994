"""Figures of run times agree with other people's, and say no more than the runs do."""

import math
import re
import statistics as plain
import tracemalloc

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from convcli.bench import statistics
from convcli.bench.statistics import OUTLIER, STATISTICS, Ratio, complaints, outlying, ratio, summarise

SECONDS = st.floats(1e-6, 1e3)
RUNS = st.lists(SECONDS, min_size=1, max_size=20)
SEVERAL = st.lists(SECONDS, min_size=2, max_size=20)


def noisy(seed, count, typical=1.0, spread=0.05):
    return np.random.default_rng(seed).normal(typical, spread * typical, count).tolist()


@given(SEVERAL)
def test_a_summary_is_what_the_standard_library_says(times):
    found = summarise(times)
    lower, median, upper = plain.quantiles(times, n=4, method="inclusive")
    assert found.runs == len(times)
    assert (found.min, found.max) == (min(times), max(times))
    assert found.median == pytest.approx(plain.median(times)) == pytest.approx(median)
    assert (found.lower, found.upper) == (pytest.approx(lower), pytest.approx(upper))
    assert found.mean == pytest.approx(plain.mean(times))
    assert found.deviation == pytest.approx(plain.stdev(times), rel=1e-6, abs=1e-9 * max(times))


@given(RUNS)
def test_quartiles_are_in_order_and_nothing_is_nan(times):
    found = summarise(times)
    assert found.min <= found.lower <= found.median <= found.upper <= found.max
    assert found.spread >= 0
    assert all(math.isfinite(value) for value in vars(found).values())


@given(RUNS)
def test_outliers_are_those_beyond_ten_deviations_by_scipy(times):
    unit = scipy.stats.median_abs_deviation(times)
    expected = [unit > 0 and abs(time - np.median(times)) > OUTLIER * unit for time in times]
    assert outlying(times).tolist() == expected
    assert summarise(times).outliers == sum(expected)


def test_the_bound_of_outliers_is_ten_standard_deviations_of_normal_noise():
    unit = scipy.stats.median_abs_deviation(noisy(0, 10**5, spread=0.01))
    assert OUTLIER * unit == pytest.approx(10 * 0.01, rel=0.02)


def test_one_run_has_no_spread():
    found = summarise([2.0])
    assert (found.lower, found.median, found.upper, found.deviation, found.outliers) == (2, 2, 2, 0, 0)


@pytest.mark.parametrize("times", [[1.0, 50.0], [1.0], noisy(1, 30), [1.0] * 30])
def test_quiet_and_few_runs_give_no_cause_for_complaint(times):
    assert complaints(times) == []


@pytest.mark.parametrize(
    ("times", "words"),
    [
        ([9.0, *noisy(2, 19)], [r"its first run took \d\.\d times the median; warm up with -w"]),
        ([*noisy(3, 18), 5.0, 6.0], [r"2 of its 20 runs are outliers; close other programs"]),
        ([1.0, 2.0] * 5, [r"spreads by 67% of the median; .*--min-time"]),
        ([9.0, *noisy(4, 17), 5.0, 6.0], ["first run took", "2 of its 20 runs"]),
    ],
)
def test_complaints_name_what_is_wrong_and_the_way_out(times, words):
    found = complaints(times)
    assert len(found) == len(words)
    for (text, remedy), word in zip(found, words, strict=True):
        assert re.search(word, f"{text}; {remedy}")


def test_one_outlier_in_many_runs_is_bad_luck_and_a_fast_first_run_is_no_warm_up():
    assert complaints([*noisy(5, 39), 5.0]) == []
    assert complaints([0.01, *noisy(6, 39)]) == []


@pytest.mark.parametrize("statistic", ["median", "mean"])
def test_the_interval_is_that_of_scipys_percentile_bootstrap(statistic):
    of = getattr(np, statistic)
    times, base = noisy(7, 20, 1.3), noisy(8, 25)
    found = ratio(times, base, statistic)
    expected = scipy.stats.bootstrap(
        (times, base),
        lambda x, y, axis: of(x, axis=axis) / of(y, axis=axis),
        n_resamples=4000,
        method="percentile",
        vectorized=True,
        rng=np.random.default_rng(1),
    )
    width = expected.confidence_interval.high - expected.confidence_interval.low
    assert found.low == pytest.approx(expected.confidence_interval.low, abs=0.1 * width)
    assert found.high == pytest.approx(expected.confidence_interval.high, abs=0.1 * width)
    assert found.error == pytest.approx(expected.standard_error, rel=0.1)
    assert found.value == of(times) / of(base)


@given(SEVERAL, SEVERAL, st.sampled_from(STATISTICS))
def test_a_ratio_does_not_depend_on_the_unit_of_time(times, base, statistic):
    found = ratio(times, base, statistic)
    assert ratio([t * 1024 for t in times], [t * 1024 for t in base], statistic) == found
    quarter = ratio([t / 4 for t in times], base, statistic)
    assert quarter == Ratio(*(part / 4 for part in vars(found).values()))


@given(SEVERAL, SEVERAL, st.sampled_from(STATISTICS))
def test_an_interval_is_finite_and_within_what_the_extremes_allow(times, base, statistic):
    found = ratio(times, base, statistic)
    assert all(math.isfinite(part) for part in vars(found).values())
    slack = 1 + 1e-12  # of a mean
    assert min(times) / max(base) <= found.low * slack
    assert found.low <= found.high <= max(times) / min(base) * slack
    assert found.error >= 0


@given(SECONDS, SECONDS, st.integers(2, 20))
def test_constant_times_give_a_ratio_without_error(first, second, count):
    found = ratio([first] * count, [second] * count)
    assert found == Ratio(first / second, pytest.approx(0, abs=1e-12 * found.value), found.value, found.value)


def test_a_measurement_is_exactly_as_long_as_itself():
    times = noisy(9, 10)
    assert ratio(times, times) == Ratio(1.0, 0.0, 1.0, 1.0)
    assert ratio(times, list(times)).error > 0


def test_a_single_run_says_nothing_of_its_noise():
    for times, base in ([[2.0], [1.0]], [[2.0], noisy(0, 9)], [noisy(0, 9), [2.0]]):
        found = ratio(times, base)
        assert (found.low, found.high, found.error) == (0, math.inf, math.inf)


@pytest.mark.parametrize("statistic", STATISTICS)
@pytest.mark.parametrize("count", [2, 3, 4])
def test_fewer_than_five_runs_have_the_interval_of_their_extremes(count, statistic):
    times, base = noisy(1, count, 2.0), noisy(2, 30)
    found = ratio(times, base, statistic)
    assert (found.low, found.high) == (min(times) / max(base), max(times) / min(base))


def test_draws_are_the_same_every_time_and_in_chunks_of_any_size(monkeypatch):
    times, base = noisy(3, 40), noisy(4, 50)
    whole = ratio(times, base)
    assert ratio(times, base) == whole
    monkeypatch.setattr(statistics, "CHUNK_BYTES", 1)
    parts = ratio(times, base)
    assert (parts.low, parts.high) == (
        pytest.approx(whole.low, rel=0.01),
        pytest.approx(whole.high, rel=0.01),
    )


def test_memory_does_not_grow_with_the_runs():
    times = noisy(5, 3000)
    ratio(times[:10], noisy(6, 10))  # what is imported on the way
    tracemalloc.start()
    try:
        ratio(times, [1.0] * 10)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2**24 < statistics.RESAMPLES * len(times) * 8


@pytest.mark.parametrize("statistic", ["median", "mean"])
@pytest.mark.parametrize("noise", ["normal", "lognormal"])
def test_the_interval_contains_the_truth_as_often_as_it_says(noise, statistic, monkeypatch):
    monkeypatch.setattr(statistics, "RESAMPLES", 400)  # enough to count by
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(200):
        if noise == "normal":
            times, base = rng.normal(1.2, 0.06, 15), rng.normal(1.0, 0.05, 20)
        else:
            times, base = 1.2 * rng.lognormal(0, 0.2, 15), rng.lognormal(0, 0.2, 20)
        found = ratio(times, base, statistic)
        hits += found.low <= 1.2 <= found.high
    assert 0.88 * 200 <= hits < 200  # an interval that always did would say nothing
