"""Measure what the README claims: speed against SciPy and start-up time, as ratios in one run.

Rivals take turns (A B A B …), so that a noisy machine is noisy for all; medians are compared.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy import ndimage, signal

import convcli

ROOT = Path(__file__).parent.parent
BASE = [sys.executable, "-c", "import numpy, typer, PIL.Image"]
CONVCLI = [sys.executable, "-m", "convcli"]


def medians(rivals: dict[str, Callable[[], object]], runs: int) -> dict[str, float]:
    """Median seconds of each, called in turn."""
    for run in rivals.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in rivals}
    for _ in range(runs):
        for name, run in rivals.items():
            began = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - began)
    return {name: statistics.median(values) for name, values in times.items()}


def show(what: str, ours: float, theirs: float, target: str, scale: float = 1e3, unit: str = "ms") -> None:
    print(
        f"{what:44} {ours * scale:8.2f} {unit} {theirs * scale:8.2f} {unit}   {ours / theirs:5.2f}   {target}"
    )


def in_process(side: int, runs: int) -> None:
    rng = np.random.default_rng(0)
    image = rng.standard_normal((side, side)).astype(np.float32)
    scale, unit = 1e9 / image.size, "ns/px"
    for n in (15, 21, 31, 41, 63, 81, 101):
        kernel = rng.standard_normal((n, n)).astype(np.float32)
        times = medians(
            {
                "ours": lambda k=kernel: convcli.convolve(image, k, backend="fft"),
                "oaconvolve": lambda k=kernel: signal.oaconvolve(image, k, mode="same"),
            },
            runs,
        )
        show(
            f"fft {n}×{n} / scipy.signal.oaconvolve",
            times["ours"],
            times["oaconvolve"],
            "≤ 0.35",
            scale,
            unit,
        )
    for n in (3, 5, 7, 9, 11, 15):
        kernel = rng.standard_normal((n, n)).astype(np.float32)
        times = medians(
            {
                "ours": lambda k=kernel: convcli.convolve(image, k, backend="toeplitz"),
                "ndimage": lambda k=kernel: ndimage.correlate(image, k),
            },
            runs,
        )
        show(
            f"toeplitz {n}×{n} / scipy.ndimage.correlate", times["ours"], times["ndimage"], "< 1", scale, unit
        )


def whole_process(runs: int) -> None:
    from PIL import Image

    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "in.png"), Path(folder, "out.png")
        Image.open(ROOT / "sample_images" / "camera.png").convert("L").resize((512, 512)).save(source)
        filtering = [*CONVCLI, "convolve", str(source), "-k", "sharpen", "-f", "-o", str(target)]

        # An installed program has its bytecode.
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}

        def process(command: list[str]) -> Callable[[], object]:
            return lambda: subprocess.run(command, check=True, capture_output=True, env=environment)

        times = medians(
            {
                "base": process(BASE),
                "version": process([*CONVCLI, "--version"]),
                "filter": process(filtering),
            },
            2 * runs,
        )
    show("convcli --version / import numpy typer PIL", times["version"], times["base"], "< 1.6")
    show("convcli convolve 512×512 3×3 / the same", times["filter"], times["base"], "< 2")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=2048, help="of the square float32 image")
    parser.add_argument("--runs", type=int, default=7)
    options = parser.parse_args()
    print(f"{'':44} {'convcli':>11} {'rival':>11}   ratio   target")
    in_process(options.side, options.runs)
    whole_process(options.runs)


if __name__ == "__main__":
    main()
