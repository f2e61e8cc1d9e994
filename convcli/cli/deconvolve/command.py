"""``convcli deconvolve``: undo a blur.

Annotations are not strings here, as in the other commands.
"""

from typing import Annotated

import typer

from convcli.cli.options import (
    Allow8bit,
    AllowTruncated,
    Compress,
    Debug,
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
    Strip,
    Threads,
    ToRgb,
    Verbose,
    among,
    amount,
    kernel_names,
    one_kernel,
    origin,
    real,
)
from convcli.deconvolution import methods
from convcli.errors import UsageError

METHODS = ("auto", *methods.names())


def deconvolve(
    inputs: Inputs,
    kernel: Annotated[
        list[str],
        typer.Option(
            "--kernel",
            "-k",
            metavar="PSF",
            autocompletion=kernel_names,
            help="What blurred it: motion:15,30, disk:4, gaussian:1.6, a picture of a point, ...",
        ),
    ],
    output: Output = None,
    method: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            autocompletion=among(*METHODS),
            help=", ".join(METHODS) + ".",
        ),
    ] = "auto",
    iterations: Annotated[
        int | None, typer.Option("--iterations", "-n", metavar="N", help="At most so many.")
    ] = None,
    tolerance: Annotated[
        str | None,
        typer.Option(metavar="X", help="End where the image changes by less, relative to itself."),
    ] = None,
    noise: Annotated[
        str, typer.Option(metavar="SIGMA|auto", help="Standard deviation of the noise, in sample values.")
    ] = "auto",
    balance: Annotated[
        str,
        typer.Option(metavar="X|auto", help="Strength of the smoothing; for rl, of its total variation."),
    ] = "auto",
    border: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            autocompletion=among("unknown", "wrap", "taper", "mirror"),
            help="Outside the image: unknown (restored and cut off), wrap, taper or mirror.",
        ),
    ] = "unknown",
    accelerate: Annotated[
        bool, typer.Option("--accelerate", help="Fewer iterations, for rl and landweber.")
    ] = False,
    damping: Annotated[
        str, typer.Option(metavar="T", help="For rl: keep what agrees to T times the noise.")
    ] = "0",
    exponent: Annotated[str, typer.Option(metavar="1/2|2/3", help="For hyperlaplacian.")] = "2/3",
    origin_: Origin = None,
    no_psf_normalize: Annotated[
        bool, typer.Option("--no-psf-normalize", help="Do not scale the PSF to sum 1.")
    ] = False,
    save_every: Annotated[
        int | None,
        typer.Option("--save-every", metavar="N", help="Write every N-th iteration beside the output."),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(metavar="IMAGE", help="The sharp image: print PSNR, SSIM and ISNR per iteration."),
    ] = None,
    residual: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write what the blurred result leaves of the input.")
    ] = None,
    save_psf: Annotated[
        str | None,
        typer.Option("--save-psf", metavar="FILE", help="Write the PSF, as method blind found it."),
    ] = None,
    precision: Precision = "auto",
    backend: Annotated[
        str,
        typer.Option(
            "--backend",
            "-b",
            metavar="NAME",
            autocompletion=among("auto", "cpu", "cuda"),
            help="cpu, or cuda for a GPU; auto is cpu.",
        ),
    ] = "auto",
    threads: Threads = None,
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
    """Undo a blur.

    Noise and strength are found in the image unless they are given, and what lies outside the
    photo is restored with it, so that no frame rings.

    \b
    Examples:
      convcli deconvolve blurred.jpg -k motion:15,30 -o sharp.jpg
      convcli deconvolve blurred.png -k gaussian:1.6 -o sharp.png --reference photo.png
      convcli deconvolve soft.png -k disk:4 --method rl -n 50 --accelerate -o sharp.png
      convcli deconvolve sky.npy -k star.png --method clean --noise 3 -o sources.npy
      convcli deconvolve soft.png -k gaussian:2 --method blind --save-psf found.npy -o sharp.png
    """
    if as_json and output == "-":
        raise UsageError("--json and -o - would both write to standard output; give -o a file")
    from convcli.cli.deconvolve.run import DeconvolveOptions, DeconvolveRun
    from convcli.cli.io.files import Files

    options = DeconvolveOptions(
        kernel=one_kernel(kernel) or "",
        method=method,
        border=border,
        iterations=iterations,
        tolerance=None if tolerance is None else real(tolerance, "tolerance"),
        noise="auto" if noise == "auto" else real(noise, "noise"),
        balance="auto" if balance == "auto" else real(balance, "balance"),
        accelerate=accelerate,
        damping=real(damping, "damping"),
        exponent=real(exponent, "exponent"),
        origin=origin(origin_),
        normalize=not no_psf_normalize,
        precision=precision,
        backend=backend,
        threads=threads,
        max_memory=amount(max_memory, "memory"),
    )
    files = Files(
        format=format_,
        force=force,
        compress=compress,
        quality=quality,
        strip=strip,
        page=page,
        max_pixels=amount(max_pixels, "pixels"),
        max_memory=options.max_memory,
        allow_truncated=allow_truncated,
        allow_8bit=allow_8bit,
        to_rgb=to_rgb,
        threads=threads,
    )
    work = DeconvolveRun(
        options, files, reference=reference, residual=residual, save_psf=save_psf, save_every=save_every
    )
    try:
        return work.run(inputs, output, fail_fast=fail_fast)
    finally:
        work.tell(as_json=as_json)
