"""Along one axis of a convolution: which samples and which outputs meet, and through which cell."""

from __future__ import annotations

import numpy as np

from convcli.arrays.borders import OUTSIDE, border_positions
from convcli.matrices.matrix import Ints
from convcli.spec import Axis


def meetings(axis: Axis, border: str, op: str, rows: range, transposed: bool = False) -> tuple[Ints, Ints]:
    """Tell along one axis which samples each output meets, and through which cell of the kernel.

    Parameters
    ----------
    axis : Axis
    border, op : str
        Of the ConvSpec that the axis is from.
    rows : range
        Outputs wanted; samples of the image if `transposed`.
    transposed : bool
        Which outputs each sample of the image meets, instead.

    Returns
    -------
    others, taps : two (len(rows), most) arrays of int
        Positions on the other side, -1 where there is none, and cells of the kernel as written.

    Examples
    --------
    >>> from convcli.spec import ConvSpec
    >>> (axis,) = ConvSpec((3,), (2,), mode="full").axes
    >>> others, taps = meetings(axis, "zero", "convolve", range(4))
    >>> others.tolist(), taps.tolist()
    ([[-1, 0], [0, 1], [1, 2], [2, -1]], [[1, 0], [1, 0], [1, 0], [1, 0]])
    """
    outputs = _reaching(axis, rows) if transposed else np.arange(rows.start, rows.stop)
    taps = np.arange(axis.taps)
    wanted = outputs[:, None] * axis.stride + taps * axis.dilation - axis.before
    others = border_positions(wanted, axis.size, border)
    if op == "convolve":
        taps = taps[::-1]
    taps = np.broadcast_to(taps, others.shape)
    if not transposed:
        return others, taps
    met, cell = np.nonzero((others >= rows.start) & (others < rows.stop))
    sample, met, cell = others[met, cell] - rows.start, outputs[met], taps[met, cell]
    order = np.argsort(sample, kind="stable")
    sample, met, cell = sample[order], met[order], cell[order]
    counts = np.bincount(sample, minlength=len(rows))
    place = np.arange(len(sample)) - np.repeat(np.cumsum(counts) - counts, counts)
    shape = (len(rows), max(1, int(counts.max(initial=0))))
    back, through = np.full(shape, OUTSIDE), np.zeros(shape, np.int64)
    back[sample, place], through[sample, place] = met, cell
    return back, through


def untouched(axis: Axis) -> range:
    """Outputs along an axis that no border reaches: all alike.

    >>> from convcli.spec import ConvSpec
    >>> untouched(ConvSpec((9,), (3,)).axes[0])
    range(1, 8)
    """
    first = min(axis.output, max(0, -(-axis.before // axis.stride)))
    last = (axis.size + axis.before - axis.extent) // axis.stride
    return range(first, max(first, min(axis.output, last + 1)))


def _reaching(axis: Axis, samples: range) -> Ints:
    """Outputs that may meet some samples: those around them, and all that a border reaches."""
    inside = untouched(axis)
    first = -((axis.extent - 1 - axis.before - samples.start) // axis.stride)
    last = (samples.stop - 1 + axis.before) // axis.stride
    around = range(max(inside.start, first), max(inside.start, first, min(inside.stop, last + 1)))
    ends = np.arange(inside.start), np.arange(around.start, around.stop), np.arange(inside.stop, axis.output)
    return np.concatenate(ends)
