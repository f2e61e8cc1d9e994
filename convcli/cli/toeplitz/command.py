"""``convcli toeplitz``: the matrix of a convolution.

Annotations are not strings here (no ``from __future__ import annotations``): typer would have to
compile each at every start.
"""

import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated

import typer

from convcli.cli.typed import (
    BorderValue,
    Debug,
    Dilation,
    Force,
    Json,
    MaxMemory,
    MaxOutput,
    MaxPixels,
    Origin,
    Padding,
    Quiet,
    Stride,
    Verbose,
    among,
    amount,
    axes,
    check_padding,
    kernel_names,
    one_kernel,
    origin,
    outside,
)
from convcli.errors import UsageError
from convcli.spec import BORDER_ALIASES, BORDERS, MODES, OPS

if TYPE_CHECKING:
    from convcli.arrays.library import Array
    from convcli.cli.io.matrix_output import Sink
    from convcli.matrices.convolution_matrix import ConvolutionMatrix

VECTORS = 32  # bytes of memory for each number of image and result, while T is multiplied


def toeplitz(
    image: Annotated[
        str | None,
        typer.Argument(metavar="[IMAGE]", help="Takes the shape from it; - is stdin.", show_default=False),
    ] = None,
    kernels: Annotated[
        list[str] | None,
        typer.Option(
            "--kernel", "-k", metavar="SPEC", autocompletion=kernel_names, help="See `convcli kernels`."
        ),
    ] = None,
    shape: Annotated[
        str | None, typer.Option(metavar="HxW", help="Shape of the image, in place of IMAGE.")
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help=".csv .tsv .npy .npz .mtx .png .json; - is stdout."
        ),
    ] = None,
    op: Annotated[
        str | None,
        typer.Option(
            metavar="OP", autocompletion=among(*OPS), help="convolve or correlate.  [default: convolve]"
        ),
    ] = None,
    mode: Annotated[
        str | None,
        typer.Option(
            metavar="MODE",
            autocompletion=among(*MODES),
            help="full, same or valid.  [default: full; same with --border wrap]",
        ),
    ] = None,
    padding: Padding = None,
    border: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            autocompletion=among(*BORDERS),
            help="zero, wrap (circulant), symmetric (Toeplitz plus Hankel), mirror, nearest.",
        ),
    ] = "zero",
    border_value: BorderValue = None,
    origin_: Origin = None,
    stride: Stride = "1",
    dilation: Dilation = "1",
    channels_in: Annotated[
        int | None, typer.Option(metavar="N", help="Channels of the image, for a bank of kernels.")
    ] = None,
    channels_out: Annotated[
        int | None, typer.Option(metavar="N", help="Kernels in the bank: (out, in / groups, height, width).")
    ] = None,
    groups: Annotated[int, typer.Option(metavar="N", help="Groups of the bank.")] = 1,
    order: Annotated[
        str,
        typer.Option(metavar="C|F", help="vec reads rows first (C), or columns first as MATLAB does (F)."),
    ] = "C",
    transpose: Annotated[bool, typer.Option("--transpose", help="Take the transpose.")] = False,
    symbolic: Annotated[bool, typer.Option("--symbolic", help="Cells by name: w11 w12 ...")] = False,
    steps: Annotated[bool, typer.Option("--steps", help="Show the construction in eight steps.")] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Multiply, and compare with every backend.")
    ] = False,
    format_: Annotated[
        str | None, typer.Option("--format", metavar="NAME", help="csv, tsv, npy, npz, mtx, png or json.")
    ] = None,
    sparse_csv: Annotated[bool, typer.Option("--sparse-csv", help="Write row,col,value as CSV.")] = False,
    max_memory: MaxMemory = None,
    max_output: MaxOutput = None,
    max_pixels: MaxPixels = None,
    force: Force = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Show or write the matrix T with T · vec(x) = vec(x ∗ k).

    \b
    Examples:
      convcli toeplitz -k "1 2; 3 4" --shape 3x3 --mode valid --symbolic
      convcli toeplitz -k "10 20; 30 40" --shape 2x3 --steps
      convcli toeplitz -k gaussian:1 --shape 16x16 --border wrap
      convcli toeplitz -k sobel-x --shape 64x64 -o t.npz
      convcli toeplitz -k box:3 photo.png --mode same -o - --sparse-csv | head
    """
    kernel = one_kernel(kernels)
    if kernel is None:
        raise UsageError('no kernel; add -k, for example -k sobel-x or -k "1 2; 3 4"')
    check_padding(padding, mode, origin_)
    if as_json and (output == "-" or steps):
        raise UsageError("--json prints one document on standard output; leave out --steps and -o -")
    if steps and output == "-":
        raise UsageError("--steps and -o - would both write to standard output; give -o a file")
    others = {
        "order F": order == "F",
        "transpose": transpose,
        "symbolic": symbolic,
        "padding": padding is not None,
    }
    for name in (name for name, given in others.items() if steps and given):
        raise UsageError(f"--steps builds T of numbers, row by row and by --mode; leave out --{name}")
    _check_border(border, border_value)
    from convcli.cli.io.matrix_output import Sink
    from convcli.cli.io.sources import in_order, note_bank, operator_for, read_source, spatial
    from convcli.matrices.build import cell_names
    from convcli.matrices.files.write import NAME_BYTES

    sink = Sink(
        output, format_, sparse_csv, force, amount(max_memory, "memory"), amount(max_output, "output")
    )
    sink.check_target([image] if image else [])
    source = read_source(image, shape, sink.max_memory, amount(max_pixels, "pixels"))
    matrix = operator_for(
        kernel,
        source,
        (channels_in, channels_out),
        mode=mode or ("same" if BORDER_ALIASES.get(border, border) == "wrap" else "full"),
        border=border,
        op=op or "convolve",
        origin=origin(origin_),
        stride=axes(stride, "stride"),
        dilation=axes(dilation, "dilation"),
        order=order,
        groups=groups,
        padding=None if padding is None else axes(padding, "padding"),
    )
    names = []
    if symbolic:
        sink.check_memory(NAME_BYTES * matrix.kernels.size, "naming the cells")
        names = cell_names(matrix.kernels, order)
    _run(
        matrix.T if transpose else matrix,
        lambda: in_order(source.channels(matrix.spec.channels, spatial(matrix, order)), order),
        sink,
        names=names,
        symbolic=symbolic,
        steps=steps,
        verify=verify,
        as_json=as_json,
    )
    note_bank(kernel, matrix.kernels if matrix.kernels.shape[:2] != (1, 1) else matrix.kernels[0, 0], op)


def _check_border(border: str, value: str | None) -> None:
    """Refuse a value that has no matrix."""
    number = outside(value, border)
    if number:
        raise UsageError(
            f"border constant with the value {number:g} adds to every result, which no matrix does; "
            "use --border zero"
        )


def _run(
    matrix: "ConvolutionMatrix",
    image: Callable[[], "Array"],
    sink: "Sink",
    *,
    names: list[str],
    symbolic: bool,
    steps: bool,
    verify: bool,
    as_json: bool,
) -> None:
    """Do what was asked for; what fails to verify is said last."""
    from convcli.cli import report, settings
    from convcli.cli.report import matrices as described
    from convcli.engine.verification import failures
    from convcli.engine.verification import verify as compare
    from convcli.errors import VerificationError
    from convcli.matrices.matrix import Symbolic
    from convcli.matrices.show.facts import facts, most_bytes
    from convcli.matrices.show.value_counts import sorts

    sink.check_memory(matrix.working_bytes, "one block row of the matrix")
    tally = matrix.tally()
    sparse = most_bytes(matrix, tally)
    if steps or verify:
        sink.check_memory(2 * sparse + VECTORS * sum(matrix.shape), "the matrix")
    found = Symbolic(matrix, names) if symbolic else matrix
    smaller = "sparse-csv" if symbolic else "npz"
    checked = None if sink.output is None else sink.check(found, smaller)
    checks = compare(matrix, image()) if verify else []
    held = {"checks": [asdict(check) for check in checks]}
    if failures(checks):  # what is known to be wrong is neither written nor shown
        if as_json:
            report.document(held)
        elif not settings.quiet:
            described.print_checks(checks, stderr=sink.output is not None)
        raise VerificationError(failures(checks))
    if steps:
        described.print_steps(matrix, image()[0])
    written = {} if checked is None else sink.write(found, checked)
    known = None
    if as_json or not (steps or settings.quiet):
        known = facts(matrix, tally)
    if known and symbolic:  # of names, not of the numbers that they stand for
        every = sorts(matrix)
        entries = None if every is None else sum(count for _, count in every)
        known = replace(known, nonzeros=entries, rank=None, eigenvalues=None)
    if as_json and known:
        report.document(described.document(known, matrix, found) | written | held)
    else:
        if known:
            described.print_facts(known, matrix, stderr=sink.output is not None)
        if not steps and sink.output is None:
            print("" if settings.quiet else "\n", end="")
            described.show(found)
        if checks and not settings.quiet:
            print(file=sys.stderr if sink.output else sys.stdout)
            described.print_checks(checks, stderr=sink.output is not None)
