"""Other projects say the same, once their names and conventions are translated."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage
import scipy.signal
from oracle import MODES_AND_BORDERS, assert_close

import convcli

RNG_SHAPES = {1: ((23,), (4,)), 2: ((11, 13), (4, 3)), 3: ((6, 5, 7), (3, 2, 4))}


def pair(axes, dtype=float, seed=23):
    rng = np.random.default_rng(seed)
    image_shape, kernel_shape = RNG_SHAPES[axes]
    if dtype is float:
        return rng.standard_normal(image_shape), rng.standard_normal(kernel_shape)
    return rng.integers(-99, 99, image_shape), rng.integers(-9, 9, kernel_shape)


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
def test_numpy_convolve(backend, mode):
    image, kernel = pair(1)
    result = convcli.convolve(image, kernel, mode=mode, backend=backend)
    assert_close(result, np.convolve(image, kernel, mode), kernel, image)


@pytest.mark.parametrize("mode", ["full", "valid"])
def test_numpy_correlate(backend, mode):
    image, kernel = pair(1)
    result = convcli.convolve(image, kernel, op="correlate", mode=mode, backend=backend)
    assert_close(result, np.correlate(image, kernel, mode), kernel, image)


@pytest.mark.parametrize("dtype", [float, int])
@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("axes", RNG_SHAPES)
def test_scipy_signal_convolve(backend, axes, mode, dtype):
    image, kernel = pair(axes, dtype)
    reference = scipy.signal.convolve(image, kernel, mode, method="direct")
    result = convcli.convolve(image, kernel, mode=mode, backend=backend)
    assert result.dtype == reference.dtype
    assert_close(result, reference, kernel, image)


@pytest.mark.parametrize("dtype", [float, int])
@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("axes", RNG_SHAPES)
def test_scipy_signal_correlate(backend, axes, mode, dtype):
    image, kernel = pair(axes, dtype)
    reference = scipy.signal.correlate(image, kernel, mode, method="direct")
    centre = tuple(n // 2 for n in kernel.shape)  # theirs is the middle of the kernel turned round
    result = convcli.convolve(image, kernel, op="correlate", mode=mode, origin=centre, backend=backend)
    assert_close(result, reference, kernel, image)


@pytest.mark.parametrize(
    ("theirs", "border"), [("fill", "constant"), ("wrap", "wrap"), ("symm", "symmetric")]
)
@pytest.mark.parametrize("mode", ["full", "same", "valid"])
def test_scipy_signal_convolve2d(backend, mode, theirs, border):
    image, kernel = pair(2)
    reference = scipy.signal.convolve2d(image, kernel, mode, theirs, 2.5)
    options = {"mode": mode, "border": border, "border_value": 2.5, "backend": backend}
    assert_close(convcli.convolve(image, kernel, **options), reference, kernel, np.append(image, 2.5))


NDIMAGE = {
    "nearest": "nearest",
    "symmetric": "reflect",
    "mirror": "mirror",
    "wrap": "wrap",
    "constant": "constant",
}


@pytest.mark.parametrize("op", ["convolve", "correlate"])
@pytest.mark.parametrize("border", NDIMAGE)
@pytest.mark.parametrize("shift", [0, -1, 1])
@pytest.mark.parametrize("axes", RNG_SHAPES)
def test_scipy_ndimage(backend, axes, shift, border, op):
    image, kernel = pair(axes)
    if shift == 1:
        kernel = kernel[
            tuple(slice(n - 1 + n % 2) for n in kernel.shape)
        ]  # odd sizes have room on either side
        kernel = np.pad(kernel, [(0, 3 - n) if n < 3 else (0, 0) for n in kernel.shape])
    function = getattr(scipy.ndimage, op)
    reference = function(image, kernel, mode=NDIMAGE[border], cval=1.5, origin=shift)
    origin = tuple(n // 2 + shift for n in kernel.shape)
    options = {"op": op, "border": border, "border_value": 1.5, "origin": origin, "backend": backend}
    assert_close(convcli.convolve(image, kernel, **options), reference, kernel, np.append(image, 1.5))


@pytest.mark.parametrize("border", ["nearest", "symmetric", "mirror", "wrap"])
def test_scipy_ndimage_with_kernels_larger_than_the_image(backend, border):
    rng = np.random.default_rng(24)
    image, kernel = rng.standard_normal((3, 2)), rng.standard_normal((11, 9))
    reference = scipy.ndimage.convolve(image, kernel, mode=NDIMAGE[border])
    assert_close(convcli.convolve(image, kernel, border=border, backend=backend), reference, kernel, image)


OPENCV = {
    "nearest": "BORDER_REPLICATE",
    "symmetric": "BORDER_REFLECT",
    "mirror": "BORDER_REFLECT_101",
    "zero": "BORDER_CONSTANT",
}


@pytest.mark.parametrize("border", OPENCV)
@pytest.mark.parametrize("anchor", [None, (0, 0), (2, 1), (3, 2)])
def test_opencv_filter2d(backend, anchor, border):
    cv2 = pytest.importorskip("cv2")
    rng = np.random.default_rng(25)
    image, kernel = rng.standard_normal((11, 13)), rng.standard_normal((3, 4))
    corner = anchor or (2, 1)  # theirs is written x, y and is n // 2 by default
    flag = getattr(cv2, OPENCV[border])
    reference = cv2.filter2D(image, cv2.CV_64F, kernel, anchor=anchor or (-1, -1), borderType=flag)
    options = {"op": "correlate", "border": border, "origin": corner[::-1], "backend": backend}
    assert_close(convcli.convolve(image, kernel, **options), reference, kernel, image)


NUMPY_PAD = {
    "zero": {"mode": "constant"},
    "constant": {"mode": "constant", "constant_values": -2.5},
    "nearest": {"mode": "edge"},
    "symmetric": {"mode": "symmetric"},
    "mirror": {"mode": "reflect"},
    "wrap": {"mode": "wrap"},
}


@pytest.mark.parametrize("shape", [(9, 8), (2, 3), (1, 5)])
@pytest.mark.parametrize(("mode", "border"), MODES_AND_BORDERS)
def test_numpy_pad_and_then_valid(backend, mode, border, shape):
    rng = np.random.default_rng(26)
    image, kernel = rng.standard_normal(shape), rng.standard_normal((4, 5))
    if mode == "valid":
        image = np.pad(image, 4, mode="wrap")
    ahead, behind = {"same": ((2, 2), (1, 2)), "full": ((3, 4), (3, 4)), "valid": ((0, 0), (0, 0))}[mode]
    padded = np.pad(image, list(zip(ahead, behind, strict=True)), **NUMPY_PAD[border])
    reference = scipy.signal.convolve(padded, kernel, "valid", method="direct")
    options = {"mode": mode, "border": border, "border_value": -2.5, "backend": backend}
    assert_close(convcli.convolve(image, kernel, **options), reference, kernel, padded)


def test_a_correlation_finds_a_template_where_skimage_finds_it(backend):
    feature = pytest.importorskip("skimage.feature")
    rng = np.random.default_rng(27)
    image = rng.random((40, 50))
    template = image[12:19, 30:36]
    scores = feature.match_template(image, template)
    centred = template - template.mean()
    result = convcli.convolve(image, centred, op="correlate", mode="valid", backend=backend)
    windows = np.lib.stride_tricks.sliding_window_view(image, template.shape)
    spread = windows.std(axis=(2, 3)) * centred.std() * centred.size
    assert np.allclose(result / spread, scores, atol=1e-9)
