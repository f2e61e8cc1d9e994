"""How much slower `auto` is than the best choice it could have made, by shipped and by measured rates."""

from __future__ import annotations

import functools
import itertools
import os
import statistics
import tempfile
import time

import numpy as np

import convcli
from convcli import backends
from convcli.bench.calibration import calibrate
from convcli.bench.timer import Repeats, take_turns
from convcli.engine import rates as profile
from convcli.engine.planner import plan
from convcli.spec import ConvSpec

SIZES = (64, 256, 1024, 2048, 4096)
KERNELS = (3, 5, 7, 11, 15, 25, 31, 51, 101)
HOPELESS = 5  # times the least estimate: not even tried


def regrets(schedule: Repeats) -> list[tuple[float, str, str, str]]:
    """Time `auto` and every backend that stands a chance on all cases, in turns."""
    rng = np.random.default_rng(0)
    found = []
    for size, taps in itertools.product(SIZES, KERNELS):
        image = rng.standard_normal((size, size)).astype(np.float32)
        column = rng.standard_normal(taps)
        kernels = {"random": rng.standard_normal((taps, taps)), "separable": np.outer(column, column[::-1])}
        for kind, kernel in kernels.items():
            spec = ConvSpec(image.shape, kernel.shape, rank=1 if kind == "separable" else 0)
            estimates = {
                name: min(c.cost.seconds for c in plan(spec).candidates if c.backend == name and c.cost)
                for name in backends.listed()
                if backends.load(name).unavailable() is None
            }
            close = [n for n, t in estimates.items() if t < HOPELESS * min(estimates.values())]
            chosen = min(estimates, key=estimates.__getitem__)
            close.sort(key=chosen.__eq__)
            times = in_both_orders(["auto", *close], image, kernel, schedule)
            best = min(close, key=times.__getitem__)
            found.append((times["auto"] / times[best], f"{size}×{size}, {taps}×{taps} {kind}", chosen, best))
    return found


def in_both_orders(
    names: list[str], image: np.ndarray, kernel: np.ndarray, schedule: Repeats
) -> dict[str, float]:
    """Medians over turns forwards and backwards.

    The last is what `auto` chose. Whoever comes after his like finds the caches warm: so each of the two
    comes after the other once.
    """
    calls = {n: functools.partial(convcli.convolve, image, kernel, backend=n) for n in names}
    forwards = take_turns(calls, schedule)
    backwards = take_turns(dict(reversed(calls.items())), schedule)
    return {n: statistics.median(forwards[n] + backwards[n]) for n in names}


def show(label: str, found: list[tuple[float, str, str, str]], targets: str) -> None:
    """Print the middle and the worst."""
    ratios = [ratio for ratio, *_ in found]
    print(
        f"regret of auto, {label}: median {statistics.median(ratios):.2f}, "
        f"worst {max(ratios):.2f}   {targets}"
    )
    for ratio, case, chosen, best in sorted(found, reverse=True)[:5]:
        print(f"  {ratio:5.2f}  {case}: chose {chosen}, {best} was fastest")


def main(runs: int = 5) -> None:
    """Measure with the shipped rates, calibrate into a folder of its own, and measure again."""
    import scipy.fft  # noqa: F401 - as in a process that has computed before

    before = os.environ.get("XDG_CONFIG_HOME")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CONFIG_HOME"] = folder
        profile.stored.cache_clear()
        schedule = Repeats(warmup=1, min_runs=runs, max_runs=10 * runs, min_seconds=0.02)
        show("shipped profile", regrets(schedule), "≤ 1.1, ≤ 2")
        began = time.perf_counter()
        profile.save(calibrate())
        print(f"calibration took {time.perf_counter() - began:.0f} s   < 60")
        show("after calibration", regrets(schedule), "≤ 1.05, ≤ 1.3")
    os.environ.pop("XDG_CONFIG_HOME")
    if before is not None:
        os.environ["XDG_CONFIG_HOME"] = before


if __name__ == "__main__":
    main()
