"""What ``convcli unroll`` does without ``--fold``: show or write the matrix of an image's patches."""

from __future__ import annotations

import math
from dataclasses import asdict, replace

import numpy as np

from convcli.arrays.borders import refuse_wide_borders
from convcli.arrays.library import Array
from convcli.arrays.samples import refuse_overflow, samples_of
from convcli.cli import report
from convcli.cli.io.matrix_output import MatrixOutput
from convcli.cli.io.sources import Source, note_bank, read_source, weights_of
from convcli.cli.io.targets import STREAM
from convcli.cli.unroll.options import Patches, Task
from convcli.cli.unroll.summary import Result, document, print_result
from convcli.errors import UsageError
from convcli.matrices.build import in_order
from convcli.matrices.files import NAME_BYTES
from convcli.matrices.im2col import Unrolled
from convcli.matrices.matrix import Matrix, Symbolic, blocks
from convcli.matrices.unroll import sample_names, unrolled
from convcli.spec import OPS, choose, default_origin, per_axis
from convcli.text import counted, shape_text

SHOWN_BYTES = 4096  # of memory, for each entry of a row that is shown


def show_patches(task: Task, patches: Patches, output: MatrixOutput) -> None:
    """Unroll an image; print the matrix, or write it."""
    kernel = task.kernel[0] if task.kernel else None
    if task.op is not None and kernel is None:
        raise UsageError(f"--op {task.op} is for the kernel of -k; leave it out, or add -k")
    if kernel is not None and output.output == STREAM:
        raise UsageError("-k prints to standard output, and so does -o -; give -o a file")
    output.check_target([task.source] if task.source else [])
    found = read_source(task.source, task.shape, output.max_memory, task.max_pixels)
    weights, origin = (None, None) if kernel is None else weights_of(kernel, found)
    op = choose(task.op or "convolve", OPS, "op")
    taps = patches.taps if weights is None else _taps(weights, patches)
    if weights is not None:
        patches = replace(patches, origin=_patch_origin(taps, patches, origin, op))
    image = _image(found, taps, task.channels, output)
    border = task.border or "zero"
    matrix = unrolled(image, taps, border=border, border_value=task.border_value or 0, **patches.options)
    refuse_wide_borders(matrix.spec)
    names = []
    if task.symbolic:
        if matrix.fill and matrix.spec.mode != "valid":
            raise UsageError(
                f"--symbolic has no name for the border value {matrix.fill:g}; use --border zero, or another"
            )
        output.check_memory(NAME_BYTES * image.size, "naming the samples")
        names = sample_names(matrix.image.shape, patches.order)
    shown: Matrix = Symbolic(matrix, names) if task.symbolic else matrix
    checked = None if output.output is None else output.check(shown, None)
    flat = product = None
    if weights is not None:
        _check_channels(weights, image, found)
        flat = _flattened(weights, op, patches.order)
        product = _product(matrix, flat, output)
    if checked is None and not task.as_json:  # whole rows are made of those shown
        output.check_memory(SHOWN_BYTES * min(matrix.shape), "showing the matrix")
    written = None if checked is None else output.write(shown, checked, matrix.stopwatch)
    result = Result(matrix, names, patches.order, flat, product)
    if task.as_json:
        report.document(document(result) | (asdict(written) if written else {}))
        return
    print_result(result, written)
    if kernel is not None and weights is not None:
        note_bank(kernel, weights, task.op)


def _taps(weights: Array, patches: Patches) -> tuple[int, ...]:
    """Shape of the patches that a kernel takes."""
    taps: tuple[int, ...] = weights.shape[2:] if weights.ndim > 3 else weights.shape
    if patches.size is not None and patches.taps != taps:
        raise UsageError(
            f"-s {shape_text(patches.taps)} is not the size of the kernel, {shape_text(taps)}; leave -s out"
        )
    return taps


def _patch_origin(
    taps: tuple[int, ...], patches: Patches, own: tuple[int, ...] | None, op: str
) -> tuple[int, ...] | None:
    """Return the cell of a patch that lies on its position, from that of the kernel as written."""
    if patches.mode != "same":
        return None
    origin = patches.origin if patches.origin is not None else own
    cells = per_axis(origin, len(taps), "origin", 0) if origin is not None else default_origin(taps)
    return cells if op == "correlate" else tuple(n - 1 - o for n, o in zip(taps, cells, strict=True))


def _image(source: Source, taps: tuple[int, ...], channels: int | None, output: MatrixOutput) -> Array:
    """Return the samples as (channels, *spatial)."""
    axes = len(taps)
    if channels is not None:
        channels = per_axis(channels, 1, "channels", 1)[0]
    if source.planes is None:
        if len(source.shape) != axes:
            raise UsageError(
                f"--shape {shape_text(source.shape)} has {len(source.shape)} axes and the patches "
                f"{shape_text(taps)} have {axes}; write {_as_many(taps, len(source.shape))}"
            )
        per_axis(source.shape, axes, "shape", 1)
        count = channels or 1
        output.check_memory(8.0 * count * math.prod(source.shape), f"the image {shape_text(source.shape)}")
        return source.channels(count, source.shape)
    spatial = source.shape[1:] if source.photo else source.shape
    if len(spatial) - axes not in ((0,) if source.photo else (0, 1)):
        way = _as_many(taps, 2) if source.photo else "as many, or one less if the first axis is channels"
        raise UsageError(
            f"the image {shape_text(spatial)} has {len(spatial)} axes and the patches {shape_text(taps)} "
            f"have {axes}; write {way}"
        )
    if axes == 1 and len(spatial) == 2 and channels is None:
        raise UsageError(
            f"the image {shape_text(spatial)} has 2 axes and the patches have 1; write {_as_many(taps, 2)}, "
            f"or --channels {spatial[0]} for rows that are channels"
        )
    count = source.shape[0] if source.planes.ndim > axes else 1
    image = source.channels(channels or count, source.spatial(axes), own_type=True)
    return samples_of(image, "image")


def _as_many(taps: tuple[int, ...], axes: int) -> str:
    """Write the option with as many numbers as there are axes: the first, repeated."""
    return "-s " + "x".join(str(taps[0]) for _ in range(axes))


def _check_channels(weights: Array, image: Array, source: Source) -> None:
    needed = weights.shape[1] if weights.ndim > 3 else 1
    if needed == len(image):
        return
    can = source.planes is None or (source.photo and needed == 1)
    raise UsageError(
        f"the kernel is for {counted(needed, 'channel')} and the image has {len(image)}; "
        "use a bank (out, in, height, width)" + (f", or --channels {needed}" if can else "")
    )


def _flattened(weights: Array, op: str, order: str) -> Array:
    """W_flat: one kernel per row, in the order of a patch; convolution turns it round first."""
    bank = weights if weights.ndim > 3 else weights[None, None]
    bank = np.flip(bank, tuple(range(2, bank.ndim))) if op == "convolve" else bank
    return in_order(bank, order, leading=2).reshape(len(bank), -1)


def _product(matrix: Unrolled, flat: Array, output: MatrixOutput) -> Array:
    """Multiply to (kernels, positions), some rows at a time; a sample that is not finite leaves NaN."""
    positions = math.prod(matrix.spec.output_shape)
    output.check_memory(16.0 * len(flat) * positions, "the product")
    whole = matrix.dtype.kind != "f" and flat.dtype.kind != "f"
    if whole:
        refuse_overflow(matrix.image, flat, matrix.fill)
    kind = np.dtype(np.int64 if whole else np.float64)
    flat = flat.astype(kind)
    total: Array = np.zeros((len(flat), positions), kind)
    nonfinite = np.zeros(positions, bool)
    start = 0
    with np.errstate(all="ignore"):
        for part in blocks(matrix):
            assert isinstance(part, np.ndarray)
            stop = start + len(part)
            if matrix.layout == "rows":
                total[:, start:stop] = flat @ part.T.astype(kind)
                nonfinite[start:stop] = ~np.isfinite(part).all(axis=1)
            else:
                total += flat[:, start:stop] @ part.astype(kind)
                nonfinite |= ~np.isfinite(part).all(axis=0)
            start = stop
    if nonfinite.any():
        total[:, nonfinite] = np.nan
    return total
