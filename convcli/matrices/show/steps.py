"""The convolution of an image as a matrix product, one stage after the other, as it is taught."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from convcli.arrays.library import Array
from convcli.arrays.samples import refuse_overflow
from convcli.errors import UsageError
from convcli.matrices.convolution_matrix import ConvolutionMatrix
from convcli.matrices.matrix import Dense, Matrix
from convcli.matrices.show.facts import structure
from convcli.text import shape_text

MOST_ROWS_OF_KERNEL = 16


@dataclass(frozen=True)
class Stage:
    """One stage; a part is a caption, a matrix, and the cell of the filter that its first cell is."""

    title: str
    lines: list[str]
    parts: list[tuple[str, Matrix, int]]


def steps(matrix: ConvolutionMatrix, image: Array) -> Iterator[Stage]:
    """Build T from the rows of one kernel with two axes, multiply, and reshape: eight stages.

    Jain (1989), section 2.8: block (r, s) of the matrix is the small Toeplitz matrix of kernel row r − s.
    """
    spec = matrix.spec
    if matrix.kernels.shape[:2] != (1, 1):
        raise UsageError(
            f"--steps are for one kernel, and {shape_text(matrix.kernels.shape)} is a bank; name one kernel"
        )
    if len(spec.axes) != 2:
        way = f"; a signal is an image with one row, 1x{spec.image_shape[0]}" if len(spec.axes) == 1 else ""
        raise UsageError(f"--steps are for images with 2 axes, not {len(spec.axes)}{way}")
    if spec.padding is not None:
        raise UsageError("--steps go with --mode; leave out --padding")
    if matrix.transposed:
        raise UsageError("--steps build T, not its transpose; leave out --transpose")
    kernel = matrix.kernels[0, 0]
    if len(kernel) > MOST_ROWS_OF_KERNEL:
        raise UsageError(
            f"--steps show a matrix per kernel row, and {len(kernel)} are too many to read; "
            f"use a kernel of at most {MOST_ROWS_OF_KERNEL} rows"
        )
    if image.dtype.kind != "f" and kernel.dtype.kind != "f":
        refuse_overflow(image, kernel.reshape(1, -1))
    yield Stage(
        "Input and filter", [], [("input x", Dense(image), 0), ("filter k", Dense(kernel, own_cells=True), 0)]
    )
    yield _output_size(matrix)
    applied = kernel if spec.op == "convolve" else kernel[::-1, ::-1]
    yield _padded_filter(matrix, applied)
    yield _small_matrices(matrix, kernel)
    yield _blocks(matrix)
    vector = image.reshape(-1, 1)
    yield Stage(
        "The input as a vector",
        [f"The rows of x one after the other: {image.size} numbers."],
        [("vec(x), turned on its side", Dense(vector.T), 0)],
    )
    product = matrix @ vector
    yield Stage(
        "The product",
        [f"T ({shape_text(matrix.shape)}) times vec(x) ({image.size}) gives {len(product)} numbers."],
        [("T · vec(x), turned on its side", Dense(product.T), 0)],
    )
    word = "convolution" if spec.op == "convolve" else "correlation"
    yield Stage(
        "The result",
        [f"Cut into rows of {spec.output_shape[1]}, it is the {word} of x with k."],
        [("y", Dense(product.reshape(spec.output_shape)), 0)],
    )


def _output_size(matrix: ConvolutionMatrix) -> Stage:
    spec = matrix.spec
    lines = []
    for name, axis in zip(("height", "width"), spec.axes, strict=True):
        extent = axis.extent
        spread = axis.dilation > 1 and spec.mode != "same"
        dilated = f" ({axis.taps} cells at distance {axis.dilation})" if spread else ""
        sums = {
            "full": f"{axis.size} + {extent} − 1",
            "same": f"{axis.size}, that of x",
            "valid": f"{axis.size} − {extent} + 1",
        }
        total = axis.stop - axis.start
        step = f", one in {axis.stride} kept: {axis.output}" if axis.stride > 1 else ""
        whole = "" if spec.mode == "same" else f" = {total}"
        lines.append(f"{name:6} {sums[spec.mode]}{whole}{dilated}{step}")
    return Stage(f"Output size in mode {spec.mode}: {shape_text(spec.output_shape)}", lines, [])


def _padded_filter(matrix: ConvolutionMatrix, applied: Array) -> Stage:
    sizes = tuple(axis.size + axis.extent - 1 for axis in matrix.spec.axes)
    padded = np.zeros(sizes, applied.dtype)
    distances = (slice(0, axis.extent, axis.dilation) for axis in matrix.spec.axes)
    padded[tuple(distances)] = applied
    turned = [] if matrix.spec.op == "convolve" else ["Correlation is convolution with k turned by 180°."]
    size, last = shape_text(sizes), matrix.spec.axes[0].extent
    more = f"; the rows after row {last} add nothing" if last < sizes[0] else ""
    return Stage(
        "The filter, padded with zeros",
        [*turned, f"To {size}, the size of the full result{more}."],
        [("padded filter", Dense(padded), 0)],
    )


def _small_matrices(matrix: ConvolutionMatrix, kernel: Array) -> Stage:
    """One matrix per kernel row: what that row does to a row of the image."""
    per_axis = ("image_shape", "kernel_shape", "stride", "dilation", "origin")
    line = replace(matrix.spec, **{name: getattr(matrix.spec, name)[1:] for name in per_axis}, taps=None)
    parts: list[tuple[str, Matrix, int]] = []
    for number, row in enumerate(kernel, 1):
        small = ConvolutionMatrix(row[None, None], line)
        caption = f"F{number}, of filter row {number} ({shape_text(small.shape)})"
        parts.append((caption, small, (number - 1) * kernel.shape[1]))
    return Stage(
        "A small matrix for each filter row",
        ["Times a row of x, it gives what that filter row adds to a row of the result."],
        parts,
    )


def _blocks(matrix: ConvolutionMatrix) -> Stage:
    rows, columns = (n // m for n, m in zip(matrix.shape, matrix.block_shape, strict=True))
    name = structure(matrix)
    return Stage(
        "The matrix T",
        [
            f"{name[0].upper()}{name[1:]}: {rows}×{columns} blocks of {shape_text(matrix.block_shape)}; "
            "the small matrices stand so:"
        ],
        [("blocks", Dense(_layout(matrix)), 0), ("T", matrix, 0)],
    )


def _layout(matrix: ConvolutionMatrix) -> Array:
    """Which small matrix stands in which block."""
    others, cells = matrix.meet(0, range(matrix.row_shape[1]))
    if matrix.spec.op == "convolve":
        cells = len(matrix.kernels[0, 0]) - 1 - cells
    names = np.full((matrix.row_shape[1], matrix.column_shape[1]), "0", dtype=object)
    for block_row, (blocks, rows) in enumerate(zip(others.tolist(), cells.tolist(), strict=True)):
        for block, cell in sorted(zip(blocks, rows, strict=True)):
            if block >= 0:
                before = names[block_row, block]
                names[block_row, block] = f"F{cell + 1}" if before == "0" else f"{before}+F{cell + 1}"
    return names.astype(str)
