"""Arrays of the host and of the GPU, and borders: where each sample of a padded image comes from."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from convcli import device, native
from convcli.device import kernels
from convcli.errors import BackendError, LimitError, UsageError
from convcli.spec import ConvSpec, shape_text

Array = NDArray[Any]
OUTSIDE = -1
SMALL = ("kernel", "PSF", "bias")  # what is copied from a GPU without further ado
LONGEST_BORDER = 2**26  # samples


@dataclass(frozen=True)
class ArrayLib:
    """Where arrays lie, and the library that computes with them.

    Attributes
    ----------
    xp : module
        NumPy, or CuPy, which has the same functions for arrays in the memory of a GPU.
    to_device, to_host : callable
        Copy an array from the host to there, and back; for NumPy they do nothing.
    """

    xp: Any
    to_device: Callable[[Array], Array]
    to_host: Callable[[Array], Array]


HOST = ArrayLib(np, np.asarray, np.asarray)


def gpu() -> ArrayLib:
    """CuPy and the GPU; imports it."""
    return ArrayLib(device.cupy(), device.to_device, device.to_host)


def library(array: Array) -> ArrayLib:
    """Return the library that an array belongs to.

    >>> library(np.zeros(3)) is HOST
    True
    """
    return HOST if isinstance(array, np.ndarray) else gpu()


def border_index(size: int, before: int, after: int, border: str) -> NDArray[np.intp]:
    """Image position that each sample of a padded axis is copied from.

    Parameters
    ----------
    size : int
        Samples of the image axis.
    before, after : int
        Samples added on either side; negative numbers crop.
    border : str
        A name of `convcli.spec.BORDERS`.

    Returns
    -------
    (before + size + after,) array of int
        Positions in ``range(size)``, or -1 where the border is a constant.

    Examples
    --------
    >>> border_index(4, 2, 2, "mirror").tolist()
    [2, 1, 0, 1, 2, 3, 2, 1]
    """
    return border_positions(np.arange(-before, size + after), size, border)


def border_positions(wanted: NDArray[np.intp], size: int, border: str) -> NDArray[np.intp]:
    """Image positions that stand for `wanted` ones, which may lie outside ``range(size)``.

    >>> border_positions(np.array([-2, 0, 5]), 4, "symmetric").tolist()
    [1, 0, 2]
    """
    if border in ("zero", "constant"):
        return np.where((wanted >= 0) & (wanted < size), wanted, OUTSIDE)
    if border == "nearest":
        return np.clip(wanted, 0, size - 1)
    if border == "wrap":
        return wanted % size
    if border == "symmetric":
        i = wanted % (2 * size)
        return np.minimum(i, 2 * size - 1 - i)
    period = max(2 * size - 2, 1)  # mirror: a single sample is its own mirror image
    i = wanted % period
    return np.minimum(i, period - i) if size > 1 else np.zeros_like(i)


def border_indices(spec: ConvSpec) -> list[NDArray[np.intp]]:
    """`border_index` for every spatial axis of `spec`."""
    return [border_index(a.size, a.before, a.after, spec.border) for a in spec.axes]


def refuse_wide_borders(spec: ConvSpec) -> None:
    """Refuse what is nearly all border: where each sample comes from takes 8 bytes."""
    for axis in spec.axes:
        if axis.padded > max(LONGEST_BORDER, 4 * axis.size):
            raise LimitError(
                f"image {shape_text(spec.image_shape)} with its border has {shape_text(spec.padded_shape)} "
                "samples; use a smaller kernel or dilation, or --mode valid"
            )


def refuse_overflow(image: Array, weights: Array, outside: float = 0) -> None:
    """Refuse whole numbers whose sums of products may not be numbers of 64 bits.

    Parameters
    ----------
    image : array of int
    weights : (kernels, cells) array of int
    outside : float
        Value of the border.
    """
    largest = max(abs(int(image.min(initial=0))), abs(int(image.max(initial=0))), abs(int(outside)))
    bound = largest * float(np.abs(weights.astype(np.float64)).sum(axis=1).max())
    if not bound < 2**63 * (1 - 1e-9):
        raise UsageError(
            f"the product may reach {bound:.3g}, beyond 64-bit integers; convert the image to float64"
        )


def gather(
    image: Array,
    indices: Sequence[NDArray[np.intp]],
    steps: Sequence[int],
    fill: float,
    dtype: DTypeLike,
    empty: Callable[[tuple[int, ...], DTypeLike], Array] = np.empty,
) -> tuple[Array, bool]:
    """Copy samples by position on the last axes, or view them where they lie inside the image.

    Parameters
    ----------
    image : (..., *spatial) array
    indices : one int array per spatial axis
        Runs of `border_index`; never empty.
    steps : one int per spatial axis
        Distance of neighbours in the padded image.
    fill : float
        Value for position -1.
    dtype : data-type
        Type of the result.
    empty : callable
        Makes room for a copy.

    Returns
    -------
    samples : (..., *lengths) array
        May share memory with `image`: read only.
    finite : bool
        Whether there is no NaN and no infinity among them.
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
    if not rest and source.dtype == dtype and in_rows(source):
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


@dataclass(frozen=True)
class Window:
    """A piece of a padded image, of which nothing has been copied yet.

    Attributes
    ----------
    image : (channels, *spatial) array
    dtype : data-type
        Of the arithmetic.
    indices : list of one int array per spatial axis, optional
        Where in the image each sample comes from, as `gather` takes them; all samples as they are by
        default.
    steps : tuple of int
        As `gather` takes them.
    fill : float
        Value for position -1.
    empty : callable
        Makes room for a copy.
    gaps : (1,) array of int32 on the GPU, optional
        Where a GPU notes that a sample is not a finite number, since to ask at once would be to wait.
    """

    image: Array
    dtype: DTypeLike
    indices: list[NDArray[np.intp]] | None = None
    steps: tuple[int, ...] = ()
    fill: float = 0.0
    empty: Callable[[tuple[int, ...], DTypeLike], Array] = np.empty
    gaps: Array | None = None

    def samples(self) -> Array:
        """Return the padded piece, read only: a copy, or a view where no border is in it.

        Raises
        ------
        NonFiniteError
            If one of the samples is not a finite number, and it is known at once.
        """
        if self.indices is None:
            return self.image
        if library(self.image) is not HOST:
            copy: Array = kernels.gather(self.image, self.indices, self.fill, self.dtype, self.gaps)
            return copy
        found, finite = gather(self.image, self.indices, self.steps, self.fill, self.dtype, self.empty)
        if not finite:
            raise NonFiniteError
        return found


def in_rows(array: Array) -> bool:
    """Whether every row lies in memory as compiled loops and BLAS want it."""
    aligned = array.flags.aligned if library(array) is HOST else True
    return aligned and (array.shape[-1] == 1 or array.strides[-1] == array.itemsize)


def all_finite(array: Array) -> bool:
    """Whether there is no NaN and no infinity; the sum of squares is the fastest look NumPy has."""
    if library(array) is not HOST:
        return bool(np.isfinite(array).all())
    if array.ndim <= 4 and native.serves(array.dtype) and in_rows(array):
        return native.finite(array)
    axes = list(range(array.ndim))
    return math.isfinite(np.einsum(array, axes, array, axes, [])) or bool(np.isfinite(array).all())


def covered(marked: Array, spec: ConvSpec, border: bool) -> Array:
    """Outputs whose kernel footprint touches a marked sample.

    The footprint is all cells of the kernel, those of value zero too, so the answer is the same on
    every backend.

    Parameters
    ----------
    marked : (..., *spatial) array of bool
    border : bool
        Whether a constant border counts as marked.

    Returns
    -------
    (..., *output) array of bool
    """
    result = marked
    lib = library(marked)
    first = marked.ndim - len(spec.axes)
    for number, (axis, index) in enumerate(zip(spec.axes, border_indices(spec), strict=True), first):
        padded = result.take(lib.to_device(np.maximum(index, 0)), axis=number)
        padded[(slice(None),) * number + (lib.to_device(index == OUTSIDE),)] = border
        shape = list(result.shape)
        shape[number] = axis.output
        result = lib.xp.zeros(shape, dtype=bool)
        for tap in range(axis.taps):
            start = tap * axis.dilation
            stop = start + (axis.output - 1) * axis.stride + 1
            result |= padded[(slice(None),) * number + (slice(start, stop, axis.stride),)]
    return result


def samples_of(values: ArrayLike, what: str, *, anywhere: bool = False) -> Array:
    """Return real numbers as an array that the arithmetic knows.

    Parameters
    ----------
    values : array_like
    what : str
        A ``kernel`` becomes int64 or float64 and must be finite.
    anywhere : bool
        What lies on a GPU stays there, as an array of CuPy; otherwise it is refused, but for what is
        small: kernels are copied to the host.

    Raises
    ------
    UsageError
        For anything but real numbers.
    BackendError
        For an array on a GPU that cannot be used there.
    """
    try:
        array = _found(values, what, anywhere)
    except ValueError:
        raise UsageError(f"{what} has rows of different lengths; an array is needed") from None
    if array.dtype.kind in "buif" and not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if what == "kernel" and array.dtype.kind in "OUS":
        raise UsageError(
            f"kernel is of type {array.dtype}, not numbers; for a text use convcli.parse_kernel(text).weights"
        )
    if array.dtype.kind not in "buif":
        raise UsageError(f"{what} is of type {array.dtype}; real numbers are needed")
    if array.dtype.kind == "b":
        array = array.astype(np.uint8)
    elif array.dtype == np.float16:
        array = array.astype(np.float32)
    elif array.dtype == np.longdouble:
        array = array.astype(np.float64)
    if what != "kernel":
        return array
    if array.dtype.kind in "ui":
        if array.size and int(array.max()) > np.iinfo(np.int64).max:
            raise UsageError(f"kernel cell {array.max()} is beyond 64-bit integers; use floats")
        return array.astype(np.int64)
    if not np.isfinite(array).all():
        cell = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise UsageError(f"kernel cell {cell} is {array[cell]}; every cell must be finite")
    return array.astype(np.float64)


def _found(values: ArrayLike, what: str, anywhere: bool) -> Array:
    """Return an array where it lies, and small ones on the host."""
    if not device.owns(values):
        return np.asarray(values)
    if not anywhere and what not in SMALL:
        raise BackendError(
            f"{what} lies on a GPU, where this is not computed; copy it to the host with .get()"
        )
    reason = device.unavailable()
    if reason is not None:
        raise BackendError(f"{what} lies on a GPU, and cannot be used there: {reason}")
    with device.errors():
        array: Array = device.cupy().asarray(values)
        return array if anywhere else device.to_host(array)
