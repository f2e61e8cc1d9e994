"""Options that the commands for matrices have in common."""

from dataclasses import dataclass
from typing import Annotated

from convcli.cli.options import Force
from convcli.errors import UsageError
from convcli.options import Dilation, MaxMemory, Option, Origin, Stride, amount, axes
from convcli.spec import PerAxis


def _padding(text: str, what: str) -> PerAxis:
    """Read numbers; words are for another option."""
    if text.isalpha():
        raise UsageError(f"--{what} {text} is no number; use --mode same, full or valid for a word")
    return axes(text, what)


@dataclass(frozen=True)
class Geometry:
    """Where the outputs, or the patches, lie in the image."""

    origin: Origin = None
    stride: Stride = 1
    dilation: Dilation = 1
    padding: Annotated[
        PerAxis | None,
        Option(
            "Borders and size", "In place of --mode: N, NxM, or begins,ends as 1,1,2,2.", "P", parse=_padding
        ),
    ] = None

    def check_padding(self, mode: str | None) -> None:
        """Refuse options that say the same as padding does."""
        for name, given in (("mode", mode), ("origin", self.origin)):
            if self.padding is not None and given is not None:
                raise UsageError(f"--padding and --{name} both say where the result begins; leave one out")


@dataclass(frozen=True)
class MatrixFile:
    """The file that a matrix is written to."""

    output: Annotated[
        str | None,
        Option("Output", ".csv .tsv .npy .npz .mtx .png .json; - is stdout.", "--output", "-o", "FILE"),
    ] = None
    format: Annotated[
        str | None, Option("Output", "csv, tsv, npy, npz, mtx, png or json.", "NAME", not_with=("no output",))
    ] = None
    sparse_csv: Annotated[
        bool, Option("Output", "Write row,col,value as CSV.", not_with=("no output", "fold"))
    ] = False
    force: Force = False
    max_memory: MaxMemory = None
    max_output: Annotated[
        int | None,
        Option(
            "Output",
            "Refuse to write more, e.g. 20GB.  [default: 4GB; a stream: none]",
            "SIZE",
            parse=amount,
            not_with=("no output", "fold"),
        ),
    ] = None
