"""Libraries as contestants.

The rules, for all alike: the small kernel is flipped and converted beforehand; a conversion of the image's
type, or a margin around it, is part of the time. 8-bit images give floats, as ours do.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np

from convcli.arrays.library import Array
from convcli.bench.contestants import Contestant, Task

Call = Callable[[], object]


def floats(task: Task) -> type[np.floating[Any]]:
    """Return the type to compute in, which is ours: 8-bit images are filtered in float32."""
    return np.float64 if task.case.dtype == "float64" else np.float32


def flipped(task: Task) -> Array:
    """Return the kernel to correlate with; its origin is then at ``n // 2``."""
    return np.ascontiguousarray(task.kernel[::-1, ::-1], floats(task))


def threads_by(getter: str, setter: str) -> Callable[[Any, int], AbstractContextManager[None]]:
    """Return what limits a library's threads by a function of its own, and restores them."""

    @contextlib.contextmanager
    def hold(module: Any, count: int) -> Iterator[None]:
        before = getattr(module, getter)()
        getattr(module, setter)(count)
        try:
            yield
        finally:
            getattr(module, setter)(before)

    return hold


def _one_thread(_module: Any, _count: int) -> AbstractContextManager[None]:
    return contextlib.nullcontext()


def no_limits(_task: Task) -> None:
    """Accept every task."""


@dataclass(frozen=True)
class Library(Contestant):
    """A library's convolution: `build` makes the call to time of the `module`, imported, and a task.

    `limits` says why the library cannot do a task; `threads` limits the module to a number of threads, as a
    context manager.
    """

    name: str
    module: str
    build: Callable[[Any, Task], Call]
    limits: Callable[[Task], str | None] = no_limits
    threads: Callable[[Any, int], AbstractContextManager[None]] = _one_thread
    kind = "peer"

    def refuses(self, task: Task) -> str | None:
        """Say why the library cannot be imported, whatever error that is, or cannot do the task."""
        if importlib.util.find_spec(self.module.partition(".")[0]) is None:
            return 'not installed (pip install "convcli[peers]")'
        try:
            importlib.import_module(self.module)
        except Exception as error:
            reason = " ".join(str(error).split()).rstrip(".")
            return f"cannot be imported ({type(error).__name__}: {reason})"
        return self.limits(task)

    @contextlib.contextmanager
    def prepare(self, task: Task) -> Iterator[Call]:
        """Build the call, its threads limited."""
        module = importlib.import_module(self.module)
        with self.threads(module, task.case.threads):
            yield self.build(module, task)
