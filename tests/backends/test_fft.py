"""Overlap-save: tiles, transforms, memory, and where the transforms come from."""

from __future__ import annotations

import gc
import math
import subprocess
import sys
import threading
import tracemalloc
import weakref

import numpy as np
import pytest
from scipy import signal

import convcli
from convcli import backends
from convcli.arrays import transforms
from convcli.arrays.gathering import Window
from convcli.engine.planner import piece_spec, plan
from convcli.engine.problem import prepare
from convcli.spec import ConvSpec
from convcli.system.resources import cpu_count

fft = backends.load("fft")
RNG = np.random.default_rng(5)
SHAPES = [
    ((4000,), (31,)),
    ((90, 120), (7, 9)),
    ((90, 120), (1, 30)),
    ((90, 120), (30, 1)),
    ((20, 30, 40), (3, 4, 5)),
]


def expected(image, kernel):
    return signal.convolve(image.astype(float), kernel.astype(float), mode="same", method="direct")


@pytest.fixture
def public(monkeypatch):
    """As with a SciPy whose parts are somewhere else."""
    monkeypatch.setattr(transforms, "_found", lambda: None)
    transforms._compiled.cache_clear()
    yield
    transforms._compiled.cache_clear()


@pytest.mark.usefixtures("public")
@pytest.mark.parametrize(("shape", "taps"), SHAPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8])
def test_scipy_as_everybody_knows_it_gives_the_same(shape, taps, dtype):
    image, kernel = (RNG.random(shape) * 99).astype(dtype), RNG.integers(-4, 9, taps)
    result = convcli.convolve(image, kernel, backend="fft")
    np.testing.assert_allclose(result, expected(image, kernel), rtol=1e-5, atol=1e-2)


def test_transforms_begin_without_the_rest_of_scipy_which_may_follow():
    code = (
        "import sys, numpy as np, convcli; x = np.random.random((40, 50)); k = np.ones((9, 9));"
        "one = convcli.convolve(x, k, backend='fft'); few = [n for n in sys.modules if n[:5] == 'scipy'];"
        "import scipy.fft, scipy.signal; other = scipy.signal.fftconvolve(x, k, mode='same');"
        "two = convcli.convolve(x, k, backend='fft');"
        "print(len(few), np.allclose(one, other), (one == two).all())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    assert done.stdout.split() == ["1", "True", "True"]


def test_an_import_is_counted_only_where_it_is_needed(monkeypatch):
    spec = ConvSpec((64, 64), (9, 9))
    assert fft.cost(spec).start == {}
    monkeypatch.setattr(transforms, "at_hand", lambda: False)
    assert fft.cost(spec).start == {"import scipy.fft": 1.0}


@pytest.mark.parametrize(("shape", "taps"), SHAPES)
@pytest.mark.parametrize("some", [1, 7, 64])
def test_the_rows_that_are_read_at_a_time_do_not_matter(monkeypatch, shape, taps, some):
    monkeypatch.setattr(fft, "_rows_at_a_time", lambda _, lengths: min(lengths[0], some))
    image, kernel = RNG.random(shape), RNG.random(taps)
    result = convcli.convolve(image, kernel, backend="fft")
    np.testing.assert_allclose(result, expected(image, kernel), atol=1e-10)


@pytest.mark.parametrize("size", [5, 8, 16])
def test_a_kernel_may_be_as_large_as_the_transform(size):
    image, kernel = RNG.random((size, size)), RNG.random((size, size))
    result = convcli.convolve(image, kernel, mode="valid", backend="fft")
    assert result[0, 0] == pytest.approx((image * kernel[::-1, ::-1]).sum())


@pytest.mark.parametrize("taps", [3, 31, 301, 3001])
@pytest.mark.parametrize("length", [1, 2, 255, 256, 5000, 200_003])
def test_a_signal_of_any_length_is_cut_into_rows(taps, length):
    image, kernel = RNG.random(length), RNG.random(taps)
    result = convcli.convolve(image, kernel, mode="full", backend="fft")
    np.testing.assert_allclose(result, signal.oaconvolve(image, kernel), atol=1e-9)


def test_a_bank_for_signals_in_tiles_of_several_rows():
    image, kernels = RNG.random((2, 3, 40_000)), RNG.random((4, 3, 17))
    result = prepare(image, kernels, mode="valid", op="correlate", backend="fft").compute(image)
    for item, found in zip(image, result, strict=True):
        rows = [sum(map(np.correlate, item, bank)) for bank in kernels]
        np.testing.assert_allclose(found, rows, atol=1e-10)


def test_samples_near_the_largest_float_do_not_overflow_on_the_way():
    image = np.full((300, 300), 3e38, np.float32)
    kernel = np.zeros((31, 31))
    kernel[3, 4], kernel[5, 6] = 0.5, 0.25
    result = convcli.convolve(image, kernel, border="nearest", backend="fft")
    np.testing.assert_allclose(result, 0.75 * 3e38, rtol=1e-4)


def test_the_kernel_is_transformed_once_for_a_whole_batch(monkeypatch):
    made = []
    init = fft.Circular.__init__
    monkeypatch.setattr(fft.Circular, "__init__", lambda self, *a: (made.append(self), init(self, *a))[1])
    image, kernel = RNG.random((5, 3, 60, 70)), RNG.random((9, 9))
    result = convcli.convolve(image, kernel, backend="fft")
    assert len(made) == 1
    np.testing.assert_allclose(result[4, 2], expected(image[4, 2], kernel), atol=1e-12)


@pytest.mark.parametrize("size", [300, 512, 1000])
def test_small_images_give_every_thread_a_tile(size):
    spec = piece_spec(ConvSpec((size, size), (31, 31)))
    tile = fft.tile(spec)
    count = math.prod(-(-size // n) for n in tile)
    assert count >= min(cpu_count(), 4)


@pytest.mark.parametrize(
    ("shape", "taps", "channels", "outputs"),
    [
        ((4096, 4096), (101, 101), 1, 1),
        ((700, 900), (31, 31), 1, 1),
        ((700, 900), (31, 31), 3, 4),
        ((70, 90, 80), (9, 9, 9), 1, 2),
        ((300_000,), (301,), 1, 1),
        ((300_000,), (30_001,), 2, 2),
        ((900, 900), (1, 101), 1, 1),
    ],
)
@pytest.mark.parametrize("exact", [False, True])
def test_a_tile_takes_the_memory_that_its_cost_says(shape, taps, channels, outputs, exact):
    spec = ConvSpec(shape, taps, channels=channels, outputs=outputs, mode="valid", exact=exact, bound=9.0)
    cost, tile = fft.cost(spec), fft.tile(spec)
    tile = tuple(min(n, axis.output) for n, axis in zip(tile, spec.axes, strict=True))
    image = np.zeros((channels, *(n + t - 1 for n, t in zip(tile, taps, strict=True))), np.float32)
    out = np.zeros((outputs, *tile), np.float32)
    kernels = np.ones((outputs, channels, *taps), np.float32)
    fft.prepare(kernels, spec, tile)  # what is imported and cached stays
    tracemalloc.start()
    try:
        apply = fft.prepare(kernels, spec, tile)
        apply(Window(image, np.dtype(np.float32)), out)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert 0.9 * cost.memory_bytes <= peak <= cost.memory_bytes + (1 << 18)  # NumPy has buffers of its own
    assert cost.peak_bytes <= fft.PROCESSOR.largest_bytes


def test_no_thread_holds_on_to_memory_when_a_convolution_is_over(monkeypatch):
    held = []
    init = fft.Memory.__init__

    def watched(self, *arguments):
        init(self, *arguments)
        held.append((threading.get_ident(), weakref.ref(self.spectra)))

    monkeypatch.setattr(fft.Memory, "__init__", watched)
    convcli.convolve(RNG.random((900, 900)), RNG.random((31, 31)), backend="fft", threads=2)
    gc.collect()
    assert held
    assert [thread for thread, memory in held if memory() is not None] == []


def test_the_estimate_grows_with_what_is_done():
    def seconds(**changes):
        given = {"image_shape": (512, 512), "kernel_shape": (31, 31)} | changes
        return plan(ConvSpec(**given), "fft", threads=1).cost.seconds

    assert seconds(image_shape=(1024, 1024)) > 3 * seconds()
    assert seconds(dtype="float64") > 1.5 * seconds()
    assert 2 * seconds() < seconds(batch=3) < 3 * seconds()
    assert seconds(kernel_shape=(1, 31)) < seconds()
    assert seconds(channels=8, outputs=8) > 8 * seconds()
