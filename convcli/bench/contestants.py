"""Contestants: the task that all of them do, and the methods of a backend, a library or a program."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np

from convcli.arrays.library import Array
from convcli.bench.results import Case, Phases


@dataclass(frozen=True)
class Task:
    """A case with its data: `image` (planes, height, width) of its type, contiguous, and `kernel` of float64.

    The kernel's weights are to convolve with (not to correlate), their origin at ``(n - 1) // 2``; the result
    is as large as the image, and there are zeros outside.
    """

    case: Case
    image: Array
    kernel: Array


class Contestant:
    """One way to do a task; its name is that in tables, its kind "backend", "peer" or "process"."""

    name: str
    kind: str

    def refuses(self, task: Task) -> str | None:
        """Return why the task cannot be done here, as a clause without a full stop, or None."""
        raise NotImplementedError

    def prepare(self, task: Task) -> AbstractContextManager[Callable[[], object]]:
        """Return a context manager that yields the call to time; entering it is not timed."""
        raise NotImplementedError

    def read(self, returned: object) -> Array:
        """Turn what the call returned into a (planes, height, width) array; not timed.

        Tensors, and lists of arrays or of Pillow's images, all know how to become an array.
        """
        return np.asarray(returned)

    def plan(self, task: Task) -> str:  # noqa: ARG002
        """Return the decision of the contestant on how to do the task, where that is known."""
        return ""

    def phases(self) -> Phases | None:
        """Return where the time of the calls since `prepare` went, where that is known."""
        return None
