"""A matrix on the terminal: as many rows and columns as fit, the middle left out."""

from __future__ import annotations

import itertools
import os
import shutil
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

from convcli.matrices.show.preview import Colour, Look

if TYPE_CHECKING:
    from rich.text import Text

Cell = TypeVar("Cell")

MOST_ROWS = 64
MOST_PIPED = 4096  # entries; a matrix for a program to read is better written with -o -
WIDEST_CELL = 24
GAP = "…"
BARE = "0"


def grid(
    shape: tuple[int, int], look: Look, *, block_shape: tuple[int, int] = (1, 1), indent: int = 0
) -> list[str | Text]:
    """Lines of a matrix for stdout: with colours and block borders on a terminal, plain text elsewhere.

    `look` takes rows and columns, and returns the entries there and their colours, None for none.

    >>> print_lines(grid((2, 3), lambda rows, columns: ([[str(r + c) for c in columns] for r in rows], [])))
    0 1 2
    1 2 3
    """
    if sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
        return _on_terminal(shape, look, block_shape, indent)
    small = shape[0] * shape[1] <= MOST_PIPED
    rows, columns = (_ends(n, n if small else 17) for n in shape)
    text, _ = look(_wanted(rows), _wanted(columns))
    width = max(len(cell) for row in text for cell in row)
    return [
        (" " * indent + " ".join(cell.rjust(width) for cell in row)).rstrip()
        for row in _with_gaps(text, rows, columns, GAP)
    ]


def print_lines(lines: Sequence[str | Text]) -> None:
    """Print the lines of a grid."""
    if lines and not isinstance(lines[0], str):
        from rich.console import Console

        console = Console()
        for line in lines:
            console.print(line, no_wrap=True, crop=False)
        return
    for line in lines:
        print(line)


def _on_terminal(
    shape: tuple[int, int], look: Look, block_shape: tuple[int, int], indent: int
) -> list[str | Text]:
    from rich.text import Text

    room = max(6, shutil.get_terminal_size().columns + 1 - indent)
    rows, columns = _ends(shape[0], MOST_ROWS), _ends(shape[1], max(3, room // 2))
    seen = _wanted(columns)
    text, colours = look(_wanted(rows), seen)
    text = [[_short(cell, min(WIDEST_CELL, room // 3 - 1)) for cell in row] for row in text]
    columns, widths = _fitting(columns, [max(map(len, cells)) for cells in zip(*text, strict=True)], room)
    kept = [seen.index(column) for column in _wanted(columns)]
    text = _with_gaps([[row[k] for k in kept] for row in text], rows, columns, GAP)
    shades = _with_gaps([[row[k] for k in kept] for row in colours], rows, columns, None)
    borders, rulers = _breaks(columns, block_shape[1]), _breaks(rows, block_shape[0])
    ruler = "".join("─" * n + ("┼" if place in borders else "─") for place, n in enumerate(widths))
    lines: list[str | Text] = []
    for number, row in enumerate(text):
        line = Text(" " * indent)
        for place, (cell, shade) in enumerate(zip(row, shades[number], strict=True)):
            line.append(cell.rjust(widths[place]), style=_style(cell, shade))
            line.append("│" if place in borders else " ", style="dim")
        line.right_crop(1)
        lines.append(line)
        if number in rulers:
            lines.append(Text(" " * indent + ruler[:-1], style="dim"))
    return lines


def _fitting(columns: list[int | None], widths: list[int], room: int) -> tuple[list[int | None], list[int]]:
    """Choose columns that fit, and their widths: the same for all, unless that leaves some out.

    >>> _fitting([0, 1, 2, None, 7, 8], [1, 5, 1, 1, 1], 12)
    ([0, 1, None, 8], [1, 5, 1, 1])
    """
    if None not in columns and (max(widths) + 1) * len(columns) <= room:
        return columns, [max(widths)] * len(columns)
    known = dict(zip(_wanted(columns), widths, strict=True))
    count = 1 + max(known)
    for most in range(len(columns), 2, -1):
        columns = _ends(count, most)
        chosen = [1 if column is None else known[column] for column in columns]
        if sum(chosen) + len(chosen) <= room:
            break
    return columns, chosen


def _style(cell: str, shade: Colour | None) -> str:
    if shade is None:
        return "dim" if cell in (BARE, GAP) else ""
    return "black on rgb({},{},{})".format(*shade)


def _ends(count: int, most: int) -> list[int | None]:
    """List what is shown of `count` things: all, or the first and the last with a gap between.

    >>> _ends(3, 5), _ends(9, 5)
    ([0, 1, 2], [0, 1, None, 7, 8])
    """
    if count <= most:
        return list(range(count))
    head = most // 2
    tail = most - 1 - head
    return [*range(head), None, *range(count - tail, count)]


def _wanted(indices: Sequence[int | None]) -> list[int]:
    return [index for index in indices if index is not None]


def _with_gaps(
    cells: list[list[Cell]], rows: Sequence[int | None], columns: Sequence[int | None], gap: Cell
) -> list[list[Cell]]:
    """Put a row and a column of gaps where something was left out."""
    result = []
    lines = iter(cells)
    for row in rows:
        line = iter([gap] * len(columns) if row is None else next(lines))
        result.append([gap if row is None or column is None else next(line) for column in columns])
    return result


def _breaks(indices: Sequence[int | None], block: int) -> set[int]:
    """Places after which a block ends."""
    if block < 2:
        return set()
    pairs = enumerate(itertools.pairwise(indices))
    return {i for i, (a, b) in pairs if a is not None and b is not None and a // block != b // block}


def _short(cell: str, most: int) -> str:
    return cell if len(cell) <= most else cell[: most - 1] + GAP
