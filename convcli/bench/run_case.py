"""One case from start to end: who may run, whose result is right, and how long each takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace

import numpy as np

from convcli.arrays.library import Array
from convcli.bench.contestants import Contestant, Problem
from convcli.bench.memory import measured
from convcli.bench.results import Result
from convcli.bench.timer import Schedule, take_turns
from convcli.errors import ConvcliError

WRONG = {"backend": 1e-3, "peer": 5e-2, "process": 5e-2}
"""Error beyond which a result is wrong. Ours are far better; some others round to 8 bits."""

WRONG_RESULT = "wrong"


def race(
    problem: Problem,
    contestants: Sequence[Contestant],
    schedule: Schedule,
    *,
    clock: Callable[[], float] = time.perf_counter,
    done: Callable[[str, float], object] = lambda *_: None,
) -> list[Result]:
    """Check and time all contestants on one problem.

    Nobody is timed before his result was compared with a reference in float64. A second run shows
    how much memory it takes. A peer that fails, then or later, is skipped.

    Parameters
    ----------
    problem : Problem
    contestants : sequence of Contestant
    schedule : Schedule
    clock, done : callable
        As in `take_turns`.

    Returns
    -------
    list of Result
        In the order of the contestants; those that were skipped say why.
    """
    expected = reference(problem)
    found: dict[str, Result] = {}
    calls: dict[str, Callable[[], object]] = {}
    with ExitStack() as stack:
        for contestant in contestants:
            result = Result(problem.case, contestant.name, contestant.kind)
            reason = contestant.refuses(problem)
            if reason is None:
                try:
                    call = stack.enter_context(contestant.prepare(problem))
                    result = _checked(result, contestant, call, expected)
                    reason = result.skipped
                except (ConvcliError, MemoryError) as error:
                    reason = str(error) or "out of memory"
                except Exception as error:  # a library's own way to say that it cannot
                    if contestant.kind == "backend":
                        raise
                    reason = _failure(error)
            if reason is None:
                calls[contestant.name] = call
            else:
                done(contestant.name, 1.0)
            found[contestant.name] = replace(
                result, skipped=reason, plan="" if reason else contestant.plan(problem)
            )
        failed: dict[str, str] = {}

        def dropped(name: str, error: Exception) -> bool:
            failed[name] = _failure(error)
            return found[name].kind != "backend"

        times = take_turns(calls, schedule, clock=clock, done=done, dropped=dropped)
    phases = {contestant.name: contestant.phases for contestant in contestants}
    return [
        replace(
            result,
            times=tuple(times.get(name, ())),
            skipped=failed.get(name, result.skipped),
            phases=phases[name]() if name in times else None,
        )
        for name, result in found.items()
    ]


def _failure(error: Exception) -> str:
    return f"failed: {type(error).__name__}: {error}".partition("\n")[0]


def _checked(result: Result, contestant: Contestant, call: Callable[[], object], expected: Array) -> Result:
    """Run twice: to see what comes of it, and how much memory it takes."""
    values = contestant.read(call()).reshape(expected.shape)
    with np.errstate(all="ignore"):
        error = float(np.abs(values - expected).max() / (np.abs(expected).max() or 1.0))
    if not error <= WRONG[contestant.kind]:  # NaN is wrong too
        reason = f"{WRONG_RESULT}: off by {error:.2g} of the largest value"
        return replace(result, max_error=error, skipped=reason)
    _, allocated, resident = measured(call)  # the first call has imported, and filled caches
    own = contestant.kind != "process"  # what a child takes is not ours to measure
    return replace(
        result,
        max_error=error,
        allocated_bytes=allocated if own else None,
        resident_bytes=resident if own else None,
    )


def reference(problem: Problem) -> Array:
    """Compute the result in float64, by code that is not ours.

    Returns
    -------
    (planes, height, width) array of float64
    """
    from scipy.signal import oaconvolve

    kernel = np.asarray(problem.kernel, dtype=np.float64)[None]
    image = np.asarray(problem.image, dtype=np.float64)
    whole: Array = oaconvolve(image, kernel, mode="full", axes=(1, 2))
    (height, width), (rows, columns) = problem.case.shape, problem.case.kernel_shape
    top, left = (rows - 1) // 2, (columns - 1) // 2
    return whole[:, top : top + height, left : left + width]
