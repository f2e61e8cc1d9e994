"""What ``convcli unroll`` prints about an image's patches: facts, the matrix, the product."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from convcli.arrays.library import Array
from convcli.cli import report, settings
from convcli.cli.io.matrix_output import Written
from convcli.cli.report.grid import grid, print_lines
from convcli.cli.report.matrices import LARGEST_IN_JSON, options_of, options_text, show, time_rows
from convcli.matrices.build import in_order
from convcli.matrices.convolution_matrix import ConvolutionMatrix
from convcli.matrices.im2col import Unrolled
from convcli.matrices.matrix import Dense, Matrix, Symbolic
from convcli.matrices.show.facts import sparse_bytes
from convcli.matrices.show.palette import colour_of
from convcli.matrices.show.preview import Preview, preview
from convcli.matrices.value_counts import value_counts
from convcli.spec import default_origin
from convcli.text import bytes_text, counted, shape_text

Cell = TypeVar("Cell")
MOST_OUTPUTS = 16  # of a bank that are printed


@dataclass(frozen=True)
class Result:
    """The matrix, names of its samples if asked for, and with a kernel the flattened one and the product."""

    matrix: Unrolled
    names: list[str]
    order: str
    flat: Array | None
    product: Array | None

    @property
    def shown(self) -> Matrix:
        """The matrix, or its names."""
        return Symbolic(self.matrix, self.names) if self.names else self.matrix

    def in_order(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Turn a shape as the matrix has it into that of the image."""
        return shape if self.order == "C" else shape[::-1]

    @property
    def origin(self) -> tuple[int, ...]:
        """Cell of a patch that lies on its position, as X,Y."""
        assert isinstance(self.matrix.spec.origin, tuple)
        return self.in_order(self.matrix.spec.origin)[::-1]

    @property
    def bytes(self) -> int:
        """Bytes of the matrix."""
        return self.matrix.dtype.itemsize * math.prod(self.matrix.shape)

    def images(self) -> Array | None:
        """Return the product as (kernels, *positions)."""
        if self.product is None:
            return None
        return in_order(self.product.reshape(-1, *self.matrix.spec.output_shape), self.order)

    def toeplitz(self) -> tuple[tuple[int, int], int, bool]:
        """Shape and sparse bytes of the other way, the unrolled kernel, and whether these are exact."""
        spec, channels = self.matrix.spec, len(self.matrix.image)
        outputs = 1 if self.flat is None else len(self.flat)
        cells = np.broadcast_to(np.int64(1), (outputs, channels, *spec.kernel_shape))
        rule = ConvolutionMatrix(cells, replace(spec, channels=channels, outputs=outputs, taps=None))
        counts, exact = value_counts(rule)
        return rule.shape, sparse_bytes(rule.shape, counts.total()), exact


def print_result(result: Result, written: Written | None) -> None:
    """Print facts, the matrix unless it was written, and the product."""
    matrix = result.matrix
    if written is None:
        matrix.stopwatch.seconds = 0
    lines = [] if written else _lines(result)
    if not settings.quiet:
        times = time_rows(matrix.stopwatch, written)
        report.table(("", ""), _facts(result, times), file=sys.stderr if written else sys.stdout)
    if not written:
        print("" if settings.quiet else "\n", end="")
        print_lines(lines)
    _print_product(result)


def _facts(result: Result, times: list[tuple[str, str]]) -> list[tuple[str, str]]:
    matrix, spec = result.matrix, result.matrix.spec
    channels = len(matrix.image)
    patch = shape_text(result.in_order(spec.kernel_shape))
    shape, size, exact = result.toeplitz()
    other = f"{shape_text(shape)}, {'' if exact else '≈ '}{bytes_text(size)} sparse"
    rows = [
        ("matrix", f"{shape_text(matrix.shape)}, a patch per {matrix.layout.removesuffix('s')}"),
        ("positions", shape_text(result.in_order(spec.output_shape))),
        ("patch", f"{patch} of {counted(channels, 'channel')}"),
    ]
    if matrix.spec.mode == "same" and spec.origin != default_origin(spec.kernel_shape):
        origin = ",".join(map(str, result.origin))
        rows.append(("origin", f"{origin} (x,y), the cell of a patch on its position"))
    rows += [
        ("size", f"{bytes_text(result.bytes)}, {result.bytes / matrix.image.nbytes:.3g} times the image's"),
        ("toeplitz", f"{other}, which unrolls the kernel instead"),
        *times,
    ]
    return [*rows, ("options", options_text(spec))] if settings.verbose else rows


def _lines(result: Result) -> list[Any]:
    """Lines of the matrix, or of its ends; whole rows are made for that, so of a wide one its columns."""
    matrix, names = result.matrix, result.names
    turn = matrix.shape[1] > matrix.shape[0]
    seen = replace(matrix, layout="columns" if matrix.layout == "rows" else "rows") if turn else matrix
    look = preview(Symbolic(seen, names) if names else seen, colour_of(seen.cell_shape))

    def turned(rows: list[int], columns: list[int]) -> Preview:
        text, shades = look(columns, rows)
        return _transposed(text), _transposed(shades)

    return grid(matrix.shape, turned if turn else look, block_shape=matrix.block_shape)


def _transposed(cells: list[list[Cell]]) -> list[list[Cell]]:
    return [list(line) for line in zip(*cells, strict=True)]


def _print_product(result: Result) -> None:
    """Print W_flat, and its products with the matrix."""
    images = result.images()
    if result.flat is None or images is None:
        return
    print("\nW_flat:")
    show(Dense(result.flat, own_cells=True))
    symbols = "W_flat · Xᵀ" if result.matrix.layout == "rows" else "W_flat · X"
    for number, image in enumerate(images[:MOST_OUTPUTS], 1):
        which = f", output {number}" if len(images) > 1 else ""
        print(f"\n{symbols}{which}, as {shape_text(image.shape)}:")
        show(Dense(image.reshape(-1, image.shape[-1])))
    if len(images) > MOST_OUTPUTS:
        print(f"\nand {len(images) - MOST_OUTPUTS:,} more outputs")


def document(result: Result) -> dict[str, Any]:
    """Return facts and, as far as they are small, numbers."""
    matrix, images = result.matrix, result.images()
    rows: Any = None
    if images is not None and images.size > LARGEST_IN_JSON:
        images = None
    matrix.stopwatch.seconds = 0
    if math.prod(matrix.shape) <= LARGEST_IN_JSON:
        rows = result.shown.rows(0, matrix.shape[0])
    shape, size, exact = result.toeplitz()
    return {
        "shape": matrix.shape,
        "layout": matrix.layout,
        "options": options_of(matrix.spec),
        "positions": result.in_order(matrix.spec.output_shape),
        "patch": result.in_order(matrix.spec.kernel_shape),
        "channels": len(matrix.image),
        "origin": list(result.origin) if matrix.spec.mode == "same" else None,
        "bytes": result.bytes,
        "toeplitz": {"shape": shape, "sparse_bytes": size, "exact": exact},
        "matrix": None if rows is None else rows.tolist(),
        "w_flat": None if result.flat is None else result.flat.tolist(),
        "product": None if images is None else images.tolist(),
        "build_seconds": matrix.stopwatch.seconds,
    }
