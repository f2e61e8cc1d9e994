"""What a picture of a benchmark shows, worked out by plain arithmetic: lines, crossovers, ticks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from convcli.bench.results import Case, Result
from convcli.text import counted, shape_text

CHOSEN = "auto"  # the contestant that picks among the others
FIELDS = ("shape", "kernel_shape", "image", "kernel", "planes", "dtype", "threads")
CLOSEST = 0.045  # ticks, as a share of the axis


@dataclass(frozen=True)
class Point:
    """Nanoseconds per pixel of one contestant at one size: the median and the quartiles."""

    side: float
    median: float
    lower: float
    upper: float


@dataclass(frozen=True)
class Line:
    """One contestant over all sizes; a `variant`, as "2 threads", tells it from its other lines."""

    name: str
    variant: str
    points: tuple[Point, ...]

    @property
    def label(self) -> str:
        """Name and variant, as the legend has them."""
        return ", ".join(part for part in (self.name, self.variant) if part)


@dataclass(frozen=True)
class Crossover:
    """Where another contestant becomes the fastest, as two lines meet in logarithmic axes."""

    side: float
    nanoseconds: float
    text: str


@dataclass(frozen=True)
class Panel:
    """Lines that share their axes."""

    title: str
    label: str
    lines: tuple[Line, ...]


def panels(results: Sequence[Result]) -> list[Panel]:
    """Work out what is drawn: a panel for each of the two sizes, kernel and image, that was scanned.

    While one size varies, the other is held: the image at its largest, where a choice matters most, the
    kernel at the middle one. All results are timed ones.

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
    """Write some facts of a case, as 'float32, 1 thread'."""
    words = {
        "shape": shape_text(case.shape),
        "kernel_shape": f"{shape_text(case.kernel_shape)} kernel",
        "planes": counted(case.planes, "plane"),
        "threads": counted(case.threads, "thread"),
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

    Each variant is a race of its own. Between two sizes a line is straight in logarithmic axes: two meet at
    a / (a − b) of the way, with a and b the logarithm of the ratio of both times at either end.

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
