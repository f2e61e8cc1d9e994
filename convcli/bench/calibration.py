"""Measure the rates that estimates are made of.

Every estimate is a sum of counts times rates, so that the rates follow from measured times by least
squares. Nothing here knows what a backend counts: one that is new is calibrated like the others.
"""

from __future__ import annotations

import functools
import importlib
import itertools
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from convcli import backends
from convcli.arrays.library import Array
from convcli.engine import rates
from convcli.engine.planner import Candidate
from convcli.engine.problem import Convolution, prepare
from convcli.system.resources import cpu_count

SIZES = (32, 64, 128, 256, 512, 1024, 2048)
KERNELS = (3, 5, 9, 15, 25, 51, 101)
LONGEST = 0.25  # seconds of one run, by the shipped rates; what takes longer says nothing new
BUDGET = 40.0  # seconds for all runs, as estimated
MOST = 55.0  # seconds that they may really take
LARGEST_BYTES = 1 << 27
TURNS = 4  # the first of which warms up
TRUST = 0.2  # weight of what was known before, against one measurement


@dataclass(frozen=True)
class Sample:
    """One way to compute one convolution, and its estimate."""

    convolution: Convolution
    image: Array
    candidate: Candidate

    @property
    def seconds(self) -> float:
        """Estimate by the shipped rates: those in force may be worth nothing."""
        return sum(shipped()[what] * count for what, count in self.counts.items())

    @property
    def counts(self) -> dict[tuple[str, str], float]:
        """Amounts by backend and rate; a backend on a GPU has some rates of its own that the others share."""
        cost, backend = self.candidate.cost, self.candidate.backend
        assert cost is not None
        own, both = backends.load(backend).RATES, (*cost.work.items(), *cost.start.items())
        return {(backend if what in own else "shared", what): count for what, count in both}


def samples(threads: int, limit: float = LONGEST) -> Iterator[Sample]:
    """Every candidate for problems of many sizes that takes no longer than `limit` seconds."""
    rng = np.random.default_rng(0)
    for size, taps in itertools.product(SIZES, KERNELS):
        planes = 3 if size <= 256 else 1
        image = rng.standard_normal((planes, 1, size, size)).astype(np.float32)
        column = rng.standard_normal(taps)
        for number, kernel in enumerate((rng.standard_normal((taps, taps)), np.outer(column, column[::-1]))):
            with rates.ignored():
                part = image[: 1 if number else None]
                convolution = prepare(part, kernel[None, None], threads=threads)
            for candidate in convolution.plan.candidates:
                if candidate.cost is None or candidate.cost.memory_bytes > LARGEST_BYTES:
                    continue
                plan = replace(convolution.plan, chosen=candidate)
                sample = Sample(replace(convolution, plan=plan), part, candidate)
                if sample.seconds <= limit:
                    yield sample


def calibrate(
    *,
    threads: int | None = None,
    budget: float = BUDGET,
    clock: Callable[[], float] = time.perf_counter,
    begin: Callable[[int], Callable[[str], object]] = lambda _: str,
) -> rates.Profile:
    """Measure this machine in about `budget` seconds; `begin` is called with the number of runs.

    Its result is called with the name of each run that is over.
    """
    seconds = dict(shipped())
    for module in _imports():  # the estimates are for a process that has what the backends import
        importlib.import_module(module)
    threads = cpu_count() if threads is None else threads
    chosen = _within(list(samples(threads)), budget)
    done = begin(TURNS * len(chosen))
    times: list[list[float]] = [[] for _ in chosen]
    started = clock()
    for turn in range(TURNS):  # turns, so that a noisy moment spoils nothing for good
        for number, (sample, found) in enumerate(zip(chosen, times, strict=True)):
            began = clock()
            sample.convolution.compute(sample.image)
            if turn:
                found.append(clock() - began)
            elif clock() - started > MOST / TURNS:  # this machine is slower: fewer runs must do
                del chosen[number + 1 :], times[number + 1 :]
                break
            done(sample.candidate.name)
    seconds |= fit([s.counts for s in chosen], [statistics.median(found) for found in times])
    imports = {f"import {module}": _import_seconds(module) for module in _imports()}
    grouped: dict[str, dict[str, float]] = {}
    for (owner, rate), value in sorted(seconds.items()):
        grouped.setdefault(owner, {})[rate] = float(f"{imports.get(rate, value):.4g}")
    date = time.strftime("%Y-%m-%dT%H:%M:%S")
    return rates.Profile(grouped, rates.cpu_name(), threads, np.__version__, date)


def _imports() -> list[str]:
    """Modules that the backends import which can run here."""
    ready = [backends.load(name) for name in backends.listed()]
    found = {what for module in ready if module.unavailable() is None for what in module.RATES}
    return sorted(what.removeprefix("import ") for what in found if what.startswith("import "))


def _within(chosen: list[Sample], budget: float) -> list[Sample]:
    """Leave out the longest until the budget is kept."""
    chosen = sorted(chosen, key=lambda sample: sample.seconds)
    totals = itertools.accumulate(TURNS * sample.seconds for sample in chosen)
    return [sample for sample, total in zip(chosen, totals, strict=True) if total <= budget]


@functools.cache
def shipped() -> dict[tuple[str, str], float]:
    """Every rate as shipped, by backend and name."""
    found = {("shared", what): seconds for what, seconds in rates.SHARED.items()}
    for name in backends.names():
        found |= {(name, what): seconds for what, seconds in backends.load(name).RATES.items()}
    return found


def fit(counts: list[dict[tuple[str, str], float]], times: list[float]) -> dict[tuple[str, str], float]:
    """Find the rates that explain measured times best: the non-negative least squares of relative errors.

    The shipped rates count as weak measurements, which decide where the others say nothing.

    >>> calls = [{("direct", "call"): 1000 * n} for n in range(1, 9)]
    >>> found = fit(calls, [2e-3 * n for n in range(1, 9)])
    >>> round(found[("direct", "call")] * 1e6, 1)
    2.0
    """
    from scipy.optimize import nnls

    known = {rate: seconds for rate, seconds in shipped().items() if not rate[1].startswith("import ")}
    place = {what: number for number, what in enumerate(known)}
    # A machine that is ten times slower is so in all it does: that much is known before the rest is.
    estimates = [sum(known[what] * n for what, n in count.items()) for count in counts]
    pace = statistics.median([t / e for t, e in zip(times, estimates, strict=True)] or [1.0])
    known = {what: seconds * pace for what, seconds in known.items()}
    matrix = np.zeros((len(times) + len(known), len(known)))
    wanted = np.ones(len(matrix))
    for row, (count, seconds) in enumerate(zip(counts, times, strict=True)):
        for what, amount in count.items():
            matrix[row, place[what]] = amount * known[what] / seconds
    for number in place.values():
        matrix[len(times) + number, number] = wanted[len(times) + number] = TRUST
    scales, _ = nnls(matrix, wanted)
    return {what: seconds * float(scales[place[what]]) for what, seconds in known.items()}


@functools.cache
def _import_seconds(module: str) -> float:
    """Time the import of a module in fresh processes that have NumPy already."""
    woken = "; cupy.zeros(1).get()" if module == "cupy" else ""  # the GPU has to be woken up as well
    script = (
        f"import time, numpy; t = time.perf_counter(); import {module}{woken}; print(time.perf_counter() - t)"
    )
    command = [sys.executable, "-c", script]
    outputs = (subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(3))
    return statistics.median(map(float, outputs))
