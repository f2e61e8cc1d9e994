"""Strides, dilation and huge kernels, reduced to dense pieces that every backend can compute.

With stride s and dilation d, y[i] = Σ_m k[m] · x[s·i + d·m]. Writing m = s·q + r and i = d·t + p,

    y[d·t + p] = Σ_r Σ_q k[s·q + r] · x[(s·p + d·r) + s·d·(t + q)],

a sum over the residues r of plain correlations of every (s·d)-th sample with every s-th cell. So no
product is computed that the stride would throw away, and no zero is multiplied that the dilation
would insert. (This is the polyphase form of multirate filters: Vaidyanathan, 1990.)
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import NamedTuple

from convcli.spec import Axis, ConvSpec, ceil_div

# Cells per axis of one piece, by the number of axes: bounds the memory for a tile and its surroundings.
LARGEST_PIECE = {1: 1 << 20, 2: 1 << 10, 3: 1 << 6}
SHORTEST_LATTICE = 64  # outputs per axis below which a lattice is not worth a call


class Piece(NamedTuple):
    """Part of a kernel, and where in the padded image it begins to act."""

    cells: tuple[slice, ...]  # of the kernel after flipping
    offset: tuple[int, ...]  # sample of the padded image under its first cell, for output 0


class Phase(NamedTuple):
    """Outputs that read the same lattice of samples."""

    outputs: tuple[slice, ...]
    offset: tuple[int, ...]  # sample of the padded image under the first cell, for the first output
    sizes: tuple[int, ...]  # number of outputs per axis


def reduced(axis: Axis) -> tuple[int, int, int]:
    """Stride, dilation and their common factor, which merely thins out the image.

    With a dilation so wide that its lattices would be a few samples each, single cells are faster; the
    dilation of a cell is 1.
    """
    if scattered(axis):
        return axis.stride, 1, 1
    common = math.gcd(axis.stride, axis.dilation)
    return axis.stride // common, axis.dilation // common, common


def scattered(axis: Axis) -> bool:
    """Whether every kernel cell along the axis is a piece of its own."""
    return axis.dilation > axis.taps > 1 and axis.output < SHORTEST_LATTICE * axis.dilation


def steps(spec: ConvSpec) -> tuple[int, ...]:
    """Distance in the padded image of samples that are neighbours to a backend."""
    return tuple(math.prod(reduced(axis)) for axis in spec.axes)


def pieces(spec: ConvSpec) -> tuple[Piece, ...]:
    """Cut the kernel into residues, and those into runs of bounded size.

    >>> [p.cells for p in pieces(ConvSpec((9,), (5,), stride=2))]
    [(slice(0, 5, 2),), (slice(1, 4, 2),)]
    """
    limit = LARGEST_PIECE[len(spec.kernel_shape)]
    per_axis = []
    for axis in spec.axes:
        stride = axis.taps if scattered(axis) else reduced(axis)[0]
        parts = []
        for residue in range(min(stride, axis.taps)):
            cells = range(residue, axis.taps, stride)
            for run in (cells[i : i + limit] for i in range(0, len(cells), limit)):
                parts.append((slice(run[0], run[-1] + 1, stride), axis.dilation * run[0]))
        per_axis.append(parts)
    return tuple(Piece(*zip(*axes, strict=True)) for axes in itertools.product(*per_axis))


def phases(spec: ConvSpec) -> Iterator[Phase]:
    """Split the outputs by the lattice that the dilation makes them read; there may be very many."""
    lattices = [(axis.output, *reduced(axis)) for axis in spec.axes]
    for starts in itertools.product(*(range(min(dilation, n)) for n, _, dilation, _ in lattices)):
        axes = [
            (slice(p, n, dilation), common * stride * p, ceil_div(n - p, dilation))
            for p, (n, stride, dilation, common) in zip(starts, lattices, strict=True)
        ]
        yield Phase(*zip(*axes, strict=True))


def runs(total: int, step: int, size: int) -> int:
    """Count the runs of at most `size` that every `step`-th of so many things is cut into.

    >>> runs(10, 3, 2)  # 0 3 | 6 9, 1 4 | 7, 2 5 | 8
    6
    """
    shorter, longer = divmod(total, step)
    return longer * ceil_div(shorter + 1, size) + (min(step, total) - longer) * ceil_div(shorter, size)


def piece_count(spec: ConvSpec) -> int:
    """Return the length of `pieces`."""
    limit = LARGEST_PIECE[len(spec.kernel_shape)]
    strides = [axis.taps if scattered(axis) else reduced(axis)[0] for axis in spec.axes]
    return math.prod(runs(axis.taps, stride, limit) for axis, stride in zip(spec.axes, strides, strict=True))


def piece_spec(spec: ConvSpec) -> ConvSpec:
    """Describe the largest piece as the plain `valid` correlation that a backend sees."""
    limit = LARGEST_PIECE[len(spec.kernel_shape)]
    kernel_shape, image_shape, batch = [], [], spec.batch
    for axis in spec.axes:
        stride, dilation, _ = reduced(axis)
        taps = 1 if scattered(axis) else min(limit, ceil_div(axis.taps, stride))
        kernel_shape.append(taps)
        image_shape.append(ceil_div(axis.output, dilation) + taps - 1)
        batch *= min(dilation, axis.output)
    share = math.prod(kernel_shape) / math.prod(spec.kernel_shape)
    kept = {name: getattr(spec, name) for name in ("channels", "outputs", "dtype", "exact", "bound")}
    return ConvSpec(
        image_shape=tuple(image_shape),
        kernel_shape=tuple(kernel_shape),
        batch=batch,
        mode="valid",
        op="correlate",
        **kept,
        taps=math.ceil((spec.taps or 0) * share),
        rank=spec.rank if sum(n > 1 for n in kernel_shape) > 1 else 0,
    )
