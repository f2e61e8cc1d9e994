"""Our own backends as contestants."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from convcli import backends
from convcli.arrays import device
from convcli.arrays.library import Array
from convcli.arrays.samples import samples_of
from convcli.bench.contestants import Contestant, Task
from convcli.bench.results import Phases
from convcli.engine.problem import Convolution, prepare
from convcli.errors import ConvcliError


def ours(names: Sequence[str] = (), *, max_memory: int | None = None) -> list[Contestant]:
    """Return backends as contestants, by default ``auto`` and all others.

    >>> [contestant.name for contestant in ours(["fft"])]
    ['fft']
    """
    return [Ours(name, max_memory) for name in names or ("auto", *backends.listed())]


class Ours(Contestant):
    """A backend, which is skipped where its temporaries need more than `max_memory` bytes."""

    kind = "backend"

    def __init__(self, name: str, max_memory: int | None) -> None:
        self.name, self.max_memory = name, max_memory
        self.calls: list[dict[str, float]] = []  # seconds by phase, on a GPU

    def refuses(self, task: Task) -> str | None:
        """Say why the backend cannot run here, or why the planner refuses the task."""
        reason = None if self.name == "auto" else backends.load(self.name).unavailable()
        if reason is None:
            try:
                self._convolution(task)
            except ConvcliError as error:
                return str(error)
        return reason

    @contextmanager
    def prepare(self, task: Task) -> Iterator[Callable[[], object]]:
        """Yield what a call of `convcli.convolve` does."""

        def call() -> object:
            return self._convolution(task).compute(_planes(task))

        def watched_call() -> object:
            began = time.perf_counter()
            with device.watched() as found:
                result = call()
            self.calls.append({**found, "call": time.perf_counter() - began})
            return result

        self.calls.clear()
        chosen = backends.load(self._convolution(task).plan.backend)
        yield watched_call if backends.on_device(chosen) else call

    def plan(self, task: Task) -> str:
        """Name the backend that is used, and how."""
        return self._convolution(task).plan.chosen.name

    def phases(self) -> Phases | None:
        """Sum up the calls, of which the first is unlike the others."""
        if not self.calls:
            return None
        first, *others = self.calls

        def median(phase: str) -> float:
            return statistics.median(call.get(phase, 0.0) for call in others or self.calls)

        return Phases(median("transfer"), median("kernel"), first["call"], first["compile"])

    def _convolution(self, task: Task) -> Convolution:
        kernel = samples_of(task.kernel, "kernel")[None, None]
        limits = {"threads": task.case.threads, "max_memory": self.max_memory}
        return prepare(_planes(task), kernel, backend=self.name, **limits)


def _planes(task: Task) -> Array:
    """Return the image as `prepare` takes it."""
    return samples_of(task.image, "image")[:, None]
