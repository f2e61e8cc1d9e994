"""What ``convcli toeplitz`` prints about a matrix: facts, construction, comparison."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from convcli.arrays.library import Array
from convcli.cli import report, settings
from convcli.cli.report.grid import print_lines
from convcli.cli.report.matrices import LARGEST_IN_JSON, lines_of, options_of, options_text
from convcli.matrices.convolution_matrix import ConvolutionMatrix
from convcli.matrices.matrix import Matrix, dense_rows
from convcli.matrices.show.facts import Facts
from convcli.matrices.show.steps import steps
from convcli.text import bytes_text, shape_text

if TYPE_CHECKING:
    from convcli.engine.verification import Check

INDENT = "   "


def print_facts(
    found: Facts, matrix: ConvolutionMatrix, times: Iterable[tuple[str, str]] = (), *, stderr: bool = False
) -> None:
    """Print the facts as a table; if verbose, the options that they follow from, too."""
    about = "" if found.nonzeros_exact else "≈ "
    sizes = f"{bytes_text(found.dense_bytes)} dense, {about}{bytes_text(found.sparse_bytes)} sparse"
    unrolled = f"{shape_text(found.im2col_shape)}, {bytes_text(found.im2col_bytes)} dense"
    rows = [("matrix", shape_text(found.shape)), ("structure", found.structure)]
    if found.block_shape != (1, 1):
        rows.append(("blocks", f"{shape_text(found.blocks)} of {shape_text(found.block_shape)}"))
    rows += [
        ("non-zeros", f"{about}{found.nonzeros:,} ({100 * found.density:.3g} %)"),
        ("size", sizes),
        ("im2col", f"{unrolled}, which unrolls the image instead"),
    ]
    if found.rank is not None:
        full = min(found.shape) == found.rank
        rows.append(("rank", f"{found.rank}" + (" (full)" if full else f" of {min(found.shape)}")))
    if found.eigenvalues is not None:
        rows.append(("eigenvalues", _range(found.eigenvalues, found.transform)))
    rows += times
    if settings.verbose:
        rows.append(("options", options_text(matrix.spec)))
    report.table(("", ""), rows, file=sys.stderr if stderr else sys.stdout)


def _range(values: Array, transform: bool) -> str:
    """Write the least and the largest eigenvalue."""
    sizes = values if values.dtype.kind == "f" else np.abs(values)
    text = f"{sizes.min():.4g} … {sizes.max():.4g}"
    text = text if values.dtype.kind == "f" else f"complex, sizes {text}"
    return f"{text}: the DFT of the kernel about its origin" if transform else text


def print_steps(matrix: ConvolutionMatrix, image: Array) -> None:
    """Print the construction stage by stage."""
    for number, stage in enumerate(steps(matrix, image), 1):
        print("\n" * (number > 1) + f"{number}. {stage.title}")
        for line in stage.lines:
            print(_wrapped(line))
        for caption, part, first in stage.parts:
            print(f"{INDENT}{caption}:")
            print_lines(lines_of(part, first=first, of=matrix.cell_shape, indent=len(INDENT)))


def _wrapped(line: str) -> str:
    """Indent a line; on a terminal, in as many as there is room for."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 10**6
    return textwrap.fill(line, max(width, 40), initial_indent=INDENT, subsequent_indent=INDENT)


def print_checks(checks: list[Check], *, stderr: bool) -> None:
    """Print the comparison with every backend."""
    rows = []
    for check in checks:
        if check.difference is None:
            rows.append((check.backend, "-", str(check.reason)))
            continue
        verdict = "differs" if check.failed else "agrees"
        verdict += f" (at most {check.allowed or 0:.4g})"
        rows.append((check.backend, f"{check.difference:.4g}", verdict))
    report.table(
        ("backend", "largest difference", "verdict"), rows, file=sys.stderr if stderr else sys.stdout
    )


def document(found: Facts, rule: ConvolutionMatrix, matrix: Matrix) -> dict[str, Any]:
    """Return the facts, and the matrix if it is small, as JSON has them."""
    result = vars(found) | {"options": options_of(rule.spec), "density": found.density}
    result["im2col"] = {"shape": result.pop("im2col_shape"), "dense_bytes": found.im2col_bytes}
    result |= {"eigenvalues": None, "matrix": None}
    transform = result.pop("transform")
    if found.eigenvalues is not None:
        values = np.abs(found.eigenvalues) if found.eigenvalues.dtype.kind == "c" else found.eigenvalues
        result["eigenvalues"] = {
            "least": float(values.min()),
            "largest": float(values.max()),
            "complex": found.eigenvalues.dtype.kind == "c",
            "transform_of_kernel": transform,
        }
    rule.stopwatch.seconds = 0
    if matrix.shape[0] * matrix.shape[1] <= LARGEST_IN_JSON:
        result["matrix"] = dense_rows(matrix).tolist()
    result["build_seconds"] = rule.stopwatch.seconds
    return result
