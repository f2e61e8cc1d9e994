"""What the commands that make matrices print of them: entries, options, times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from convcli.cli.report.grid import grid, print_lines
from convcli.matrices.matrix import Matrix, Stopwatch
from convcli.matrices.show.palette import colour_of
from convcli.matrices.show.preview import preview
from convcli.spec import ConvSpec
from convcli.text import bytes_text, milliseconds

if TYPE_CHECKING:
    from rich.text import Text

    from convcli.cli.io.matrix_output import Written

LARGEST_IN_JSON = 4096  # entries


def lines_of(
    matrix: Matrix, *, first: int = 0, of: tuple[int, ...] | None = None, indent: int = 0
) -> list[str | Text]:
    """Lines of a matrix, or of its ends, coloured as cells from `first` on of an array of shape `of`."""
    colour = colour_of(of or matrix.cell_shape)
    look = preview(matrix, lambda cell: colour(cell + first))
    return grid(matrix.shape, look, block_shape=matrix.block_shape, indent=indent)


def show(matrix: Matrix) -> None:
    """Print a matrix, or its ends."""
    print_lines(lines_of(matrix))


def options_of(spec: ConvSpec) -> dict[str, Any]:
    """Return the options that hold, given or by default, in the order of the axes that vec reads."""
    assert isinstance(spec.origin, tuple)
    reach = {"mode": spec.mode} if spec.padding is None else {"padding": spec.padding}
    return {
        "op": spec.op,
        **reach,
        "border": spec.border,
        "origin": list(spec.origin[::-1]),
        "stride": [axis.stride for axis in spec.axes],
        "dilation": [axis.dilation for axis in spec.axes],
    }


def options_text(spec: ConvSpec) -> str:
    """Write `options_of` in a line."""
    words = []
    for name, value in options_of(spec).items():
        joint = {"origin": ",", "stride": "×", "dilation": "×"}.get(name)
        words.append(f"{name} {value if joint is None else joint.join(map(str, value))}")
    return ", ".join(words)


def time_rows(stopwatch: Stopwatch, written: Written | None) -> list[tuple[str, str]]:
    """Rows of a table: the time of building and writing, and the speed."""
    if written is None:
        return [("time", f"build {milliseconds(stopwatch.seconds)}, of what is shown")]
    build, write = written.build_seconds, written.write_seconds
    speed = f"{bytes_text(written.output_bytes / max(write, 1e-9))}/s written"
    return [("time", f"build {milliseconds(build)}, write {milliseconds(write)}"), ("speed", speed)]
