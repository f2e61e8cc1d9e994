"""Locally masked convolution: the unrolled image is masked before it is multiplied."""

import itertools
import math
from collections.abc import Iterator
from functools import partial

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike

from convcli.arrays.borders import Region, border_indices
from convcli.arrays.gathering import all_finite, gather
from convcli.arrays.library import Array
from convcli.arrays.samples import samples_of
from convcli.backends import longest_rows
from convcli.engine.problem import Convolution
from convcli.errors import UsageError
from convcli.layers.checks import add_bias, bank_of, bias_of, check_channels, image_of
from convcli.layers.convolutions import prepare_correlation
from convcli.layers.geometry import Padding, geometry
from convcli.spec import ConvSpec, PerAxis, per_axis
from convcli.system.resources import cpu_count
from convcli.system.threads import run

STRIP_BYTES = 1 << 20  # that a thread unrolls at a time: they stay in the second-level cache


def masked_conv(
    x: ArrayLike,
    w: ArrayLike,
    mask: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    stride: PerAxis = 1,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    precision: str = "auto",
    threads: int | None = None,
) -> Array:
    """Correlate with a kernel that is masked anew at every output position.

    y[n, o, i] = bias[o] + Σ_c Σ_m w[o, c, m] · M[m, i] · x[n, c, s·i + d·m − p]: Y = W · (M ∘ X_conv),
    with the unrolled image X_conv. Autoregressive models use it to generate the samples of an image in
    any order: the mask hides what comes later.

    Parameters
    ----------
    x : (N, C, *spatial) array of real numbers
    w : (outputs, C, *taps) array of real numbers
    mask : (..., *taps, *output) or (..., cells, positions) array of 0 and 1
        Cells of the kernel in row-major order, and output positions likewise. Axes in front of these are
        broadcast against (N, C); a mask for every image of a batch is (N, 1, cells, positions).
    bias : (outputs,) array, optional
    stride, padding, dilation
        As in `conv`.
    precision, threads
        As in `convcli.convolve`.

    Returns
    -------
    (N, outputs, *output) array
        Of the type that `conv` gives. What the mask hides has no influence, NaN included.

    Raises
    ------
    UsageError
        For shapes or options that contradict each other, or a mask of other numbers.

    References
    ----------
    Jain, Abbeel and Pathak (2020), "Locally Masked Convolution for Autoregressive Models",
    arXiv:2006.12486, algorithm 1.

    Examples
    --------
    A causal mask in raster order: every sample sees those before it, and neither itself nor later ones.

    >>> causal = [[1, 1, 1, 1], [0, 0, 0, 0], [0, 0, 0, 0]]
    >>> masked_conv([[[1, 2, 3, 4]]], [[[1, 1, 1]]], causal, padding=1)
    array([[[0, 1, 2, 3]]])
    """
    image = image_of(x)
    bank = bank_of(w, image, 1)
    check_channels(bank, bank.shape[1], image, 1)
    offsets = bias_of(bias, len(bank))
    layout = geometry(image.shape[2:], bank.shape[2:], stride, padding, dilation)
    masks = _masks_of(mask, image, layout)
    workers = cpu_count() if threads is None else per_axis(threads, 1, "threads", 1)[0]
    # Its arithmetic is that of the masked product too: a mask makes no sum larger.
    options = {"precision": precision, "backend": "im2col"}
    problem = prepare_correlation(image, bank, layout.stride, layout.dilation, layout.padding, **options)
    result = np.empty((len(image), len(bank), *layout.output_shape), dtype=problem.result_type)
    product = _Product(problem, image, masks, result)
    jobs = (partial(product.compute, *strip) for strip in _strips(problem.plan.spec))
    run(jobs, workers, one_blas_thread=True)
    return add_bias(result, offsets)


def _masks_of(mask: ArrayLike, image: Array, spec: ConvSpec) -> Array:
    """Return the mask as a view (N, C, *taps, *output) of bool."""
    masks = samples_of(mask, "mask")
    taps, output = spec.kernel_shape, spec.output_shape
    cells, positions = math.prod(taps), math.prod(output)
    for trailing in ((*taps, *output), (cells, positions)):
        leading = masks.shape[: max(0, masks.ndim - len(trailing))]
        fits = masks.shape[len(leading) :] == trailing and len(leading) <= 2
        if fits and all(m in (1, n) for m, n in zip(leading[::-1], image.shape[1::-1], strict=False)):
            break
    else:
        raise UsageError(
            f"mask of shape {masks.shape} does not fit; use {(*taps, *output)} or {(cells, positions)}, "
            f"with axes in front that broadcast against {image.shape[:2]}"
        )
    wrong = masks[(masks != 0) & (masks != 1)]
    if wrong.size:
        raise UsageError(f"mask holds {wrong[0]}; it is made of 0 and 1")
    masks = masks.astype(bool).reshape(*leading, *taps, *output)
    return np.broadcast_to(masks, (*image.shape[:2], *taps, *output))


def _strips(spec: ConvSpec) -> Iterator[tuple[int, Region]]:
    """Cut every image's output into runs of positions whose unrolled samples fit the cache."""
    positions = max(1, STRIP_BYTES // spec.itemsize // (spec.channels * math.prod(spec.kernel_shape)))
    axes = list(zip(spec.output_shape, longest_rows(spec.output_shape, positions), strict=True))
    for item in range(spec.batch):
        for corner in itertools.product(*(range(0, n, t) for n, t in axes)):
            yield item, tuple(slice(c, min(c + t, n)) for c, (n, t) in zip(corner, axes, strict=True))


class _Product:
    """W · (M ∘ X_conv), for some outputs at a time."""

    def __init__(self, problem: Convolution, image: Array, masks: Array, result: Array) -> None:
        self.spec, self.image = problem.plan.spec, image
        self.masks, self.result = masks, result
        self.rows = problem.kernels.reshape(len(problem.kernels), -1).astype(self.spec.dtype)
        self.indices = border_indices(self.spec)

    @np.errstate(all="ignore")  # what overflows is infinite
    def compute(self, item: int, window: Region) -> None:
        """Unroll, mask and multiply for the outputs of one window."""
        columns = np.where(self.masks[item][(..., *window)], self.unroll(item, window), 0)
        positions = columns.shape[1 + len(window) :]
        columns = columns.reshape(-1, math.prod(positions))
        product = self.rows @ columns
        if columns.dtype.kind == "f" and not all_finite(columns):
            product[:, ~np.isfinite(columns).all(axis=0)] = np.nan
        self.result[item][(slice(None), *window)] = product.reshape(-1, *positions)

    def unroll(self, item: int, window: Region) -> Array:
        """View the samples under every cell, for the outputs of one window: (C, *taps, *window)."""
        axes = self.spec.axes
        reach = [
            index[part.start * axis.stride : (part.stop - 1) * axis.stride + axis.extent]
            for index, part, axis in zip(self.indices, window, axes, strict=True)
        ]
        source, _ = gather(self.image[item], reach, (1,) * len(axes), 0, self.spec.dtype)
        first, last = range(1, len(axes) + 1), range(len(axes) + 1, 2 * len(axes) + 1)
        views = sliding_window_view(source, [axis.extent for axis in axes], axis=tuple(first))
        positions = (slice(None, None, axis.stride) for axis in axes)
        cells = (slice(None, None, axis.dilation) for axis in axes)
        return views[(slice(None), *positions, *cells)].transpose(0, *last, *first)
