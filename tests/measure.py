"""Rivals take turns (A B A B …), so that a noisy machine is noisy for all; medians are compared."""

from __future__ import annotations

import ctypes
import math
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from convcli.system import threads
from convcli.system.resources import cpu_count

REST = 2e-3  # seconds after each call: the threads of some libraries go on spinning for a while

PEAK = """
typedef float vec __attribute__((vector_size(64)));
float peak(long rounds) {
    vec sums[12], a = {0}, b = {0};
    for (int i = 0; i < 12; i++) sums[i] = a + (float)i;
    a += 0.999f, b += 0.001f;
    for (long n = 0; n < rounds; n++)
        for (int i = 0; i < 12; i++) sums[i] = sums[i] * a + b;
    float total = 0;
    for (int i = 0; i < 12; i++)
        for (int j = 0; j < 16; j++) total += sums[i][j];
    return total;
}
"""


def medians(
    rivals: dict[str, Callable[[], object]], runs: int, rest: float = REST, *, warm: bool = True
) -> dict[str, float]:
    """Median seconds of each, called in turn, after a call of each that warms up."""
    for run in rivals.values() if warm else ():
        run()
    times: dict[str, list[float]] = {name: [] for name in rivals}
    for _ in range(runs):
        for name, run in rivals.items():
            time.sleep(rest)
            began = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - began)
    return {name: statistics.median(values) for name, values in times.items()}


def head(theirs: str = "rival") -> None:
    """Print the head of a table."""
    print(f"\n{'':46} {'convcli':>11} {theirs:>11}   ratio   target")


def show(what: str, ours: float, theirs: float, target: str, scale: float = 1e3, unit: str = "ms") -> float:
    """Print a line; return the ratio."""
    ratio = ours / theirs
    print(f"{what:46} {ours * scale:8.2f} {unit} {theirs * scale:8.2f} {unit}   {ratio:5.2f}   {target}")
    return ratio


def geometric_mean(ratios: list[float]) -> float:
    """Return the mean that ratios have."""
    return math.exp(statistics.fmean(map(math.log, ratios)))


def fma_peak() -> float | None:
    """Multiply-adds of float32 per second that all threads reach in registers; None without a compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder, "peak.c"), Path(folder, "peak.so")
        source.write_text(PEAK)
        command = [
            compiler,
            "-O3",
            "-march=native",
            "-ffp-contract=fast",
            "-shared",
            "-fPIC",
            source,
            "-o",
            library,
        ]
        if subprocess.run(command, capture_output=True).returncode:
            return None
        peak = ctypes.CDLL(str(library)).peak
        peak.argtypes, peak.restype = [ctypes.c_long], ctypes.c_float
        rounds, best, count = 1_000_000, math.inf, cpu_count()
        for _ in range(15):
            began = time.perf_counter()
            threads.run([lambda: peak(rounds)] * count, count)
            best = min(best, time.perf_counter() - began)
        return rounds * 12 * 16 * count / best


def copy_rate(samples: int) -> float:
    """Bytes per second, read and written, of copying a float32 array with all threads."""
    source, target = np.ones(samples, np.float32), np.empty(samples, np.float32)
    count, best = cpu_count(), math.inf
    parts = list(zip(np.array_split(source, count), np.array_split(target, count), strict=True))
    for _ in range(9):
        began = time.perf_counter()
        threads.run([lambda part=part: np.copyto(part[1], part[0]) for part in parts], count)
        best = min(best, time.perf_counter() - began)
    return 2 * source.nbytes / best
