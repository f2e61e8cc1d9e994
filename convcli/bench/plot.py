"""Pictures of a benchmark: time per pixel against the sizes that were scanned, or bars if none was.

What is drawn is worked out first, by plain arithmetic; matplotlib, which is optional, is only told where
to put it.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from convcli.bench import curves
from convcli.bench.curves import CHOSEN, Crossover, Line, Panel, variant, varying
from convcli.bench.results import Report, Result
from convcli.errors import BackendError, UsageError
from convcli.system.files import shown
from convcli.text import brief, printable, time_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

EXTENSIONS = {".png": "png", ".svg": "svg"}

# Okabe and Ito's colours, which the colour-blind can tell apart, less yellow, which is faint on white, and
# black, which is for `auto`. Colour and marker say who it is, dashes under what circumstances.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#666666")
MARKERS = "osD^vPX<>*hdp"
DASHES = ("-", ":", "-.", (0, (6, 1, 1, 1, 1, 1)))  # not "--", which is for `auto`
KINDS = {"backend": "#0072B2", "peer": "#E69F00", "process": "#999999"}
ROW = 0.058  # height of a line of text, likewise
CHARACTER = 0.064  # width of a letter in inches
NOTES = 4  # crossovers named in a panel; more are marked only
STYLE = {
    "svg.hashsalt": "convcli",  # the same picture has the same bytes
    "svg.fonttype": "none",  # text stays text, to be searched and copied
    "text.parse_math": False,  # a file may be named $x$
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
}


ERRORBAR: dict[str, Any] = {"markersize": 5, "linewidth": 1.5, "elinewidth": 1, "capsize": 2}
LEGEND: dict[str, Any] = {"loc": "outside lower center", "frameon": False, "fontsize": 9}


def check_plot(path: Path) -> str:
    """Return the format of a picture, "png" or "svg"; refuse one that could not be drawn."""
    found = EXTENSIONS.get(path.suffix.lower())
    if found is None:
        raise UsageError(f"{shown(path)} is no picture that can be drawn; name a .png or .svg file")
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        raise BackendError('--plot needs matplotlib: pip install "convcli[plot]"') from None
    return found


def plot(report: Report, file: BinaryIO, format: str) -> None:  # noqa: A002 - as Pillow calls it
    """Draw a report in one of the formats that `check_plot` returns."""
    import matplotlib.style
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    results = [r for r in report.results if r.times]
    if not results:
        raise BackendError("there is nothing to plot: every contestant was skipped")
    with matplotlib.style.context(["default", STYLE]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # in a file name, and drawn as a box
        figure = Figure(layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1))
        FigureCanvasAgg(figure)
        found = curves.panels(results)
        if found:
            _draw_panels(figure, found)
        else:
            _draw_bars(figure, results)
        figure.suptitle(_title(report, results, found), fontsize=10, color="#444444")
        # A date, or a version, would make two pictures of one report differ.
        metadata = {"Date": None} if format == "svg" else {"Software": None}
        figure.savefig(file, format=format, metadata=metadata)


def _title(report: Report, results: Sequence[Result], found: Sequence[Panel]) -> str:
    """What is the same for all that is drawn, less what the titles of the panels say."""
    cases = [r.case for r in results]
    fields = [f for f in curves.FIELDS if not (found and f.endswith("shape"))]
    same = [f for f in fields if len({getattr(c, f) for c in cases}) == 1]
    told = [f for f in same if getattr(cases[0], f) not in ("random", 1) or f == "threads"]
    cpu = report.machine.get("cpu")
    words = [variant(cases[0], told), cpu if isinstance(cpu, str) else ""]
    return brief(", ".join(word for word in words if word), 50 + 50 * max(1, len(found)))


def _draw_panels(figure: Figure, found: Sequence[Panel]) -> None:
    lines = {line.label: line for panel in found for line in panel.lines}
    names = list(dict.fromkeys(line.name for line in lines.values() if line.name != CHOSEN))
    variants = list(dict.fromkeys(line.variant for line in lines.values()))
    styles = {label: _style(line, names, variants) for label, line in lines.items()}
    width = 12.0 if len(found) > 1 else 8.0
    columns = max(1, min(len(lines), int(width / (0.6 + 0.072 * max(map(len, lines))))))
    figure.set_size_inches(width, 5.6 + 0.2 * -(-len(lines) // columns))
    handles = {}
    for axes, panel in zip(figure.subplots(1, len(found), squeeze=False)[0], found, strict=True):
        for line in panel.lines:
            points = line.points
            x, y = [p.side for p in points], [p.median for p in points]
            quartiles = [[p.median - p.lower for p in points], [p.upper - p.median for p in points]]
            bars = axes.errorbar(x, y, quartiles, **ERRORBAR, **styles[line.label])
            handles[line.label] = bars[0]
        met = curves.crossovers(panel.lines)
        _draw_axes(axes, panel, min(NOTES, len(met)))
        _draw_crossovers(axes, met, width / len(found) - 0.85)
    labels = [printable(label) for label in handles]
    figure.legend(handles.values(), labels, ncols=columns, handlelength=3, **LEGEND)


def _style(line: Line, names: Sequence[str], variants: Sequence[str]) -> dict[str, Any]:
    number = variants.index(line.variant)
    # Beyond four variants the dashes begin again, with hollow markers.
    style: dict[str, Any] = {"fillstyle": "full" if number < len(DASHES) else "none"}
    if line.name == CHOSEN:
        return {**style, "color": "black", "linestyle": "--", "marker": MARKERS[-1 - number % 4], "zorder": 3}
    who = names.index(line.name)
    style |= {"color": COLOURS[who % len(COLOURS)], "marker": MARKERS[who % len(MARKERS)]}
    return {**style, "linestyle": DASHES[(number + who // len(COLOURS)) % len(DASHES)]}


def _draw_axes(axes: Axes, panel: Panel, notes: int) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

    points = [point for line in panel.lines for point in line.points]
    chosen = curves.ticks(point.side for point in points)
    axes.set(xscale="log", yscale="log", xlabel=panel.label, ylabel="time per pixel [ns]")
    axes.set_title(panel.title)
    axes.set_xticks(chosen, [f"{x:.4g}" for x in chosen])
    axes.xaxis.set_minor_locator(NullLocator())
    low, high = min(p.lower for p in points), max(p.upper for p in points)
    # A log axis of less than a decade or two has no room for powers of ten alone.
    steps = (1, 2, 5) if high < 300 * low else (1,)
    axes.yaxis.set_major_locator(LogLocator(subs=steps, numticks=20))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.grid(True, color="#e4e4e4", linewidth=0.6)
    axes.set_axisbelow(True)
    # Nothing is faster than the fastest: the names of crossovers find room below all lines.
    room = notes * ROW + 0.05
    margin = (high / low) ** 0.05 * 1.05
    axes.set_ylim(low / (high / low * margin) ** (room / (1 - room)), high * margin)


def _draw_crossovers(axes: Axes, found: Sequence[Crossover], inches: float) -> None:
    """Mark crossovers, and name them below in axes that are some inches wide."""
    for row, crossover in enumerate(found):
        ring: dict[str, Any] = {"color": "black", "fillstyle": "none", "markersize": 11, "zorder": 5}
        axes.plot([crossover.side], [crossover.nanoseconds], "o", **ring)
        if row >= NOTES:
            continue
        height = 0.035 + row * ROW
        left, right = axes.get_xlim()
        share = math.log(crossover.side / left) / math.log(right / left)
        foot = axes.transAxes.transform((0, height))
        bottom = axes.transData.inverted().transform(foot)[1]
        axes.plot([crossover.side] * 2, [bottom, crossover.nanoseconds], ":", color="#555555", linewidth=1)
        text = printable(crossover.text)
        # Centred below the mark, but within the axes as far as the width of the letters can be guessed.
        width = CHARACTER * len(text) / inches
        start = max(0.01, min(share - width / 2, 0.99 - width))
        paper = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
        style: dict[str, Any] = {"transform": axes.transAxes, "va": "center", "fontsize": 8.5, "bbox": paper}
        axes.text(start, height, text, **style).set(zorder=6, in_layout=False)


def _draw_bars(figure: Figure, results: Sequence[Result]) -> None:
    from matplotlib.patches import Patch

    fields = varying([r.case for r in results])
    labels = [", ".join(part for part in (r.name, variant(r.case, fields)) if part) for r in results]
    times = [r.summary for r in results]
    unit, scale, _ = time_unit(max(t.median for t in times))
    medians = [t.median / scale for t in times]
    quartiles = [[(t.median - t.lower) / scale for t in times], [(t.upper - t.median) / scale for t in times]]
    rows = range(len(results))
    figure.set_size_inches(8, min(100.0, 1.8 + 0.36 * len(results)))
    axes = figure.subplots()
    axes.barh(rows, medians, height=0.66, color=[KINDS.get(r.kind, "black") for r in results])
    axes.errorbar(medians, rows, xerr=quartiles, fmt="none", ecolor="black", elinewidth=1.2, capsize=3)
    for row, time in enumerate(times):
        # Beyond the upper quartile, so that the bar of the quartiles does not strike it through.
        at = (time.upper / scale, row)
        text = f"{time.median / scale:.3g} {unit}"
        axes.annotate(text, at, xytext=(6, 0), textcoords="offset points", va="center", fontsize=9)
    axes.set_yticks(rows, [printable(label) for label in labels])
    axes.set_ylim(len(results) - 0.4, -0.6)
    axes.set_xlim(0, max(t.upper for t in times) / scale * 1.16)
    axes.set_xlabel(f"median time [{unit}], and quartiles")
    axes.grid(True, axis="x", color="#e4e4e4", linewidth=0.6)
    axes.set_axisbelow(True)
    kinds = list(dict.fromkeys(r.kind for r in results))
    if len(kinds) > 1:
        patches = [Patch(color=KINDS.get(kind, "black"), label=kind) for kind in kinds]
        figure.legend(handles=patches, ncols=len(kinds), **LEGEND)
