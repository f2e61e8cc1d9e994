"""What people see on the terminal; the only module that imports rich.

Data go to stdout and all else to stderr. Off a terminal the same facts are plain text that is never
cut or wrapped, and rich, which takes as long to import as a small image to filter, stays unloaded.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TextIO

Row = Sequence[str]
RAMP = " .:-=+*#%@"


def note(text: str) -> None:
    """Print a line on stderr."""
    print(f"convcli: {text}", file=sys.stderr)


def table(header: Row, rows: Iterable[Row], *, file: TextIO | None = None, title: str | None = None) -> None:
    """Print rows in columns: with rules and colour on a terminal, as aligned text elsewhere.

    Parameters
    ----------
    header : sequence of str
        Empty strings for no header.
    rows : iterable of sequences of str
    file : text stream, optional
        stdout by default.
    title : str, optional

    Examples
    --------
    >>> table(("kernel", "sum"), [("box:3", "1"), ("sobel-x", "0")])
    kernel   sum
    box:3    1
    sobel-x  0
    """
    file = file or sys.stdout
    rows = list(rows)
    if file.isatty():
        _rich_table(header, rows, file, title)
        return
    if title:
        print(title, file=file)
    lines = [header, *rows] if any(header) else rows
    widths = [max(len(row[i]) for row in lines) for i in range(len(header))]
    for row in lines:
        print("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip(), file=file)


def _rich_table(header: Row, rows: list[Row], file: TextIO, title: str | None) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    grid = Table(
        box=box.SIMPLE_HEAD, title=title, title_justify="left", title_style="bold", show_header=any(header)
    )
    for number, name in enumerate(header):
        grid.add_column(name, style="cyan" if number == 0 else "", overflow="fold", no_wrap=False)
    for row in rows:
        grid.add_row(*(Text(cell) for cell in row))
    Console(file=file).print(grid)


def heat(
    values: Sequence[Sequence[float]], text: Sequence[Sequence[str]], *, file: TextIO | None = None
) -> None:
    """Print a small matrix; on a terminal each cell is shaded, red above zero and blue below.

    Parameters
    ----------
    values : (rows, columns) numbers
    text : (rows, columns) strings
        What is printed for each.
    """
    file = file or sys.stdout
    width = max(len(cell) for row in text for cell in row)
    if not file.isatty():
        for row in text:
            print(" ".join(cell.rjust(width) for cell in row).rstrip(), file=file)
        return
    from rich.console import Console
    from rich.text import Text

    largest = max((abs(v) for row in values for v in row), default=0) or 1
    console = Console(file=file)
    for numbers, row in zip(values, text, strict=True):
        line = Text()
        for value, cell in zip(numbers, row, strict=True):
            pale = 255 - round(200 * abs(value) / largest)
            shade = f"255,{pale},{pale}" if value > 0 else f"{pale},{pale},255"
            line.append(f" {cell.rjust(width)} ", style=f"black on rgb({shade})")
        console.print(line, no_wrap=True, crop=False)


def picture(values: Sequence[Sequence[float]], *, columns: int = 32) -> None:
    """Print a large matrix as a picture: every n-th cell, dark to light by magnitude.

    >>> picture([[1.0, 0.5, 0.0]])
    @@==
    """
    step = max(1, -(-len(values[0]) // columns))
    thinned = [row[step // 2 :: step] for row in values[step // 2 :: step]]
    largest = max((abs(v) for row in thinned for v in row), default=0) or 1
    shades = [[RAMP[round((len(RAMP) - 1) * abs(v) / largest)] for v in row] for row in thinned]
    if sys.stdout.isatty():
        heat(thinned, [[""] * len(row) for row in shades])
    else:
        for row in shades:
            print("".join(cell * 2 for cell in row).rstrip())


@contextlib.contextmanager
def progress(total: int, *, shown: bool) -> Iterator[Callable[[str], None]]:
    """Show a bar on stderr while `total` things are done; yield the function that counts one.

    Only on a terminal: elsewhere nothing is printed.
    """
    if not (shown and total > 1 and sys.stderr.isatty()):
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.fields[name]}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total, name="")
        yield lambda name: bar.update(task, advance=1, name=name)
