"""Pictures of a benchmark: time per pixel against the sizes that were scanned, or bars if none was.

What is drawn is worked out first, by plain arithmetic; matplotlib, which is optional, is only told where
to put it.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from convcli.atomic import printable, shown
from convcli.errors import BackendError, UsageError
from convcli.kernels.kernel import brief
from convcli.spec import shape_text
from convcli.timing.export import unit_of
from convcli.timing.results import Case, Report, Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

EXTENSIONS = {".png": "png", ".svg": "svg"}
CHOSEN = "auto"  # the contestant that picks among the others
FIELDS = ("shape", "kernel_shape", "image", "kernel", "planes", "dtype", "threads")

# Okabe and Ito's colours, which the colour-blind can tell apart, less yellow, which is faint on white, and
# black, which is for `auto`. Colour and marker say who it is, dashes under what circumstances.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#666666")
MARKERS = "osD^vPX<>*hdp"
DASHES = ("-", ":", "-.", (0, (6, 1, 1, 1, 1, 1)))  # not "--", which is for `auto`
KINDS = {"backend": "#0072B2", "peer": "#E69F00", "process": "#999999"}
CLOSEST = 0.045  # ticks, as a share of the axis
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


@dataclass(frozen=True)
class Point:
    """What one contestant took at one size: nanoseconds per pixel, the median and the quartiles."""

    side: float
    median: float
    lower: float
    upper: float


@dataclass(frozen=True)
class Line:
    """One contestant over all sizes.

    Attributes
    ----------
    name : str
    variant : str
        What else tells it from other lines, as in "2 threads"; empty if nothing does.
    points : tuple of Point
        By side.
    """

    name: str
    variant: str
    points: tuple[Point, ...]

    @property
    def label(self) -> str:
        """Name and variant, as the legend has them."""
        return ", ".join(part for part in (self.name, self.variant) if part)


@dataclass(frozen=True)
class Crossover:
    """Where another contestant becomes the fastest.

    Attributes
    ----------
    side, nanoseconds : float
        Where the two lines meet, drawn in logarithmic axes.
    text : str
        As in "fft beats toeplitz from 13×13".
    """

    side: float
    nanoseconds: float
    text: str


@dataclass(frozen=True)
class Panel:
    """Lines that share their axes."""

    title: str
    label: str
    lines: tuple[Line, ...]


def check_plot(path: Path) -> str:
    """Refuse a picture that could not be drawn, before anything is timed.

    Returns
    -------
    {"png", "svg"}

    Raises
    ------
    UsageError
        For a name that ends in neither .png nor .svg.
    BackendError
        If matplotlib is not installed.

    Examples
    --------
    >>> check_plot(Path("speed.pdf"))
    Traceback (most recent call last):
        ...
    convcli.errors.UsageError: speed.pdf is no picture that can be drawn; name a .png or .svg file
    """
    found = EXTENSIONS.get(path.suffix.lower())
    if found is None:
        raise UsageError(f"{shown(path)} is no picture that can be drawn; name a .png or .svg file")
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        raise BackendError('--plot needs matplotlib: pip install "convcli[plot]"') from None
    return found


def plot(report: Report, file: BinaryIO, format: str) -> None:  # noqa: A002 - as Pillow calls it
    """Draw a report.

    Parameters
    ----------
    report : Report
    file : BinaryIO
    format : {"png", "svg"}

    Raises
    ------
    BackendError
        If there is nothing to draw.
    """
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
        found = panels(results)
        if found:
            _draw_panels(figure, found)
        else:
            _draw_bars(figure, results)
        figure.suptitle(_title(report, results, found), fontsize=10, color="#444444")
        # A date, or a version, would make two pictures of one report differ.
        metadata = {"Date": None} if format == "svg" else {"Software": None}
        figure.savefig(file, format=format, metadata=metadata)


def panels(results: Sequence[Result]) -> list[Panel]:
    """Work out what is drawn: a panel for each of the two sizes, kernel and image, that was scanned.

    While one size varies, the other is held: the image at its largest, where a choice matters most, the
    kernel at the middle one.

    Parameters
    ----------
    results : sequence of Result
        All of them timed.

    Examples
    --------
    >>> cases = [Case("random", 1, (64, 64), "random", (n, n), "float32", 1) for n in (3, 5)]
    >>> results = [Result(case, "direct", "backend", (4.096e-6,)) for case in cases]
    >>> found = panels(results)[0]
    >>> found.title, [(point.side, round(point.median, 9)) for point in found.lines[0].points]
    ('by kernel size, 64×64 image', [(3.0, 1.0), (5.0, 1.0)])
    """
    images = sorted({r.case.shape for r in results}, key=side)
    kernels = sorted({r.case.kernel_shape for r in results}, key=side)
    image, kernel = images[-1], kernels[len(kernels) // 2]
    fields = varying([r.case for r in results])
    found = []
    scans_kernels, scans_images = (side(some[0]) < side(some[-1]) for some in (kernels, images))
    if scans_kernels:
        held = [r for r in results if side(r.case.shape) == side(image)]
        title = f"by kernel size, {shape_text(image)} image" + " (the largest)" * scans_images
        found.append(Panel(title, "side of the kernel [pixels]", _lines(held, "kernel_shape", fields)))
    if scans_images:
        held = [r for r in results if side(r.case.kernel_shape) == side(kernel)]
        title = f"by image size, {shape_text(kernel)} kernel" + " (the middle one)" * scans_kernels
        found.append(Panel(title, "side of the image [pixels]", _lines(held, "shape", fields)))
    return found


def side(shape: Sequence[int]) -> float:
    """Side of the square that has as many pixels.

    >>> side((9, 4))
    6.0
    """
    return math.sqrt(math.prod(shape))


def varying(cases: Sequence[Case]) -> list[str]:
    """Return the facts that tell cases of the same sizes apart.

    >>> cases = [Case("random", 1, (64, 64), "random", (3, 3), "float32", n) for n in (1, 2)]
    >>> varying(cases)
    ['threads']
    """
    found: dict[tuple[float, float], list[Case]] = {}
    for case in cases:
        found.setdefault((side(case.shape), side(case.kernel_shape)), []).append(case)
    return [f for f in FIELDS if any(len({getattr(c, f) for c in group}) > 1 for group in found.values())]


def variant(case: Case, fields: Iterable[str]) -> str:
    """Write some facts of a case.

    >>> variant(Case("random", 1, (64, 64), "random", (3, 3), "float32", 1), ["dtype", "threads"])
    'float32, 1 thread'
    """
    words = {
        "shape": shape_text(case.shape),
        "kernel_shape": f"{shape_text(case.kernel_shape)} kernel",
        "planes": f"{case.planes} plane" + "s" * (case.planes > 1),
        "threads": f"{case.threads} thread" + "s" * (case.threads > 1),
    }
    return ", ".join(words.get(field, getattr(case, field)) for field in fields)


def _lines(results: Iterable[Result], axis: str, fields: Sequence[str]) -> tuple[Line, ...]:
    found: dict[tuple[str, str], dict[float, Point]] = {}
    for result in results:
        scale = 1e9 / result.case.pixels
        times, position = result.summary, side(getattr(result.case, axis))
        point = Point(position, times.median * scale, times.lower * scale, times.upper * scale)
        found.setdefault((result.name, variant(result.case, fields)), {})[position] = point
    return tuple(Line(*key, tuple(p for _, p in sorted(points.items()))) for key, points in found.items())


def crossovers(lines: Iterable[Line]) -> list[Crossover]:
    """Find where the fastest contestant changes from one size to the next; `auto` only follows.

    Each variant is a race of its own. Between two sizes a line is taken to be straight in logarithmic
    axes: where t = a / (a − b) of the way is done, with a and b the logarithm of the ratio of both
    times at either end, the two meet.

    Examples
    --------
    >>> slow = Line("fft", "", (Point(4, 4.0, 4.0, 4.0), Point(16, 4.0, 4.0, 4.0)))
    >>> steep = Line("direct", "", (Point(4, 1.0, 1.0, 1.0), Point(16, 16.0, 16.0, 16.0)))
    >>> crossovers([slow, steep])
    [Crossover(side=8.0, nanoseconds=4.0, text='fft beats direct from 8×8')]
    """
    races: dict[str, dict[str, dict[float, float]]] = {}
    for line in lines:
        if line.name != CHOSEN:
            times = {point.side: point.median for point in line.points}
            races.setdefault(line.variant, {})[line.name] = times
    found = []
    for race, runners in races.items():
        sides = sorted({x for times in runners.values() for x in times})
        for left, right in pairwise(sides):
            # Only those timed at both ends: a line that begins or stops does not cross another.
            there = [name for name, times in runners.items() if left in times and right in times]
            if not there:
                continue
            old = min(there, key=lambda name: runners[name][left])
            new = min(there, key=lambda name: runners[name][right])
            if old == new:
                continue
            a = math.log(runners[new][left] / runners[old][left])
            b = math.log(runners[new][right] / runners[old][right])
            share = a / (a - b)
            x = _between(left, right, share)
            size = math.ceil(round(x, 6))
            text = f"{new} beats {old} from {size}×{size}" + f" ({race})" * bool(race)
            found.append(Crossover(x, _between(runners[old][left], runners[old][right], share), text))
    return sorted(found, key=lambda crossover: crossover.side)


def _between(low: float, high: float, share: float) -> float:
    # The ends themselves, not what rounding leaves of them.
    return low if share == 0 else high if share == 1 else low * (high / low) ** share


def ticks(sides: Iterable[float]) -> list[float]:
    """Choose sizes to be written at a logarithmic axis: all that have room, and the first and last.

    >>> ticks([3, 5, 7, 29, 30, 31])
    [3, 5, 7, 31]
    """
    first, *others = sorted(set(sides))
    if not others:
        return [first]
    room = CLOSEST * math.log(others[-1] / first)
    chosen = [first]
    for number in others[:-1]:
        if min(math.log(number / chosen[-1]), math.log(others[-1] / number)) >= room:
            chosen.append(number)
    return [*chosen, others[-1]]


def _title(report: Report, results: Sequence[Result], found: Sequence[Panel]) -> str:
    """What is the same for all that is drawn, less what the titles of the panels say."""
    cases = [r.case for r in results]
    fields = [f for f in FIELDS if not (found and f.endswith("shape"))]
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
            handles[line.label] = _draw_line(axes, line, styles[line.label])
        met = crossovers(panel.lines)
        _draw_axes(axes, panel, min(NOTES, len(met)))
        _draw_crossovers(axes, met, width / len(found) - 0.85)
    figure.legend(
        handles.values(),
        [printable(label) for label in handles],
        loc="outside lower center",
        ncols=columns,
        frameon=False,
        fontsize=9,
        handlelength=3,
    )


def _style(line: Line, names: Sequence[str], variants: Sequence[str]) -> dict[str, Any]:
    number = variants.index(line.variant)
    # Beyond four variants the dashes begin again, with hollow markers.
    style: dict[str, Any] = {"fillstyle": "full" if number < len(DASHES) else "none"}
    if line.name == CHOSEN:
        return {**style, "color": "black", "linestyle": "--", "marker": MARKERS[-1 - number % 4], "zorder": 3}
    who = names.index(line.name)
    return {
        **style,
        "color": COLOURS[who % len(COLOURS)],
        "marker": MARKERS[who % len(MARKERS)],
        "linestyle": DASHES[(number + who // len(COLOURS)) % len(DASHES)],
    }


def _draw_line(axes: Axes, line: Line, style: dict[str, Any]) -> Any:
    x, y = [p.side for p in line.points], [p.median for p in line.points]
    quartiles = [[p.median - p.lower for p in line.points], [p.upper - p.median for p in line.points]]
    bars = axes.errorbar(x, y, quartiles, markersize=5, linewidth=1.5, elinewidth=1, capsize=2, **style)
    return bars[0]


def _draw_axes(axes: Axes, panel: Panel, notes: int) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

    points = [point for line in panel.lines for point in line.points]
    chosen = ticks(point.side for point in points)
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
        label = axes.text(
            start, height, text, transform=axes.transAxes, va="center", fontsize=8.5, bbox=paper
        )
        label.set(zorder=6, in_layout=False)


def _draw_bars(figure: Figure, results: Sequence[Result]) -> None:
    from matplotlib.patches import Patch

    fields = varying([r.case for r in results])
    labels = [", ".join(part for part in (r.name, variant(r.case, fields)) if part) for r in results]
    times = [r.summary for r in results]
    unit, scale, _ = unit_of(max(t.median for t in times))
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
        figure.legend(
            handles=patches, loc="outside lower center", ncols=len(kinds), frameon=False, fontsize=9
        )
