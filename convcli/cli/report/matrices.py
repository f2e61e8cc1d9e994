"""What is printed about a matrix: facts, construction, comparison."""

from __future__ import annotations

import shutil
import sys
import textwrap
from typing import Any

import numpy as np

from convcli.arrays.library import Array
from convcli.cli import report, settings
from convcli.cli.report.grid import grid
from convcli.engine.verification import Check
from convcli.matrices.convolution_matrix import ConvolutionMatrix
from convcli.matrices.matrix import Matrix
from convcli.matrices.show.facts import Facts
from convcli.matrices.show.palette import colour_of
from convcli.matrices.show.preview import look_at
from convcli.matrices.show.steps import steps
from convcli.spec import ConvSpec
from convcli.text import bytes_text, shape_text

LARGEST_IN_JSON = 4096  # entries
INDENT = "   "


def show(matrix: Matrix, *, first: int = 0, of: tuple[int, ...] | None = None, indent: int = 0) -> None:
    """Print a matrix, or its ends, coloured by cell.

    Its cells may be part of an array of the shape `of`, its first cell being number `first` there.
    """
    colour = colour_of(of or matrix.cell_shape)
    look = look_at(matrix, lambda cell: colour(cell + first))
    grid(matrix.shape, look, block_shape=matrix.block_shape, indent=indent)


def print_facts(found: Facts, matrix: ConvolutionMatrix, *, stderr: bool = False) -> None:
    """Print the facts as a table; if verbose, the options that they follow from, too."""
    rows = [("matrix", shape_text(found.shape)), ("structure", found.structure)]
    if found.block_shape != (1, 1):
        rows.append(("blocks", f"{shape_text(found.blocks)} of {shape_text(found.block_shape)}"))
    if found.nonzeros is not None and found.density is not None:
        rows.append(("non-zeros", f"{found.nonzeros:,} ({100 * found.density:.3g} %)"))
    rows.append(("size", f"{bytes_text(found.dense_bytes)} dense, {bytes_text(found.sparse_bytes)} sparse"))
    if found.rank is not None:
        full = min(found.shape) == found.rank
        rows.append(("rank", f"{found.rank}" + (" (full)" if full else f" of {min(found.shape)}")))
    if found.eigenvalues is not None:
        rows.append(("eigenvalues", _range(found.eigenvalues, found.transform)))
    if settings.verbose:
        rows.append(("options", options_text(matrix.spec)))
    report.table(("", ""), rows, file=sys.stderr if stderr else sys.stdout)


def options_of(spec: ConvSpec) -> dict[str, Any]:
    """Return what was asked for or taken by default, in the order of the axes that vec reads."""
    assert isinstance(spec.origin, tuple)
    reach = {"mode": spec.mode} if spec.padding is None else {"padding": spec.padding}
    return {
        "op": spec.op,
        **reach,
        "border": spec.border,
        "origin": list(spec.origin[::-1]),
        "stride": [axis.stride for axis in spec.axes],
        "dilation": [axis.dilation for axis in spec.axes],
    }


def options_text(spec: ConvSpec) -> str:
    """Write `options_of` in a line."""
    words = []
    for name, value in options_of(spec).items():
        joint = {"origin": ",", "stride": "×", "dilation": "×"}.get(name)
        words.append(f"{name} {value if joint is None else joint.join(map(str, value))}")
    return ", ".join(words)


def _range(values: Array, transform: bool) -> str:
    """Write the least and the largest eigenvalue."""
    sizes = values if values.dtype.kind == "f" else np.abs(values)
    text = f"{_short(sizes.min())} … {_short(sizes.max())}"
    text = text if values.dtype.kind == "f" else f"complex, sizes {text}"
    return f"{text}: the DFT of the kernel about its origin" if transform else text


def _short(value: float) -> str:
    return f"{value:.4g}"


def print_steps(matrix: ConvolutionMatrix, image: Array) -> None:
    """Print the construction stage by stage."""
    for number, stage in enumerate(steps(matrix, image), 1):
        print("\n" * (number > 1) + f"{number}. {stage.title}")
        for line in stage.lines:
            print(_wrapped(line))
        for caption, part, first in stage.parts:
            print(f"{INDENT}{caption}:")
            show(part, first=first, of=matrix.cell_shape, indent=len(INDENT))


def _wrapped(line: str) -> str:
    """Indent a line; on a terminal, in as many as there is room for."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 10**6
    return textwrap.fill(line, max(width, 40), initial_indent=INDENT, subsequent_indent=INDENT)


def print_checks(checks: list[Check], *, stderr: bool) -> None:
    """Print what every backend made of it."""
    rows = []
    for check in checks:
        if check.difference is None:
            rows.append((check.backend, "-", str(check.reason)))
            continue
        verdict = "differs" if check.failed else "agrees"
        rows.append(
            (check.backend, _short(check.difference), f"{verdict} (at most {_short(check.allowed or 0)})")
        )
    report.table(
        ("backend", "largest difference", "verdict"), rows, file=sys.stderr if stderr else sys.stdout
    )


def document(found: Facts, rule: ConvolutionMatrix, matrix: Matrix) -> dict[str, Any]:
    """Return the facts, and the matrix if it is small, as JSON has them."""
    result: dict[str, Any] = {
        "shape": found.shape,
        "blocks": found.blocks,
        "block_shape": found.block_shape,
        "structure": found.structure,
        "options": options_of(rule.spec),
        "nonzeros": found.nonzeros,
        "density": found.density,
        "dense_bytes": found.dense_bytes,
        "sparse_bytes": found.sparse_bytes,
        "rank": found.rank,
        "eigenvalues": None,
        "matrix": None,
    }
    if found.eigenvalues is not None:
        values = np.abs(found.eigenvalues) if found.eigenvalues.dtype.kind == "c" else found.eigenvalues
        result["eigenvalues"] = {
            "least": float(values.min()),
            "largest": float(values.max()),
            "complex": found.eigenvalues.dtype.kind == "c",
            "transform_of_kernel": found.transform,
        }
    if matrix.shape[0] * matrix.shape[1] <= LARGEST_IN_JSON:
        rows = matrix.rows(0, matrix.shape[0])
        result["matrix"] = (rows if isinstance(rows, np.ndarray) else rows.toarray()).tolist()
    return result
