"""Random calls of the compiled core, for one that was built with sanitizers.

    LD_PRELOAD=libasan.so python sanitize.py MODULE CALLS SEED

Every array begins with the first byte of a block of memory and ends with its last, so nothing can be
read or written beside it unseen. What the calls return is the matter of other tests.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import sys

import numpy as np

REAL = ("float32", "float64")
SOURCES = ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8")
CONSTANT = {"constant": {"constant_values": -1}}


def place(rng, shape, dtype, step=1, odd=0):
    """Return an array that fills its block of memory from end to end.

    Parameters
    ----------
    shape : tuple of int
    step : int
        Distance of neighbours in a row, in samples; negative for rows that run backwards.
    odd : int
        Bytes by which the first sample is out of line.
    """
    dtype = np.dtype(dtype)
    strides, extent = [step * dtype.itemsize], dtype.itemsize * (1 + abs(step) * (shape[-1] - 1))
    for n in reversed(shape[:-1]):
        gap = int(rng.choice((0, 0, dtype.itemsize, 5 * dtype.itemsize)))
        stride = -(-extent // dtype.itemsize) * dtype.itemsize + gap
        strides.insert(0, int(rng.choice((1, 1, -1))) * stride)
        extent += stride * (n - 1)
    block = np.empty(odd + extent, np.uint8)
    start = odd - sum(s * (n - 1) for s, n in zip(strides, shape, strict=True) if s < 0)
    array = np.ndarray(shape, dtype, block, start, strides)
    if dtype.kind == "f":
        array[...] = rng.standard_normal(shape[-1])
    else:
        block[:] = rng.integers(256)
    return array


def sizes(rng, *most):
    """Draw one size per limit: mostly small, at times up to the limit."""
    return [int(rng.integers(1, (m if rng.random() < 0.4 else min(m, 5)) + 1)) for m in most]


def correlate(rng, core, level):
    real = rng.choice(REAL)
    channels, outputs, *taps = sizes(rng, 3, 3, 3, 7, 9)
    if rng.random() < 0.2:
        taps[1:] = [(3, 3), (5, 5)][rng.integers(2)]
    image, places = padded(rng, (channels, *sizes(rng, 3, 9, 300)), real, taps)
    shape = [len(p) - t + 1 for p, t in zip(places, taps, strict=True)]
    kernels = rng.standard_normal((outputs, channels, *taps)).astype(real)
    result = place(rng, (outputs, *shape), real)
    core.correlate(image, kernels, result, level, *places, some_number(rng))


def passes(rng, core, level):
    real = rng.choice(REAL)
    terms, *taps = sizes(rng, 3, 7, 9)
    wide = 4000 if rng.random() < 0.1 else 300  # more than lies between the passes at once
    image, (_, *places) = padded(rng, (1, 1, *sizes(rng, 9, wide)), real, (1, *taps))
    shape = [len(p) - t + 1 for p, t in zip(places, taps, strict=True)]
    columns, rows = (rng.standard_normal((terms, n)).astype(real) for n in taps)
    core.passes(image, columns, rows, place(rng, (1, 1, *shape), real), level, *places, some_number(rng))


def box(rng, core, level):
    real = rng.choice(REAL)
    taps = sizes(rng, 12, 80)
    image, (_, *places) = padded(rng, (1, 1, *sizes(rng, 9, 300)), real, (1, *taps))
    shape = [len(p) - t + 1 for p, t in zip(places, taps, strict=True)]
    result = place(rng, (1, 1, *shape), real)
    core.box(image, *taps, some_number(rng), result, level, *places, some_number(rng))


def gather(rng, core, level):
    real = rng.choice(REAL)
    image, places = padded(rng, sizes(rng, 3, 3, 9, 300), real, (1, 1, 1))
    result = place(rng, (len(image), *map(len, places)), real)
    core.gather(image, *places, result, some_number(rng), level)


def padded(rng, shape, real, taps):
    """Draw an image of any type, and where every sample of its padded form is copied from."""
    plain = rng.random() < 0.5  # what can be read where it lies
    source = real if plain else rng.choice(SOURCES)
    step, odd = (1, 0) if plain else (int(rng.choice((1, 1, 2, 3, 4, -1, -3, 17))), int(rng.integers(2)))
    places = [positions(rng, n, t) for n, t in zip(shape[1:], taps, strict=True)]
    return place(rng, shape, source, step, odd), places


def positions(rng, size, least):
    """Draw positions in range(size), or -1: runs as borders have them, or disorder."""
    if rng.random() < 0.1:
        return rng.integers(-1, size, int(rng.integers(least, size + least + 1)))
    before, after = (int(rng.integers(60 if rng.random() < 0.1 else 4)) for _ in range(2))
    stride = int(rng.choice((1, 1, 1, 2, 3)))
    border = rng.choice(("constant", "edge", "wrap", "symmetric"))
    found = np.pad(np.arange(size), (before, after), border, **CONSTANT.get(border, {}))[::stride]
    return np.resize(found, max(least, len(found)))


def some_number(rng):
    return float(rng.choice((0, -1, 1e300, np.nan, np.inf)))


def finite(rng, core, level):
    core.finite(place(rng, sizes(rng, 2, 2, 3, 300), rng.choice(REAL)), level)


def finish(rng, core, level):
    shape = sizes(rng, 3, 4, 600)
    target, odd = rng.choice(("u1", "u2")), int(rng.integers(2))
    step = int(rng.choice((1, 1, 2, 3, 4, -1)))
    divisor, bias = float(rng.choice((1, 9, -0.0, np.nan))), float(rng.choice((0, 128, np.inf)))
    absolute, snap = bool(rng.integers(2)), bool(rng.integers(2))
    result = place(rng, shape, rng.choice(REAL))
    result *= rng.choice((1, 300, 1e30, np.nan, np.inf))
    core.finish(result, place(rng, shape, target, step, odd), divisor, bias, absolute, snap, level)


def unfilter(rng, core, _):
    rows, step = sizes(rng, 9, 8)
    row_bytes = step + int(rng.integers(60))
    lines = place(rng, (rows * (row_bytes + 1),), "u1")
    lines[:: row_bytes + 1] = rng.integers(0, 5, rows)
    if rng.random() < 0.1:
        lines[:] = 200
    core.unfilter(lines, place(rng, (rows * row_bytes,), "u1"), rows, step)


FUNCTIONS = (correlate, passes, box, gather, finite, finish, unfilter)


def overruns_are_seen():
    """Whether one byte beside a block of NumPy's ends a process: were it not, nothing would be shown."""
    child = os.fork()
    if not child:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        block = np.empty(100, np.uint8)
        ctypes.memset(block.ctypes.data + 100, 0, 1)
        os._exit(0)
    return os.waitpid(child, 0)[1] != 0


def main(path, calls, seed):
    if not overruns_are_seen():
        sys.exit("a byte was written beside its block, and nobody saw it")
    spec = importlib.util.spec_from_file_location("_native", path)
    core = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(core)
    rng, levels = np.random.default_rng(seed), len(core.levels())
    for number in range(calls):
        function = FUNCTIONS[number % len(FUNCTIONS)]
        function(rng, core, int(rng.integers(levels)))
    print(f"{calls} calls")


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
