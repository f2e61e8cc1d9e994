"""Our own backends as contestants."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from convcli import backends
from convcli.arrays import device
from convcli.arrays.library import Array
from convcli.arrays.samples import samples_of
from convcli.bench.contestants import Contestant, Problem
from convcli.bench.results import Phases
from convcli.engine.problem import Convolution as Posed
from convcli.engine.problem import prepare
from convcli.errors import ConvcliError


def ours(names: Sequence[str] = (), *, max_memory: int | None = None) -> list[Contestant]:
    """Return backends as contestants.

    Parameters
    ----------
    names : sequence of str
        ``auto`` and all others by default.
    max_memory : int, optional
        Bytes that temporaries may take; a backend that needs more is skipped.

    Examples
    --------
    >>> [contestant.name for contestant in ours(["fft"])]
    ['fft']
    """
    return [_contestant(name, max_memory) for name in names or ("auto", *backends.listed())]


def posed(problem: Problem, name: str, max_memory: int | None = None) -> Posed:
    """Decide how a backend is to solve a problem.

    Raises
    ------
    BackendError, LimitError
        If it cannot, or may not.
    """
    kernel = samples_of(problem.kernel, "kernel")[None, None]
    return prepare(planes(problem), kernel, backend=name, threads=problem.case.threads, max_memory=max_memory)


def planes(problem: Problem) -> Array:
    """Return the image of a problem as `prepare` takes it."""
    return samples_of(problem.image, "image")[:, None]


def _contestant(name: str, max_memory: int | None) -> Contestant:
    def refuses(problem: Problem) -> str | None:
        if name != "auto":
            reason = backends.load(name).unavailable()
            if reason is not None:
                return reason
        try:
            posed(problem, name, max_memory)
        except ConvcliError as error:
            return str(error)
        return None

    calls: list[dict[str, float]] = []

    @contextmanager
    def prepare(problem: Problem) -> Iterator[Callable[[], object]]:
        def call() -> object:
            return posed(problem, name, max_memory).compute(planes(problem))  # what a call of convolve does

        def watched_call() -> object:
            began = time.perf_counter()
            with device.watched() as found:
                result = call()
            calls.append({**found, "call": time.perf_counter() - began})
            return result

        calls.clear()
        chosen = backends.load(posed(problem, name, max_memory).plan.backend)
        yield watched_call if backends.on_device(chosen) else call

    def plan(problem: Problem) -> str:
        return posed(problem, name, max_memory).plan.chosen.name

    return Contestant(name, "backend", refuses, prepare, np.asarray, plan, lambda: _phases(calls))


def _phases(calls: list[dict[str, float]]) -> Phases | None:
    """Sum up calls, of which the first is unlike the others."""
    if not calls:
        return None
    first, *others = calls

    def median(what: str) -> float:
        return statistics.median(call.get(what, 0.0) for call in others or calls)

    return Phases(median("transfer"), median("kernel"), first["call"], first["compile"])
