"""The kernel and the image that a matrix is made for, as arrays."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from convcli.arrays.borders import refuse_wide_borders
from convcli.arrays.library import Array
from convcli.cli import report, settings
from convcli.cli.io.files import Files
from convcli.errors import UsageError
from convcli.filtering.options import Filter
from convcli.images.colour import luma
from convcli.kernels import parse_kernel
from convcli.matrices.build import convolution_matrix
from convcli.matrices.convolution_matrix import ConvolutionMatrix
from convcli.options import axes as per_axis_text
from convcli.text import counted, shape_text


@dataclass(frozen=True)
class Source:
    """An image, or only the shape of one; planes are (channels, height, width) of a photo, or any array."""

    shape: tuple[int, ...]
    planes: Array | None = None
    photo: bool = False

    def spatial(self, axes: int) -> tuple[int, ...]:
        """Return the last axes of an image; a shape is spatial as a whole."""
        return self.shape if self.planes is None else self.shape[-axes:]

    def channels(self, count: int, spatial: tuple[int, ...], *, own_type: bool = False) -> Array:
        """Return the samples of an image with so many channels; one of a photo is its brightness.

        Without an image they count 1, 2, 3, … They become int64 or float64 unless `own_type`.
        """
        if self.planes is None:
            return np.arange(1, count * math.prod(spatial) + 1).reshape(count, *spatial)
        planes = self.planes.reshape(-1, *spatial)
        if self.photo and count == 1 and len(planes) == 3:
            planes = luma(planes)
        if len(planes) != count:
            raise UsageError(
                f"the image has {counted(len(planes), 'channel')}, and {count} "
                f"{'is' if count == 1 else 'are'} wanted; "
                "use an image with as many, or a bank of kernels (out, in, height, width)"
            )
        if own_type:
            return planes
        if planes.dtype == np.uint64 and planes.max() >= 2**63:
            raise UsageError(
                f"the image has samples up to {planes.max()}, beyond 64-bit integers with a sign; use floats"
            )
        return planes.astype(np.float64 if planes.dtype.kind == "f" else np.int64)


def read_source(
    image: str | None, shape: str | None, max_memory: int | None, max_pixels: int | None
) -> Source:
    """Read the image, or take the shape alone."""
    if (image is None) == (shape is None):
        if image:
            raise UsageError("an image and --shape both say what the matrix is for; leave one out")
        raise UsageError("no image; name an IMAGE, or add --shape HxW")
    if image is None:
        assert shape is not None
        if max_pixels is not None:
            raise UsageError("--max-pixels is about images that are read; leave it out")
        sizes = per_axis_text(shape, "shape")
        return Source(sizes if isinstance(sizes, tuple) else (sizes,))
    found = Files(max_memory=max_memory, max_pixels=max_pixels).read(image, Filter())
    if found.image and not settings.quiet:
        for text in found.image.warnings:
            report.note(text)
    planes = found.planes[:-1] if found.alpha else found.planes
    return Source(planes.shape, planes, found.image is not None)


def matrix_for(
    text: str, source: Source, channels: tuple[int | None, int | None], **options: Any
) -> ConvolutionMatrix:
    """Describe the matrix of a kernel, or of a bank, for an image; options are those of `toeplitz_matrix`.

    `channels`, (in, out), say how to cut the rows of a kernel into a bank (out, in / groups, height, width).
    """
    weights, known = weights_of(text, source)
    groups = options["groups"]
    for option, given in zip(("in", "out"), channels, strict=True):
        if given is not None and given < 1:
            raise UsageError(f"--channels-{option} {given} is below 1; leave it out for one kernel")
    if weights.ndim > 3:
        _check_channels(weights.shape, channels, groups)
    elif channels != (None, None):
        weights = _bank(weights, channels, groups)
    if options["origin"] is None:
        options["origin"] = known
    axes = weights.ndim if weights.ndim <= 3 else weights.ndim - 2
    if source.planes is None and len(source.shape) != axes:
        size, count = "x".join(map(str, source.shape)), len(source.shape)
        wanted = "x".join([str(source.shape[0])] * axes) if count == 1 else f"{axes} numbers"
        raise UsageError(
            f"--shape {size} has {count} {'axis' if count == 1 else 'axes'} and the kernel has {axes}; "
            f"write {wanted}" + (" (channels are no part of it)" if weights.ndim > 3 else "")
        )
    matrix = convolution_matrix(weights, source.spatial(axes), **options)
    refuse_wide_borders(matrix.spec)
    return matrix


def note_bank(text: str, weights: Array, op: str | None) -> None:
    """Say what becomes of a bank if no `op` was asked for: another command takes it for a layer."""
    if weights.ndim > 3 and op is None and not settings.quiet:
        report.note(
            f"{text} is a bank of kernels, and convolution turns each round; "
            "--op correlate gives the layer that `convcli convolve` makes of it"
        )


def weights_of(text: str, source: Source) -> tuple[Array, tuple[int, ...] | None]:
    """Return the weights and the kernel's own origin; a single row of cells fits a signal too."""
    kernel = parse_kernel(text)
    if kernel.bias and not settings.quiet:
        report.note(f"the bias {kernel.bias:g} of kernel {kernel.name} is left out: no matrix adds one")
    weights: Array = kernel.values if kernel.divisor == 1 else kernel.weights
    origin = kernel.origin
    room = 2 if source.photo else len(source.shape)
    while room < weights.ndim <= 3 and weights.shape[0] == 1:
        weights, origin = weights[0], origin and origin[1:]
    return weights, origin


def _bank(weights: Array, channels: tuple[int | None, int | None], groups: int) -> Array:
    """Cut the rows of a kernel into a bank."""
    inside, outputs = channels[0] or 1, channels[1] or 1
    per_group = inside // groups if groups > 0 and inside % groups == 0 else 0
    if weights.ndim != 2 or per_group < 1 or outputs < 1 or len(weights) % (outputs * per_group):
        raise UsageError(
            f"kernel {shape_text(weights.shape)} cannot be cut into {outputs} × {inside} kernels"
            + (f" in {groups} groups" if groups != 1 else "")
            + "; its rows are those of (out, in / groups, height, width), one after the other"
        )
    return weights.reshape(outputs, per_group, -1, weights.shape[1])


def _check_channels(shape: Iterable[int], channels: tuple[int | None, int | None], groups: int) -> None:
    outputs, inside, *_ = shape
    for option, given, there in (("in", channels[0], inside * groups), ("out", channels[1], outputs)):
        if given is not None and given != there:
            raise UsageError(f"--channels-{option} {given} and the bank has {there}; leave the option out")
