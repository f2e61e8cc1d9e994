"""Options of ``convcli toeplitz``."""

from dataclasses import dataclass, field
from typing import Annotated, Any

from convcli.cli.matrix_options import Geometry
from convcli.cli.options import Json, one_kernel
from convcli.errors import UsageError
from convcli.options import Argument, BorderValue, MaxPixels, Option, check_border_value, kernel_names
from convcli.spec import BORDER_ALIASES, BORDERS, MODES, OPS


@dataclass(frozen=True)
class Rule(Geometry):
    """Rule of the matrix: the options of `convcli.toeplitz_matrix`."""

    kernel: Annotated[
        list[str], Option("Kernel", "See `convcli kernels`.", "--kernel", "-k", "SPEC", words=kernel_names)
    ] = field(default_factory=list)
    op: Annotated[
        str | None, Option("Kernel", "convolve or correlate.  [default: convolve]", "OP", words=OPS)
    ] = None
    mode: Annotated[
        str | None,
        Option(
            "Borders and size",
            "full, same or valid.  [default: full; same with --border wrap]",
            "MODE",
            words=MODES,
        ),
    ] = None
    border: Annotated[
        str,
        Option(
            "Borders and size",
            "zero, wrap (circulant), symmetric (Toeplitz plus Hankel), mirror, nearest.",
            "NAME",
            words=BORDERS,
        ),
    ] = "zero"
    border_value: BorderValue = None
    channels_in: Annotated[
        int | None, Option("Banks of kernels", "Channels of the image, for a bank of kernels.", "N")
    ] = None
    channels_out: Annotated[
        int | None, Option("Banks of kernels", "Kernels in the bank: (out, in / groups, height, width).", "N")
    ] = None
    groups: Annotated[int, Option("Banks of kernels", "Groups of the bank.", "N")] = 1
    order: Annotated[
        str, Option("Matrix", "vec reads rows first (C), or columns first as MATLAB does (F).", "C|F")
    ] = "C"

    def __post_init__(self) -> None:
        if one_kernel(self.kernel) is None:
            raise UsageError('no kernel; add -k, for example -k sobel-x or -k "1 2; 3 4"')
        self.check_padding(self.mode)
        check_border_value(self.border_value, self.border)
        if self.border_value:
            raise UsageError(
                f"border constant with the value {self.border_value:g} adds to every result, which no "
                "matrix does; use --border zero"
            )

    @property
    def options(self) -> dict[str, Any]:
        """The options of the matrix, with those that depend on others filled in."""
        wraps = BORDER_ALIASES.get(self.border, self.border) == "wrap"
        names = ("border", "origin", "stride", "dilation", "order", "groups", "padding")
        given = {name: getattr(self, name) for name in names}
        return given | {"mode": self.mode or ("same" if wraps else "full"), "op": self.op or "convolve"}


@dataclass(frozen=True)
class Task:
    """The image, and what is to be done with its matrix."""

    image: Annotated[str | None, Argument("[IMAGE]", "Takes the shape from it; - is stdin.")] = None
    shape: Annotated[str | None, Option("Input", "Shape of the image, in place of IMAGE.", "HxW")] = None
    transpose: Annotated[bool, Option("Matrix", "Take the transpose.")] = False
    symbolic: Annotated[bool, Option("Matrix", "Cells by name: w11 w12 ...")] = False
    steps: Annotated[bool, Option("Matrix", "Show the construction in eight steps.")] = False
    verify: Annotated[bool, Option("Matrix", "Multiply, and compare with every backend.")] = False
    max_pixels: MaxPixels = None
    as_json: Json = False

    def check(self, rule: Rule, output: str | None) -> None:
        """Refuse tasks that do not go together."""
        if self.as_json and (output == "-" or self.steps):
            raise UsageError("--json prints one document on standard output; leave out --steps and -o -")
        if self.steps and output == "-":
            raise UsageError("--steps and -o - would both write to standard output; give -o a file")
        others = {
            "order F": rule.order == "F",
            "transpose": self.transpose,
            "symbolic": self.symbolic,
            "padding": rule.padding is not None,
        }
        for name in (name for name, given in others.items() if self.steps and given):
            raise UsageError(f"--steps builds T of numbers, row by row and by --mode; leave out --{name}")
