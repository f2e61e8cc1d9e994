"""Run contestants in turn, and note how long each run took."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Repeats:
    """How often to run: until `min_seconds` were spent, within bounds; runs to warm up do not count."""

    warmup: int = 0
    min_runs: int = 5
    max_runs: int = 1000
    min_seconds: float = 0.5

    def enough(self, times: list[float], spent: float) -> bool:
        """Whether these runs will do."""
        return len(times) >= self.max_runs or (len(times) >= self.min_runs and spent >= self.min_seconds)


def take_turns(
    calls: dict[str, Callable[[], object]],
    repeats: Repeats,
    *,
    clock: Callable[[], float] = time.perf_counter,
    done: Callable[[str, float], object] = lambda *_: None,
    dropped: Callable[[str, Exception], bool] = lambda *_: False,
) -> dict[str, list[float]]:
    """Time every call, in turns: A B C, A B C and so on.

    A machine that is slow for a while is then slow for all of them, and the ratios stay true, though none of
    them finds the caches as it left them. A call that has run often enough drops out.

    `clock` returns seconds from any origin. `done` is called after every run with the name and the share of
    its runs that are over, 1 at its last. `dropped` is asked about an exception: whether to go on without the
    call that raised it. The result has the seconds of each run that counts, in order.

    >>> ticks = iter(range(100))
    >>> take_turns({"a": int, "b": int}, Repeats(min_runs=2, min_seconds=0), clock=lambda: next(ticks))
    {'a': [1, 1], 'b': [1, 1]}
    """
    for _ in range(repeats.warmup):
        for call in calls.values():
            with contextlib.suppress(Exception):  # it will be raised again below
                call()
    times: dict[str, list[float]] = {name: [] for name in calls}
    spent = dict.fromkeys(calls, 0.0)
    waiting = dict(calls)
    while waiting:
        for name, call in list(waiting.items()):
            try:
                began = clock()
                result = call()
                ended = clock()
            except Exception as error:
                if not dropped(name, error):
                    raise
                del waiting[name], times[name]
                done(name, 1.0)
                continue
            del result  # before the next one allocates
            times[name].append(ended - began)
            spent[name] += ended - began
            if repeats.enough(times[name], spent[name]):
                del waiting[name]
            done(name, 1.0 if name not in waiting else _share(repeats, times[name], spent[name]))
    return times


def _share(repeats: Repeats, times: list[float], spent: float) -> float:
    """How far a contestant has come, between 0 and 1."""
    by_time = spent / repeats.min_seconds if repeats.min_seconds else 1.0
    by_least = len(times) / max(1, repeats.min_runs)
    return min(0.99, max(min(by_time, by_least), len(times) / max(1, repeats.max_runs)))
