"""Table 5: seconds, against scikit-image and per iteration."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
from experiments import SAMPLES, gray, normalised, star
from skimage.restoration import richardson_lucy

import convcli
from convcli.deconvolution import methods

SIDE = 1024
ITERATIONS = 50
RUNS = 5


def photo() -> np.ndarray:
    """8-bit, 1024×1024."""
    image = gray(SAMPLES / "camera.png")
    times = [-(-SIDE // n) for n in image.shape]
    return np.tile(image, times)[:SIDE, :SIDE].astype(np.uint8)


def seconds(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def rivals(image: np.ndarray, psf: np.ndarray) -> dict[str, float]:
    """Richardson–Lucy as the shell runs it on 8 bits, and scikit-image's; they take turns."""
    narrow, wide = (image.astype(dtype) / dtype(255) for dtype in (np.float32, np.float64))
    runs = {
        "convcli wrap": lambda: convcli.deconvolve(
            image, psf, method="rl", border="wrap", iterations=ITERATIONS
        ),
        "convcli unknown": lambda: convcli.deconvolve(image, psf, method="rl", iterations=ITERATIONS),
        "skimage float32": lambda: richardson_lucy(narrow, psf.astype(np.float32), ITERATIONS, clip=False),
        "skimage float64": lambda: richardson_lucy(wide, psf, ITERATIONS, clip=False),
    }
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(RUNS):
        for name, run in runs.items():
            times[name].append(seconds(run))
    medians = {name: statistics.median(values) for name, values in times.items()}
    ours = runs["convcli wrap"]().image
    inside = (slice(128, -128),) * 2  # scikit-image takes the outside for 0
    print(f"\n5  Richardson–Lucy, {ITERATIONS} iterations, {SIDE}×{SIDE}, 8 bits, 15×15, median of {RUNS}")
    print(f"{'':24}{'seconds':>9}{'wrap ÷':>9}{'unkn. ÷':>9}{'largest difference inside':>28}")
    for name, value in medians.items():
        line = f"{name:24}{value:9.2f}{medians['convcli wrap'] / value:9.2f}"
        line += f"{medians['convcli unknown'] / value:9.2f}"
        if name.startswith("skimage"):
            difference = np.abs(ours[inside] - 255 * runs[name]()[inside]).max()
            line += f"{difference:21.4f} levels"
        print(line, flush=True)
    return {
        "rl wrap ÷ skimage float32": medians["convcli wrap"] / medians["skimage float32"],
        "rl wrap ÷ skimage float64": medians["convcli wrap"] / medians["skimage float64"],
    }


def per_iteration(image: np.ndarray, psf: np.ndarray) -> None:
    print(f"\n{'5  per iteration':24}{'wrap':>9}{'unknown':>9}   ms, {SIDE}×{SIDE}")
    for method in methods.names():
        line = f"{method:24}"
        for border in ("wrap", "unknown"):

            def run(count: int, method: str = method, border: str = border) -> float:
                options = {"method": method, "border": border, "tolerance": 0, "noise": 2}
                began = time.perf_counter()
                result = convcli.deconvolve(image, psf, iterations=count, **options)
                return (time.perf_counter() - began) / result.iterations

            run(1)
            line += f"{1e3 * run(6):9.1f}"
        print(line, flush=True)


def table() -> dict[str, float]:
    image, psf = photo(), normalised(star())
    figures = rivals(image, psf)
    per_iteration(image, psf)
    return figures
