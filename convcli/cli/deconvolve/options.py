"""Options of ``convcli deconvolve``."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from convcli.cli.options import InOut, one_kernel
from convcli.deconvolution import methods
from convcli.errors import UsageError
from convcli.options import MaxMemory, Option, Origin, Precision, Threads, kernel_names, real, real_or_auto

if TYPE_CHECKING:
    from convcli.kernels import Kernel

METHODS = ("auto", *methods.names())
BORDERS = ("unknown", "wrap", "taper", "mirror")


@dataclass(eq=False, repr=False, kw_only=True)
class DeconvolveInOut(InOut):
    """Inputs, and all that is written."""

    save_every: Annotated[
        int | None, Option("Output", "Write every N-th iteration beside the output.", "N")
    ] = None
    reference: Annotated[
        str | None, Option("Output", "The sharp image: print PSNR, SSIM and ISNR per iteration.", "IMAGE")
    ] = None
    residual: Annotated[
        str | None, Option("Output", "Write what the blurred result leaves of the input.", "FILE")
    ] = None
    save_psf: Annotated[str | None, Option("Output", "Write the PSF, as method blind found it.", "FILE")] = (
        None
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.save_every is not None and self.save_every < 1:
            text = f"--save-every {self.save_every}"
            raise UsageError(f"{text} is below 1; leave it out to write the result only")


@dataclass(eq=False, repr=False, kw_only=True)
class DeconvolveOptions:
    """What to do with every image, by the names of `convcli.deconvolve`."""

    kernel: Annotated[
        list[str],
        Option(
            "Kernel",
            "What blurred it: motion:15,30, disk:4, gaussian:1.6, a picture of a point, ...",
            "--kernel",
            "-k",
            "PSF",
            words=kernel_names,
        ),
    ]
    method: Annotated[str, Option("Method", ", ".join(METHODS) + ".", "NAME", words=METHODS)] = "auto"
    iterations: Annotated[int | None, Option("Method", "At most so many.", "--iterations", "-n", "N")] = None
    tolerance: Annotated[
        float | None,
        Option("Method", "End where the image changes by less, relative to itself.", "X", parse=real),
    ] = None
    noise: Annotated[
        float | str,
        Option(
            "Method", "Standard deviation of the noise, in sample values.", "SIGMA|auto", parse=real_or_auto
        ),
    ] = "auto"
    balance: Annotated[
        float | str,
        Option(
            "Method",
            "Strength of the smoothing; for rl, of its total variation.",
            "X|auto",
            parse=real_or_auto,
        ),
    ] = "auto"
    border: Annotated[
        str,
        Option(
            "Borders and size",
            "Outside the image: unknown (restored and cut off), wrap, taper or mirror.",
            "NAME",
            words=BORDERS,
        ),
    ] = "unknown"
    accelerate: Annotated[bool, Option("Method", "Fewer iterations, for rl and landweber.")] = False
    damping: Annotated[
        float, Option("Method", "For rl: keep what agrees to T times the noise.", "T", parse=real)
    ] = 0
    exponent: Annotated[
        float, Option("Method", "For hyperlaplacian.", "1/2|2/3", parse=real, default="2/3")
    ] = 2 / 3
    origin: Origin = None
    no_psf_normalize: Annotated[bool, Option("Kernel", "Do not scale the PSF to sum 1.")] = False
    precision: Precision = "auto"
    backend: Annotated[
        str,
        Option(
            "Speed",
            "cpu, or cuda for a GPU; auto is cpu.",
            "--backend",
            "-b",
            "NAME",
            words=("auto", "cpu", "cuda"),
        ),
    ] = "auto"
    threads: Threads = None
    max_memory: MaxMemory = None

    @property
    def psf(self) -> str:
        """The kernel, as it was given."""
        return one_kernel(self.kernel) or ""

    def arguments(self, kernel: "Kernel") -> dict[str, Any]:
        """Return the arguments of `deconvolve` that they make, for a PSF."""
        arguments = {**vars(self), "psf": kernel.weights, "normalize": not self.no_psf_normalize}
        del arguments["kernel"], arguments["no_psf_normalize"]
        arguments["origin"] = kernel.origin if self.origin is None else self.origin
        return arguments
