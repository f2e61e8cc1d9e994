"""What holds for every convolution, tried on examples that nobody picked."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from oracle import BORDERS, LOCAL_BACKENDS, OPS, assert_matches, convolve_exactly

import convcli
from convcli.errors import UsageError

LONGEST = {1: (9, 9), 2: (5, 4), 3: (3, 3)}  # sides of image and kernel, kept small for the oracle
DTYPES = ("bool", "uint8", "int16", "uint16", "int64", "float16", "float32", "float64")


def integers(shape, most=9):
    return hnp.arrays(np.int64, shape, elements=st.integers(-most, most))


def sides(axes, longest):
    return st.tuples(*[st.integers(1, longest)] * axes)


@st.composite
def whole_kernels(draw, shape):
    """Draw an integer kernel; every other one is an outer product of lines."""
    if draw(st.booleans()):
        return draw(integers(shape))
    return functools.reduce(np.multiply.outer, [draw(integers(n, 3)) for n in shape])


@st.composite
def pairs(draw, kernels=1):
    """Draw one small integer image and kernels with as many axes."""
    axes = draw(st.integers(1, 3))
    image = draw(integers(draw(sides(axes, LONGEST[axes][0]))))
    shape = draw(sides(axes, LONGEST[axes][1]))
    return image, *(draw(whole_kernels(shape)) for _ in range(kernels))


@st.composite
def geometries(draw, kernel_shape):
    """Draw options that fit the kernel; `same` and `full` only, which always have an output."""
    return {
        "mode": draw(st.sampled_from(["same", "full"])),
        "border": draw(st.sampled_from(BORDERS)),
        "op": draw(st.sampled_from(OPS)),
        "origin": tuple(draw(st.integers(0, n - 1)) for n in kernel_shape),
        "stride": tuple(draw(st.integers(1, 3)) for _ in kernel_shape),
        "dilation": tuple(draw(st.integers(1, 3)) for _ in kernel_shape),
    }


# --- algebra, exactly, on integers


@given(data=st.data(), pair=pairs(kernels=2), a=st.integers(-5, 5), b=st.integers(-5, 5))
def test_convolution_is_linear_in_the_kernel(backend, data, pair, a, b):
    image, one, two = pair
    options = data.draw(geometries(one.shape)) | {"border_value": 3, "backend": backend}
    whole = convcli.convolve(image, a * one + b * two, **options)
    parts = a * convcli.convolve(image, one, **options) + b * convcli.convolve(image, two, **options)
    assert np.array_equal(whole, parts)


@given(data=st.data(), pair=pairs(), a=st.integers(-5, 5), b=st.integers(-5, 5))
def test_convolution_is_linear_in_the_image(backend, data, pair, a, b):
    one, kernel = pair
    two = data.draw(integers(one.shape))
    options = data.draw(geometries(kernel.shape)) | {"backend": backend}
    whole = convcli.convolve(a * one + b * two, kernel, **options)
    parts = a * convcli.convolve(one, kernel, **options) + b * convcli.convolve(two, kernel, **options)
    assert np.array_equal(whole, parts)


@given(data=st.data(), pair=pairs())
def test_on_a_torus_a_shifted_image_gives_a_shifted_result(backend, data, pair):
    image, kernel = pair
    shift = data.draw(st.tuples(*[st.integers(-4, 4)] * image.ndim))
    options = {"border": "wrap", "op": data.draw(st.sampled_from(OPS)), "backend": backend}
    axes = tuple(range(image.ndim))
    shifted = convcli.convolve(np.roll(image, shift, axes), kernel, **options)
    assert np.array_equal(shifted, np.roll(convcli.convolve(image, kernel, **options), shift, axes))


@given(data=st.data(), pair=pairs())
def test_a_shifted_image_in_darkness_gives_a_shifted_result(backend, data, pair):
    image, kernel = pair
    ahead = data.draw(st.tuples(*[st.integers(0, 3)] * image.ndim))
    margin = [(n, 0) for n in ahead]
    result = convcli.convolve(np.pad(image, margin), kernel, mode="full", backend=backend)
    assert np.array_equal(
        result, np.pad(convcli.convolve(image, kernel, mode="full", backend=backend), margin)
    )


@given(pair=pairs())
def test_full_convolution_is_commutative(backend, pair):
    image, kernel = pair
    options = {"mode": "full", "backend": backend}
    assert np.array_equal(
        convcli.convolve(image, kernel, **options), convcli.convolve(kernel, image, **options)
    )


@given(triple=pairs(kernels=2))
def test_full_convolution_is_associative(backend, triple):
    image, one, two = triple
    options = {"mode": "full", "backend": backend}
    left = convcli.convolve(convcli.convolve(image, one, **options), two, **options)
    right = convcli.convolve(image, convcli.convolve(one, two, **options), **options)
    assert np.array_equal(left, right)


@given(data=st.data(), pair=pairs())
def test_correlation_is_convolution_with_the_kernel_turned_round(backend, data, pair):
    image, kernel = pair
    options = data.draw(geometries(kernel.shape)) | {
        "op": "correlate",
        "border_value": -2,
        "backend": backend,
    }
    turned = tuple(n - 1 - o for n, o in zip(kernel.shape, options["origin"], strict=True))
    other = convcli.convolve(image, np.flip(kernel), **(options | {"op": "convolve", "origin": turned}))
    assert np.array_equal(convcli.convolve(image, kernel, **options), other)


@given(data=st.data(), pair=pairs())
def test_full_convolution_and_valid_correlation_are_adjoint(backend, data, pair):
    image, kernel = pair
    forward = convcli.convolve(image, kernel, mode="full", backend=backend)
    other = data.draw(integers(forward.shape))
    backward = convcli.convolve(other, kernel, mode="valid", op="correlate", backend=backend)
    assert backward.shape == image.shape
    assert np.vdot(forward, other) == np.vdot(image, backward)


@given(data=st.data(), pair=pairs(), border=st.sampled_from(["zero", "wrap"]))
def test_same_convolution_and_same_correlation_are_adjoint(backend, data, pair, border):
    image, kernel = pair
    options = {"border": border, "backend": backend, "origin": data.draw(geometries(kernel.shape))["origin"]}
    other = data.draw(integers(image.shape))
    forward = convcli.convolve(image, kernel, **options)
    backward = convcli.convolve(other, kernel, op="correlate", **options)
    assert np.vdot(forward, other) == np.vdot(image, backward)


@given(data=st.data(), pair=pairs())
def test_a_stride_selects_from_the_result_without_one(backend, data, pair):
    image, kernel = pair
    options = data.draw(geometries(kernel.shape)) | {"border_value": 4, "backend": backend}
    whole = convcli.convolve(image, kernel, **(options | {"stride": 1}))
    selected = whole[tuple(slice(None, None, s) for s in options["stride"])]
    assert np.array_equal(convcli.convolve(image, kernel, **options), selected)


@given(data=st.data(), pair=pairs())
def test_dilation_stuffs_the_kernel_with_zeros(backend, data, pair):
    image, kernel = pair
    options = data.draw(geometries(kernel.shape)) | {"border_value": 4, "backend": backend}
    dilation = options["dilation"]
    stuffed = np.zeros([(n - 1) * d + 1 for n, d in zip(kernel.shape, dilation, strict=True)], int)
    stuffed[tuple(slice(None, None, d) for d in dilation)] = kernel
    origin = tuple(o * d for o, d in zip(options["origin"], dilation, strict=True))
    other = convcli.convolve(image, stuffed, **(options | {"dilation": 1, "origin": origin}))
    assert np.array_equal(convcli.convolve(image, kernel, **options), other)


# --- the kernel that is 1 at the origin


@given(data=st.data(), op=st.sampled_from(OPS), dtype=st.sampled_from(DTYPES))
def test_a_one_at_the_origin_returns_the_image_unchanged(backend, data, op, dtype):
    axes = data.draw(st.integers(1, 3))
    shape, kernel_shape = (data.draw(sides(axes, n)) for n in LONGEST[axes])
    image = data.draw(images(shape, dtype, bad=False))
    kernel = np.zeros(kernel_shape, int if np.dtype(dtype).kind != "f" else float)
    origin = data.draw(geometries(kernel_shape))["origin"]
    kernel[origin] = 1
    border = data.draw(st.sampled_from(BORDERS))
    result = convcli.convolve(image, kernel, op=op, border=border, origin=origin, backend=backend)
    if backend not in LOCAL_BACKENDS and result.dtype.kind == "f":
        exact = convolve_exactly(image, kernel, op=op, border=border, origin=origin)
        assert_matches(result, exact, backend)
    else:
        assert np.array_equal(result, image)


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("border", BORDERS)
def test_the_default_origin_is_where_a_one_returns_the_image(backend, border, op):
    image = np.arange(35).reshape(5, 7)
    for shape in [(1, 1), (2, 3), (4, 4), (3, 6)]:
        kernel = np.zeros(shape, int)
        kernel[(shape[0] - 1) // 2, (shape[1] - 1) // 2] = 1
        assert np.array_equal(convcli.convolve(image, kernel, op=op, border=border, backend=backend), image)


# --- everything at once


@st.composite
def images(draw, shape, dtype, bad=True):
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        numbers = st.floats(-1000, 1000, width=16, allow_subnormal=False)
        if bad:
            numbers = st.one_of(numbers, numbers, numbers, st.sampled_from([np.nan, np.inf, -np.inf]))
        return draw(hnp.arrays(dtype, shape, elements=numbers))
    return draw(hnp.arrays(dtype, shape)) if dtype.itemsize < 8 else draw(integers(shape, 2**40))


@st.composite
def calls(draw):
    """Draw an image, a kernel, and every option at random."""
    axes = draw(st.integers(1, 3))
    shape, kernel_shape = (draw(sides(axes, n)) for n in LONGEST[axes])
    leading = draw(st.sampled_from([(), (), (2,), (1, 2), (0,)]))
    options = draw(geometries(kernel_shape)) | {
        "nan": draw(st.sampled_from(["propagate", "interpolate", "fill:0", "fill:-7.25"])),
        "precision": draw(st.sampled_from(["auto", "auto", "float32", "float64"])),
    }
    options["mode"] = draw(st.sampled_from(["same", "full", "valid"]))
    if options["border"] == "constant":
        options["border_value"] = draw(st.sampled_from([0, 1.0, -3, 0.5, 1e3]))
    if draw(st.booleans()):
        del options["origin"]
    if options["nan"] == "interpolate":  # weights that cannot cancel
        weights = st.sampled_from([0.25, 0.5, 1.0, 3.0])
        kernel = draw(
            hnp.arrays(draw(st.sampled_from(["float32", "float64"])), kernel_shape, elements=weights)
        )
    elif draw(st.booleans()):
        kernel = draw(whole_kernels(kernel_shape))
    else:
        numbers = st.floats(-10, 10, width=32, allow_subnormal=False)
        kernel = draw(
            hnp.arrays(draw(st.sampled_from(["float32", "float64"])), kernel_shape, elements=numbers)
        )
    return draw(images(leading + shape, draw(st.sampled_from(DTYPES)))), kernel, options


def has_output(image, kernel, options):
    spread = options["dilation"]
    spatial = image.shape[image.ndim - kernel.ndim :]
    fits = all((k - 1) * d < n for n, k, d in zip(spatial, kernel.shape, spread, strict=True))
    return options["mode"] != "valid" or fits


@given(call=calls())
def test_any_call_agrees_with_the_oracle(backend, call):
    image, kernel, options = call
    if not has_output(image, kernel, options):
        with pytest.raises(UsageError, match="larger than image"):
            convcli.convolve(image, kernel, backend=backend, **options)
        return
    result = convcli.convolve(image, kernel, backend=backend, **options)
    precision = options.pop("precision")
    assert_matches(result, convolve_exactly(image, kernel, **options), backend)
    whole = [a.dtype.kind in "bui" for a in (image, kernel)] == [True, True]
    whole_border = float(options.get("border_value", 0)).is_integer()
    if precision != "auto":
        assert result.dtype == precision
    elif whole and whole_border:
        assert result.dtype == np.int64
    elif image.dtype.kind == "f":
        assert result.dtype == ("float64" if image.dtype == np.float64 else "float32")


@given(data=st.data(), pair=pairs())
def test_planes_of_a_batch_do_not_touch(backend, data, pair):
    image, kernel = pair
    options = data.draw(geometries(kernel.shape)) | {"backend": backend}
    batch = np.stack([image, data.draw(integers(image.shape)), image])
    whole = convcli.convolve(batch, kernel, **options)
    assert np.array_equal(whole[0], whole[2])
    for plane, result in zip(batch, whole, strict=True):
        assert np.array_equal(result, convcli.convolve(plane, kernel, **options))
