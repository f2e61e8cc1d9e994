"""Measure what the README claims: speed against others and start-up time, as ratios in one run."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import programs
import regret
import rivals
from measure import head, medians, show
from scipy import ndimage, signal, sparse

import convcli
from convcli.matrices.build import convolution_matrix
from convcli.matrices.files import write_matrix

ROOT = Path(__file__).parent.parent
BASE = [sys.executable, "-c", "import numpy, typer, PIL.Image"]
CONVCLI = [sys.executable, "-m", "convcli"]


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


def matrices(runs: int) -> None:
    """Build the matrix of a 1024×1024 image, and write that of a 64×64 one as text."""
    kernel = convcli.parse_kernel("gaussian:1,5").weights
    times = medians(
        {
            "ours": lambda: convcli.toeplitz_matrix(kernel, (1024, 1024)),
            "kron": lambda: kronecker_sum(kernel, 1024, 1024),
        },
        runs,
    )
    show("toeplitz 1024×1024 5×5 / Kronecker sum", times["ours"], times["kron"], "≤ 0.1")
    tracemalloc.start()
    matrix = convcli.toeplitz_matrix(kernel, (1024, 1024))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    size = matrix.data.nbytes + matrix.indices.nbytes + matrix.indptr.nbytes
    show("  peak memory / the matrix", peak, size, "< 2.5", 1e-6, "MB")
    rule = convolution_matrix(convcli.parse_kernel("sobel-x").values, (64, 64))
    dense = rule.tocsr().toarray()
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = Path(folder, "ours.csv"), Path(folder, "theirs.csv")

        def write() -> None:
            with ours.open("wb") as file:
                write_matrix(file, rule, "csv")

        def copy() -> None:
            theirs.write_bytes(ours.read_bytes())

        times = medians(
            {"ours": write, "savetxt": lambda: np.savetxt(theirs, dense, "%.17g", delimiter=",")}, 3
        )
        show("csv of 4356×4096 / numpy.savetxt", times["ours"], times["savetxt"], "≤ 0.05")
        times = medians({"ours": write, "copy": copy}, runs)
        show("  the same / writing the same bytes", times["ours"], times["copy"], "")


def kronecker_sum(kernel: np.ndarray, height: int, width: int) -> sparse.csr_array:
    """Build the same matrix as textbooks do: the sum over kernel rows of shift ⊗ small Toeplitz matrix."""
    taps, cells = kernel.shape
    total = None
    for row, weights in enumerate(kernel):
        diagonals = [np.full(width, weight) for weight in weights]
        small = sparse.diags(diagonals, [-j for j in range(cells)], shape=(width + cells - 1, width))
        shift = sparse.diags([np.ones(height)], [-row], shape=(height + taps - 1, height))
        part = sparse.kron(shift, small, format="csr")
        total = part if total is None else total + part
    return total


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


def harness(runs: int = 2000) -> None:
    """Time a millisecond of work by hand and as bench does: what the harness adds."""
    from convcli.bench.timer import Repeats, take_turns

    def work() -> None:
        end = time.perf_counter() + 1e-3
        while time.perf_counter() < end:
            pass

    began = time.perf_counter()
    take_turns({"work": work}, Repeats(min_runs=runs, max_runs=runs, min_seconds=0))
    whole = (time.perf_counter() - began) / runs
    show("bench: a run of 1 ms, harness included / 1 ms", whole, 1e-3, "≤ 1.01")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=2048, help="of the square float32 image")
    parser.add_argument("--runs", type=int, default=7)
    options = parser.parse_args()
    rivals.main(options.runs)
    programs.main()
    head()
    in_process(options.side, options.runs)
    matrices(options.runs)
    whole_process(options.runs)
    harness()
    regret.main()


if __name__ == "__main__":
    main()
