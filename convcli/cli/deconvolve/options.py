"""Options of ``convcli deconvolve``."""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from convcli.cli.options import InOut, one_kernel
from convcli.deconvolution import methods
from convcli.errors import UsageError
from convcli.options import (
    MaxMemory,
    Option,
    Origin,
    Precision,
    Threads,
    backend_option,
    kernel_option,
    real,
    real_or_auto,
)

if TYPE_CHECKING:
    from convcli.kernels import Kernel

METHODS = ("auto", *methods.names())
BORDERS = ("unknown", "wrap", "taper", "mirror")


_output, _method = partial(Option, "Output"), partial(Option, "Method")
BORDERS_HELP = "Outside the image: unknown (restored and cut off), wrap, taper or mirror."
KERNEL_HELP = "What blurred it: motion:15,30, disk:4, gaussian:1.6, a picture of a point, ..."
NOISE_HELP = "Standard deviation of the noise, in sample values."
BALANCE_HELP = "Strength of the smoothing; for rl, of its total variation."


@dataclass(eq=False, repr=False, kw_only=True)
class DeconvolveInOut(InOut):
    """Inputs, and all that is written."""

    save_every: Annotated[int | None, _output("Write every N-th iteration beside the output.", "N")] = None
    reference: Annotated[
        str | None, _output("The sharp image: print PSNR, SSIM and ISNR per iteration.", "IMAGE")
    ] = None
    residual: Annotated[str | None, _output("Write what the blurred result leaves of the input.", "FILE")] = (
        None
    )
    save_psf: Annotated[str | None, _output("Write the PSF, as method blind found it.", "FILE")] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.save_every is not None and self.save_every < 1:
            text = f"--save-every {self.save_every}"
            raise UsageError(f"{text} is below 1; leave it out to write the result only")


@dataclass(eq=False, repr=False, kw_only=True)
class DeconvolveOptions:
    """What to do with every image, by the names of `convcli.deconvolve`."""

    kernel: Annotated[list[str], kernel_option(KERNEL_HELP, "PSF")]
    method: Annotated[str, _method(", ".join(METHODS) + ".", "NAME", words=METHODS)] = "auto"
    iterations: Annotated[int | None, _method("At most so many.", "--iterations", "-n", "N")] = None
    tolerance: Annotated[
        float | None, _method("End where the image changes by less, relative to itself.", "X", parse=real)
    ] = None
    noise: Annotated[float | str, _method(NOISE_HELP, "SIGMA|auto", parse=real_or_auto)] = "auto"
    balance: Annotated[float | str, _method(BALANCE_HELP, "X|auto", parse=real_or_auto)] = "auto"
    border: Annotated[str, Option("Borders and size", BORDERS_HELP, "NAME", words=BORDERS)] = "unknown"
    accelerate: Annotated[bool, _method("Fewer iterations, for rl and landweber.")] = False
    damping: Annotated[float, _method("For rl: keep what agrees to T times the noise.", "T", parse=real)] = 0
    exponent: Annotated[float, _method("For hyperlaplacian.", "1/2|2/3", parse=real, default="2/3")] = 2 / 3
    origin: Origin = None
    no_psf_normalize: Annotated[bool, Option("Kernel", "Do not scale the PSF to sum 1.")] = False
    precision: Precision = "auto"
    backend: Annotated[
        str, backend_option("cpu, or cuda for a GPU; auto is cpu.", ("auto", "cpu", "cuda"))
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
