"""W_convᵀ · vec(x), the transpose of a convolution's matrix times an image.

Every sample of x puts down the kernel, s samples after its neighbour's. With ahead the samples cut off
at the beginning, position u = i + ahead of the uncut result is met by the cells m with d·m ≡ u (mod s).
Let g = gcd(s, d), and m₀ < s/g the first of them: for u = s·t + (d·m₀ mod s),

    y[u] = Σ_q w[m₀ + (s/g)·q] · x[t − ⌊d·m₀/s⌋ − (d/g)·q],

a plain convolution for every m₀ (a polyphase filter; Shi et al., 2016, "Is the deconvolution layer the
same as a convolutional layer?"). No zeros are put between samples, so none is multiplied. Residues of the
stride that no cell meets keep zeros.
"""

import itertools
import math
from typing import Any, NamedTuple

import numpy as np

from convcli.arrays.library import Array
from convcli.engine.problem import prepare
from convcli.errors import LimitError
from convcli.layers.geometry import Enlarged
from convcli.text import bytes_text, shape_text


class Family(NamedTuple):
    """Residues of the stride, along one axis, that are the same convolution with different cells."""

    padding: tuple[int, int]  # of x, before and after
    members: tuple[tuple[slice, slice], ...]  # the cells of the kernel and the outputs of each residue


def families(size: int, taps: int, stride: int, dilation: int, ahead: int, output: int) -> list[Family]:
    """Sort the residues of the stride along one axis; `ahead` and `output` are those of `Enlarged`."""
    common = math.gcd(stride, dilation)
    step = stride // common
    found: dict[tuple[int, int, int], list[tuple[slice, slice]]] = {}
    for cell in range(min(step, taps)):
        lag, residue = divmod(dilation * cell, stride)
        first = (residue - ahead) % stride
        count = len(range(first, output, stride))
        if count == 0:
            continue
        cells = len(range(cell, taps, step))
        start = (first + ahead - residue) // stride - lag  # sample of x under the first cell
        before = dilation // common * (cells - 1) - start
        member = slice(cell, None, step), slice(first, output, stride)
        found.setdefault((cells, before, start + count - size), []).append(member)
    return [Family((before, after), tuple(members)) for (_, before, after), members in found.items()]


def spread(x: Array, bank: Array, groups: int, enlarged: Enlarged, **options: Any) -> Array:
    """Let every sample of x (N, in, *spatial) put down its kernel, and add up to (N, out, *output).

    The bank is (in, out / groups, *taps); `options` are those of `convcli.engine.problem.prepare`.
    """
    batch, channels, *spatial = x.shape
    planes = x.reshape(batch * groups, channels // groups, *spatial)
    kernels = transposed_bank(bank, groups)
    shape = (batch, groups, kernels.shape[1], *enlarged.output)
    dilation = tuple(d // math.gcd(s, d) for s, d in zip(enlarged.stride, enlarged.dilation, strict=True))
    result: Array | None = None
    numbers = zip(spatial, bank.shape[2:], *enlarged, strict=True)
    for chosen in itertools.product(*(families(*axis) for axis in numbers)):
        axes = itertools.product(*(family.members for family in chosen))
        members: list[Any] = [tuple(zip(*member, strict=True)) for member in axes]  # cells, outputs
        parts = np.stack([kernels[(..., *cells)] for cells, _ in members], axis=1)
        parts, padding = parts.reshape(-1, *parts.shape[3:]), tuple(family.padding for family in chosen)
        convolution = prepare(planes, parts, groups=groups, dilation=dilation, padding=padding, **options)
        sums = convolution.compute(planes)
        sums = sums.reshape(batch, groups, len(members), kernels.shape[1], *sums.shape[2:])
        if result is None:
            result = _zeros(shape, sums.dtype)
        for number, (_, outputs) in enumerate(members):
            result[(..., *outputs)] = sums[:, :, number]
    if result is None:  # no cell meets any of the outputs that are kept
        cells = kernels.reshape(-1, *kernels.shape[2:])
        whole = prepare(planes, cells, groups=groups, mode="full", **options)
        result = _zeros(shape, np.dtype(whole.result_type))
    return result.reshape(batch, bank.shape[1] * groups, *enlarged.output)


def transposed_bank(bank: Array, groups: int) -> Array:
    """View a bank (in, out / groups, *taps) as (groups, out / groups, in / groups, *taps)."""
    return bank.reshape(groups, -1, *bank.shape[1:]).swapaxes(1, 2)


def _zeros(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return zeros, (batch, groups, out / groups, *output), or say that memory cannot hold them."""
    try:
        return np.zeros(shape, dtype)
    except (MemoryError, ValueError, OverflowError):  # the last two: beyond what an array can be
        size = bytes_text(math.prod(shape) * dtype.itemsize)
        raise LimitError(
            f"result {shape_text(shape[3:])} of {dtype} takes {size}, more than memory can hold; "
            "use a smaller image, stride or dilation"
        ) from None
