"""``convcli convolve``: filter images and arrays.

Annotations are not strings here (no ``from __future__ import annotations``): typer would have to
compile each at every start.
"""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from convcli.cli import loading
from convcli.cli.options import (
    Allow8bit,
    AllowTruncated,
    BorderValue,
    Compress,
    Debug,
    Dilation,
    FailFast,
    Force,
    Format,
    Inputs,
    Json,
    MaxMemory,
    MaxPixels,
    Origin,
    Output,
    Page,
    Precision,
    Quality,
    Quiet,
    Stride,
    Strip,
    Threads,
    ToRgb,
    Verbose,
    among,
    amount,
    axes,
    backend_names,
    bias,
    kernel_names,
    origin,
    outside,
    real,
)
from convcli.errors import UsageError
from convcli.spec import BORDERS, MODES, OPS

if TYPE_CHECKING:
    from convcli.cli.convolve.record import ConvolveRecord


def convolve(
    inputs: Inputs,
    kernel: Annotated[
        list[str],
        typer.Option(
            "--kernel",
            "-k",
            metavar="SPEC",
            autocompletion=kernel_names,
            help="A kernel; may be repeated. See `convcli kernels`.",
        ),
    ],
    output: Output = None,
    op: Annotated[
        str | None,
        typer.Option(
            metavar="OP",
            autocompletion=among(*OPS),
            help="convolve or correlate.  [default: convolve; a bank: correlate]",
        ),
    ] = None,
    mode: Annotated[
        str | None,
        typer.Option(
            metavar="MODE",
            autocompletion=among(*MODES),
            help="same, full or valid.  [default: same; a bank: --padding 0]",
        ),
    ] = None,
    border: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            autocompletion=among(*BORDERS),
            help="zero (the default in Python), constant, nearest, symmetric, mirror, wrap.  "
            "[default: nearest; a bank: zero]",
        ),
    ] = None,
    border_value: BorderValue = None,
    origin_: Origin = None,
    stride: Stride = "1",
    dilation: Dilation = "1",
    normalize: Annotated[
        str,
        typer.Option(
            metavar="RULE", help="Divide by the kernel's sum: none, sum, abs, or auto (abs where sum is 0)."
        ),
    ] = "none",
    divisor: Annotated[
        str | None, typer.Option(metavar="D", help="Divide the result, in place of the kernel's own.")
    ] = None,
    bias_: Annotated[
        str | None, typer.Option("--bias", metavar="B|P%", help="Add to the result; P% of full brightness.")
    ] = None,
    range_: Annotated[
        str | None,
        typer.Option(
            "--range", metavar="RULE", help="clamp, abs, minmax or none.  [default: clamp; arrays: none]"
        ),
    ] = None,
    dtype: Annotated[
        str,
        typer.Option(
            metavar="TYPE",
            help="Samples written: keep, uint8, uint16 (gray; colour to .png), float32 (gray .tif; .npy).",
        ),
    ] = "keep",
    gray: Annotated[bool, typer.Option("--gray", help="Filter the brightness only (Rec. 709).")] = False,
    linear: Annotated[bool, typer.Option("--linear", help="Filter in linear light (sRGB).")] = False,
    alpha: Annotated[
        str, typer.Option(metavar="RULE", help="premultiply, filter or ignore.")
    ] = "premultiply",
    nan: Annotated[str, typer.Option(metavar="RULE", help="propagate, interpolate or fill:V.")] = "propagate",
    repeat: Annotated[int, typer.Option(metavar="N", help="Apply the filter N times.")] = 1,
    combine: Annotated[
        str,
        typer.Option(
            metavar="RULE", help="Of several kernels: magnitude, max, sum, mean, or none for one output each."
        ),
    ] = "none",
    padding: Annotated[
        str | None,
        typer.Option(metavar="P", help="Of a bank: N, NxM, same, ... or begins,ends as 1,1,2,2."),
    ] = None,
    groups: Annotated[int, typer.Option(metavar="N", help="Of a bank: groups of channels.")] = 1,
    bias_file: Annotated[
        str | None, typer.Option(metavar="FILE", help="Of a bank: a number to add to every output.")
    ] = None,
    transposed: Annotated[
        bool, typer.Option("--transposed", help="Of a bank: the transposed convolution.")
    ] = False,
    output_padding: Annotated[
        str, typer.Option(metavar="N|NxM", help="Of a transposed bank: samples added at the end.")
    ] = "0",
    backend: Annotated[
        str,
        typer.Option(
            "--backend",
            "-b",
            metavar="NAME",
            autocompletion=backend_names,
            help="auto, or a name from `convcli backends`; cuda is a GPU.",
        ),
    ] = "auto",
    precision: Precision = "auto",
    threads: Threads = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Print the plan and what it was chosen from.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Plan only; write nothing.")] = False,
    max_memory: MaxMemory = None,
    max_pixels: MaxPixels = None,
    force: Force = False,
    fail_fast: FailFast = False,
    format_: Format = None,
    compress: Compress = None,
    quality: Quality = None,
    strip: Strip = False,
    page: Page = None,
    allow_truncated: AllowTruncated = False,
    allow_8bit: Allow8bit = False,
    to_rgb: ToRgb = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> int:
    """Filter images with a kernel.

    \b
    Examples:
      convcli convolve photo.jpg -k gaussian:3 -o soft.jpg
      convcli convolve in.png -k sobel-x -k sobel-y --combine magnitude -o out.png
      convcli convolve *.jpg -k "0 -1 0; -1 5 -1; 0 -1 0" -o out/{stem}_sharp{ext}
      cat in.png | convcli convolve - -k box:9 -o - --format png > out.png
      convcli convolve x.npy -k k.npy --mode full -b fft -o y.npy
      convcli convolve maps.npy -k bank.npy --padding 1 --stride 2 -o smaller.npy
    """
    if as_json and output == "-":
        raise UsageError("--json and -o - would both write to standard output; give -o a file")
    with loading():
        from convcli.cli import report, settings
        from convcli.cli.convolve.run import Batch
        from convcli.cli.io.files import Files
        from convcli.filtering.options import Filter
        from convcli.kernels import parse_kernel

    kernels = [parse_kernel(text) for text in kernel]
    is_bank = any(found.is_bank for found in kernels)
    value = outside(border_value, border)
    layer = None
    asked = padding is not None or bias_file is not None or output_padding != "0" or groups != 1
    if is_bank or asked or transposed:
        from convcli.cli.convolve.layer import layer_of

        layer = layer_of(
            kernels,
            padding=padding,
            groups=groups,
            bias_file=bias_file,
            transposed=transposed,
            output_padding=axes(output_padding, "output padding"),
            mode=mode,
            origin=origin_,
            without_use={
                "gray": gray,
                "linear": linear,
                "alpha": alpha != "premultiply",
                "normalize": normalize != "none",
                "divisor": divisor is not None,
                "bias": bias_ is not None,
                "repeat": repeat != 1,
                "combine": combine != "none",
            },
            without_use_transposed={
                "mode": mode is not None,
                "border": border is not None,
                "origin": origin_ is not None,
                "nan": nan != "propagate",
            },
        )
    bias_value, bias_percent = bias(bias_)
    how = Filter(
        mode=mode or "same",
        border=border or ("zero" if is_bank else "nearest"),
        border_value=value,
        op=op or ("correlate" if is_bank else "convolve"),
        origin=origin(origin_),
        stride=axes(stride, "stride"),
        dilation=axes(dilation, "dilation"),
        nan=nan,
        precision=precision,
        backend=backend,
        threads=threads,
        max_memory=amount(max_memory, "memory"),
        normalize=normalize,
        divisor=None if divisor is None else real(divisor, "divisor"),
        bias=bias_value,
        bias_percent=bias_percent,
        range=range_,
        dtype=dtype,
        gray=gray,
        linear=linear,
        alpha=alpha,
        repeat=repeat,
        combine=combine,
    )
    files = Files(
        format=format_,
        force=force,
        compress=compress,
        quality=quality,
        strip=strip,
        page=page,
        max_pixels=amount(max_pixels, "pixels"),
        max_memory=how.max_memory,
        allow_truncated=allow_truncated,
        allow_8bit=allow_8bit,
        to_rgb=to_rgb,
        threads=threads,
    )
    batch = Batch(kernel, kernels, how, files, layer, dry_run=dry_run, fail_fast=fail_fast, explain=explain)
    try:
        status = batch.run(inputs, output)
    except Exception:
        if as_json and batch.records:  # the only file failed, and its record says why
            _print_json(batch.records)
        raise
    if layer is not None and op is None and not settings.quiet:
        what = "the transpose of correlation" if transposed else "correlation"
        report.note(
            f"the bank {kernels[0].name} is applied as a layer: {what}, as in neural networks; "
            "--op convolve turns its kernels round"
        )
    if as_json:
        _print_json(batch.records)
    else:
        batch.summarize()
    return status


def _print_json(records: "list[ConvolveRecord]") -> None:
    import json

    print(json.dumps({"files": [asdict(record) for record in records]}, default=str))
