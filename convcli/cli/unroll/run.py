"""What ``convcli unroll`` does without ``--fold``: show or write the matrix of an image's patches."""

from __future__ import annotations

import math
import sys
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar

import numpy as np

from convcli.arrays.borders import refuse_wide_borders
from convcli.arrays.library import Array
from convcli.arrays.samples import refuse_overflow, samples_of
from convcli.cli import report, settings
from convcli.cli.io.matrix_output import Sink
from convcli.cli.io.sources import Source, note_bank, read_source, weights_of
from convcli.cli.io.targets import STREAM
from convcli.cli.report import matrices as described
from convcli.cli.report.grid import grid
from convcli.errors import UsageError
from convcli.matrices.files.write import NAME_BYTES
from convcli.matrices.im2col import Unrolled
from convcli.matrices.matrix import Dense, Matrix, Symbolic, blocks
from convcli.matrices.show.palette import colour_of
from convcli.matrices.show.preview import Colour, look_at
from convcli.matrices.unroll import sample_names, unrolled
from convcli.spec import OPS, PerAxis, choose, per_axis
from convcli.text import bytes_text, shape_text

Cell = TypeVar("Cell")
Seen = tuple[list[list[str]], list[list[Colour | None]]]

MOST_OUTPUTS = 16  # of a bank that are printed
SHOWN_BYTES = 4096  # of memory, for each entry of a row that is shown


@dataclass(frozen=True)
class Patches:
    """How patches are taken: the options of the same names; `size` is None where a kernel says it."""

    size: PerAxis | None
    layout: str
    stride: PerAxis
    dilation: PerAxis
    mode: str
    order: str
    origin: PerAxis | None = None
    padding: PerAxis | None = None

    def __post_init__(self) -> None:
        if self.origin is not None and self.mode != "same":
            raise UsageError(f"--origin has no effect in mode {self.mode}; leave it out, or use --mode same")

    @property
    def taps(self) -> tuple[int, ...]:
        """Shape of a patch."""
        if self.size is None:
            raise UsageError("no size of the patches; add -s, for example -s 3x3")
        sizes = (self.size,) if isinstance(self.size, int) else self.size
        return per_axis(sizes, len(sizes), "size", 1)

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
    weights, origin = (None, None) if kernel is None else weights_of(kernel, found)
    asked, op = op, choose(op or "convolve", OPS, "op")
    taps = patches.taps if weights is None else _taps(weights, patches)
    if weights is not None:
        patches = replace(patches, origin=_patch_origin(taps, patches, origin, op))
    image = _image(found, taps, channels, sink)
    matrix = unrolled(image, taps, border=border, border_value=border_value, **patches.options)
    refuse_wide_borders(matrix.spec)
    names = []
    if symbolic:
        if matrix.fill and patches.mode != "valid":
            raise UsageError(
                f"--symbolic has no name for the border value {matrix.fill:g}; use --border zero, or another"
            )
        sink.check_memory(NAME_BYTES * image.size, "naming the samples")
        names = sample_names(matrix.image.shape, patches.order)
    shown: Matrix = Symbolic(matrix, names) if symbolic else matrix
    checked = None if output is None else sink.check(shown, None)
    flat = product = None
    if weights is not None:
        _check_channels(weights, image, found)
        flat = _flattened(weights, op, patches.order)
        product = _product(matrix, flat, sink)
    if output is None and not as_json:  # whole rows are made of what is shown
        sink.check_memory(SHOWN_BYTES * min(matrix.shape), "showing the matrix")
    written = {} if checked is None else sink.write(shown, checked)
    if as_json:
        report.document(_document(matrix, shown, flat, product, patches) | written)
        return
    if not settings.quiet:
        _print_facts(matrix, patches, stderr=output is not None)
    if output is None:
        print("" if settings.quiet else "\n", end="")
        _show(matrix, names)
    if flat is not None and product is not None:
        _print_product(matrix, flat, product, patches)
    if kernel is not None and weights is not None:
        note_bank(kernel, weights, asked)


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
    cells = per_axis(origin, len(taps), "origin", 0) if origin is not None else None
    if op == "correlate":
        return cells
    return tuple(n - 1 - o for n, o in zip(taps, cells or ((n - 1) // 2 for n in taps), strict=True))


def _image(source: Source, taps: tuple[int, ...], channels: int | None, sink: Sink) -> Array:
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
        sink.check_memory(8.0 * count * math.prod(source.shape), f"the image {shape_text(source.shape)}")
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
        f"the kernel is for {needed} channel{'s' if needed > 1 else ''} and the image has {len(image)}; "
        "use a bank (out, in, height, width)" + (f", or --channels {needed}" if can else "")
    )


def _flattened(weights: Array, op: str, order: str) -> Array:
    """W_flat: one kernel per row, in the order of a patch; convolution turns it round first."""
    bank = weights if weights.ndim > 3 else weights[None, None]
    taps = tuple(range(2, bank.ndim))
    bank = np.flip(bank, taps) if op == "convolve" else bank
    return bank.transpose(0, 1, *(taps if order == "C" else taps[::-1])).reshape(len(bank), -1)


def _product(matrix: Unrolled, flat: Array, sink: Sink) -> Array:
    """Multiply, some rows of the matrix at a time; what is not finite makes all it is part of NaN.

    Returns
    -------
    (kernels, positions) array
    """
    positions = math.prod(matrix.spec.output_shape)
    sink.check_memory(16.0 * len(flat) * positions, "the product")
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


def _in_order(shape: tuple[int, ...], order: str) -> tuple[int, ...]:
    """Turn a shape as a matrix of that order has it into that of the image, and back."""
    return shape if order == "C" else shape[::-1]


def _print_facts(matrix: Unrolled, patches: Patches, *, stderr: bool) -> None:
    spec, order = matrix.spec, patches.order
    channels = len(matrix.image)
    size = matrix.dtype.itemsize * math.prod(matrix.shape)
    patch = shape_text(_in_order(spec.kernel_shape, order))
    rows = [
        ("matrix", f"{shape_text(matrix.shape)}, a patch per {matrix.layout.removesuffix('s')}"),
        ("positions", shape_text(_in_order(spec.output_shape, order))),
        ("patch", f"{patch} of {channels} channel{'s' if channels > 1 else ''}"),
        ("size", f"{bytes_text(size)}, {size / matrix.image.nbytes:.3g} times the image's"),
    ]
    if patches.mode == "same" and spec.origin != tuple((n - 1) // 2 for n in spec.kernel_shape):
        rows.insert(3, ("origin", f"{_origin(matrix, order)} (x,y), the cell of a patch on its position"))
    if settings.verbose:
        rows.append(("options", described.options_text(spec)))
    report.table(("", ""), rows, file=sys.stderr if stderr else sys.stdout)


def _origin(matrix: Unrolled, order: str) -> str:
    assert isinstance(matrix.spec.origin, tuple)
    return ",".join(map(str, _in_order(matrix.spec.origin, order)[::-1]))


def _show(matrix: Unrolled, names: list[str]) -> None:
    """Print the matrix, or its ends; whole rows are made for that, so a wide one is looked at turned."""
    turn = matrix.shape[1] > matrix.shape[0]
    seen = replace(matrix, layout="columns" if matrix.layout == "rows" else "rows") if turn else matrix
    look = look_at(Symbolic(seen, names) if names else seen, colour_of(seen.cell_shape))

    def turned(rows: list[int], columns: list[int]) -> Seen:
        text, shades = look(columns, rows)
        return _transposed(text), _transposed(shades)

    grid(matrix.shape, turned if turn else look, block_shape=matrix.block_shape)


def _transposed(cells: list[list[Cell]]) -> list[list[Cell]]:
    return [list(line) for line in zip(*cells, strict=True)]


def _print_product(matrix: Unrolled, flat: Array, product: Array, patches: Patches) -> None:
    """Print W_flat, and what it makes of the matrix."""
    print("\nW_flat:")
    described.show(Dense(flat, own_cells=True))
    symbols = "W_flat · Xᵀ" if matrix.layout == "rows" else "W_flat · X"
    results = _images(matrix, product[:MOST_OUTPUTS], patches.order)
    for number, result in enumerate(results, 1):
        which = f", output {number}" if len(product) > 1 else ""
        print(f"\n{symbols}{which}, as {shape_text(result.shape)}:")
        described.show(Dense(result.reshape(-1, result.shape[-1])))
    if len(product) > MOST_OUTPUTS:
        print(f"\nand {len(product) - MOST_OUTPUTS:,} more outputs")


def _images(matrix: Unrolled, product: Array, order: str) -> Array:
    """Return the product as (kernels, *positions)."""
    result = product.reshape(len(product), *matrix.spec.output_shape)
    return result if order == "C" else result.transpose(0, *range(result.ndim - 1, 0, -1))


def _document(
    matrix: Unrolled, shown: Matrix, flat: Array | None, product: Array | None, patches: Patches
) -> dict[str, Any]:
    """Return facts and, as far as they are small, numbers."""
    rows: Any = None
    if math.prod(matrix.shape) <= described.LARGEST_IN_JSON:
        rows = shown.rows(0, shown.shape[0])
    if product is not None and product.size > described.LARGEST_IN_JSON:
        product = None
    order = patches.order
    origin = _origin(matrix, order).split(",") if patches.mode == "same" else None
    return {
        "shape": matrix.shape,
        "layout": matrix.layout,
        "options": described.options_of(matrix.spec),
        "positions": _in_order(matrix.spec.output_shape, order),
        "patch": _in_order(matrix.spec.kernel_shape, order),
        "channels": len(matrix.image),
        "origin": origin and [int(number) for number in origin],
        "bytes": matrix.dtype.itemsize * math.prod(matrix.shape),
        "matrix": None if rows is None else rows.tolist(),
        "w_flat": None if flat is None else flat.tolist(),
        "product": None if product is None else _images(matrix, product, order).tolist(),
    }
