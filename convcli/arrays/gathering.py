"""Windows of a padded image: samples fetched by position, viewed where they lie inside the image."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike, NDArray

from convcli.arrays import native
from convcli.arrays.borders import OUTSIDE
from convcli.arrays.device import kernels
from convcli.arrays.library import HOST, Array, array_module


def gather(
    image: Array,
    indices: Sequence[NDArray[np.intp]],
    steps: Sequence[int],
    fill: float,
    dtype: DTypeLike,
    empty: Callable[[tuple[int, ...], DTypeLike], Array] = np.empty,
) -> tuple[Array, bool]:
    """Copy samples by position on the last axes, or view them where they lie inside the image (read only).

    `indices` are runs of `border_index`, never empty, with `steps` between neighbours in the padded image;
    `fill` is the value for position -1; `empty` makes room for a copy. Also return whether all are finite.
    """
    first = image.ndim - len(indices)
    inside: list[slice] = [slice(None)] * first
    rest: list[tuple[int, NDArray[np.intp]]] = []
    for axis, (index, step) in enumerate(zip(indices, steps, strict=True), first):
        head, tail = int(index[0]), int(index[-1])
        # No border makes a jump longer than `step`: a run that gets this far never left the image.
        if head >= 0 and tail - head == (len(index) - 1) * step:
            inside.append(slice(head, tail + 1, step))
        else:
            inside.append(slice(None))
            rest.append((axis, index))
    source = image[tuple(inside)]
    if not rest and source.dtype == dtype and rows_contiguous(source):
        return source, source.dtype.kind != "f" or all_finite(source)
    if image.ndim <= 4 and first == 1 and native.serves(dtype):
        copy = empty((len(image), *map(len, indices)), dtype)
        return copy, native.gather(image, indices, fill, copy)
    for axis, index in rest:
        source = source.take(index, axis=axis, mode="clip")
    source = source.astype(dtype, copy=False)
    for axis, index in rest:
        outside = index == OUTSIDE
        if outside.any():
            source[(slice(None),) * axis + (outside,)] = fill
    return source, image.dtype.kind != "f" or all_finite(source)


class NonFiniteError(Exception):
    """A NaN or an infinity was met; the result is not to be used."""


@dataclass(frozen=True, eq=False, repr=False)
class Window:
    """A piece of a padded image, of which nothing has been copied yet; options are those of `gather`."""

    image: Array  # (channels, *spatial)
    dtype: DTypeLike  # of the arithmetic
    indices: list[NDArray[np.intp]] | None = None  # None takes all samples as they are
    steps: tuple[int, ...] = ()
    fill: float = 0.0
    empty: Callable[[tuple[int, ...], DTypeLike], Array] = np.empty
    nonfinite: Array | None = (
        None  # (1,) int32, where a GPU notes what is not finite: asking would be waiting
    )

    def samples(self) -> Array:
        """Return the padded piece, a copy or a view; `NonFiniteError` if it is known not to be finite."""
        if self.indices is None:
            return self.image
        if array_module(self.image) is not HOST:
            copy: Array = kernels.gather(self.image, self.indices, self.fill, self.dtype, self.nonfinite)
            return copy
        found, finite = gather(self.image, self.indices, self.steps, self.fill, self.dtype, self.empty)
        if not finite:
            raise NonFiniteError
        return found


def rows_contiguous(array: Array) -> bool:
    """Whether every row lies in memory as compiled loops and BLAS want it."""
    aligned = array.flags.aligned if array_module(array) is HOST else True
    return aligned and (array.shape[-1] == 1 or array.strides[-1] == array.itemsize)


def all_finite(array: Array) -> bool:
    """Whether there is no NaN and no infinity; the sum of squares is the fastest look NumPy has."""
    if array_module(array) is not HOST:
        return bool(np.isfinite(array).all())
    if array.ndim <= 4 and native.serves(array.dtype) and rows_contiguous(array):
        return native.finite(array)
    axes = list(range(array.ndim))
    return math.isfinite(np.einsum(array, axes, array, axes, [])) or bool(np.isfinite(array).all())
