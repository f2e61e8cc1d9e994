"""Terminal output; the only folder that imports rich. ``grid`` draws a matrix, ``matrices`` its facts.

Data go to stdout and all else to stderr. Off a terminal the same facts are plain text that is never
cut or wrapped, and rich, which takes as long to import as a small image to filter, stays unloaded.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import textwrap
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TextIO

from convcli.text import json_text, printable

Row = Sequence[str]
REDRAW = 0.1  # seconds between two looks of a progress bar
RAMP = " .:-=+*#%@"
WIDEST_PICTURE = 64  # columns of the terminal


def note(text: str) -> None:
    """Print a line on stderr."""
    with contextlib.suppress(OSError):  # nobody listens
        print(f"convcli: {printable(text)}", file=sys.stderr, flush=True)


def document(value: dict[str, Any]) -> None:
    """Print one JSON document on stdout; what is not finite becomes null."""
    print(json_text(value))


def table(header: Row, rows: Iterable[Row], *, file: TextIO | None = None, title: str | None = None) -> None:
    """Print rows in columns: with rules and colour on a terminal, as aligned text elsewhere.

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


def columns(
    header: Row, rows: Iterable[Row], *, title: str, file: TextIO | None = None, best: str | None = None
) -> None:
    """Print names with numbers, right-aligned; a row of two is a name and a sentence, `best` stands out.

    >>> columns(("backend", "median", "min"), [("fft", "1.25", "1.1"), ("cuda", "not here")], title="ms")
    ms
    backend  median  min
    fft        1.25  1.1
    cuda     not here
    """
    file = file or sys.stdout
    rows = list(rows)
    full = [row for row in (header, *rows) if len(row) == len(header)]
    widths = [max(len(row[i]) for row in full) for i in range(len(header))]
    widths[0] = max(len(row[0]) for row in (header, *rows))
    room = shutil.get_terminal_size().columns if file.isatty() else sys.maxsize
    gap = "  " if sum(widths) + 2 * len(widths) <= room else " "

    def line(row: Row) -> str:
        name = row[0].ljust(widths[0])
        if len(row) < len(header):
            first, *more = textwrap.wrap(row[1], max(20, min(room, 10**6) - widths[0] - len(gap))) or [""]
            indent = " " * (widths[0] + len(gap))
            return "\n".join([f"{name}{gap}{first}", *(indent + part for part in more)])
        return gap.join([name, *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))])

    if not file.isatty():
        print(printable(title), *(line(row).rstrip() for row in (header, *rows)), sep="\n", file=file)
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(file=file)
    console.print(Text(printable(title), style="bold"))
    console.print(Text(line(header), style="dim"), crop=False, no_wrap=True)
    for row in rows:
        style = "dim" if len(row) < len(header) else "bold green" if row[0] == best else ""
        console.print(Text(line(row), style=style), crop=False, no_wrap=True)


def bars(values: Sequence[tuple[str, float, str]], file: TextIO | None = None) -> None:
    """Draw (name, number, text) as bars, on a terminal only."""
    file = file or sys.stdout
    if not values or not file.isatty():
        return
    from rich.bar import Bar
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    largest = max(number for _, number, _ in values)
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column(no_wrap=True)
    grid.add_column(ratio=1)
    grid.add_column(justify="right", no_wrap=True)
    for place, (name, number, text) in enumerate(values):
        grid.add_row(Text(name), Bar(largest, 0, number, color="green" if place == 0 else "blue"), Text(text))
    Console(file=file).print(grid)


def matrix(values: Sequence[Sequence[float]], text: Sequence[Sequence[str]] | None = None) -> None:
    """Print a matrix on stdout: its `text` if there is room for it, a picture of its `values` otherwise.

    In colour each cell is shaded, red above zero and blue below; else the picture is made of characters.

    >>> matrix([[1.0, -0.5, 0.0]], [["1", "-0.5", "0"]])
       1 -0.5    0
    >>> matrix([[1.0, 0.5, 0.0]])
    every cell, by magnitude:
    @@==
    """
    terminal = sys.stdout.isatty()
    colour = terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    columns = shutil.get_terminal_size().columns if terminal else sys.maxsize
    width = max(len(cell) for row in text for cell in row) if text else 0
    if text is None or len(text[0]) * (width + (2 if colour else 1)) > columns:
        values, step = _thinned(values, min(columns, WIDEST_PICTURE) // 2)
        cells = "every cell" if step == 1 else f"one cell of {step}×{step}"
        print(f"{cells}, " + ("red above zero, blue below:" if colour else "by magnitude:"))
        text, width = None, 0
    largest = max((abs(v) for row in values for v in row), default=0) or 1
    if colour:
        _shaded(values, text, width, largest)
        return
    for number, row in enumerate(values):
        if text is None:
            print("".join(RAMP[round((len(RAMP) - 1) * abs(v) / largest)] * 2 for v in row).rstrip())
        else:
            print(" ".join(cell.rjust(width) for cell in text[number]).rstrip())


def _thinned(values: Sequence[Sequence[float]], most: int) -> tuple[list[Sequence[float]], int]:
    """Keep the middle cell of every square, so that at most `most` columns are left."""
    step = max(1, -(-len(values[0]) // most))
    return [row[step // 2 :: step] for row in values[step // 2 :: step]], step


def _shaded(
    values: Sequence[Sequence[float]], text: Sequence[Sequence[str]] | None, width: int, largest: float
) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console()
    for number, row in enumerate(values):
        line = Text()
        for position, value in enumerate(row):
            pale = 255 - round(200 * abs(value) / largest)
            shade = f"255,{pale},{pale}" if value > 0 else f"{pale},{pale},255"
            cell = f" {text[number][position].rjust(width)} " if text else "  "
            line.append(cell, style=f"black on rgb({shade})")
        console.print(line, no_wrap=True, crop=False)


class Bar:
    """Told what was done; this one shows nothing."""

    def __call__(self, name: str, count: float = 1) -> None:
        """Take note of what was done, and how many things that were, or which part of one."""

    @contextlib.contextmanager
    def hidden(self) -> Iterator[None]:
        """Make room for what is printed meanwhile."""
        yield


@contextlib.contextmanager
def progress(total: int, *, shown: bool) -> Iterator[Bar]:
    """Show a bar on stderr while `total` things are done, on a terminal only."""
    if not (shown and total > 1 and sys.stderr.isatty()):
        yield Bar()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.fields[name]}"))
    # Drawn in between the things that are done, by no thread of its own: those may be being timed.
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, auto_refresh=False) as bar:
        task = bar.add_task("", total=total, name="")

        class Shown(Bar):
            drawn = 0.0

            def __call__(self, name: str, count: float = 1) -> None:
                due = time.monotonic() > self.drawn + REDRAW
                self.drawn = time.monotonic() if due else self.drawn
                bar.update(task, advance=count, name=name, refresh=due)

            @contextlib.contextmanager
            def hidden(self) -> Iterator[None]:
                bar.stop()
                yield
                bar.start()

        yield Shown()
