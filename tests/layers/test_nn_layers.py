"""Layers are their formulas, exactly: nested loops over every product that a layer adds up."""

from __future__ import annotations

import itertools
import math
import re
import subprocess
import sys
import tracemalloc
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from oracle import assert_close

from convcli import layers
from convcli.errors import LimitError, UsageError
from convcli.layers import masking
from convcli.layers.transposed_polyphase import families


@dataclass(frozen=True)
class Layer:
    """A convolution by its sizes; tuples have one number per spatial axis."""

    image: tuple[int, ...]
    taps: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    begins: tuple[int, ...]
    ends: tuple[int, ...]
    groups: int = 1
    channels: int = 1  # of the image, per group
    outputs: int = 1  # per group
    batch: int = 2

    @property
    def options(self):
        padding = (*self.begins, *self.ends)
        return {"stride": self.stride, "padding": padding, "dilation": self.dilation, "groups": self.groups}

    @property
    def extents(self):
        return [(k - 1) * d + 1 for k, d in zip(self.taps, self.dilation, strict=True)]

    @property
    def output(self):
        """Count windows by trying all positions."""
        numbers = zip(self.image, self.extents, self.stride, self.begins, self.ends, strict=True)
        return tuple(sum(i + e <= p + n + q for i in range(0, p + n + q, s)) for n, e, s, p, q in numbers)

    @property
    def x_shape(self):
        return (self.batch, self.groups * self.channels, *self.image)

    @property
    def w_shape(self):
        return (self.groups * self.outputs, self.channels, *self.taps)

    @property
    def y_shape(self):
        return (self.batch, self.groups * self.outputs, *self.output)

    def arrays(self, dtype=int, seed=0):
        """Draw x, w, and y that stands for a gradient."""
        rng = np.random.default_rng([seed, *self.image, *self.taps, *self.stride])
        shapes = (self.x_shape, self.w_shape, self.y_shape)
        if dtype is int:
            return tuple(rng.integers(-9, 10, shape) for shape in shapes)
        return tuple(rng.standard_normal(shape).astype(dtype) for shape in shapes)

    def products(self):
        """Indices in y, x and w of every product in y[n,o,i] = Σ w[o,c,m] · x[n,c,si+dm−p]."""
        for position in itertools.product(*map(range, self.output)):
            for cell in itertools.product(*map(range, self.taps)):
                numbers = zip(position, cell, self.stride, self.dilation, self.begins, strict=True)
                sample = tuple(s * i + d * m - p for i, m, s, d, p in numbers)
                if not all(0 <= j < n for j, n in zip(sample, self.image, strict=True)):
                    continue
                for n, group in itertools.product(range(self.batch), range(self.groups)):
                    for o, c in itertools.product(range(self.outputs), range(self.channels)):
                        out, channel = group * self.outputs + o, group * self.channels + c
                        yield (n, out, *position), (n, channel, *sample), (out, c, *cell)


def forward(layer, x, w, mask=None):
    """`mask` is (N, C, *taps, *output)."""
    result = np.zeros(layer.y_shape, dtype=object)
    for at_y, at_x, at_w in layer.products():
        if mask is None or mask[(*at_x[:2], *at_w[2:], *at_y[2:])]:
            result[at_y] += x[at_x].item() * w[at_w].item()
    return result


def image_gradient(layer, y, w):
    result = np.zeros(layer.x_shape, dtype=object)
    for at_y, at_x, at_w in layer.products():
        result[at_x] += y[at_y].item() * w[at_w].item()
    return result


def kernel_gradient(layer, x, y):
    result = np.zeros(layer.w_shape, dtype=object)
    for at_y, at_x, at_w in layer.products():
        result[at_w] += y[at_y].item() * x[at_x].item()
    return result


def assert_exact(result, expected):
    assert result.dtype == np.int64
    assert result.shape == expected.shape
    assert result.tolist() == expected.tolist()


CASES = {
    "plain": Layer((9,), (3,), (1,), (1,), (0,), (0,), channels=2, outputs=3),
    "one tap": Layer((4, 5), (1, 1), (1, 1), (1, 1), (0, 0), (0, 0), channels=3, outputs=2),
    "one tap, stride": Layer((7, 5), (1, 1), (3, 2), (1, 1), (0, 0), (0, 0), channels=3, outputs=2),
    "padded": Layer((5, 6), (3, 3), (1, 1), (1, 1), (1, 1), (1, 1), channels=2, outputs=2),
    "unequal padding": Layer((5, 4), (3, 2), (1, 2), (1, 1), (0, 2), (3, 1), channels=2),
    "stride": Layer((9, 8), (3, 3), (2, 2), (1, 1), (1, 1), (1, 1), channels=2, outputs=2),
    "dilation": Layer((9, 8), (3, 2), (1, 1), (2, 3), (2, 1), (2, 1), outputs=2),
    "stride and dilation share a factor": Layer((15,), (4,), (4,), (6,), (5,), (6,), outputs=2),
    "stride divides dilation": Layer((14, 9), (3, 2), (2, 3), (4, 3), (1, 0), (2, 3)),
    "dilation divides stride": Layer((14,), (5,), (6,), (2,), (3,), (0,), channels=2),
    "stride beyond the kernel": Layer((11, 10), (2, 1), (5, 4), (1, 1), (1, 0), (0, 0), outputs=2),
    "rest after the last window": Layer((10,), (3,), (4,), (1,), (0,), (0,)),
    "kernel beyond the image": Layer((2, 1), (4, 3), (1, 1), (1, 2), (2, 2), (1, 2)),
    "windows in the padding": Layer((2,), (2,), (1,), (1,), (4,), (5,)),
    "groups": Layer((6, 5), (3, 3), (2, 1), (1, 2), (1, 2), (1, 2), groups=3, channels=2, outputs=2),
    "depthwise": Layer((6, 7), (3, 3), (1, 2), (1, 1), (1, 1), (1, 1), groups=4, outputs=1),
    "depthwise, multiplied": Layer((9,), (3,), (2,), (1,), (1,), (1,), groups=3, outputs=2),
    "volume": Layer((4, 5, 3), (2, 3, 2), (1, 2, 1), (1, 1, 2), (1, 0, 1), (0, 1, 1), channels=2, outputs=2),
    "volume, groups": Layer((5, 3, 4), (2, 1, 3), (3, 1, 2), (2, 1, 1), (1, 0, 1), (1, 0, 1), groups=2),
}
each_case = pytest.mark.parametrize("layer", CASES.values(), ids=CASES)


@each_case
def test_conv_is_its_definition(backend, layer):
    x, w, _ = layer.arrays()
    assert_exact(layers.conv(x, w, backend=backend, **layer.options), forward(layer, x, w))


@each_case
def test_conv_of_floats_is_its_definition_up_to_rounding(backend, layer):
    x, w, _ = layer.arrays(float)
    fractions = [np.vectorize(Fraction, otypes=[object])(a) for a in (x, w)]
    expected = np.zeros(layer.y_shape, dtype=object)
    for at_y, at_x, at_w in layer.products():
        expected[at_y] += fractions[0][at_x] * fractions[1][at_w]
    result = layers.conv(x, w, backend=backend, **layer.options)
    assert result.dtype == np.float64
    assert_close(result, expected.astype(float), w, x)


@each_case
def test_conv_input_grad_is_its_definition(backend, layer):
    _, w, y = layer.arrays()
    result = layers.conv_input_grad(y, w, layer.x_shape, backend=backend, **layer.options)
    assert_exact(result, image_gradient(layer, y, w))


@each_case
def test_conv_weight_grad_is_its_definition(backend, layer):
    x, _, y = layer.arrays()
    result = layers.conv_weight_grad(x, y, layer.w_shape, backend=backend, **layer.options)
    assert_exact(result, kernel_gradient(layer, x, y))


@each_case
def test_conv_transpose_is_its_definition(backend, layer):
    _, w, y = layer.arrays()
    numbers = zip(
        layer.image, layer.output, layer.extents, layer.stride, layer.begins, layer.ends, strict=True
    )
    extra = tuple(n + p + q - (o - 1) * s - e for n, o, e, s, p, q in numbers)
    result = layers.conv_transpose(y, w, output_padding=extra, backend=backend, **layer.options)
    assert_exact(result, image_gradient(layer, y, w))


def test_the_loops_would_notice_a_kernel_turned_round():
    layer = CASES["unequal padding"]
    x, w, _ = layer.arrays()
    with pytest.raises(AssertionError):
        assert_exact(layers.conv(x, w[..., ::-1], **layer.options), forward(layer, x, w))


def test_the_loops_would_notice_padding_at_the_other_end():
    layer = CASES["unequal padding"]
    x, w, y = layer.arrays()
    options = replace(layer, begins=layer.ends, ends=layer.begins).options
    with pytest.raises(AssertionError):
        assert_exact(layers.conv(x, w, **options), forward(layer, x, w))
    with pytest.raises(AssertionError):
        assert_exact(layers.conv_input_grad(y, w, layer.image, **options), image_gradient(layer, y, w))


@st.composite
def drawn(draw):
    """Draw layers of one to three axes in which some window fits."""
    axes = draw(st.sampled_from([1, 2, 2, 3]))

    def each(least, most):
        return draw(st.tuples(*[st.integers(least, most)] * axes))

    taps, dilation, begins, ends = each(1, 4), each(1, 4), each(0, 3), each(0, 3)
    numbers = zip(each(1, (16, 9, 5)[axes - 1]), taps, dilation, begins, ends, strict=True)
    image = tuple(max(n, (k - 1) * d + 1 - p - q) for n, k, d, p, q in numbers)
    amounts = {name: draw(st.integers(1, 3)) for name in ("groups", "channels", "outputs", "batch")}
    return Layer(image, taps, each(1, 6), dilation, begins, ends, **amounts)


@given(drawn())
def test_conv_and_its_gradients_are_one_bilinear_form(layer):
    x, w, y = layer.arrays()
    whole = int((layers.conv(x, w, **layer.options) * y).sum())
    assert int((x * layers.conv_input_grad(y, w, layer.image, **layer.options)).sum()) == whole
    assert int((w * layers.conv_weight_grad(x, y, layer.taps, **layer.options)).sum()) == whole


@given(drawn())
def test_conv_transpose_is_the_adjoint_of_conv(layer):
    _, w, y = layer.arrays()
    numbers = zip(layer.output, layer.stride, layer.extents, layer.begins, layer.ends, strict=True)
    assume(all((n - 1) * s + e > p + q for n, s, e, p, q in numbers))
    result = layers.conv_transpose(y, w, **layer.options)
    shape = result.shape[2:]
    x = np.random.default_rng(5).integers(-9, 10, result.shape)
    again = layers.conv(x, w, **replace(layer, image=shape).options)
    assert int((again * y).sum()) == int((x * result).sum())


@given(drawn())
def test_conv_is_linear_in_image_and_kernel(layer):
    (x, w, _), (x2, w2, _) = layer.arrays(seed=1), layer.arrays(seed=2)
    left = layers.conv(3 * x + x2, w - 2 * w2, **layer.options)
    parts = [layers.conv(a, b, **layer.options) for a, b in ((x, w), (x, w2), (x2, w), (x2, w2))]
    assert np.array_equal(left, 3 * parts[0] - 6 * parts[1] + parts[2] - 2 * parts[3])


@pytest.mark.parametrize("name", ["stride", "groups", "volume", "dilation divides stride"])
def test_gradients_are_finite_differences(name):
    layer = CASES[name]
    x, w, y = layer.arrays(float)
    shift, rng = 1e-3, np.random.default_rng(6)

    def loss(x, w):
        return float((layers.conv(x, w, **layer.options) * y).sum())

    for target, grad in (
        (x, layers.conv_input_grad(y, w, x.shape, **layer.options)),
        (w, layers.conv_weight_grad(x, y, w.shape, **layer.options)),
    ):
        for _ in range(10):
            where = tuple(rng.integers(0, n) for n in target.shape)
            kept = target[where]
            target[where] = kept + shift
            above = loss(x, w)
            target[where] = kept - shift
            below = loss(x, w)
            target[where] = kept
            assert (above - below) / (2 * shift) == pytest.approx(grad[where], abs=1e-8)


def test_output_padding_may_reach_the_stride_where_the_dilation_is_larger():
    result = layers.conv_transpose([[[1, 2]]], [[[1, 10]]], stride=2, dilation=4, output_padding=3)
    assert result.tolist() == [[[1, 0, 2, 0, 10, 0, 20, 0, 0, 0]]]


def test_samples_that_no_window_reaches_have_gradient_zero():
    grad = layers.conv_input_grad(np.ones((1, 1, 2)), np.ones((1, 1, 2)), 9, stride=4)
    assert grad.tolist() == [[[1, 1, 0, 0, 1, 1, 0, 0, 0]]]


@given(st.integers(1, 12), st.integers(1, 8), st.integers(1, 6), st.integers(1, 6), st.integers(0, 5))
def test_every_cell_meets_every_sample_once_so_no_zero_is_multiplied(size, taps, stride, dilation, ahead):
    reach = (size - 1) * stride + (taps - 1) * dilation + 1
    found = families(size, taps, stride, dilation, 0, reach)
    cells = sorted(m for family in found for cells, _ in family.members for m in range(taps)[cells])
    assert cells == list(range(taps))
    cut = families(size, taps, stride, dilation, ahead, max(1, reach - ahead))
    outputs = [
        i for family in cut for _, outputs in family.members for i in range(max(1, reach - ahead))[outputs]
    ]
    assert len(outputs) == len(set(outputs))


def test_residues_alike_are_one_convolution():
    assert [len(family.members) for family in families(16, 64, 32, 1, 0, 544)] == [32]


@pytest.mark.parametrize("name", [None, "same-upper", "same-lower"])
@pytest.mark.parametrize("extra", [0, 1])
@pytest.mark.parametrize("wanted", range(1, 14))
def test_output_shape_of_conv_transpose_makes_the_padding_that_onnx_defines(wanted, extra, name):
    x, w, stride = np.array([3, 5, 7]), np.array([1, 10, 100, 1000]), 3
    uncut = [0] * (stride * 2 + 4 + extra)
    for i, m in itertools.product(range(3), range(4)):
        uncut[stride * i + m] += int(x[i] * w[m])
    total = len(uncut) - wanted
    start = math.floor(total / 2) if name == "same-upper" else total - math.floor(total / 2)
    if name is None:
        start = max(start, 0)
    expected = [uncut[i + start] if 0 <= i + start < len(uncut) else 0 for i in range(wanted)]
    options = {"stride": stride, "output_padding": extra, "output_shape": wanted, "padding": name or 0}
    assert layers.conv_transpose(x[None, None], w[None, None], **options).tolist() == [[expected]]


def test_outputs_that_no_cell_meets_are_zero_and_get_the_bias():
    result = layers.conv_transpose([[[5]]], [[[1]]], [2], stride=3, padding="same-upper")
    assert result.tolist() == [[[2, 7, 2]]]
    nothing = layers.conv_transpose([[[5, 6]]], [[[1]]], stride=4, output_shape=1, padding="same-upper")
    assert nothing.tolist() == [[[0]]]
    assert nothing.dtype == np.int64


# --- padding


@pytest.mark.parametrize("taps", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("dilation", [1, 2, 3])
def test_same_keeps_the_size_and_pads_an_odd_sample_at_the_end(taps, dilation):
    x, w = np.arange(1, 8)[None, None], np.random.default_rng(7).integers(-9, 10, (1, 1, taps))
    total = dilation * (taps - 1)
    explicit = layers.conv(x, w, padding=(total // 2, total - total // 2), dilation=dilation)
    result = layers.conv(x, w, padding="same", dilation=dilation)
    assert result.shape == x.shape
    assert np.array_equal(result, explicit)
    assert np.array_equal(layers.conv(x, w, padding="same-upper", dilation=dilation), explicit)
    turned = layers.conv(x, w, padding=(total - total // 2, total // 2), dilation=dilation)
    assert np.array_equal(layers.conv(x, w, padding="same-lower", dilation=dilation), turned)
    back = layers.conv_transpose(result, w, padding="same", dilation=dilation)
    expected = layers.conv_input_grad(result, w, 7, padding="same", dilation=dilation)
    assert np.array_equal(back, expected)


@pytest.mark.parametrize("stride", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [1, 5, 6, 7, 8])
@pytest.mark.parametrize("taps", [1, 2, 3, 5])
def test_same_upper_and_lower_put_out_a_sample_per_stride(size, taps, stride):
    x, w = np.arange(size)[None, None] + 1, np.arange(taps)[None, None] + 1
    output = math.ceil(size / stride)
    total = max((output - 1) * stride + taps - size, 0)
    for name, begin in (("same-upper", total // 2), ("same-lower", total - total // 2)):
        result = layers.conv(x, w, stride=stride, padding=name)
        assert result.shape == (1, 1, output)
        explicit = layers.conv(x, w, stride=stride, padding=(begin, total - begin))
        assert np.array_equal(result, explicit[..., :output])
        pooled = layers.max_pool(x, taps, stride=stride, padding=name)
        assert pooled.shape == result.shape


def test_one_number_one_per_axis_and_all_begins_and_ends_mean_the_same():
    x, w, _ = CASES["padded"].arrays()
    expected = layers.conv(x, w, padding=1)
    for padding in ((1, 1), [1, 1, 1, 1], np.array([1, 1]), np.int64(1)):
        assert np.array_equal(layers.conv(x, w, padding=padding), expected)
    assert np.array_equal(layers.conv(x, w, padding="valid"), layers.conv(x, w))


# --- types, bias, gaps, emptiness


@pytest.mark.parametrize(
    ("image", "kernel", "expected"),
    [
        ("uint8", "int64", "int64"),
        ("bool", "bool", "int64"),
        ("int64", "int8", "int64"),
        ("uint8", "float32", "float32"),
        ("float16", "float32", "float32"),
        ("float32", "float64", "float32"),
        ("float64", "float32", "float64"),
    ],
)
def test_types_are_those_of_convolve(image, kernel, expected):
    x, w = np.ones((1, 2, 4, 4), image), np.ones((2, 2, 3, 3), kernel)
    assert layers.conv(x, w).dtype == expected
    assert layers.conv_transpose(x, w).dtype == expected
    assert layers.masked_conv(x, w, np.ones((9, 4))).dtype == expected
    assert layers.conv(x, w, precision="float64").dtype == "float64"
    assert layers.conv(x, w, [1, 2], precision="float32").dtype == "float32"
    assert layers.masked_conv(x, w, np.ones((9, 4)), [1, 2], precision="float32").dtype == "float32"


def test_large_integers_stay_exact():
    x = np.array([[[2**52 + 1, 3, 2**52 + 1]]])
    assert layers.conv(x, [[[1000, 0, 999]]]).item() == 1999 * (2**52 + 1)
    assert layers.conv_transpose(x, [[[1000]]])[0, 0, 0] == 1000 * (2**52 + 1)
    assert layers.conv_weight_grad(x, [[[1000, 0, 999]]], 1).item() == 1999 * (2**52 + 1)
    assert layers.masked_conv(x, [[[1000, 0, 999]]], [[1], [0], [1]]).item() == 1999 * (2**52 + 1)
    assert layers.conv([[[2**62]]], [[[1]]], [2**62 - 1]).item() == 2**63 - 1


def test_bias_is_added_to_every_output():
    layer = CASES["groups"]
    x, w, y = layer.arrays()
    bias = np.arange(6) * 100 - 50
    shaped = bias[:, None, None]
    plain = layers.conv(x, w, **layer.options)
    assert_exact(layers.conv(x, w, bias, **layer.options), (plain + shaped).astype(object))
    assert np.array_equal(layers.conv(x, w, bias / 4, **layer.options), plain + shaped / 4)
    channels = np.arange(6, dtype="uint8")
    back = layers.conv_transpose(y, w, **layer.options)
    biased = layers.conv_transpose(y, w, channels, **layer.options)
    assert_exact(biased, (back + channels[:, None, None].astype(int)).astype(object))


@pytest.mark.parametrize("bias", [[1, 2], [0.5, 1]])
@pytest.mark.parametrize("image", ["int64", "uint8", "float32", "float64"])
def test_an_empty_batch_has_the_type_of_a_full_one(image, bias):
    empty, full = (layers.conv(np.ones((n, 1, 4), image), np.ones((2, 1, 2), int), bias) for n in (0, 1))
    assert empty.dtype == full.dtype


def test_a_bias_beyond_float32_is_infinite_without_a_word():
    x, w = np.ones((1, 1, 2), "float32"), np.ones((2, 1, 2), "float32")
    assert layers.conv(x, w, [1e39, -1e39]).tolist() == [[[np.inf], [-np.inf]]]
    assert layers.conv(x * np.float32(1e38), w, [3e38, 0])[0, 0, 0] == np.inf


def test_a_gap_makes_the_outputs_that_cover_it_nan_and_no_others(backend):
    layer = CASES["stride"]
    x, w, y = layer.arrays(float)
    clean = layers.conv(x, w, backend=backend, **layer.options)
    x[1, 0, 4, 3] = np.inf
    covered = forward(layer, np.isinf(x).astype(int), np.ones_like(w, dtype=int)).astype(int) > 0
    result = layers.conv(x, w, backend=backend, **layer.options)
    assert np.array_equal(np.isnan(result), covered)
    np.testing.assert_allclose(result[~covered], clean[~covered], rtol=1e-9, atol=1e-12)
    y[0, 1, 2, 2] = np.nan
    covered = image_gradient(layer, np.isnan(y).astype(int), np.ones_like(w, dtype=int)).astype(int) > 0
    result = layers.conv_input_grad(y, w, layer.image, backend=backend, **layer.options)
    assert np.array_equal(np.isnan(result), covered)


def test_a_gap_in_the_gradient_makes_the_kernel_of_its_output_nan():
    layer = CASES["groups"]
    x, _, y = layer.arrays(float)
    clean = layers.conv_weight_grad(x, y, layer.taps, **layer.options)
    y[1, 4, 0, 0] = np.nan
    result = layers.conv_weight_grad(x, y, layer.taps, **layer.options)
    assert np.isnan(result[4]).all()
    others = [0, 1, 2, 3, 5]
    np.testing.assert_allclose(result[others], clean[others], rtol=1e-12)


def test_an_empty_batch_gives_an_empty_result_and_no_gradient():
    layer = replace(CASES["groups"], batch=0)
    x, w, y = layer.arrays()
    assert layers.conv(x, w, np.ones(6), **layer.options).shape == layer.y_shape
    assert layers.conv_input_grad(y, w, layer.x_shape, **layer.options).shape == layer.x_shape
    assert layers.conv_transpose(y, w, np.ones(6), **layer.options).shape[:2] == (0, 6)
    gradient = layers.conv_weight_grad(x, y, layer.w_shape, **layer.options)
    assert gradient.dtype == np.int64
    assert np.array_equal(gradient, np.zeros(layer.w_shape))
    assert layers.max_pool(x, 2).shape == layers.avg_pool(x, 2).shape == (0, 6, 3, 2)
    assert layers.masked_conv(x[:, :2], w[:2], np.ones((9, 12))).shape == (0, 2, 4, 3)


def test_depthwise_with_hundreds_of_channels_is_one_convolution_per_channel():
    rng = np.random.default_rng(8)
    x, w = rng.integers(-9, 10, (2, 300, 8, 7)), rng.integers(-9, 10, (300, 1, 3, 2))
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 2), axis=(2, 3))[:, :, ::2]
    expected = np.einsum("ncijab,cab->ncij", windows, w[:, 0])
    assert np.array_equal(layers.conv(x, w, stride=(2, 1), groups=300), expected)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_and_views_change_nothing(threads):
    layer = CASES["groups"]
    x, w, _ = layer.arrays()
    view = np.asfortranarray(np.repeat(x, 2, axis=-1))[..., ::2]
    assert_exact(layers.conv(view, w[...], threads=threads, **layer.options), forward(layer, x, w))


# --- pools


def pool_windows(layer, ceil_mode):
    """List, per output, the cells of its window that exist: position, and whether inside the image."""
    per_axis = []
    numbers = (layer.image, layer.extents, layer.taps, layer.stride, layer.dilation, layer.begins, layer.ends)
    for n, extent, taps, stride, dilation, begin, end in zip(*numbers, strict=True):
        starts, start = [], 0
        while start + extent <= begin + n + end:
            starts.append(start - begin)
            start += stride
        # One more that is cut off, if it begins in the image or ahead of it, and the last did not end there.
        reached = starts[-1] + begin + extent if starts else 0
        if ceil_mode and reached < begin + n + end and start < begin + n:
            starts.append(start - begin)
        windows = [[start + dilation * m for m in range(taps)] for start in starts]
        per_axis.append([[(j, 0 <= j < n) for j in w if -begin <= j < n + end] for w in windows])
    return per_axis


def pool_exactly(layer, x, ceil_mode, combine):
    windows = pool_windows(layer, ceil_mode)
    result = np.empty((*x.shape[:2], *map(len, windows)), dtype=object)
    for where in np.ndindex(result.shape):
        cells = list(itertools.product(*(w[i] for w, i in zip(windows, where[2:], strict=True))))
        inside = [tuple(j for j, _ in cell) for cell in cells if all(there for _, there in cell)]
        result[where] = combine([x[(*where[:2], *j)].item() for j in inside], len(cells))
    return result


POOLS = {
    "plain": Layer((7,), (2,), (2,), (1,), (0,), (0,)),
    "overlap": Layer((7, 8), (3, 2), (2, 1), (1, 1), (1, 1), (1, 0)),
    "gaps between windows": Layer((11, 9), (2, 3), (4, 5), (1, 1), (0, 0), (0, 0)),
    "unequal padding": Layer((6, 7), (4, 4), (3, 2), (1, 1), (3, 1), (0, 2)),
    "dilation": Layer((9, 7), (3, 2), (2, 3), (2, 3), (1, 0), (2, 1)),
    "window beyond the image": Layer((3, 2), (4, 3), (3, 2), (1, 1), (2, 1), (1, 1)),
    "last window begins in the padding behind": Layer((4,), (2,), (3,), (1,), (1,), (1,)),
    "whole image": Layer((5, 6), (5, 6), (5, 6), (1, 1), (0, 0), (0, 0)),
    "volume": Layer((5, 4, 6), (2, 3, 2), (2, 2, 3), (1, 1, 2), (1, 0, 1), (0, 1, 1)),
}
each_pool = pytest.mark.parametrize("layer", POOLS.values(), ids=POOLS)
rounding_up = pytest.mark.parametrize("ceil_mode", [False, True])


def pool_options(layer, ceil_mode):
    options = {name: value for name, value in layer.options.items() if name != "groups"}
    return {**options, "ceil_mode": ceil_mode}


def mean(values, cells):
    return float(Fraction(sum(values), cells)) if cells else math.nan


@each_pool
@rounding_up
@pytest.mark.parametrize("dtype", ["int8", "uint8", "int64", "float32"])
def test_max_pool_is_its_definition(layer, ceil_mode, dtype):
    x = np.random.default_rng(9).integers(-100, -1, (2, 3, *layer.image)).astype(dtype)
    expected = pool_exactly(layer, x, ceil_mode, lambda values, _: max(values))
    result = layers.max_pool(x, layer.taps, **pool_options(layer, ceil_mode))
    assert result.dtype == dtype
    assert result.tolist() == expected.tolist()


@each_pool
@rounding_up
@pytest.mark.parametrize("include", [False, True])
def test_avg_pool_is_its_definition(layer, ceil_mode, include):
    x = np.random.default_rng(10).integers(-100, 100, (2, 3, *layer.image))
    expected = pool_exactly(
        layer, x, ceil_mode, lambda values, cells: mean(values, cells if include else len(values))
    )
    options = {**pool_options(layer, ceil_mode), "count_include_pad": include}
    result = layers.avg_pool(x, layer.taps, **options)
    assert result.dtype == np.float64
    assert result.tolist() == expected.tolist()
    for dtype in ("float32", "float64"):
        floats = layers.avg_pool(x.astype(dtype), layer.taps, **options)
        assert floats.dtype == dtype
        np.testing.assert_allclose(floats, expected.astype(float), rtol=8 * np.finfo(dtype).eps)


@given(drawn(), st.booleans(), st.booleans())
def test_pools_of_any_geometry_are_their_definitions(layer, ceil_mode, include):
    begins, ends = (
        tuple(min(p, e - 1) for p, e in zip(pads, layer.extents, strict=True))
        for pads in (layer.begins, layer.ends)
    )
    image = tuple(map(max, layer.image, layer.extents))
    layer = replace(layer, image=image, begins=begins, ends=ends)
    x = np.random.default_rng(10).integers(-100, 100, (1, 2, *image))
    options = pool_options(layer, ceil_mode)
    least = np.iinfo(x.dtype).min  # of a dilated window that meets no sample
    expected = pool_exactly(layer, x, ceil_mode, lambda values, _: max(values, default=least))
    assert layers.max_pool(x, layer.taps, **options).tolist() == expected.tolist()
    expected = pool_exactly(
        layer, x, ceil_mode, lambda values, cells: mean(values, cells if include else len(values))
    )
    result = layers.avg_pool(x, layer.taps, count_include_pad=include, **options)
    assert np.array_equal(result, expected.astype(float), equal_nan=True)


def test_windows_are_as_far_apart_as_they_are_wide_by_default():
    x = np.arange(12).reshape(1, 1, 12)
    assert layers.max_pool(x, 4).tolist() == [[[3, 7, 11]]]
    assert layers.avg_pool(x, 4).tolist() == [[[1.5, 5.5, 9.5]]]


def test_truth_values_are_pooled_as_bytes():
    result = layers.max_pool(np.array([[[True, False, False, False]]]), 2)
    assert result.dtype == np.uint8
    assert result.tolist() == [[[1, 0]]]


def test_nan_wins_the_maximum_and_padding_never_does():
    x = np.array([[[-np.inf, -5.0, np.nan, -7.0, -9.0, -8.0]]])
    assert np.array_equal(
        layers.max_pool(x, 3, stride=1, padding=1), [[[-5, np.nan, np.nan, np.nan, -7, -8]]], equal_nan=True
    )
    assert layers.max_pool(np.full((1, 1, 2), -128, "int8"), 2, padding=1).tolist() == [[[-128, -128]]]
    assert layers.max_pool(x[..., :1], 2, padding=1, dilation=2).tolist() == [[[-np.inf]]]


def test_the_mean_of_nothing_is_nan():
    alone = {"padding": 1, "dilation": 2, "count_include_pad": False}
    assert np.isnan(layers.avg_pool([[[3]]], 2, **alone)).all()
    assert layers.avg_pool([[[3]]], 2, padding=1, dilation=2).tolist() == [[[0]]]


def test_the_largest_integers_have_an_exact_sum():
    x = np.full((1, 1, 2), 2**61 + 2**9)
    assert layers.avg_pool(x, 2).item() == 2**61 + 2**9
    assert layers.avg_pool(np.full((1, 1, 2), 255, "uint8"), 2).item() == 255


# --- locally masked convolution


MASKED = ["plain", "padded", "unequal padding", "stride", "dilation", "stride beyond the kernel", "volume"]


@pytest.mark.parametrize("lead", [(), (1,), (1, 1), (0, 1), (1, 0), (0, 0)])
@pytest.mark.parametrize("name", MASKED)
def test_masked_conv_is_its_definition(name, lead):
    layer = CASES[name]
    x, w, _ = layer.arrays()
    full = layer.x_shape[:2][2 - len(lead) :]
    shape = [whole if size == 0 else 1 for size, whole in zip(lead, full, strict=True)]
    rng = np.random.default_rng(11)
    mask = rng.integers(0, 2, (*shape, *layer.taps, *layer.output))
    broadcast = np.broadcast_to(mask, (*layer.x_shape[:2], *layer.taps, *layer.output))
    expected = forward(layer, x, w, broadcast)
    options = {name: value for name, value in layer.options.items() if name != "groups"}
    assert_exact(layers.masked_conv(x, w, mask, **options), expected)
    flat = mask.reshape(*shape, math.prod(layer.taps), -1).astype(bool)
    assert_exact(layers.masked_conv(x, w, flat, **options), expected)


def test_strips_and_threads_give_the_same_as_one_piece(monkeypatch):
    layer = CASES["volume"]
    x, w, _ = layer.arrays(float)
    mask = np.random.default_rng(12).integers(0, 2, (*layer.taps, *layer.output))
    options = {name: value for name, value in layer.options.items() if name != "groups"}
    whole = layers.masked_conv(x, w, mask, **options)
    for positions in (1, 2, 5, 7):
        monkeypatch.setattr(masking, "STRIP_BYTES", positions * 8 * w[0].size)
        for threads in (1, 3):
            result = layers.masked_conv(x, w, mask, threads=threads, **options)
            np.testing.assert_allclose(result, whole, rtol=1e-12, atol=1e-12)


def test_a_mask_of_ones_is_conv_and_of_zeros_is_the_bias():
    layer = CASES["stride"]
    x, w, _ = layer.arrays()
    options = {name: value for name, value in layer.options.items() if name != "groups"}
    shape = (math.prod(layer.taps), math.prod(layer.output))
    assert_exact(layers.masked_conv(x, w, np.ones(shape), **options), forward(layer, x, w))
    hidden = layers.masked_conv(x, w, np.zeros(shape), [7, -3], **options)
    assert np.array_equal(hidden, np.broadcast_to(np.array([7, -3])[:, None, None], layer.y_shape))


def test_nan_under_a_zero_of_the_mask_does_not_spread():
    rng = np.random.default_rng(13)
    x, w = rng.standard_normal((2, 2, 6, 5)), rng.standard_normal((3, 2, 3, 3))
    mask = rng.integers(0, 2, (3, 3, 6, 5))
    clean = layers.masked_conv(x, w, mask, padding=1)
    x[1, 0, 2, 3] = np.nan
    result = layers.masked_conv(x, w, mask, padding=1)
    expected = np.zeros(result.shape, dtype=bool)
    for i, j, a, b in itertools.product(range(6), range(5), range(3), range(3)):
        if (i + a - 1, j + b - 1) == (2, 3) and mask[a, b, i, j]:
            expected[1, :, i, j] = True
    assert expected.any()
    assert np.array_equal(np.isnan(result), expected)
    np.testing.assert_allclose(result[~expected], clean[~expected], rtol=1e-12, atol=1e-12)


def test_a_causal_mask_lets_no_pixel_see_itself_or_what_comes_later():
    rng = np.random.default_rng(14)
    order = rng.permutation(16)  # any order of generation will do
    x, w = rng.standard_normal((1, 1, 4, 4)), rng.standard_normal((1, 1, 3, 3))
    rank = np.full((6, 6), 99)
    rank[1:5, 1:5] = order.reshape(4, 4)
    windows = np.lib.stride_tricks.sliding_window_view(rank, (3, 3))
    mask = (windows < order.reshape(4, 4)[:, :, None, None]).transpose(2, 3, 0, 1)
    before = layers.masked_conv(x, w, mask, padding=1)
    for changed in range(16):
        other = np.where(order.reshape(4, 4) == changed, 1e3, x)
        moved = layers.masked_conv(other, w, mask, padding=1) != before
        assert moved.any() or changed > 8
        assert (order.reshape(moved.shape)[moved] > changed).all()


def test_masked_conv_unrolls_no_more_than_a_strip_at_a_time():
    x, w = np.ones((1, 8, 256, 256), "float32"), np.ones((4, 8, 3, 3), "float32")
    mask = np.broadcast_to(np.array(True), (9, 256 * 256))
    tracemalloc.start()
    layers.masked_conv(x, w, np.ascontiguousarray(mask), padding=1, threads=1)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    unrolled = 9 * x.nbytes
    assert peak < unrolled / 2


# --- worked examples


@given(st.lists(st.integers(-99, 99), min_size=1, max_size=9), st.lists(st.integers(-99, 99), min_size=1))
def test_a_product_of_polynomials_is_a_transposed_convolution(p, q):
    assert np.array_equal(layers.conv_transpose([[p]], [[q]])[0, 0], np.convolve(p, q))


@given(st.lists(st.integers(-99, 99), min_size=1, max_size=9), st.data())
def test_circular_convolution_wraps_the_signal(signal, data):
    n = len(signal)
    kernel = data.draw(st.lists(st.integers(-99, 99), min_size=1, max_size=n))
    wrapped = np.pad(signal, (len(kernel) - 1, 0), mode="wrap")
    result = layers.conv(wrapped[None, None], np.array(kernel)[None, None, ::-1])
    expected = [sum(k * signal[(i - j) % n] for j, k in enumerate(kernel)) for i in range(n)]
    assert result.tolist() == [[expected]]


def test_layers_do_not_import_scipy():
    code = "import sys; from convcli import layers; layers.conv; assert 'scipy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


# --- errors

X1, W1, Y1 = np.ones((1, 2, 5), int), np.ones((4, 2, 3), int), np.ones((1, 4, 3), int)
X2, W2 = np.ones((1, 4, 5, 5), int), np.ones((4, 4, 3, 3), int)
HUGE = 2**62

ERRORS = [
    (layers.conv, (X2[0, 0], W2), {}, "image of shape (5, 5) has 2 axes; a layer takes (N, C, *spatial)"),
    (layers.conv, (X1[:, :0], W1), {}, "image of shape (1, 0, 5) has no channels; it needs at least one"),
    (layers.conv, (X1[..., :0], W1), {}, "image 0 is empty; it needs at least one sample"),
    (layers.conv, (X1 * 1j, W1), {}, "image is of type complex128; real numbers are needed"),
    (
        layers.conv,
        (X1, W2),
        {},
        "kernel of shape (4, 4, 3, 3) has 4 axes where the image has 3; write it as (out,",
    ),
    (layers.conv, (X1, W1[:0]), {}, "kernel of shape (0, 2, 3) is empty; it needs at least one cell"),
    (layers.conv, (X1, W1 * np.nan), {}, "kernel cell (0, 0, 0) is nan; every cell must be finite"),
    (
        layers.conv,
        (X2, W1[..., None]),
        {},
        "is for 2 channels, and the image of shape (1, 4, 5, 5) has 4 channels",
    ),
    (
        layers.conv,
        (X2, W2),
        {"groups": 2},
        "is for 4 channels per group, and the image of shape (1, 4, 5, 5) has",
    ),
    (
        layers.conv,
        (X2, W2),
        {"groups": 3},
        "groups 3 does not divide the 4 channels of the image; use a number",
    ),
    (layers.conv, (X2, W2[:3, :2]), {"groups": 2}, "groups 2 does not divide the 3 kernels; use a number"),
    (layers.conv, (X2, W2), {"groups": 0}, "groups 0 is below 1"),
    (
        layers.conv,
        (X1, W1, [1, 2]),
        {},
        "bias of shape (2,) does not fit 4 outputs; give one number for each",
    ),
    (layers.conv, (X1, W1, "no"), {}, "bias is of type <U2; real numbers are needed"),
    (layers.conv, (X1[..., :1] * HUGE, W1[:, :1, :1], [HUGE] * 4), {}, "is for 1 channels, and the image"),
    (
        layers.conv,
        ([[[HUGE]]], [[[1]]], [HUGE]),
        {},
        "with its bias may be beyond 64-bit integers; convert the image",
    ),
    (layers.conv, ([[[-HUGE]]], [[[1]]], [-HUGE - 1]), {}, "with its bias may be beyond 64-bit integers"),
    (
        layers.conv,
        (X1[..., :2], W1),
        {},
        "kernel 3 is larger than image 2 with its padding, 2; use more padding",
    ),
    (
        layers.conv,
        (X1, W1),
        {"padding": "full"},
        'unknown padding "full"; use one of valid, same, same-upper, same-l',
    ),
    (
        layers.conv,
        (X1, W1),
        {"padding": "same", "stride": 2},
        'padding "same" goes with stride 1, not 2; use "same-u',
    ),
    (
        layers.conv,
        (X2, W2),
        {"padding": (1, 1, 1)},
        "padding (1, 1, 1) does not fit 2 axes; give one",
    ),
    (layers.conv, (X1, W1), {"padding": -1}, "padding -1 is below 0"),
    (layers.conv, (X1, W1), {"padding": (0, -1)}, "padding 0×-1 is below 0"),
    (layers.conv, (X1, W1), {"padding": 1.5}, "padding 1.5 is not a whole number"),
    (layers.conv, (X1, W1), {"stride": 0}, "stride 0 is below 1"),
    (layers.conv, (X1, W1), {"dilation": (1, 2)}, "dilation (1, 2) has 2 numbers for 1 axes"),
    (layers.conv, (X1, W1), {"backend": "magic"}, 'unknown backend "magic"; use one of'),
    (
        layers.conv,
        (X1, W1),
        {"precision": "half"},
        'unknown precision "half"; use one of auto, float32, float64',
    ),
    (layers.conv, (X1, W1), {"threads": 0}, "threads 0 is below 1"),
    (
        layers.conv_transpose,
        (X1, W1),
        {},
        "kernel of shape (4, 2, 3) is for 4 channels, and the image of shape (1, 2, 5)",
    ),
    (layers.conv_transpose, (X1, W2), {}, "write it as (in, out/groups, *taps)"),
    (layers.conv_transpose, (Y1, W1, [1]), {"groups": 2}, "bias of shape (1,) does not fit 4 outputs"),
    (layers.conv_transpose, (Y1, W1), {"padding": 3}, "padding 3 cuts the result 5 down to -1; use less"),
    (
        layers.conv_transpose,
        (Y1, W1),
        {"padding": "same", "stride": 2},
        'padding "same" goes with stride 1, not 2',
    ),
    (
        layers.conv_transpose,
        (Y1, W1),
        {"output_padding": 3, "stride": 3, "dilation": 2},
        "output padding 3 is not below stride 3 or dilation 2; use less, or a larger stride",
    ),
    (
        layers.conv_transpose,
        (Y1, W1),
        {"output_shape": 4, "padding": 1},
        "padding 1 and output_shape 4 do not go together, for one follows from the other; leave one out",
    ),
    (
        layers.conv_transpose,
        (Y1, W1),
        {"output_shape": (4, 4)},
        "output shape (4, 4) has 2 numbers for 1 axes",
    ),
    (layers.conv_transpose, (Y1, W1), {"output_shape": 0}, "output shape 0 is below 1"),
    (
        layers.conv_input_grad,
        (X1, W1, 4),
        {},
        "kernel of shape (4, 2, 3) has 4 outputs, and the gradient of shape",
    ),
    (
        layers.conv_input_grad,
        (Y1, W1, 6),
        {},
        "gradient is 3, but image 6 and kernel 3 give 4; use the shapes and",
    ),
    (
        layers.conv_input_grad,
        (Y1, W1, (1, 3, 5)),
        {},
        "input shape 1×3×5 does not begin with 1×2 as the other arrays",
    ),
    (layers.conv_input_grad, (Y1, W1, (5, 5)), {}, "input shape (5, 5) has 2 numbers for 1 axes"),
    (layers.conv_input_grad, (Y1[0], W1, 5), {}, "gradient of shape (4, 3) has 2 axes; a layer takes"),
    (
        layers.conv_input_grad,
        (Y1, W2, 5),
        {},
        "kernel of shape (4, 4, 3, 3) has 4 axes where the gradient has 3",
    ),
    (
        layers.conv_weight_grad,
        (X1, Y1, 2),
        {},
        "gradient is 3, but image 5 and kernel 2 give 4; use the shapes",
    ),
    (
        layers.conv_weight_grad,
        (X1, Y1, (4, 1, 3)),
        {},
        "kernel shape 4×1×3 does not begin with 4×2 as the other",
    ),
    (
        layers.conv_weight_grad,
        (X1, X2, 3),
        {},
        "gradient of shape (1, 4, 5, 5) does not go with an image of shape",
    ),
    (layers.conv_weight_grad, (X1[[0, 0]], Y1, 3), {}, "both have the same N and the same number of axes"),
    (
        layers.conv_weight_grad,
        (X1, Y1, 3),
        {"groups": 4},
        "groups 4 does not divide the 2 channels of the image",
    ),
    (
        layers.conv_weight_grad,
        (X2, X2[:, :3], 1),
        {"groups": 2},
        "does not divide the 3 channels of the gradient",
    ),
    (layers.max_pool, (X1[0], 2), {}, "image of shape (2, 5) has 2 axes; a layer takes"),
    (layers.max_pool, (X1, (2, 2)), {}, "kernel shape (2, 2) has 2 numbers for 1 axes"),
    (layers.max_pool, (X1, 0), {}, "kernel shape 0 is below 1"),
    (layers.max_pool, (X1, 6), {}, "kernel 6 is larger than image 5 with its padding, 5; use more padding"),
    (layers.max_pool, (X1, 9), {"stride": 4, "ceil_mode": True}, "kernel 9 is larger than image 5"),
    (
        layers.max_pool,
        (X1, 2),
        {"padding": 2},
        "padding 2 is as wide as the window 2, which would then see nothing",
    ),
    (layers.avg_pool, (X1, 2), {"padding": (0, 2)}, "padding (0, 2) is as wide as the window 2"),
    (layers.avg_pool, (X1, 2), {"padding": "same"}, 'padding "same" goes with stride 1, not 2'),
    (
        layers.avg_pool,
        (X1 * HUGE, 2),
        {},
        f"the sum of 2 samples up to {HUGE} may be beyond 64-bit integers; convert",
    ),
    (
        layers.masked_conv,
        (X1, W1, np.ones((3, 4))),
        {},
        "mask of shape (3, 4) does not fit; use (3, 3) or (3, 3), with",
    ),
    (
        layers.masked_conv,
        (X1, W1, np.ones((3, 3, 3))),
        {},
        "with axes in front that broadcast against (1, 2)",
    ),
    (
        layers.masked_conv,
        (X1, W1, np.ones((1, 1, 1, 3, 3))),
        {},
        "mask of shape (1, 1, 1, 3, 3) does not fit",
    ),
    (layers.masked_conv, (X1, W1, np.full((3, 3), 0.5)), {}, "mask holds 0.5; it is made of 0 and 1"),
    (layers.masked_conv, (X1, W1, np.full((3, 3), np.nan)), {}, "mask holds nan; it is made of 0 and 1"),
    (
        layers.masked_conv,
        (X1, W1[:, :1], np.ones((3, 3))),
        {},
        "is for 1 channels, and the image of shape (1, 2, 5)",
    ),
    (layers.masked_conv, (X1, W1, np.ones((3, 3)), [1]), {}, "bias of shape (1,) does not fit 4 outputs"),
    (layers.masked_conv, (X1, W1, np.ones((3, 3))), {"threads": 0}, "threads 0 is below 1"),
]


def test_numbers_may_come_as_arrays():
    two, one, shape = np.array(2), np.array(1), np.array([1, 2, 5])
    x, w = np.ones((1, 2, 5)), np.ones((4, 2, 2))
    y = layers.conv(x, w, stride=two, padding=one, dilation=one, groups=one)
    assert y.shape == (1, 4, 3)
    assert layers.conv_weight_grad(x, y, two, stride=2, padding=one).shape == w.shape
    assert layers.conv_weight_grad(x, y, iter(w.shape), stride=2, padding=1).shape == w.shape
    for spatial in (np.array(5), shape, iter(x.shape)):
        assert layers.conv_input_grad(y, w, spatial, stride=2, padding=[1]).shape == x.shape
    assert layers.conv_transpose(y, w, output_shape=np.array(3)).shape == (1, 2, 3)
    assert layers.conv_transpose(y, w, padding=np.array([1, 0]), output_padding=np.array(0)).shape == (
        1,
        2,
        3,
    )
    assert layers.max_pool(x, two, padding=one).shape == layers.avg_pool(x, two, padding=one).shape


LIMITS = [
    (layers.conv_transpose, (Y1, W1), {"stride": 2**46}, "result 140737488355331 of int64 takes 2.25 PB"),
    (layers.conv_transpose, (Y1, W1), {"stride": 2**60}, "result 2305843009213693955 of int64 takes 36.9 EB"),
    (layers.conv_transpose, (Y1, W1), {"stride": 2**60, "padding": "same-lower"}, "use a smaller image, str"),
    (
        layers.conv_transpose,
        (np.ones((1, 1, 1)), np.ones((1, 1, 2))),
        {"stride": 2**46, "dilation": 2**46},
        "result 70368744177665 of float64 takes 563 TB",
    ),
    (
        layers.conv_input_grad,
        (np.ones((1, 4, 2)), W1, 2**46 + 3),
        {"stride": 2**46},
        "result 70368744177667 of float64",
    ),
    (layers.conv_transpose, (Y1, W1), {"dilation": 2**60}, "image 3 with its border has 4611686018427387907"),
    (layers.conv_transpose, (Y1, W1), {"output_shape": 2**60}, "image 3 with its border has"),
    (layers.conv_transpose, (Y1, W1), {"stride": 2**62}, "stride 4611686018427387904 is beyond what can"),
    (layers.conv_transpose, (Y1, W1), {"dilation": 2**63}, "dilation 9223372036854775808 is beyond what can"),
    (layers.conv_transpose, (Y1, W1), {"output_shape": 2**63}, "output shape 9223372036854775808 is beyond"),
    (layers.avg_pool, (X1, 2), {"stride": 2**63}, "stride 9223372036854775808 is beyond what can be counted"),
    (
        layers.max_pool,
        (X1, 2),
        {"stride": 10**8, "dilation": 10**8, "padding": 10**8 - 5},
        "image 5 with its border has 100000001 samples",
    ),
    (layers.avg_pool, (X1, 2**40), {"ceil_mode": True}, "image 5 with its border has 1099511627776 samples"),
]


@pytest.mark.parametrize(("function", "arguments", "options", "message"), LIMITS)
def test_what_no_memory_holds_is_refused(function, arguments, options, message):
    with pytest.raises(LimitError, match=re.escape(message)):
        function(*arguments, **options)


@pytest.mark.parametrize(("function", "arguments", "options", "message"), ERRORS)
def test_errors_name_the_value_and_the_rule(function, arguments, options, message):
    with pytest.raises(UsageError, match=re.escape(message)) as caught:
        function(*arguments, **options)
    assert "\n" not in str(caught.value)
