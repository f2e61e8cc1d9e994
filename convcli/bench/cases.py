"""Which problems a benchmark poses: every combination of what the user wants to vary."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from convcli.arrays.library import Array
from convcli.bench.contestants import Task
from convcli.bench.results import Case
from convcli.errors import LimitError, UsageError
from convcli.kernels import parse_kernel
from convcli.spec import choose
from convcli.text import shape_text

DTYPES = ("float32", "float64", "uint8")
MOST = 1000  # sizes in one scan
LARGEST = 1 << 20  # per side

Shape = tuple[int, int]
T = TypeVar("T")


@dataclass(frozen=True)
class Scan:
    """What varies; every combination is a case.

    `kernels` are specifications as for ``-k``, or shapes of random kernels; `shapes` are those of random
    images, unless there is an `image` (planes, height, width), of that `name`.
    """

    kernels: Sequence[str | Shape]
    shapes: Sequence[Shape]
    dtypes: Sequence[str] = ("float32",)
    threads: Sequence[int] = (1,)
    image: Array | None = None
    name: str = "random"
    _weights: dict[str | Shape, Array] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        for kernel in self.kernels:  # each once, however often it was given
            self._weights[kernel] = _random(kernel) if isinstance(kernel, tuple) else _weights(kernel)

    def cases(self) -> list[Case]:
        """List all cases, those with the same image side by side."""
        return [case for case, _ in self._posed()]

    def tasks(self) -> Iterator[Task]:
        """Pose all cases, one at a time, with their data."""
        made: tuple[tuple[Shape, str], Array] | None = None
        for case, weights in self._posed():
            if made is None or made[0] != (case.shape, case.dtype):
                made = (case.shape, case.dtype), self._pixels(case)
            yield Task(case, made[1], weights)

    def _posed(self) -> Iterator[tuple[Case, Array]]:
        planes, shapes = 1, self.shapes
        if self.image is not None:
            planes, shapes = len(self.image), [self.image.shape[1:]]
        varied = itertools.product(shapes, self.dtypes, self._weights.items(), self.threads)
        for shape, dtype, (kernel, weights), threads in varied:
            name = "random" if isinstance(kernel, tuple) else kernel
            yield Case(self.name, planes, shape, name, weights.shape, dtype, threads), weights

    def _pixels(self, case: Case) -> Array:
        if self.image is not None:
            return np.ascontiguousarray(self.image, dtype=case.dtype)
        rng = np.random.default_rng(0)
        if case.dtype == "uint8":
            return rng.integers(0, 256, (1, *case.shape), dtype=np.uint8)
        return rng.standard_normal((1, *case.shape), dtype=np.float32).astype(case.dtype, copy=False)


def _weights(text: str) -> Array:
    weights = parse_kernel(text).weights
    if weights.ndim != 2:
        axes = f"{weights.ndim} axes ({shape_text(weights.shape)})"
        raise UsageError(f'kernel "{text}" has {axes}; bench takes kernels of 2')
    return np.asarray(weights, dtype=np.float64)


def _random(shape: Shape) -> Array:
    """Draw a kernel without structure: nothing to separate, nothing to skip."""
    return np.random.default_rng(1).standard_normal(shape)


def shapes(text: str, what: str) -> list[Shape]:
    """Read sizes: ``N`` or ``HxW``, several by commas, and ranges ``first:last:step`` (last included).

    >>> shapes("3:7:2,15,3x5", "kernel sizes")
    [(3, 3), (5, 5), (7, 7), (15, 15), (3, 5)]
    """
    return _several(text, what, _sizes)


def counts(text: str, what: str) -> list[int]:
    """Read whole numbers: one, several by commas, and ranges ``first:last:step``.

    >>> counts("1,2,4:8:2", "threads")
    [1, 2, 4, 6, 8]
    """
    return _several(text, what, _range)


def words(text: str, allowed: Sequence[str], what: str) -> list[str]:
    """Read words by commas; each is one of those allowed, and appears once.

    >>> words("fft,direct", ["auto", "direct", "fft"], "backend")
    ['fft', 'direct']
    """
    return list(dict.fromkeys(choose(word.strip(), allowed, what) for word in text.split(",")))


def _several(text: str, what: str, read: Callable[[str, str], list[T]]) -> list[T]:
    found = [size for part in text.split(",") for size in read(part.strip(), what)]
    return list(dict.fromkeys(_limited(found, what, text)))


def _limited(found: Sequence[T], what: str, text: str) -> list[T]:
    if len(found) > MOST:
        raise LimitError(f"{what} {text} are {len(found)} sizes, more than {MOST}; use a larger step")
    return list(found)


def _sizes(part: str, what: str) -> list[Shape]:
    if re.fullmatch("[0-9]{1,9}[x×][0-9]{1,9}", part):
        height, width = (_bounded(int(n), what) for n in re.split("[x×]", part))
        return [(height, width)]
    return [(n, n) for n in _range(part, what)]


def _range(part: str, what: str) -> list[int]:
    if not re.fullmatch("[0-9]{1,9}(:[0-9]{1,9}){0,2}", part):
        raise UsageError(f'{what} "{part}" is not a size; write for example 256, 256,512 or 3:31:4')
    numbers = [int(n) for n in part.split(":")]
    first, last, step = numbers[0], numbers[min(1, len(numbers) - 1)], (*numbers, 1, 1)[2]
    if step < 1 or last < first:
        raise UsageError(f"{what} {part} is empty: write first:last:step, with a step of at least 1")
    return _limited(range(_bounded(first, what), _bounded(last, what) + 1, step), what, part)


def _bounded(number: int, what: str) -> int:
    if not 1 <= number <= LARGEST:
        raise UsageError(f"{what} {number} is not between 1 and {LARGEST}")
    return number
