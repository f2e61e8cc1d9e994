"""``convcli toeplitz``: the matrix of a convolution.

Annotations are not strings here (no ``from __future__ import annotations``): typer would have to
compile each at every start.
"""

from typing import Annotated

import typer

from convcli.cli.options import (
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
    number = outside(border_value, border)
    if number:
        raise UsageError(
            f"border constant with the value {number:g} adds to every result, which no matrix does; "
            "use --border zero"
        )
    from convcli.cli.io.matrix_output import MatrixOutput
    from convcli.cli.toeplitz.run import Task, run

    wraps = BORDER_ALIASES.get(border, border) == "wrap"
    run(
        Task(transpose, symbolic, steps, verify, as_json),
        kernel,
        image,
        shape,
        (channels_in, channels_out),
        op,
        {
            "mode": mode or ("same" if wraps else "full"),
            "border": border,
            "origin": origin(origin_),
            "stride": axes(stride, "stride"),
            "dilation": axes(dilation, "dilation"),
            "order": order,
            "groups": groups,
            "padding": None if padding is None else axes(padding, "padding"),
        },
        amount(max_pixels, "pixels"),
        MatrixOutput(
            output, format_, sparse_csv, force, amount(max_memory, "memory"), amount(max_output, "output")
        ),
    )
