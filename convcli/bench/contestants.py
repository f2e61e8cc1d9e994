"""Who can be timed: what a contestant must say and do, be it a backend, a library or a program."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from convcli.arrays.library import Array
from convcli.bench.results import Case, Phases


@dataclass(frozen=True)
class Problem:
    """A case with its data.

    Attributes
    ----------
    case : Case
    image : (planes, height, width) array
        Of the type that the case names, contiguous.
    kernel : (kernel height, kernel width) array of float64
        To be convolved with (not correlated), its origin at ``(n - 1) // 2``; the result is as large as
        the image, and there are zeros outside.
    """

    case: Case
    image: Array
    kernel: Array


@dataclass(frozen=True)
class Contestant:
    """One way to solve a problem.

    Attributes
    ----------
    name : str
        As the table shows it.
    kind : {"backend", "peer", "process"}
    refuses : callable
        Takes the problem; returns why it cannot be solved here, as a clause without a full stop, or None.
    prepare : callable
        Takes the problem and returns a context manager: what is done on entering is not timed. It
        yields the call that is, without arguments.
    read : callable
        Takes what the call returned; returns the result as (planes, height, width) array. Not timed.
    plan : callable
        Takes the problem; returns what the contestant decides to do, where that is known.
    phases : callable
        Returns where the time of the calls that `prepare` made went, where that is known.
    """

    name: str
    kind: str
    refuses: Callable[[Problem], str | None]
    prepare: Callable[[Problem], AbstractContextManager[Callable[[], object]]]
    read: Callable[[object], Array]
    plan: Callable[[Problem], str] = lambda _: ""
    phases: Callable[[], Phases | None] = lambda: None
