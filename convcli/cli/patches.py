"""What ``convcli unroll`` does: show or write the matrix of an image's patches, and fold one back."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from convcli import report
from convcli.arrays import Array
from convcli.atomic import check_target
from convcli.cli import described, settings
from convcli.cli.files import Files
from convcli.cli.files import Source as Picture
from convcli.cli.matrices import Sink
from convcli.cli.sources import Source, read_source, weights_of
from convcli.cli.targets import STREAM
from convcli.errors import UsageError
from convcli.machine import available_memory
from convcli.matrices.matrix import Dense, Matrix, Symbolic
from convcli.matrices.patches import Unrolled
from convcli.matrices.read import read_matrix
from convcli.matrices.unroll import folded, sample_names, unrolled
from convcli.options import Filter
from convcli.spec import OPS, PerAxis, bytes_text, choose, shape_text

DTYPES = ("uint8", "uint16", "float32")


@dataclass(frozen=True)
class Patches:
    """How patches are taken: the options of the same names; `size` is None where a kernel says it."""

    size: PerAxis | None
    layout: str
    stride: PerAxis
    dilation: PerAxis
    mode: str
    order: str

    @property
    def taps(self) -> tuple[int, ...]:
        """Shape of a patch."""
        if self.size is None:
            raise UsageError("no size of the patches; add -s, for example -s 3x3")
        return (self.size,) if isinstance(self.size, int) else self.size

    @property
    def options(self) -> dict[str, Any]:
        """All but the size, by name."""
        return {name: value for name, value in asdict(self).items() if name != "size"}


def show_patches(
    source: str | None,
    shape: str | None,
    channels: int | None,
    patches: Patches,
    *,
    border: str,
    border_value: float,
    kernel: str | None,
    op: str | None,
    symbolic: bool,
    output: str | None,
    format_: str | None,
    sparse_csv: bool,
    force: bool,
    as_json: bool,
    max_pixels: int | None,
    max_memory: int | None,
    max_output: int | None,
) -> None:
    """Unroll an image; print the matrix, or write it."""
    if op is not None and kernel is None:
        raise UsageError(f"--op {op} is for the kernel of -k; leave it out, or add -k")
    if kernel is not None and output == STREAM:
        raise UsageError("-k prints to standard output, and so does -o -; give -o a file")
    sink = Sink(output, format_, sparse_csv, force, max_memory, max_output)
    sink.check_target([source] if source else [])
    found = read_source(source, shape, max_memory, max_pixels)
    weights = None if kernel is None else weights_of(kernel, found)[0]
    taps = patches.taps if weights is None else _taps(weights, patches)
    image = _image(found, taps, channels)
    matrix = unrolled(image, taps, border=border, border_value=border_value, **patches.options)
    flat = None if weights is None else _flattened(weights, len(image), choose(op or "convolve", OPS, "op"))
    names = sample_names(matrix.image.shape, patches.order) if symbolic else []
    shown: Matrix = Symbolic(matrix, names) if symbolic else matrix
    written: dict[str, Any] = {}
    if output is not None:
        written = sink.write(shown, None)
    elif matrix.dtype.itemsize * matrix.shape[1] > (available_memory() or math.inf):
        sink.check_memory(matrix.dtype.itemsize * matrix.shape[1], "one row of the matrix")
    if flat is not None:
        sink.check_memory(2.0 * matrix.dtype.itemsize * math.prod(matrix.shape), "the product")
    if as_json:
        print(json.dumps(_document(matrix, shown, flat, patches) | written))
        return
    if not (output and settings.quiet):
        _print_facts(matrix, stderr=output is not None)
    if output is None:
        print()
        described.show(shown)
    if flat is not None:
        _print_product(matrix, flat, patches)


def _taps(weights: Array, patches: Patches) -> tuple[int, ...]:
    """Shape of the patches that a kernel takes."""
    taps: tuple[int, ...] = weights.shape[2:] if weights.ndim > 3 else weights.shape
    if patches.size is not None and patches.taps != taps:
        raise UsageError(
            f"-s {shape_text(patches.taps)} is not the size of the kernel, {shape_text(taps)}; leave -s out"
        )
    return taps


def _image(source: Source, taps: tuple[int, ...], channels: int | None) -> Array:
    """Return the samples as (channels, *spatial)."""
    axes = len(taps)
    if source.planes is None:
        if len(source.shape) != axes:
            raise UsageError(
                f"--shape {shape_text(source.shape)} has {len(source.shape)} axes for patches "
                f"{shape_text(taps)}; they need as many (channels are given by --channels)"
            )
        return source.channels(1 if channels is None else channels, source.shape)
    there = source.planes.ndim - axes
    if there not in (0, 1):
        raise UsageError(
            f"the image {shape_text(source.shape)} has {len(source.shape)} axes for patches "
            f"{shape_text(taps)}; it has as many, and one more if there are channels"
        )
    count = source.shape[0] if there else 1
    return source.channels(count if channels is None else channels, source.spatial(axes), own_type=True)


def _flattened(weights: Array, channels: int, op: str) -> Array:
    """W_flat: one kernel per row, in the order of a patch; convolution turns it round first."""
    bank = weights if weights.ndim > 3 else weights[None, None]
    if bank.shape[1] != channels:
        raise UsageError(
            f"the kernel is for {bank.shape[1]} channels and the image has {channels}; "
            "use a bank (out, in, height, width), or --channels 1"
        )
    if op == "convolve":
        bank = np.flip(bank, tuple(range(2, bank.ndim)))
    return bank


def _print_facts(matrix: Unrolled, *, stderr: bool) -> None:
    spec = matrix.spec
    channels = len(matrix.image)
    size = matrix.dtype.itemsize * math.prod(matrix.shape)
    each = f"{shape_text(spec.kernel_shape)} of {channels} channel{'s' if channels > 1 else ''}"
    rows = [
        ("matrix", f"{shape_text(matrix.shape)}, a patch per {matrix.layout.removesuffix('s')}"),
        ("positions", shape_text(spec.output_shape)),
        ("patch", each),
        ("size", f"{bytes_text(size)}, {size / matrix.image.nbytes:.3g} times the image's"),
    ]
    report.table(("", ""), rows, file=sys.stderr if stderr else sys.stdout)


def _print_product(matrix: Unrolled, bank: Array, patches: Patches) -> None:
    """Print W_flat, and what it makes of the matrix."""
    order = patches.order
    if order == "F":
        bank = bank.transpose(0, 1, *range(bank.ndim - 1, 1, -1))
    flat = bank.reshape(len(bank), -1)
    values = matrix.rows(0, matrix.shape[0])
    values = values.astype(np.float64 if values.dtype.kind == "f" else np.int64)
    columns = values.T if matrix.layout == "rows" else values
    product = flat @ columns
    print("\nW_flat:")
    described.show(Dense(flat, own_cells=True))
    symbols = "W_flat · Xᵀ" if matrix.layout == "rows" else "W_flat · X"
    positions = matrix.spec.output_shape if order == "C" else matrix.spec.output_shape[::-1]
    for number, row in enumerate(product, 1):
        which = f", output {number}" if len(product) > 1 else ""
        print(f"\n{symbols}{which}, as {shape_text(positions)}:")
        result = row.reshape(matrix.spec.output_shape)
        result = result.T if order == "F" else result
        described.show(Dense(result.reshape(-1, result.shape[-1])))


def _document(matrix: Unrolled, shown: Matrix, bank: Array | None, patches: Patches) -> dict[str, Any]:
    small = math.prod(matrix.shape) <= described.LARGEST_IN_JSON
    rows: Any = shown.rows(0, shown.shape[0]) if small else None
    return {
        "shape": matrix.shape,
        "layout": matrix.layout,
        "positions": matrix.spec.output_shape,
        "patch": matrix.spec.kernel_shape,
        "channels": len(matrix.image),
        "bytes": matrix.dtype.itemsize * math.prod(matrix.shape),
        "matrix": None if rows is None else rows.tolist(),
        "w_flat": None if bank is None else bank.reshape(len(bank), -1).tolist(),
    }


def fold_back(
    source: str | None,
    shape: str | None,
    channels: int,
    patches: Patches,
    output: str | None,
    *,
    reduce: str,
    dtype: str | None,
    format_: str | None,
    force: bool,
    max_memory: int | None,
) -> None:
    """Read a matrix of patches, and make the image of them."""
    if source is None or shape is None:
        what = "the file of a matrix" if source is None else "--shape HxW of the image"
        raise UsageError(f"--fold needs {what}: convcli unroll patches.csv --fold --shape 256x256 -s 3x3")
    if dtype is not None:
        choose(dtype, DTYPES, "dtype")
    files = Files(format=format_, force=force, max_memory=max_memory)
    if output not in (None, STREAM):
        check_target(Path(str(output)), force=force, inputs=[Path(source)])
    from convcli.cli.options import axes

    sizes = axes(shape, "shape")
    spatial = (sizes,) if isinstance(sizes, int) else sizes
    limit = max_memory if max_memory is not None else available_memory() or 2**62
    stream = source == STREAM
    matrix = read_matrix(
        sys.stdin.buffer if stream else Path(source),
        max_bytes=limit,
        extension="csv" if stream else None,
        shape=None if stream else _expected(spatial, channels, patches),
    )
    dense = matrix if isinstance(matrix, np.ndarray) else matrix.toarray()
    image_shape = spatial if channels == 1 else (channels, *spatial)
    image = folded(dense, image_shape, patches.taps, reduce=reduce, **patches.options)
    _say_uncovered(image_shape, patches)
    if output is None:
        for plane in image.reshape(-1, *(1, *spatial)[-2:]):
            described.show(Dense(plane))
        return
    _write_image(image, output, files, dtype)


def _expected(spatial: tuple[int, ...], channels: int, patches: Patches) -> tuple[int, int]:
    """Shape of the matrix, for files that do not say it themselves."""
    blank = np.broadcast_to(np.uint8(0), (channels, *spatial))
    return unrolled(blank, patches.taps, **patches.options).shape


def _say_uncovered(shape: tuple[int, ...], patches: Patches) -> None:
    """Tell how many samples no patch covers: what they were is not in the matrix."""
    blank = np.broadcast_to(np.uint8(0), shape)
    spec = unrolled(blank, patches.taps, **patches.options).spec
    covered = 1
    for axis in spec.axes:
        reached = np.zeros(axis.size, bool)
        for tap in range(axis.taps):
            at = np.arange(axis.output) * axis.stride + tap * axis.dilation - axis.before
            reached[at[(at >= 0) & (at < axis.size)]] = True
        covered *= int(reached.sum())
    missing = math.prod(spec.image_shape) - covered
    if missing and not settings.quiet:
        report.note(
            f"{missing} of {math.prod(spec.image_shape)} samples lie under no patch and became 0; "
            "--mode same or full, when unrolling, covers all"
        )


def _write_image(image: Array, output: str, files: Files, dtype: str | None) -> None:
    """Write the image: as it is to .npy, in the type of its samples to an image file."""
    if files.kind(output, "npy") == "npy":
        files.write(output, image, Picture(image), Filter())
        return
    if image.ndim > 3 or (image.ndim == 3 and len(image) > 4):
        raise UsageError(f"an array {shape_text(image.shape)} is no image; write it to a .npy file")
    kept = _in_type(image, np.dtype(dtype or "uint8"))
    files.write(output, kept if kept.ndim == 3 else kept[None], Picture(kept), Filter())


def _in_type(image: Array, dtype: np.dtype[Any]) -> Array:
    if dtype.kind == "f":
        return image.astype(dtype)
    rounded = np.rint(image)
    top = np.iinfo(dtype).max
    low, high = rounded.min(), rounded.max()
    if not (low >= 0 and high <= top):
        raise UsageError(
            f"the image has samples from {low:g} to {high:g}, beyond {dtype}; "
            "use --dtype uint16 or float32, --reduce mean, or -o with .npy"
        )
    return rounded.astype(dtype)
