"""The entries of a convolution's matrix, counted by value without a look at each.

Along each axis there are few sorts of entries: a single cell of the kernel, or, where a border makes
several meet in one sample, a set of them. The matrix holds every combination of the axes' sorts, each
as often as the product says.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from convcli.arrays.borders import border_positions
from convcli.arrays.library import Array
from convcli.matrices.convolution_matrix import ConvolutionMatrix
from convcli.matrices.footprint import untouched
from convcli.matrices.matrix import Ints
from convcli.spec import Axis, ConvSpec

MOST_SORTS = 1 << 24  # cells of all sorts together
MOST_AT_BORDER = 1 << 22  # cells that reach beyond one axis of the image, counted one by one
PART = 1 << 20  # of these, and of values, looked at together


@dataclass(frozen=True)
class Sorts:
    """Sorts of entries along one axis, all made of as many cells.

    Attributes
    ----------
    cells : (sorts, many) array of int
        Positions in the kernel along this axis, ascending.
    counts : (sorts,) array of int
        How often each occurs.
    """

    cells: Ints
    counts: Ints


def tally(matrix: ConvolutionMatrix) -> Counter[Any] | None:
    """Count the entries of a matrix by value, zeros left out; None if there are too many sorts.

    Examples
    --------
    >>> from convcli.matrices.build import convolution_matrix
    >>> sorted(tally(convolution_matrix([3, 4], 10**12, mode="same", border="nearest")).items())
    [(3, 999999999999), (4, 999999999999), (7, 1)]
    """
    lists = _lists(matrix)
    if lists is None:
        return None
    total: Counter[Any] = Counter()
    waiting: list[tuple[Array, Ints]] = []
    planes = matrix.kernels.reshape(-1, math.prod(matrix.spec.kernel_shape))
    for cells, counts in _combinations(lists, matrix.spec):
        values = _sums(planes[:, cells])
        waiting.append((values, np.broadcast_to(counts, values.shape)))
        if sum(values.size for values, _ in waiting) > PART:
            total.update(_counted(waiting))
            waiting = []
    if waiting:
        total.update(_counted(waiting))
    return total


def sorts(matrix: ConvolutionMatrix) -> Iterator[tuple[list[int], int]] | None:
    """Return what may stand in an entry, as flat indices of `kernels`, and how many entries are so.

    None if there are too many sorts.

    Examples
    --------
    >>> from convcli.matrices.build import convolution_matrix
    >>> list(sorts(convolution_matrix([3, 4], 5, mode="same", border="nearest")))
    [([1], 4), ([0], 4), ([0, 1], 1)]
    """
    lists = _lists(matrix)
    return None if lists is None else _each(matrix, lists)


def _each(matrix: ConvolutionMatrix, lists: list[list[Sorts]]) -> Iterator[tuple[list[int], int]]:
    size = math.prod(matrix.spec.kernel_shape)
    for plane in range(matrix.kernels.shape[0] * matrix.kernels.shape[1]):
        for cells, counts in _combinations(lists, matrix.spec):
            yield from zip((cells + plane * size).tolist(), counts.tolist(), strict=True)


def sorts_of(axis: Axis, border: str, op: str) -> list[Sorts]:
    """List what may stand in an entry as far as one axis goes, by number of cells.

    Examples
    --------
    >>> (axis,) = ConvSpec((5,), (3,)).axes
    >>> [(sorts.cells.tolist(), sorts.counts.tolist()) for sorts in sorts_of(axis, "nearest", "correlate")]
    [([[0], [1], [2]], [4, 3, 4]), ([[0, 1], [1, 2]], [1, 1])]
    """
    if border in ("zero", "constant"):
        alone = np.array([_met(axis, tap * axis.dilation - axis.before) for tap in range(axis.taps)])
        found = {1: Sorts(np.arange(axis.taps)[:, None], alone)}
    else:
        found = _with_border(axis, border)
    for many, sorts in found.items():
        kept = sorts.counts > 0
        cells = sorts.cells[kept] if op == "correlate" else axis.taps - 1 - sorts.cells[kept, ::-1]
        found[many] = Sorts(cells, sorts.counts[kept])
    return [found[many] for many in sorted(found) if len(found[many].counts)]


def _met(axis: Axis, shift: int) -> int:
    """Count the outputs whose sample at a distance lies in the image."""
    first = max(0, -(shift // axis.stride))
    last = min(axis.output - 1, (axis.size - 1 - shift) // axis.stride)
    return max(0, last - first + 1)


def _with_border(axis: Axis, border: str) -> dict[int, Sorts]:
    """Find the sorts of a border that repeats samples; outputs that reach it are looked at one by one."""
    inside = untouched(axis)
    alone = np.full(axis.taps, len(inside))
    together: dict[int, list[Sorts]] = {}
    step = max(1, PART // axis.taps)
    for begin, end in ((0, inside.start), (inside.stop, axis.output)):
        for start in range(begin, end, step):
            outputs = np.arange(start, min(end, start + step))
            wanted = outputs[:, None] * axis.stride + np.arange(axis.taps) * axis.dilation - axis.before
            for sorts in _grouped(border_positions(wanted, axis.size, border)):
                if sorts.cells.shape[1] == 1:
                    alone[sorts.cells[:, 0]] += sorts.counts
                else:
                    together.setdefault(sorts.cells.shape[1], []).append(sorts)
    merged = {many: _joined(parts) for many, parts in together.items()}
    return {1: Sorts(np.arange(axis.taps)[:, None], alone)} | merged


def _grouped(samples: Ints) -> Iterator[Sorts]:
    """Group the cells of each row that meet one sample."""
    order = np.argsort(samples, axis=1, kind="stable")
    ordered = np.take_along_axis(samples, order, axis=1)
    begins = np.flatnonzero(np.diff(ordered, axis=1, prepend=-1))
    sizes = np.diff(begins, append=samples.size)
    for many in np.unique(sizes).tolist():
        cells = order.reshape(-1)[begins[sizes == many, None] + np.arange(many)]
        yield Sorts(*np.unique(cells, axis=0, return_counts=True))


def _joined(parts: list[Sorts]) -> Sorts:
    cells, where = np.unique(np.concatenate([part.cells for part in parts]), axis=0, return_inverse=True)
    counts = np.zeros(len(cells), np.int64)
    np.add.at(counts, where.reshape(-1), np.concatenate([part.counts for part in parts]))
    return Sorts(cells, counts)


def _lists(matrix: ConvolutionMatrix) -> list[list[Sorts]] | None:
    """Sorts along each axis; None if their combinations are too many."""
    spec = matrix.spec
    if spec.border not in ("zero", "constant"):
        reaching = max((a.output - len(untouched(a))) * a.taps for a in spec.axes)
        if reaching > MOST_AT_BORDER:
            return None
    lists = [sorts_of(axis, spec.border, spec.op) for axis in spec.axes]
    cells = matrix.kernels.shape[0] * matrix.kernels.shape[1]
    for found in lists:
        cells *= sum(sorts.cells.size for sorts in found)
    return lists if cells <= MOST_SORTS else None


def _combinations(lists: list[list[Sorts]], spec: ConvSpec) -> Iterator[tuple[Ints, Ints]]:
    """Yield (sorts, many) arrays of cells of the whole kernel, ascending, and how often each sort occurs."""
    *outer, inner = lists
    for chosen in itertools.product(*outer):
        for choice in itertools.product(*(range(len(sorts.counts)) for sorts in chosen)):
            cells, count = np.zeros(1, np.int64), 1
            for sorts, number, taps in zip(chosen, choice, spec.kernel_shape, strict=False):
                cells = (cells[:, None] * taps + sorts.cells[number]).reshape(-1)
                count *= int(sorts.counts[number])
            for sorts in inner:
                whole = cells[:, None] * spec.kernel_shape[-1] + sorts.cells[:, None, :]
                yield whole.reshape(len(sorts.cells), -1), count * sorts.counts


def _sums(values: Array) -> Array:
    """Add up the last axis, as the matrix does where it is built: to the last bit."""
    if values.shape[-1] == 1:
        return values[..., 0]
    rows = values.reshape(-1, values.shape[-1])
    present = rows != 0
    sizes = present.sum(axis=1)
    sums = np.zeros(len(rows), values.dtype)
    some = sizes > 0
    if some.any():
        starts = np.cumsum(sizes[some]) - sizes[some]
        sums[some] = np.add.reduceat(rows[present], starts)
    return sums.reshape(values.shape[:-1])


def _counted(found: list[tuple[Array, Ints]]) -> Counter[Any]:
    values = np.concatenate([part.reshape(-1) for part, _ in found])
    counts = np.concatenate([part.reshape(-1) for _, part in found])
    distinct, where = np.unique(values, return_inverse=True)
    halves = []
    for part in (counts >> 30, counts & (2**30 - 1)):  # the sum of a few may take more than 64 bits
        halves.append(np.zeros(len(distinct), np.int64))
        np.add.at(halves[-1], where, part)
    numbers = zip(distinct.tolist(), *(half.tolist() for half in halves), strict=True)
    return Counter({value: (high << 30) + low for value, high, low in numbers if value != 0})
