"""``convcli bench``: time backends against each other.

Annotations are not strings here (no ``from __future__ import annotations``): typer would have to
compile each at every start.
"""

from typing import Annotated

import typer

from convcli.cli.options import (
    Debug,
    Force,
    Json,
    MaxPixels,
    Quiet,
    Verbose,
    amount,
    backend_names,
    kernel_names,
)


def bench(
    image: Annotated[
        str | None,
        typer.Argument(metavar="[IMAGE]", help="An image or .npy array; a random one by default."),
    ] = None,
    size: Annotated[
        str | None, typer.Option(metavar="N|HxW", help="Size of the random image.  [default: 512]")
    ] = None,
    kernel: Annotated[
        list[str] | None,
        typer.Option(
            "--kernel",
            "-k",
            metavar="SPEC",
            autocompletion=kernel_names,
            help="A kernel; may be repeated.  [default: a random one, 5x5]",
        ),
    ] = None,
    kernel_size: Annotated[
        str | None, typer.Option(metavar="N|HxW", help="Size of the random kernel.")
    ] = None,
    sizes: Annotated[
        str | None, typer.Option(metavar="LIST", help="Several image sizes: 256,512 or 256:1024:256.")
    ] = None,
    kernel_sizes: Annotated[
        str | None, typer.Option(metavar="LIST", help="Several kernel sizes: 3,5 or first:last:step.")
    ] = None,
    backends: Annotated[
        str | None,
        typer.Option(
            "--backends",
            "-b",
            metavar="A,B",
            autocompletion=backend_names,
            help="Which of ours, cuda for a GPU.  [default: auto and all]",
        ),
    ] = None,
    threads: Annotated[
        str | None, typer.Option(metavar="LIST", help="Numbers of threads.  [default: all available]")
    ] = None,
    dtype: Annotated[
        str | None,
        typer.Option(
            metavar="LIST", help="float32, float64, uint8.  [default: the image's; random: float32]"
        ),
    ] = None,
    warmup: Annotated[
        int | None,
        typer.Option(
            "--warmup", "-w", metavar="N", help="More runs before those timed.  [default: the 2 that check]"
        ),
    ] = None,
    runs: Annotated[
        int | None, typer.Option("--runs", "-r", metavar="N", help="Exactly so many runs.")
    ] = None,
    min_runs: Annotated[
        int | None, typer.Option("--min-runs", "-m", metavar="N", help="At least so many.  [default: 5]")
    ] = None,
    max_runs: Annotated[
        int | None, typer.Option("--max-runs", "-M", metavar="N", help="At most so many.  [default: 1000]")
    ] = None,
    min_time: Annotated[
        str | None,
        typer.Option(metavar="SECONDS", help="Run each for so long, within those bounds.  [default: 0.5]"),
    ] = None,
    peers: Annotated[
        bool,
        typer.Option("--peers", help="Add libraries: SciPy, OpenCV, torch, ... where installed."),
    ] = False,
    peers_cli: Annotated[
        bool, typer.Option("--peers-cli", help="Add programs, start-up included: vips, ImageMagick, G'MIC.")
    ] = False,
    reference: Annotated[
        str | None, typer.Option(metavar="NAME", help="What speed is relative to.  [default: the fastest]")
    ] = None,
    sort: Annotated[
        str | None, typer.Option(metavar="ORDER", help="order (as they run, the default), median or name.")
    ] = None,
    export_json: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write everything, every time in seconds; - is stdout.")
    ] = None,
    export_csv: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write one row per result, in seconds.")
    ] = None,
    export_markdown: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write tables for a README.")
    ] = None,
    plot: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Draw time per pixel against sizes, as .png or .svg."),
    ] = None,
    compare: Annotated[
        str | None, typer.Option(metavar="OLD.json", help="Compare with an exported benchmark.")
    ] = None,
    fail_if: Annotated[
        str | None,
        typer.Option(
            metavar="RULE",
            help="With --compare: exit 6 where e.g. median:10% slower beyond the noise (or mean, min).",
        ),
    ] = None,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Measure this machine for auto; takes less than a minute.")
    ] = False,
    max_memory: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Skip who needs more, e.g. 8GB.  [default: 1GB, or what is free]"),
    ] = None,
    max_pixels: MaxPixels = None,
    force: Force = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Time backends against each other, and against other libraries.

    They run in turns (A B C A B C ...), each after its result was compared with a reference in
    float64. The image is filtered to its own size, with zeros outside, as all of them can.

    \b
    Examples:
      convcli bench photo.jpg -k gaussian:3 -r 5
      convcli bench --sizes 64,128 --kernel-sizes 3:9:2 --min-time 0.01
      convcli bench --size 256 -k sobel-x --peers -r 5 --sort median
      convcli bench --size 64 -r 9 --export-json old.json
      convcli bench --size 64 -r 9 --compare old.json --fail-if median:900%
    """
    from convcli.cli.bench import files as benchfiles
    from convcli.cli.bench import run as benching

    if calibrate:
        chosen = (image, size, kernel, kernel_size, sizes, kernel_sizes, backends, dtype, reference)
        timed = (warmup, runs, min_runs, max_runs, min_time, sort, peers or None, peers_cli or None)
        limits = (max_memory, max_pixels)
        written = (export_json, export_csv, export_markdown, plot, compare, fail_if, as_json or None)
        alone = all(value is None for value in (*chosen, *timed, *limits, *written))
        benching.calibrate(threads, alone=alone)
        return
    exports = {"json": export_json, "csv": export_csv, "markdown": export_markdown}
    outputs = benchfiles.Outputs(exports, plot, as_json, force)
    outputs.check()
    how = benching.schedule(warmup, runs, min_runs, max_runs, min_time)
    against = benchfiles.Comparison.parse(compare, fail_if, how.max_runs)
    limit = amount(max_memory, "memory")
    what = benching.scan(
        image,
        (size, sizes),
        kernel or [],
        (kernel_size, kernel_sizes),
        dtype,
        threads,
        max_pixels=amount(max_pixels, "pixels"),
        max_memory=limit,
    )
    who = benching.contestants(backends, limit, peers=peers, programs=peers_cli, reference=reference)
    benching.run(what, who, how, outputs, against, reference=reference, sort=sort or "order")
