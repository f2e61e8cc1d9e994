"""Measure the GPU's backends against its libraries, with data on the device; needs a GPU and CuPy.

``python3 tests/gpu_bench.py [SIDE]``, of 8192 by default, from a plain checkout. PyTorch takes part where it
is installed. Times are those between two CUDA events, medians: of our kernels alone, and of several calls in
a row of the others, so that the GPU need not wait for the host. `call` is a call of `convcli.convolve`, from
the host's side, until the result is there.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import convcli
from convcli import backends
from convcli.arrays import device

SIZES = (3, 5, 7, 9, 11, 15, 21, 31)
LARGE = (63, 101)
RUNS = 15
IN_A_ROW = 4


def timed(calls: dict[str, Callable[[], Any]], runs: int = RUNS) -> dict[str, float]:
    """Median seconds on the GPU of each call, in turns, after a turn that is not counted."""
    event = device.cupy().cuda.Event
    times: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(runs + 1):
        for name, call in calls.items():
            began, ended = event(), event()
            began.record()
            for _ in range(IN_A_ROW):
                call()
            ended.record()
            ended.synchronize()
            if turn:
                seconds = device.cupy().cuda.get_elapsed_time(began, ended) / 1e3
                times[name].append(seconds / IN_A_ROW)
    return {name: statistics.median(found) for name, found in times.items()}


def ours(image: Any, kernel: np.ndarray, backend: str) -> tuple[float, float]:
    """Median seconds of the kernels alone, and of whole calls, of our own backend."""
    kernels, calls = [], []
    for turn in range(RUNS + 1):
        began = time.perf_counter()
        with device.watched() as phases:
            result = convcli.convolve(image, kernel, op="correlate", border="zero", backend=backend)
        if turn:
            kernels.append(phases["kernel"])
            calls.append(time.perf_counter() - began)
        del result
    return statistics.median(kernels), statistics.median(calls)


def rivals(image: Any, kernel: np.ndarray) -> dict[str, Callable[[], Any]]:
    """The same by CuPy and, where it is installed, by PyTorch."""
    from cupyx.scipy import ndimage, signal

    cells = device.cupy().asarray(kernel)
    found: dict[str, Callable[[], Any]] = {
        "cupyx correlate": lambda: ndimage.correlate(image, cells, mode="constant"),
        "cupyx fftconvolve": lambda: signal.fftconvolve(image, cells, mode="same"),
    }
    try:
        import torch
    except ImportError:
        return found
    pixels = torch.as_tensor(image, device="cuda")[None, None]
    weights = torch.as_tensor(cells, device="cuda")[None, None]
    padding = tuple((n - 1) // 2 for n in kernel.shape)
    for name, tf32 in (("torch", False), ("torch, TF32", True)):

        def conv(tf32: bool = tf32) -> Any:
            torch.backends.cudnn.allow_tf32 = tf32
            with torch.cuda.stream(torch.cuda.ExternalStream(device.cupy().cuda.get_current_stream().ptr)):
                return torch.nn.functional.conv2d(pixels, weights, padding=padding)

        torch.backends.cudnn.benchmark = True
        found[name] = conv
    return found


def bandwidth(image: Any) -> float:
    """Bytes per second that a copy within the device reads and writes."""
    other = device.cupy().empty_like(image)
    return 2 * image.nbytes / timed({"copy": lambda: device.cupy().copyto(other, image)})["copy"]


def check(image: Any, kernel: np.ndarray, backend: str) -> float:
    """Largest error of a corner, against the processor in float64, as a fraction of the largest value."""
    side = 256 + max(kernel.shape)
    found = convcli.convolve(image, kernel, op="correlate", backend=backend)[:256, :256].get()
    corner = image[:side, :side].get().astype(np.float64)
    wanted = convcli.convolve(corner, kernel.astype(float), op="correlate", backend="fft")[:256, :256]
    return float(np.abs(found - wanted).max() / np.abs(wanted).max())


def main() -> None:
    """Print the table."""
    reason = device.unavailable()
    if reason is not None:
        raise SystemExit(f"no GPU to measure: {reason}")
    side = int(sys.argv[1]) if len(sys.argv) > 1 else 8192
    rng = device.cupy().random.default_rng(0)
    image = rng.standard_normal((side, side), dtype=np.float32)
    copy = bandwidth(image)
    print(device.describe())
    print(f"{side}×{side} float32 on the device; a copy reads and writes {copy / 1e9:.0f} GB/s")
    for size in (*SIZES, *LARGE):
        kernel = np.random.default_rng(size).standard_normal((size, size)).astype(np.float32)
        others = rivals(image, kernel)
        if size in LARGE:  # these would take seconds
            others = {name: call for name, call in others.items() if "fft" in name}
        times = timed(others)
        print(f"\n{size}×{size}" + "".join(f"   {name} {t * 1e3:.3f} ms" for name, t in times.items()))
        for backend in backends.members("cuda"):
            if size in LARGE and backend in ("cuda:im2col", "cuda:toeplitz"):
                continue
            seconds, call = ours(image, kernel, backend)
            share = 2 * image.nbytes / seconds / copy
            ratios = "".join(f"  {seconds / t:.2f} of {name}" for name, t in times.items())
            rate, work = f"{share:4.0%} of a copy's bytes/s", size * size * image.size / seconds / 1e12
            print(
                f"  {backend:14} {seconds * 1e3:8.3f} ms (call {call * 1e3:.3f})  {rate}  "
                f"{work:6.2f} T multiply-adds/s  error {check(image, kernel, backend):.0e}{ratios}"
            )
    column = np.random.default_rng(1).standard_normal(31)
    image_kernel = np.outer(column, column[::-1])
    seconds, call = ours(image, image_kernel, "cuda:direct")
    print(f"\n31×31 in 1-D passes: {seconds * 1e3:.3f} ms (call {call * 1e3:.3f})")


if __name__ == "__main__":
    main()
