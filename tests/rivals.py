"""`auto` against the fastest function a user of Python could call instead, in one process."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import cv2
import numpy as np
from measure import copy_rate, fma_peak, geometric_mean, head, medians, show
from scipy import fft, ndimage, signal

import convcli
from convcli.spec import ConvSpec
from convcli.system.resources import cpu_count

SIDE = 2048
KERNELS = (3, 5, 7, 9, 11, 15, 21, 31, 63, 101)
SLOW = 15  # beyond it a plain loop over all cells takes seconds
SPIN = 0.3  # seconds for which the threads of torch go on taking processors away from others


def dense(runs: int) -> None:
    """Random kernels, zeros outside."""
    rng = np.random.default_rng(0)
    image = rng.standard_normal((SIDE, SIDE)).astype(np.float32)
    cv2.setNumThreads(cpu_count())
    peak, rate = fma_peak(), copy_rate(image.size)
    if peak:
        print(f"multiply-adds in registers: {peak / 1e9:.0f} GMAC/s;", end=" ")
    print(f"a copy, read and written: {rate / 1e9:.1f} GB/s = {8e9 / rate:.2f} ns/px")
    head("fastest")
    ratios = []
    for taps in KERNELS:
        kernel = rng.standard_normal((taps, taps)).astype(np.float32)
        ratio, ours, backend = _against(image, kernel, _functions(image, kernel), runs)
        ratios.append(ratio)
        if backend == "direct" and peak:
            reached = taps**2 * image.size / ours
            copied = 2 * image.nbytes / ours
            print(
                f"    {reached / 1e9:.0f} GMAC/s, {reached / peak:.0%} of the peak; "
                f"{copied / rate:.0%} of the bytes of a copy"
            )
    print(f"geometric mean {geometric_mean(ratios):.2f}   ≤ 0.6")


def separable(runs: int) -> None:
    """Gaussians, against the functions that know of them."""
    image = np.random.default_rng(0).standard_normal((SIDE, SIDE)).astype(np.float32)
    head("fastest")
    for taps in KERNELS:
        line = cv2.getGaussianKernel(taps, -1)
        row = line.astype(np.float32)
        rivals: dict[str, Callable[[], object]] = {
            "cv2.sepFilter2D": lambda row=row: cv2.sepFilter2D(image, -1, row, row),
            "cv2.GaussianBlur": lambda taps=taps: cv2.GaussianBlur(image, (taps, taps), 0),
        }
        _against(image, line @ line.T, rivals, runs, "gaussian ")


def _functions(image: np.ndarray, kernel: np.ndarray) -> dict[str, Callable[[], object]]:
    turned = np.ascontiguousarray(kernel[::-1, ::-1])
    found: dict[str, Callable[[], object]] = {
        "cv2.filter2D": lambda: cv2.filter2D(image, -1, turned, borderType=cv2.BORDER_CONSTANT),
        "scipy.signal.fftconvolve": lambda: _on_all(signal.fftconvolve, image, kernel),
        "scipy.signal.oaconvolve": lambda: _on_all(signal.oaconvolve, image, kernel),
    }
    if len(kernel) <= SLOW:
        found["scipy.ndimage.convolve"] = lambda: ndimage.convolve(image, kernel, mode="constant")
        found["scipy.signal.convolve2d"] = lambda: signal.convolve2d(image, kernel, "same")
    with contextlib.suppress(ImportError):
        import torch

        x, w = torch.from_numpy(image)[None, None], torch.from_numpy(turned)[None, None]

        def conv2d() -> None:
            with torch.inference_mode():
                torch.nn.functional.conv2d(x, w, padding=len(kernel) // 2)

        found["torch conv2d"] = conv2d
    return found


def _on_all(function: Callable[..., np.ndarray], image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    with fft.set_workers(cpu_count()):
        return function(image, kernel, "same")


def _against(
    image: np.ndarray, kernel: np.ndarray, rivals: dict[str, Callable[[], object]], runs: int, kind: str = ""
) -> tuple[float, float, str]:
    """Find the fastest rival, then take turns with it alone; return the ratio, our seconds, the backend."""
    quick = {name: min(_seconds(run) for _ in range(2)) for name, run in rivals.items()}
    fastest = min(quick, key=quick.__getitem__)
    time.sleep(SPIN)
    times = medians(
        {"ours": lambda: convcli.convolve(image, kernel), "theirs": rivals[fastest]},
        runs,
        SPIN * ("torch" in fastest),
    )
    chosen = convcli.plan(ConvSpec(image.shape, kernel.shape, rank=1 if kind else 0)).chosen
    target = "≤ 1.3" if kernel.shape == (3, 3) and not kind else "≤ 1.0"
    what = f"{kind}{len(kernel)}×{len(kernel)}, {chosen.name} / {fastest}"
    ratio = show(what, times["ours"], times["theirs"], target, 1e9 / image.size, "ns/px")
    return ratio, times["ours"], chosen.backend


def _seconds(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def main(runs: int = 9) -> None:
    dense(runs)
    separable(runs)


if __name__ == "__main__":
    main()
