"""``convcli unroll``: an image as the matrix of its patches, and back.

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
from convcli.spec import BORDERS, MODES, OPS


def unroll(
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="[IMAGE]", help="With --fold, a matrix in a file; - is stdin.", show_default=False
        ),
    ] = None,
    size: Annotated[
        str | None, typer.Option("--size", "-s", metavar="KHxKW", help="Shape of a patch.")
    ] = None,
    shape: Annotated[
        str | None, typer.Option(metavar="HxW", help="Shape of an image that counts 1, 2, 3, ...")
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help=".csv .tsv .npy .npz .mtx .png .json; with --fold, .npy or an image; - is stdout.",
        ),
    ] = None,
    layout: Annotated[
        str,
        typer.Option(
            metavar="rows|columns",
            autocompletion=among("rows", "columns"),
            help="A patch per row, or per column as torch's unfold.",
        ),
    ] = "rows",
    stride: Stride = "1",
    dilation: Dilation = "1",
    mode: Annotated[
        str | None,
        typer.Option(
            metavar="MODE", autocompletion=among(*MODES), help="valid, same or full.  [default: valid]"
        ),
    ] = None,
    padding: Padding = None,
    border: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            autocompletion=among(*BORDERS),
            help="zero, constant, nearest, symmetric, mirror, wrap.  [default: zero]",
        ),
    ] = None,
    border_value: BorderValue = None,
    origin_: Origin = None,
    channels: Annotated[
        int | None, typer.Option(metavar="N", help="Channels of the image; 1 makes colours gray.")
    ] = None,
    order: Annotated[
        str,
        typer.Option(
            metavar="C|F", help="Read rows first (C), or columns first as MATLAB's im2col does (F)."
        ),
    ] = "C",
    kernels: Annotated[
        list[str] | None,
        typer.Option(
            "--kernel",
            "-k",
            metavar="SPEC",
            autocompletion=kernel_names,
            help="Show the flattened kernel, and the product.",
        ),
    ] = None,
    op: Annotated[
        str | None,
        typer.Option(metavar="OP", autocompletion=among(*OPS), help="Of -k.  [default: convolve]"),
    ] = None,
    symbolic: Annotated[bool, typer.Option("--symbolic", help="Samples by name: x11 x12 ...")] = False,
    fold: Annotated[bool, typer.Option("--fold", help="The way back: patches to the image.")] = False,
    reduce: Annotated[
        str | None,
        typer.Option(
            metavar="sum|mean",
            autocompletion=among("sum", "mean"),
            help="Of patches that overlap: mean gives the image back, sum is the adjoint.  [default: mean]",
        ),
    ] = None,
    dtype: Annotated[
        str | None,
        typer.Option(
            metavar="TYPE",
            help="Of an image that is folded: uint8, uint16 or float32.  [default: uint8; .npy: as computed]",
        ),
    ] = None,
    format_: Annotated[
        str | None, typer.Option("--format", metavar="NAME", help="Of the output, whatever its name.")
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
    """Unroll an image to the matrix of its patches (im2col), or fold one back.

    \b
    Examples:
      convcli unroll --shape 3x3 -s 2x2
      convcli unroll --shape 3x3 -k "1 2; 3 4" --layout columns
      convcli unroll photo.png -s 3x3 --stride 2 -o patches.csv
      convcli unroll patches.csv --fold --shape 256x256 -s 3x3 --stride 2 -o p.png
    """
    if as_json and output == "-":
        raise UsageError("--json and -o - would both write to standard output; give -o a file")
    beyond = outside(border_value, border)
    kernel = one_kernel(kernels)
    check_padding(padding, mode, origin_)
    from convcli.cli.io.matrix_output import MatrixOutput
    from convcli.cli.unroll.run import Patches, show_patches

    patches = Patches(
        size=None if size is None else axes(size, "size"),
        layout=layout,
        stride=axes(stride, "stride"),
        dilation=axes(dilation, "dilation"),
        mode=mode or "valid",
        order=order,
        origin=origin(origin_),
        padding=None if padding is None else axes(padding, "padding"),
    )
    if fold:
        from convcli.cli.unroll.fold import fold_back

        useless = {
            "border": border is not None,
            "kernel": kernel is not None,
            "op": op is not None,
            "symbolic": symbolic,
            "sparse-csv": sparse_csv,
            "json": as_json,
            "max-pixels": max_pixels is not None,
            "max-output": max_output is not None,
        }
        for name in (name for name, given in useless.items() if given):
            raise UsageError(f"--{name} has no meaning with --fold; leave it out")
        fold_back(
            source,
            shape,
            channels,
            patches,
            output,
            reduce=reduce or "mean",
            dtype=dtype,
            format_=format_,
            force=force,
            max_memory=amount(max_memory, "memory"),
        )
        return
    for name, value in (("reduce", reduce), ("dtype", dtype)):
        if value is not None:
            raise UsageError(f"--{name} is for --fold; leave it out, or add --fold")
    show_patches(
        source,
        shape,
        channels,
        patches,
        MatrixOutput(
            output, format_, sparse_csv, force, amount(max_memory, "memory"), amount(max_output, "output")
        ),
        border=border or "zero",
        border_value=beyond,
        kernel=kernel,
        op=op,
        symbolic=symbolic,
        as_json=as_json,
        max_pixels=amount(max_pixels, "pixels"),
    )
