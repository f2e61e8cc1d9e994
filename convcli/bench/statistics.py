"""What a handful of run times says, and how sure that is.

Medians throughout: on a shared machine the mean says more about the neighbours than about the code.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from convcli.arrays.library import Array

OUTLIER = 14.826  # deviations from the median, as hyperfine counts: ten standard deviations
SLOW = 1.5  # times the median: a first run that is worth a word
NOISY = 0.15  # interquartile range over median
RESAMPLES = 2000
CHUNK_BYTES = 2**24  # that resampling may take at a time
FEWEST = 5  # runs below which nothing is said about noise, and too few different sets can be drawn

STATISTICS = ("median", "mean", "min")


@dataclass(frozen=True)
class Summary:
    """Run times in seconds, summed up.

    Half of all runs lie between the quartiles `lower` and `upper`; `deviation` is the standard deviation of a
    sample, 0 for a single run; `outliers` are counted as `outlying` does.
    """

    runs: int
    median: float
    lower: float
    upper: float
    min: float
    max: float
    mean: float
    deviation: float
    outliers: int

    @property
    def spread(self) -> float:
        """Interquartile range."""
        return self.upper - self.lower


def summarise(times: Sequence[float]) -> Summary:
    """Sum up run times, of which there is at least one.

    >>> found = summarise([1.0, 2.0, 3.0, 4.0, 100.0])
    >>> found.median, found.lower, found.upper, found.outliers
    (3.0, 2.0, 4.0, 1)
    """
    values = np.asarray(times, dtype=np.float64)
    lower, median, upper = (float(q) for q in np.quantile(values, (0.25, 0.5, 0.75)))
    least, most, mean = float(values.min()), float(values.max()), float(values.mean())
    deviation = float(values.std(ddof=1)) if len(values) > 1 else 0.0
    outliers = int(outlying(times).sum())
    return Summary(len(values), median, lower, upper, least, most, mean, deviation, outliers)


def outlying(times: Sequence[float]) -> Array:
    """Tell for every run whether it is an outlier, by its distance from the median.

    The unit is the median absolute deviation, which outliers themselves do not move (Iglewicz and
    Hoaglin, How to Detect and Handle Outliers, 1993); the bound is hyperfine's.

    >>> outlying([1.0, 1.1, 0.9, 5.0]).tolist()
    [False, False, False, True]
    """
    values = np.asarray(times, dtype=np.float64)
    distances: Array = np.abs(values - np.median(values))
    found: Array = distances > OUTLIER * np.median(distances)
    # Where most runs are the same to the clock's last digit, the unit is 0: nothing is said.
    return found if np.median(distances) > 0 else np.zeros(len(values), dtype=bool)


def complaints(times: Sequence[float]) -> list[tuple[str, str]]:
    """List doubts about run times, and a remedy for each.

    >>> complaints([9.0, 1.0, 1.01, 0.99, 1.0, 1.02])
    [('its first run took 9.0 times the median', 'warm up with -w')]
    """
    if len(times) < FEWEST:
        return []
    found, odd, whole = [], outlying(times), summarise(times)
    if odd[0] and times[0] > SLOW * whole.median:
        found.append(
            (f"its first run took {times[0] / whole.median:.1f} times the median", "warm up with -w")
        )
    if odd[1:].sum() * 20 > len(times):  # one in twenty is bad luck
        found.append((f"{odd[1:].sum()} of its {len(times)} runs are outliers", "close other programs"))
    if whole.spread > NOISY * whole.median:
        share = whole.spread / whole.median
        text = f"the middle half of its runs spreads by {share:.0%} of the median"
        found.append((text, "close other programs, or run for longer with --min-time"))
    return found


@dataclass(frozen=True)
class Ratio:
    """A quotient of two measured times, and how far it can be trusted.

    Its standard `error` is infinite where it is unknown. The true value lies between `low` and `high` with a
    probability of 95 %, as far as the runs tell.
    """

    value: float
    error: float
    low: float
    high: float


def ratio(times: Sequence[float], base: Sequence[float], statistic: str = "median") -> Ratio:
    """Divide a statistic of `times` by that of `base`.

    The bootstrap gives the uncertainty: both sets of runs are drawn again, with replacement, many times over
    (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapters 6 and 13), alike every time. Fewer
    than 5 runs are too few to draw from: the interval is what their extremes allow; that of a single run has
    no bounds. The same object twice is one measurement, and its ratio to itself exactly 1.

    >>> found = ratio([2.0, 2.1, 1.9], [1.0, 1.0, 1.0])
    >>> found.value, found.low, found.high
    (2.0, 1.9, 2.1)
    >>> ratio([2.0], [1.0, 1.0, 1.0])
    Ratio(value=2.0, error=inf, low=0.0, high=inf)
    """
    if times is base:
        return Ratio(1.0, 0.0, 1.0, 1.0)
    of = getattr(np, statistic)
    value = float(of(times) / of(base))
    fewest = min(len(times), len(base))
    if fewest == 1:
        return Ratio(value, math.inf, 0.0, math.inf)
    rng = np.random.default_rng(0)
    drawn = _drawn(rng, times, of) / _drawn(rng, base, of)
    low, high = (float(q) for q in np.quantile(drawn, (0.025, 0.975)))
    if fewest < FEWEST:
        low, high = float(min(times) / max(base)), float(max(times) / min(base))
    return Ratio(value, float(drawn.std()), low, high)


def _drawn(rng: np.random.Generator, times: Sequence[float], of: Callable[..., Array]) -> Array:
    """Return the statistic of every set of runs drawn with replacement, many sets at a time."""
    values = np.asarray(times, dtype=np.float64)
    share = max(1, CHUNK_BYTES // (4 * values.nbytes))  # numbers of runs, their times, copies to be sorted
    sizes = (min(share, RESAMPLES - start) for start in range(0, RESAMPLES, share))
    return np.concatenate([of(rng.choice(values, (size, len(values))), axis=1) for size in sizes])
