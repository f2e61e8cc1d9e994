"""Options of ``convcli bench``."""

from dataclasses import dataclass, field
from typing import Annotated

from convcli.cli.options import Force, Json
from convcli.options import Argument, MaxPixels, Option, amount, backend_names, kernel_names


@dataclass(eq=False, repr=False)
class BenchOptions:
    """What is timed against what, how often, and where the results go."""

    image: Annotated[str | None, Argument("[IMAGE]", "An image or .npy array; a random one by default.")] = (
        None
    )
    size: Annotated[str | None, Option("Input", "Size of the random image.  [default: 512]", "N|HxW")] = None
    sizes: Annotated[str | None, Option("Input", "Several image sizes: 256,512 or 256:1024:256.", "LIST")] = (
        None
    )
    dtype: Annotated[
        str | None,
        Option("Input", "float32, float64, uint8.  [default: the image's; random: float32]", "LIST"),
    ] = None
    max_pixels: MaxPixels = None
    kernel: Annotated[
        list[str],
        Option(
            "Kernel",
            "A kernel; may be repeated.  [default: a random one, 5x5]",
            "--kernel",
            "-k",
            "SPEC",
            words=kernel_names,
        ),
    ] = field(default_factory=list)
    kernel_size: Annotated[str | None, Option("Kernel", "Size of the random kernel.", "N|HxW")] = None
    kernel_sizes: Annotated[
        str | None, Option("Kernel", "Several kernel sizes: 3,5 or first:last:step.", "LIST")
    ] = None
    backends: Annotated[
        str | None,
        Option(
            "Contestants",
            "Which of ours, cuda for a GPU.  [default: auto and all]",
            "--backends",
            "-b",
            "A,B",
            words=backend_names,
        ),
    ] = None
    peers: Annotated[
        bool, Option("Contestants", "Add libraries: SciPy, OpenCV, torch, ... where installed.")
    ] = False
    peers_cli: Annotated[
        bool, Option("Contestants", "Add programs, start-up included: vips, ImageMagick, G'MIC.")
    ] = False
    threads: Annotated[
        str | None, Option("Contestants", "Numbers of threads.  [default: all available]", "LIST")
    ] = None
    max_memory: Annotated[
        int | None,
        Option(
            "Contestants",
            "Skip who needs more, e.g. 8GB.  [default: 1GB, or what is free]",
            "SIZE",
            parse=amount,
        ),
    ] = None
    warmup: Annotated[
        int | None,
        Option("Timing", "More runs before those timed.  [default: the 2 that check]", "--warmup", "-w", "N"),
    ] = None
    runs: Annotated[int | None, Option("Timing", "Exactly so many runs.", "--runs", "-r", "N")] = None
    min_runs: Annotated[
        int | None, Option("Timing", "At least so many.  [default: 5]", "--min-runs", "-m", "N")
    ] = None
    max_runs: Annotated[
        int | None, Option("Timing", "At most so many.  [default: 1000]", "--max-runs", "-M", "N")
    ] = None
    min_time: Annotated[
        str | None, Option("Timing", "Run each for so long, within those bounds.  [default: 0.5]", "SECONDS")
    ] = None
    calibrate: Annotated[
        bool, Option("Timing", "Measure this machine for auto; takes less than a minute.")
    ] = False
    reference: Annotated[
        str | None, Option("Output", "What speed is relative to.  [default: the fastest]", "NAME")
    ] = None
    sort: Annotated[
        str, Option("Output", "order (as they run, the default), median or name.", "ORDER", default="")
    ] = "order"
    export_json: Annotated[
        str | None, Option("Output", "Write everything, every time in seconds; - is stdout.", "FILE")
    ] = None
    export_csv: Annotated[str | None, Option("Output", "Write one row per result, in seconds.", "FILE")] = (
        None
    )
    export_markdown: Annotated[str | None, Option("Output", "Write tables for a README.", "FILE")] = None
    plot: Annotated[
        str | None, Option("Output", "Draw time per pixel against sizes, as .png or .svg.", "FILE")
    ] = None
    compare: Annotated[str | None, Option("Output", "Compare with an exported benchmark.", "OLD.json")] = None
    fail_if: Annotated[
        str | None,
        Option(
            "Output",
            "With --compare: exit 6 where e.g. median:10% slower beyond the noise (or mean, min).",
            "RULE",
        ),
    ] = None
    force: Force = False
    as_json: Json = False

    @property
    def exports(self) -> dict[str, str]:
        """Targets of documents by format."""
        targets = {"json": self.export_json, "csv": self.export_csv, "markdown": self.export_markdown}
        return {form: target for form, target in targets.items() if target is not None}
