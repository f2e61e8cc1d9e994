"""What ``convcli toeplitz`` does: describe the matrix, check, show and write it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING

from convcli.arrays.library import Array
from convcli.cli import report, settings
from convcli.cli.io.matrix_output import MatrixOutput, Written
from convcli.cli.io.sources import matrix_for, note_bank, read_source
from convcli.cli.report.grid import print_lines
from convcli.cli.report.matrices import lines_of, time_rows
from convcli.cli.toeplitz.options import Rule, Task
from convcli.cli.toeplitz.summary import document, print_checks, print_facts, print_steps
from convcli.errors import VerificationError
from convcli.matrices.build import cell_names, in_order
from convcli.matrices.convolution_matrix import ConvolutionMatrix
from convcli.matrices.files import NAME_BYTES
from convcli.matrices.matrix import Matrix, Symbolic
from convcli.matrices.show.facts import facts, most_bytes

if TYPE_CHECKING:
    from convcli.engine.verification import Check

VECTORS = 32  # bytes of memory for each number of image and result, while T is multiplied


def run(task: Task, how: Rule, output: MatrixOutput) -> None:
    """Read the image and describe its matrix, then do the task."""
    output.check_target([task.image] if task.image else [])
    source = read_source(task.image, task.shape, output.max_memory, task.max_pixels)
    kernel, order = how.kernel[0], how.order
    matrix = matrix_for(kernel, source, (how.channels_in, how.channels_out), **how.options)
    names = []
    if task.symbolic:
        output.check_memory(NAME_BYTES * matrix.kernels.size, "naming the cells")
        names = cell_names(matrix.kernels, order)
    rule = matrix.T if task.transpose else matrix

    def samples() -> Array:
        shape = matrix.spec.image_shape
        return in_order(source.channels(matrix.spec.channels, shape if order == "C" else shape[::-1]), order)

    _run(task, rule, Symbolic(rule, names) if task.symbolic else rule, samples, output)
    bank = matrix.kernels if matrix.kernels.shape[:2] != (1, 1) else matrix.kernels[0, 0]
    note_bank(kernel, bank, how.op)


def _run(
    task: Task, rule: ConvolutionMatrix, matrix: Matrix, image: Callable[[], Array], output: MatrixOutput
) -> None:
    """Check, show and write `matrix`, which is `rule` or its names; a failure to verify is said last."""
    stderr = output.output is not None
    output.check_memory(rule.working_bytes, "one block row of the matrix")
    if task.steps or task.verify:
        output.check_memory(2 * most_bytes(rule) + VECTORS * sum(rule.shape), "the matrix")
    checked = output.check(matrix, "sparse-csv" if task.symbolic else "npz") if stderr else None
    import scipy.sparse  # noqa: F401 - not to be timed with the rows

    checks = _compared(rule, image(), task.as_json, stderr) if task.verify else []
    if task.steps:
        print_steps(rule, image()[0])
    written = None if checked is None else output.write(matrix, checked, rule.stopwatch)
    if task.as_json:
        found = document(facts(rule, named=task.symbolic), rule, matrix)
        report.document(found | (asdict(written) if written else {}) | {"checks": list(map(asdict, checks))})
        return
    if not task.steps:
        _show(task, rule, matrix, written)
    if checks and not settings.quiet:
        print(file=sys.stderr if stderr else sys.stdout)
        print_checks(checks, stderr=stderr)


def _compared(rule: ConvolutionMatrix, image: Array, as_json: bool, stderr: bool) -> list[Check]:
    """Compare with every backend; a matrix known to be wrong is neither written nor shown."""
    from convcli.engine.verification import failures, verify

    checks = verify(rule, image)
    if failures(checks):
        if as_json:
            report.document({"checks": list(map(asdict, checks))})
        elif not settings.quiet:
            print_checks(checks, stderr=stderr)
        raise VerificationError(failures(checks))
    return checks


def _show(task: Task, rule: ConvolutionMatrix, matrix: Matrix, written: Written | None) -> None:
    """Print the facts, then the matrix unless it was written."""
    known = None if settings.quiet else facts(rule, named=task.symbolic)
    rule.stopwatch.seconds = 0
    lines = [] if written else lines_of(matrix)
    if known:
        print_facts(known, rule, time_rows(rule.stopwatch, written), stderr=written is not None)
    if not written:
        print("" if settings.quiet else "\n", end="")
        print_lines(lines)
