"""One case from start to end: who may run, whose result is right, and how long each takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace

import numpy as np

from convcli.arrays.library import Array
from convcli.bench.contestants import Contestant, Task
from convcli.bench.memory import measured
from convcli.bench.results import Result
from convcli.bench.timer import Repeats, take_turns
from convcli.errors import ConvcliError

WRONG = {"backend": 1e-3, "peer": 5e-2, "process": 5e-2}
"""Error beyond which a result is wrong. Ours are far better; some others round to 8 bits."""

WRONG_RESULT = "wrong"


def run_case(
    task: Task,
    contestants: Sequence[Contestant],
    repeats: Repeats,
    *,
    clock: Callable[[], float] = time.perf_counter,
    done: Callable[[str, float], object] = lambda *_: None,
) -> list[Result]:
    """Check and time all contestants on one task; results of those that were skipped say why.

    No contestant is timed before its result was compared with a reference in float64. A second run shows
    how much memory it takes. A peer that fails, then or later, is skipped. `clock` and `done` are as in
    `take_turns`.
    """
    expected = reference(task)
    found: dict[str, Result] = {}
    calls: dict[str, Callable[[], object]] = {}
    with ExitStack() as stack:
        for contestant in contestants:
            result = Result(task.case, contestant.name, contestant.kind, skipped=contestant.refuses(task))
            if result.skipped is None:
                try:
                    call = stack.enter_context(contestant.prepare(task))
                    result = _checked(result, contestant, call, expected)
                except (ConvcliError, MemoryError) as error:
                    result = replace(result, skipped=str(error) or "out of memory")
                except Exception as error:  # a library's own way to say that it cannot
                    if contestant.kind == "backend":
                        raise
                    result = replace(result, skipped=_failure(error))
            if result.skipped is None:
                calls[contestant.name] = call
                result = replace(result, plan=contestant.plan(task))
            else:
                done(contestant.name, 1.0)
            found[contestant.name] = result

        def dropped(name: str, error: Exception) -> bool:
            found[name] = replace(found[name], skipped=_failure(error))
            return found[name].kind != "backend"

        times = take_turns(calls, repeats, clock=clock, done=done, dropped=dropped)
    for contestant in contestants:
        if name_times := times.get(contestant.name):
            result = found[contestant.name]
            found[contestant.name] = replace(result, times=tuple(name_times), phases=contestant.phases())
    return list(found.values())


def _failure(error: Exception) -> str:
    return f"failed: {type(error).__name__}: {error}".partition("\n")[0]


def _checked(result: Result, contestant: Contestant, call: Callable[[], object], expected: Array) -> Result:
    """Run twice: to compare the result, and to measure memory."""
    values = contestant.read(call()).reshape(expected.shape)
    with np.errstate(all="ignore"):
        error = float(np.abs(values - expected).max() / (np.abs(expected).max() or 1.0))
    if not error <= WRONG[contestant.kind]:  # NaN is wrong too
        reason = f"{WRONG_RESULT}: off by {error:.2g} of the largest value"
        return replace(result, max_error=error, skipped=reason)
    result = replace(result, max_error=error)
    _, allocated, resident = measured(call)  # the first call has imported, and filled caches
    if contestant.kind == "process":  # the memory of a child is not ours to measure
        return result
    return replace(result, allocated_bytes=allocated, resident_bytes=resident)


def reference(task: Task) -> Array:
    """Compute the result in float64, by code that is not ours, as (planes, height, width)."""
    from scipy.signal import oaconvolve

    kernel = np.asarray(task.kernel, dtype=np.float64)[None]
    whole: Array = oaconvolve(np.asarray(task.image, dtype=np.float64), kernel, mode="full", axes=(1, 2))
    (height, width), (rows, columns) = task.case.shape, task.case.kernel_shape
    top, left = (rows - 1) // 2, (columns - 1) // 2
    return whole[:, top : top + height, left : left + width]
