"""ONNX's reference evaluator and PyTorch say the same as `convcli.layers`.

The evaluator is held against what it gets right. It deviates from the written definition of its own
operators in these corners, which nested loops in test_nn_layers.py cover instead:

- ConvTranspose with groups mixes up the channels; here it runs once per group.
- ConvTranspose with output_shape but no auto_pad makes no padding, and fails where some is needed.
- ConvTranspose fails for output_padding that reaches beyond the stride.
- AveragePool with ceil_mode, and MaxPool with ceil_mode and pads, put the windows elsewhere.
- MaxPool without dilation mixes up the pads of different axes and sides, SAME ones too.
- Pools with auto_pad forget the dilation, and fail for strides beyond the window.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from convcli import layers

onnx = pytest.importorskip("onnx")
reference = pytest.importorskip("onnx.reference")

TOP = {1: 12, 2: 7, 3: 4}
AUTO = {"same-upper": "SAME_UPPER", "same-lower": "SAME_LOWER", "valid": "VALID"}


def evaluate(operator, *arrays, **attributes):
    """Run one operator of opset 22 on float64 arrays."""
    helper, double = onnx.helper, onnx.TensorProto.DOUBLE
    names = ["x", "w", "b"][: len(arrays)]
    inputs = [helper.make_tensor_value_info(n, double, a.shape) for n, a in zip(names, arrays, strict=True)]
    output = helper.make_tensor_value_info("y", double, None)
    graph = helper.make_graph([helper.make_node(operator, names, ["y"], **attributes)], "g", inputs, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)])
    return reference.ReferenceEvaluator(model).run(None, dict(zip(names, arrays, strict=True)))[0]


def assert_same(result, expected):
    assert result.shape == expected.shape
    np.testing.assert_allclose(result, expected, rtol=1e-10, atol=1e-10)


@st.composite
def geometries(draw, axes=(1, 2, 2, 3)):
    """Draw spatial shapes and options, and channels per group."""
    axes = draw(st.sampled_from(axes))

    def each(least, most):
        return draw(st.lists(st.integers(least, most), min_size=axes, max_size=axes))

    return {
        "image": each(1, TOP[axes]),
        "taps": each(1, 4),
        "strides": each(1, 3),
        "dilations": each(1, 3),
        "begins": each(0, 2),
        "ends": each(0, 2),
        "groups": draw(st.integers(1, 3)),
        "channels": draw(st.integers(1, 2)),
        "outputs": draw(st.integers(1, 2)),
        "seed": draw(st.integers(0, 99)),
    }


def arrays(g, transposed=False):
    rng = np.random.default_rng(g["seed"])
    groups, channels, outputs = g["groups"], g["channels"], g["outputs"]
    bank = (groups * channels, outputs) if transposed else (groups * outputs, channels)
    image = rng.standard_normal((2, groups * channels, *g["image"]))
    return image, rng.standard_normal((*bank, *g["taps"])), rng.standard_normal(groups * outputs)


def extents(g):
    return [(k - 1) * d + 1 for k, d in zip(g["taps"], g["dilations"], strict=True)]


@given(geometries())
def test_conv_with_pads(g):
    padded = [sum(n) for n in zip(g["image"], g["begins"], g["ends"], strict=True)]
    assume(all(n >= extent for n, extent in zip(padded, extents(g), strict=True)))
    x, w, b = arrays(g)
    pads = g["begins"] + g["ends"]
    shared = {"strides": g["strides"], "dilations": g["dilations"], "group": g["groups"]}
    ours = {"stride": g["strides"], "dilation": g["dilations"], "groups": g["groups"], "padding": pads}
    assert_same(layers.conv(x, w, b, **ours), evaluate("Conv", x, w, b, pads=pads, **shared))


@pytest.mark.parametrize("padding", ["same-upper", "same-lower"])
@given(geometries())
def test_conv_with_auto_pad(padding, g):
    x, w, b = arrays(g)
    shared = {"strides": g["strides"], "dilations": g["dilations"], "group": g["groups"]}
    ours = {"stride": g["strides"], "dilation": g["dilations"], "groups": g["groups"], "padding": padding}
    expected = evaluate("Conv", x, w, b, auto_pad=AUTO[padding], **shared)
    assert_same(layers.conv(x, w, b, **ours), expected)


def transpose_by_groups(x, w, b, groups, **attributes):
    parts = (np.split(x, groups, axis=1), np.split(w, groups), np.split(b, groups))
    return np.concatenate([evaluate("ConvTranspose", *p, **attributes) for p in zip(*parts, strict=True)], 1)


@given(geometries())
def test_conv_transpose_with_pads_and_output_padding(g):
    pads = g["begins"] + g["ends"]
    extra = [min(b, s - 1) for b, s in zip(g["ends"], g["strides"], strict=True)]
    numbers = zip(g["image"], g["strides"], extents(g), extra, g["begins"], g["ends"], strict=True)
    assume(all((n - 1) * s + e + a - p - q >= 1 for n, s, e, a, p, q in numbers))
    x, w, b = arrays(g, transposed=True)
    shared = {"strides": g["strides"], "dilations": g["dilations"]}
    expected = transpose_by_groups(x, w, b, g["groups"], pads=pads, output_padding=extra, **shared)
    ours = {"stride": g["strides"], "dilation": g["dilations"], "groups": g["groups"], "padding": pads}
    assert_same(layers.conv_transpose(x, w, b, output_padding=extra, **ours), expected)


@pytest.mark.parametrize("padding", ["same-upper", "same-lower"])
@given(geometries())
def test_conv_transpose_with_auto_pad(padding, g):
    x, w, b = arrays(g, transposed=True)
    shared = {"strides": g["strides"], "dilations": g["dilations"]}
    expected = transpose_by_groups(x, w, b, g["groups"], auto_pad=AUTO[padding], **shared)
    assert expected.shape[2:] == tuple(n * s for n, s in zip(g["image"], g["strides"], strict=True))
    ours = {"stride": g["strides"], "dilation": g["dilations"], "groups": g["groups"], "padding": padding}
    assert_same(layers.conv_transpose(x, w, b, **ours), expected)


@pytest.mark.parametrize("padding", ["same-upper", "same-lower"])
@given(geometries(), st.integers(-3, 3))
def test_conv_transpose_with_output_shape(padding, g, change):
    uncut = [(n - 1) * s + e for n, s, e in zip(g["image"], g["strides"], extents(g), strict=True)]
    wanted = [max(1, n + change) for n in uncut]
    x, w, b = arrays(g, transposed=True)
    shared = {"strides": g["strides"], "dilations": g["dilations"], "output_shape": wanted}
    expected = transpose_by_groups(x, w, b, g["groups"], auto_pad=AUTO[padding], **shared)
    ours = {"stride": g["strides"], "dilation": g["dilations"], "groups": g["groups"], "padding": padding}
    assert_same(layers.conv_transpose(x, w, b, output_shape=wanted, **ours), expected)


def test_conv_transpose_of_the_operators_own_example():
    x = np.arange(9.0).reshape(1, 1, 3, 3)
    w = np.ones((1, 2, 3, 3))
    by_shape = evaluate("ConvTranspose", x, w, strides=[3, 2], output_shape=[10, 8])
    by_padding = evaluate("ConvTranspose", x, w, strides=[3, 2], output_padding=[1, 1])
    np.testing.assert_array_equal(by_shape, by_padding)
    assert_same(layers.conv_transpose(x, w, stride=(3, 2), output_shape=(10, 8)), by_shape)
    assert_same(layers.conv_transpose(x, w, stride=(3, 2), output_padding=1), by_shape)


def equal_pads(g):
    return [min(p, k // 2) for p, k in zip(g["begins"], g["taps"], strict=True)]


def pool_arguments(g, pads):
    image = np.random.default_rng(g["seed"]).standard_normal((2, 2, *g["image"]))
    fits = zip(g["image"], pads, extents(g), strict=True)
    assume(all(n + 2 * p >= extent for n, p, extent in fits))
    ours = {"stride": g["strides"], "dilation": g["dilations"], "padding": pads}
    theirs = {"strides": g["strides"], "dilations": g["dilations"], "kernel_shape": g["taps"]}
    return image, ours, theirs


@pytest.mark.parametrize("ceil_mode", [False, True])
@given(geometries())
def test_max_pool(ceil_mode, g):
    pads = equal_pads(g) if max(g["dilations"]) > 1 and not ceil_mode else [0] * len(g["taps"])
    x, ours, theirs = pool_arguments(g, pads)
    result = layers.max_pool(x, g["taps"], ceil_mode=ceil_mode, **ours)
    assume(np.isfinite(result).all())  # a dilated window around a single sample
    assert_same(result, evaluate("MaxPool", x, pads=pads * 2, ceil_mode=int(ceil_mode), **theirs))


@pytest.mark.parametrize("include", [False, True])
@given(geometries())
def test_avg_pool(include, g):
    x, ours, theirs = pool_arguments(g, equal_pads(g))
    result = layers.avg_pool(x, g["taps"], count_include_pad=include, **ours)
    assume(not np.isnan(result).any())  # a dilated window around a single sample
    pads = equal_pads(g) * 2
    assert_same(result, evaluate("AveragePool", x, pads=pads, count_include_pad=int(include), **theirs))


@pytest.mark.parametrize("include", [False, True])
@pytest.mark.parametrize("padding", AUTO)
@given(geometries())
def test_avg_pool_with_auto_pad(padding, include, g):
    g["dilations"] = [1] * len(g["taps"])
    g["strides"] = [min(s, k) for s, k in zip(g["strides"], g["taps"], strict=True)]
    x, ours, theirs = pool_arguments(g, [0] * len(g["taps"]))
    ours["padding"], flag = padding, int(include)
    expected = evaluate("AveragePool", x, auto_pad=AUTO[padding], count_include_pad=flag, **theirs)
    assert_same(layers.avg_pool(x, g["taps"], count_include_pad=include, **ours), expected)


def torch_functions(axes):
    torch = pytest.importorskip("torch")
    names = ("conv", "conv_transpose", "max_pool", "avg_pool")
    return torch, [getattr(torch.nn.functional, f"{name}{axes}d") for name in names]


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_torch_conv_and_its_gradients(axes):
    torch, (function, *_) = torch_functions(axes)

    @given(geometries([axes]))
    def check(g):
        numbers = zip(g["image"], g["begins"], extents(g), strict=True)
        g["image"] = [max(n, extent - 2 * p) for n, p, extent in numbers]
        x, w, b = arrays(g)
        options = {"stride": tuple(g["strides"]), "padding": tuple(g["begins"])}
        options |= {"dilation": tuple(g["dilations"]), "groups": g["groups"]}
        tensors = [torch.tensor(a, requires_grad=True) for a in (x, w, b)]
        y = function(*tensors, **options)
        assert_same(layers.conv(x, w, b, **options), y.detach().numpy())
        grad = np.random.default_rng(1).standard_normal(y.shape)
        y.backward(torch.tensor(grad))
        assert_same(layers.conv_input_grad(grad, w, x.shape, **options), tensors[0].grad.numpy())
        assert_same(layers.conv_weight_grad(x, grad, w.shape, **options), tensors[1].grad.numpy())

    check()


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_torch_conv_transpose(axes):
    torch, (_, function, *_) = torch_functions(axes)

    @given(geometries([axes]))
    def check(g):
        extra = [
            min(e, max(s, d) - 1) for e, s, d in zip(g["ends"], g["strides"], g["dilations"], strict=True)
        ]
        numbers = zip(g["image"], g["strides"], extents(g), extra, g["begins"], strict=True)
        assume(all((n - 1) * s + e + a - 2 * p >= 1 for n, s, e, a, p in numbers))
        x, w, b = arrays(g, transposed=True)
        options = {
            "stride": tuple(g["strides"]),
            "padding": tuple(g["begins"]),
            "output_padding": tuple(extra),
        }
        options |= {"dilation": tuple(g["dilations"]), "groups": g["groups"]}
        expected = function(*map(torch.tensor, (x, w, b)), **options)
        assert_same(layers.conv_transpose(x, w, b, **options), expected.numpy())

    check()


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_torch_pools(axes):
    torch, (*_, largest, mean) = torch_functions(axes)

    @given(geometries([axes]), st.booleans(), st.booleans())
    def check(g, ceil_mode, include):
        options = {"stride": tuple(g["strides"]), "padding": tuple(equal_pads(g)), "ceil_mode": ceil_mode}
        g["image"] = [max(n, extent) for n, extent in zip(g["image"], extents(g), strict=True)]
        x, _, _ = pool_arguments(g, equal_pads(g))
        dilated = {"dilation": tuple(g["dilations"])}
        expected = largest(torch.tensor(x), tuple(g["taps"]), **options, **dilated)
        assert_same(layers.max_pool(x, g["taps"], **options, **dilated), expected.numpy())
        options["count_include_pad"] = include
        expected = mean(torch.tensor(x), tuple(g["taps"]), **options)
        assert_same(layers.avg_pool(x, g["taps"], **options), expected.numpy())

    check()
