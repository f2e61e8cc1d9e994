"""Tables of the gain in decibels; each returns its figures by name, for the thresholds."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from experiments import Experiment, isnr, ring

import convcli
from convcli.deconvolution import methods
from convcli.deconvolution.iteration import Iteration

Figures = dict[str, float]
Images = dict[str, np.ndarray]
BORDERS = ("unknown", "taper", "mirror", "wrap")
TUNED = ("wiener", "tikhonov", "tv", "hyperlaplacian")
COUNTED = ("rl", "landweber")
RATIOS = (1.25**3, 1.25)  # of neighbours on the grid of balances: coarse, then fine
MOST_STEPS = 20
MOST_ITERATIONS = 1000


def heading(text: str, columns: Iterable[object], first: int = 16) -> None:
    print(f"\n{text}\n{'':{first}}" + "".join(f"{column:>9}" for column in columns))


def row(name: str, values: Iterable[float], first: int = 16) -> None:
    print(f"{name:{first}}" + "".join(f"{value:9.2f}" for value in values), flush=True)


def gain(
    truth: np.ndarray, observed: np.ndarray, experiment: Experiment, method: str, **options: object
) -> tuple[float, convcli.DeconvolutionResult]:
    """Restore in float32, as the shell does, and return what it gained."""
    result = convcli.deconvolve(observed.astype(np.float32), experiment.psf, method=method, **options)
    return isnr(truth, observed, result.image), result


def automatic(images: Images, experiments: Sequence[Experiment]) -> Figures:
    """Table 1: what every method gains by itself, and table 4: what `auto` loses against the best."""
    figures: Figures = {}
    for name, truth in images.items():
        seen = {e.number: e.observe(truth) for e in experiments}
        heading(f"1  ISNR, dB, border wrap, noise and strength automatic: {name}", seen)
        table = {}
        for method in methods.names():
            values = {e.number: gain(truth, seen[e.number], e, method, border="wrap")[0] for e in experiments}
            table[method] = values
            row(method, values.values())
            figures |= {f"{name} {method} {number}": value for number, value in values.items()}
        auto = {e.number: gain(truth, seen[e.number], e, "auto", border="wrap")[0] for e in experiments}
        best = {number: max(table, key=lambda method: table[method][number]) for number in seen}
        losses = {number: table[best[number]][number] - auto[number] for number in seen}
        row("4  loss of auto", losses.values())
        print(f"{'   against':16}" + "".join(f"{best[number][:8]:>9}" for number in seen))
        figures |= {f"{name} auto's loss {number}": value for number, value in losses.items()}
    return figures


def climb(value: float, height: Callable[[float], float]) -> tuple[float, float]:
    """Walk along a grid, coarse and then fine, to where its neighbours are lower."""
    heights = {value: height(value)}
    for ratio in RATIOS:
        for direction in (ratio, 1 / ratio):
            for _ in range(MOST_STEPS):
                ahead = value * direction
                if ahead not in heights:
                    heights[ahead] = height(ahead)
                if heights[ahead] <= heights[value]:
                    break
                value = ahead
    return value, heights[value]


def tuning(images: Images, experiments: Sequence[Experiment]) -> Figures:
    """Table 2: what is lost by finding strength or iterations without the truth."""
    figures: Figures = {}
    for name, truth in images.items():
        heading(f"2  loss of automatic against the best choice, dB: {name}", [e.number for e in experiments])
        counted = COUNTED if truth is next(iter(images.values())) else ()  # for they take the longest
        for method in (*TUNED, *counted):
            losses, factors = [], []
            for experiment in experiments:
                observed = experiment.observe(truth)
                found, result = gain(truth, observed, experiment, method, border="wrap")
                best, factor = (best_balance if method in TUNED else best_count)(
                    truth, observed, experiment, method, result
                )
                losses.append(best - found)
                factors.append(factor)
                figures[f"{name} {method} loss {experiment.number}"] = losses[-1]
            row(method, losses)
            row("   best/found", factors)
    return figures


def best_balance(
    truth: np.ndarray,
    observed: np.ndarray,
    experiment: Experiment,
    method: str,
    found: convcli.DeconvolutionResult,
) -> tuple[float, float]:
    """Gain at the best balance, and that balance over the one found."""

    def height(balance: float) -> float:
        return gain(truth, observed, experiment, method, border="wrap", balance=balance)[0]

    balance, best = climb(found.balance, height)
    return best, balance / found.balance


def best_count(
    truth: np.ndarray,
    observed: np.ndarray,
    experiment: Experiment,
    method: str,
    found: convcli.DeconvolutionResult,
) -> tuple[float, float]:
    """Gain at the best number of iterations, and that number over the one found."""
    gains: list[float] = []

    def watch(record: Iteration, _: object) -> None:
        gains.append(record.isnr)
        if len(gains) > 20 + 1.3 * int(np.argmax(gains)):
            raise KeyboardInterrupt  # it only gets worse

    options = {"border": "wrap", "iterations": MOST_ITERATIONS, "reference": truth, "watch": watch}
    gain(truth, observed, experiment, method, **options)
    return max(gains), (1 + int(np.argmax(gains))) / found.iterations


def photos(images: Images, experiments: Sequence[Experiment]) -> Figures:
    """Table 3: the same blurs where nothing is known of what lies outside the frame."""
    figures: Figures = {}
    for name, truth in images.items():
        print(f"\n3  ISNR, dB, and error at the rim over that inside, of photos: {name}", end="")
        for start in range(0, len(experiments), 3):
            part = experiments[start : start + 3]
            heading("", [f"{e.number} {what}" for e in part for what in ("dB", "ring")], 24)
            for method, border in itertools.product(methods.names(), BORDERS):
                if method == "clean" and border != "unknown":
                    continue  # slow, and not for photographs
                values = []
                for e in part:
                    observed, shown = e.observe(truth, valid=True), e.seen(truth)
                    value, result = gain(shown, observed, e, method, border=border)
                    values += [value, ring(shown, result.image)]
                    figures[f"photo {name} {method} {border} {e.number}"] = value
                    figures[f"ring {name} {method} {border} {e.number}"] = values[-1]
                row(f"{method} {border}", values, 24)
    return figures
