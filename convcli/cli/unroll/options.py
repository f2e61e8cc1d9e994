"""Options of ``convcli unroll``."""

from dataclasses import dataclass, field
from typing import Annotated, Any

from convcli.cli.matrix_options import Geometry, MatrixFile
from convcli.cli.options import Json, check_json, one_kernel
from convcli.errors import UsageError
from convcli.options import (
    Argument,
    BorderValue,
    MaxPixels,
    Option,
    axes,
    check_border_value,
    kernel_names,
    refuse,
)
from convcli.spec import BORDERS, MODES, OPS, PerAxis, per_axis


@dataclass(frozen=True)
class Patches(Geometry):
    """How patches are taken, and stand in the matrix; without a size, a kernel gives it."""

    size: Annotated[
        PerAxis | None, Option("Kernel", "Shape of a patch.", "--size", "-s", "KHxKW", parse=axes)
    ] = None
    layout: Annotated[
        str,
        Option(
            "Matrix",
            "A patch per row, or per column as torch's unfold.",
            "rows|columns",
            words=("rows", "columns"),
        ),
    ] = "rows"
    mode: Annotated[
        str | None, Option("Borders and size", "valid, same or full.  [default: valid]", "MODE", words=MODES)
    ] = None
    order: Annotated[
        str, Option("Matrix", "Read rows first (C), or columns first as MATLAB's im2col does (F).", "C|F")
    ] = "C"

    def __post_init__(self) -> None:
        self.check_padding(self.mode)
        if self.origin is not None and self.mode != "same":
            mode = self.mode or "valid"
            raise UsageError(f"--origin has no effect in mode {mode}; leave it out, or use --mode same")

    @property
    def taps(self) -> tuple[int, ...]:
        """Shape of a patch."""
        if self.size is None:
            raise UsageError("no size of the patches; add -s, for example -s 3x3")
        sizes = (self.size,) if isinstance(self.size, int) else self.size
        return per_axis(sizes, len(sizes), "size", 1)

    @property
    def options(self) -> dict[str, Any]:
        """All but the size, by name."""
        given = {name: value for name, value in vars(self).items() if name != "size"}
        return given | {"mode": self.mode or "valid"}


@dataclass(frozen=True)
class Task:
    """The image, and what is to be done with its patches."""

    source: Annotated[str | None, Argument("[IMAGE]", "With --fold, a matrix in a file; - is stdin.")] = None
    shape: Annotated[str | None, Option("Input", "Shape of an image that counts 1, 2, 3, ...", "HxW")] = None
    border: Annotated[
        str | None,
        Option(
            "Borders and size",
            f"{', '.join(BORDERS)}.  [default: zero]",
            "NAME",
            words=BORDERS,
            not_with=("fold",),
        ),
    ] = None
    border_value: BorderValue = None
    channels: Annotated[int | None, Option("Input", "Channels of the image; 1 makes colours gray.", "N")] = (
        None
    )
    kernel: Annotated[
        list[str],
        Option(
            "Kernel",
            "Show the flattened kernel, and the product.",
            "--kernel",
            "-k",
            "SPEC",
            words=kernel_names,
            not_with=("fold",),
        ),
    ] = field(default_factory=list)
    op: Annotated[
        str | None, Option("Kernel", "Of -k.  [default: convolve]", "OP", words=OPS, not_with=("fold",))
    ] = None
    symbolic: Annotated[bool, Option("Matrix", "Samples by name: x11 x12 ...", not_with=("fold",))] = False
    fold: Annotated[bool, Option("Matrix", "The way back: patches to the image.")] = False
    reduce: Annotated[
        str | None,
        Option(
            "Matrix",
            "Of patches that overlap: mean gives the image back, sum is the adjoint.  [default: mean]",
            "sum|mean",
            words=("sum", "mean"),
            not_with=("unfolded",),
        ),
    ] = None
    dtype: Annotated[
        str | None,
        Option(
            "Output",
            "Of an image that is folded: uint8, uint16 or float32.  [default: uint8; .npy: as computed]",
            "TYPE",
            not_with=("unfolded",),
        ),
    ] = None
    max_pixels: MaxPixels = None
    as_json: Json = False

    def check(self, file: MatrixFile) -> None:
        """Refuse options that do not go together."""
        check_json(self.as_json, file.output)
        check_border_value(self.border_value, self.border)
        one_kernel(self.kernel)
        if self.fold:
            refuse("fold", "has no meaning with --fold; leave it out", self, file)
        else:
            refuse("unfolded", "is for --fold; leave it out, or add --fold", self)


@dataclass(frozen=True)
class PatchesFile(MatrixFile):
    """The file that patches, or a folded image, are written to."""

    output: Annotated[
        str | None,
        Option(
            "Output",
            ".csv .tsv .npy .npz .mtx .png .json; with --fold, .npy or an image; - is stdout.",
            "--output",
            "-o",
            "FILE",
        ),
    ] = None
    format: Annotated[
        str | None, Option("Output", "Of the output, whatever its name.", "NAME", not_with=("no output",))
    ] = None
