"""Options of ``convcli bench``."""

from dataclasses import dataclass, field
from functools import partial
from typing import Annotated

from convcli.cli.options import Force, Json
from convcli.options import Argument, MaxPixels, Option, amount, backend_names, kernel_option

_input, _who = partial(Option, "Input"), partial(Option, "Contestants")
_timing, _output = partial(Option, "Timing"), partial(Option, "Output")
IMAGE_HELP = "An image or .npy array; a random one by default."
BACKENDS_HELP = "Which of ours, cuda for a GPU.  [default: auto and all]"
DTYPE_HELP = "float32, float64, uint8.  [default: the image's; random: float32]"
MEMORY_HELP = "Skip who needs more, e.g. 8GB.  [default: 1GB, or what is free]"
WARMUP_HELP = "More runs before those timed.  [default: the 2 that check]"
FAIL_HELP = "With --compare: exit 6 where e.g. median:10% slower beyond the noise (or mean, min)."


@dataclass(eq=False, repr=False)
class BenchOptions:
    """What is timed against what, how often, and where the results go."""

    image: Annotated[str | None, Argument("[IMAGE]", IMAGE_HELP)] = None
    size: Annotated[str | None, _input("Size of the random image.  [default: 512]", "N|HxW")] = None
    sizes: Annotated[str | None, _input("Several image sizes: 256,512 or 256:1024:256.", "LIST")] = None
    dtype: Annotated[str | None, _input(DTYPE_HELP, "LIST")] = None
    max_pixels: MaxPixels = None
    kernel: Annotated[
        list[str], kernel_option("A kernel; may be repeated.  [default: a random one, 5x5]")
    ] = field(default_factory=list)
    kernel_size: Annotated[str | None, Option("Kernel", "Size of the random kernel.", "N|HxW")] = None
    kernel_sizes: Annotated[
        str | None, Option("Kernel", "Several kernel sizes: 3,5 or first:last:step.", "LIST")
    ] = None
    backends: Annotated[str | None, _who(BACKENDS_HELP, "--backends", "-b", "A,B", words=backend_names)] = (
        None
    )
    peers: Annotated[bool, _who("Add libraries: SciPy, OpenCV, torch, ... where installed.")] = False
    peers_cli: Annotated[bool, _who("Add programs, start-up included: vips, ImageMagick, G'MIC.")] = False
    threads: Annotated[str | None, _who("Numbers of threads.  [default: all available]", "LIST")] = None
    max_memory: Annotated[int | None, _who(MEMORY_HELP, "SIZE", parse=amount)] = None
    warmup: Annotated[int | None, _timing(WARMUP_HELP, "--warmup", "-w", "N")] = None
    runs: Annotated[int | None, _timing("Exactly so many runs.", "--runs", "-r", "N")] = None
    min_runs: Annotated[int | None, _timing("At least so many.  [default: 5]", "--min-runs", "-m", "N")] = (
        None
    )
    max_runs: Annotated[int | None, _timing("At most so many.  [default: 1000]", "--max-runs", "-M", "N")] = (
        None
    )
    min_time: Annotated[
        str | None, _timing("Run each for so long, within those bounds.  [default: 0.5]", "SECONDS")
    ] = None
    calibrate: Annotated[bool, _timing("Measure this machine for auto; takes less than a minute.")] = False
    reference: Annotated[
        str | None, _output("What speed is relative to.  [default: the fastest]", "NAME")
    ] = None
    sort: Annotated[
        str, _output("order (as they run, the default), median or name.", "ORDER", default="")
    ] = "order"
    export_json: Annotated[
        str | None, _output("Write everything, every time in seconds; - is stdout.", "FILE")
    ] = None
    export_csv: Annotated[str | None, _output("Write one row per result, in seconds.", "FILE")] = None
    export_markdown: Annotated[str | None, _output("Write tables for a README.", "FILE")] = None
    plot: Annotated[str | None, _output("Draw time per pixel against sizes, as .png or .svg.", "FILE")] = None
    compare: Annotated[str | None, _output("Compare with an exported benchmark.", "OLD.json")] = None
    fail_if: Annotated[str | None, _output(FAIL_HELP, "RULE")] = None
    force: Force = False
    as_json: Json = False

    @property
    def exports(self) -> dict[str, str]:
        """Targets of documents by format."""
        targets = {"json": self.export_json, "csv": self.export_csv, "markdown": self.export_markdown}
        return {form: target for form, target in targets.items() if target is not None}
