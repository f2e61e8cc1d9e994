"""A bank of kernels is a layer: ``convcli convolve`` applies it exactly, and ``kernels`` shows it."""

import itertools
import json
import re
from pathlib import Path

import numpy as np
import pytest
from oracle import BORDERS, convolve_exactly
from shell import contents, convcli, load, save, succeed, within

from convcli import backends
from convcli.errors import UsageError
from convcli.filtering.banks import BankOptions, prepare_bank
from convcli.filtering.options import Filter
from convcli.kernels import Kernel
from convcli.layers import conv

RNG = np.random.default_rng(11)
X = RNG.integers(-50, 51, (4, 6, 7))
BATCH = RNG.integers(-50, 51, (2, 4, 5, 6))
VOLUME = RNG.integers(-50, 51, (2, 4, 5, 6))
RGB = RNG.integers(0, 256, (6, 8, 3), dtype=np.uint8)
RGBA = RNG.integers(0, 256, (6, 8, 4), dtype=np.uint8)
GRAY = RNG.integers(0, 256, (6, 8), dtype=np.uint8)
BANKS = {
    "plain": (3, 4, 3, 2),
    "two": (4, 2, 2, 3),  # for two groups
    "depthwise": (8, 1, 3, 3),
    "up": (4, 3, 3, 2),  # (in, out), for --transposed
    "deep": (3, 2, 2, 3, 2),
}
NOTE = (
    "convcli: the bank {} is applied as a layer: {}, as in neural networks; "
    "--op convolve turns its kernels round\n"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Arrays, images and banks; no test may change them."""
    where = tmp_path_factory.mktemp("layers")
    arrays = {"x": X, "batch": BATCH, "volume": VOLUME, **{name: bank(name) for name in BANKS}}
    arrays |= {"bias3": np.array([100, -7, 3]), "bias4": np.arange(4), "half": np.array([[0.5, -0.25, 1]])}
    arrays |= {"square": np.eye(2), "flat": np.ones((5, 5)), "floats": X / 7, "luma": LUMA}
    arrays |= {f"to{n}": np.ones((n, 3, 1, 1)) for n in (1, 2, 3, 4, 5)}
    arrays |= {"turn": np.eye(3)[::-1].reshape(3, 3, 1, 1), "from4": np.ones((4, 4, 1, 1)) / 4}
    for name, array in arrays.items():
        np.save(where / f"{name}.npy", array)
    for name, pixels in {
        "rgb": RGB,
        "rgba": RGBA,
        "gray": GRAY,
        "deep": GRAY.astype(np.uint16) * 257,
    }.items():
        save(where / f"{name}.png", pixels)
    (where / "bias.csv").write_text("1,2.5,-3\n")
    (where / "column.txt").write_text("1\n2\n3\n")
    (where / "even.json").write_text(json.dumps({"kernel": [[[[1, 2], [3, 4]]]], "divisor": 4}))
    (where / "origin.json").write_text(json.dumps({"kernel": [[[[1, 2], [3, 4]]]], "origin": [1, 1]}))
    (where / "added.json").write_text(json.dumps({"kernel": [[[[1]]]], "bias": 3}))
    (where / "old.npy").write_bytes(b"precious")
    return where


LUMA = np.array([0.2126, 0.7152, 0.0722]).reshape(1, 3, 1, 1)


def bank(name):
    shape = BANKS[name]
    return np.random.default_rng(sum(shape)).integers(-9, 10, shape)


def each(value, axes):
    return (value,) * axes if isinstance(value, int) else tuple(value)


def correlated(image, kernels, *, stride=1, dilation=1, pads=None, groups=1, bias=None):
    """A layer by its definition, in Python's integers; image (C, *spatial), bank (out, C / groups, *taps)."""
    axes = kernels.ndim - 2
    stride, dilation, pads = each(stride, axes), each(dilation, axes), pads or ((0, 0),) * axes
    padded = np.pad(image, ((0, 0), *pads))
    taps = kernels.shape[2:]
    sizes = [
        (n - (k - 1) * d - 1) // s + 1
        for n, k, s, d in zip(padded.shape[1:], taps, stride, dilation, strict=True)
    ]
    outputs, inside = kernels.shape[:2]
    result = np.empty((outputs, *sizes), object)
    for where in np.ndindex(result.shape):
        output, *position = where
        first = output // (outputs // groups) * inside
        total = 0 if bias is None else bias[output]
        for channel, *cell in itertools.product(range(inside), *map(range, taps)):
            at = [p * s + c * d for p, s, c, d in zip(position, stride, cell, dilation, strict=True)]
            total += int(kernels[(output, channel, *cell)]) * int(padded[(first + channel, *at)])
        result[where] = total
    return result


def put_down(image, kernels, *, stride=1, dilation=1, pads=None, extra=0, groups=1):
    """A transposed layer by its definition: every sample puts down its kernel."""
    axes = kernels.ndim - 2
    stride, dilation, extra = (each(value, axes) for value in (stride, dilation, extra))
    pads = pads or ((0, 0),) * axes
    numbers = zip(image.shape[1:], kernels.shape[2:], stride, dilation, extra, strict=True)
    sizes = [s * (n - 1) + d * (k - 1) + 1 + e for n, k, s, d, e in numbers]
    inside, outputs = len(kernels) // groups, kernels.shape[1]
    result = np.zeros((outputs * groups, *sizes), object)
    for channel, output in itertools.product(range(len(kernels)), range(outputs)):
        for position, cell in itertools.product(np.ndindex(image.shape[1:]), np.ndindex(kernels.shape[2:])):
            at = [p * s + c * d for p, s, c, d in zip(position, stride, cell, dilation, strict=True)]
            plane = channel // inside * outputs + output
            result[(plane, *at)] += int(kernels[(channel, output, *cell)]) * int(image[(channel, *position)])
    return result[(slice(None), *(slice(b, n - a) for (b, a), n in zip(pads, sizes, strict=True)))]


def equal(result, expected):
    np.testing.assert_array_equal(result, np.asarray(expected))


def applied(folder, target, source, kernel, *arguments):
    """Run the command with --json; return the array and the record."""
    done = within("convolve", source, "-k", kernel, *arguments, "-o", target, "--json", cwd=folder)
    assert done.status == 0, done.err
    (record,) = done.json["files"]
    assert record["error"] is None
    return (np.load(target) if target.suffix == ".npy" else load(target)), record


# equality with the definition


@pytest.mark.parametrize(
    ("kernel", "options", "meaning"),
    [
        ("plain", "", {}),
        ("plain", "--stride 2", {"stride": 2}),
        ("plain", "--stride 3x2 --dilation 2x3", {"stride": (3, 2), "dilation": (2, 3)}),
        ("plain", "--padding 1", {"pads": ((1, 1), (1, 1))}),
        ("plain", "--padding 1x2", {"pads": ((1, 1), (2, 2))}),
        ("plain", "--padding 3,0", {"pads": ((3, 3), (0, 0))}),
        ("plain", "--padding 1,0,2,3", {"pads": ((1, 2), (0, 3))}),
        ("plain", "--padding valid", {}),
        ("plain", "--padding same", {"pads": ((1, 1), (0, 1))}),
        ("plain", "--padding same-upper --stride 2", {"pads": ((0, 1), (0, 1)), "stride": 2}),
        ("plain", "--padding same-lower --stride 2", {"pads": ((1, 0), (1, 0)), "stride": 2}),
        ("plain", "--padding same --dilation 2", {"pads": ((2, 2), (1, 1)), "dilation": 2}),
        ("two", "--groups 2 --padding 1", {"groups": 2, "pads": ((1, 1), (1, 1))}),
        ("depthwise", "--groups 4 --stride 2x1", {"groups": 4, "stride": (2, 1)}),
        ("plain", "--bias-file bias3.npy", {"bias": [100, -7, 3]}),
        ("two", "--groups 2 --bias-file bias4.npy", {"groups": 2, "bias": range(4)}),
    ],
)
def test_layer_is_its_definition(folder, tmp_path, kernel, options, meaning):
    target = tmp_path / "y.npy"
    result, record = applied(folder, target, "x.npy", f"{kernel}.npy", *options.split())
    expected = correlated(X, bank(kernel), **meaning)
    equal(result, expected)
    assert result.dtype == np.int64
    assert (record["size"], record["output_size"]) == ("4×6×7", "×".join(map(str, expected.shape)))
    keywords = {name: value for name, value in meaning.items() if name != "pads"}
    if keywords.get("bias") is not None:
        keywords["bias"] = list(keywords["bias"])
    pads = meaning.get("pads", ((0, 0), (0, 0)))
    padding = (*(before for before, _ in pads), *(after for _, after in pads))
    equal(result, conv(X[None], bank(kernel), padding=padding, **keywords)[0])


def test_the_comparison_with_the_definition_can_fail(folder, tmp_path):
    result, _ = applied(folder, tmp_path / "y.npy", "x.npy", "plain.npy", "--op", "convolve")
    with pytest.raises(AssertionError):
        equal(result, correlated(X, bank("plain")))


@pytest.mark.parametrize(
    ("options", "meaning"),
    [
        ("", {}),
        ("--stride 2", {"stride": 2}),
        ("--stride 2x3 --output-padding 1x2", {"stride": (2, 3), "extra": (1, 2)}),
        ("--stride 3 --padding 1", {"stride": 3, "pads": ((1, 1), (1, 1))}),
        (
            "--stride 2 --dilation 2x3 --padding 0,1,2,1",
            {"stride": 2, "dilation": (2, 3), "pads": ((0, 2), (1, 1))},
        ),
        ("--dilation 2 --output-padding 1", {"dilation": 2, "extra": 1}),
        ("--padding same", {"pads": ((1, 1), (0, 1))}),
        ("--padding same-upper --stride 2", {"stride": 2, "pads": ((0, 1), (0, 0))}),
        ("--padding same-lower --stride 2", {"stride": 2, "pads": ((1, 0), (0, 0))}),
    ],
)
def test_transposed_layer_is_its_definition(folder, tmp_path, options, meaning):
    arguments = ("x.npy", "up.npy", "--transposed", *options.split())
    result, record = applied(folder, tmp_path / "y.npy", *arguments)
    expected = put_down(X, bank("up"), **meaning)
    equal(result, expected)
    assert record["output_size"] == "×".join(map(str, expected.shape))


def test_transposed_groups_and_bias(folder, tmp_path):
    options = ("--transposed", "--groups", "2", "--stride", "2", "--bias-file", "six.npy")
    np.save(folder / "six.npy", np.arange(6) * 1000)
    result, _ = applied(folder, tmp_path / "y.npy", "x.npy", "up.npy", *options)
    equal(result, put_down(X, bank("up"), stride=2, groups=2) + np.arange(6).reshape(6, 1, 1) * 1000)


def test_op_convolve_turns_the_kernels_round(folder, tmp_path):
    turned = bank("plain")[..., ::-1, ::-1]
    result, _ = applied(folder, tmp_path / "y.npy", "x.npy", "plain.npy", "--op", "convolve")
    equal(result, correlated(X, turned))
    arguments = ("x.npy", "up.npy", "--transposed", "--op", "convolve", "--stride", "2")
    result, _ = applied(folder, tmp_path / "t.npy", *arguments)
    equal(result, put_down(X, bank("up")[..., ::-1, ::-1], stride=2))


def test_batches_are_independent_images(folder, tmp_path):
    result, record = applied(folder, tmp_path / "y.npy", "batch.npy", "plain.npy", "--padding", "1")
    equal(result, [correlated(image, bank("plain"), pads=((1, 1), (1, 1))) for image in BATCH])
    assert record["output_size"] == "2×3×5×7"
    options = ("--transposed", "--groups", "2", "--stride", "2")
    result, record = applied(folder, tmp_path / "t.npy", "batch.npy", "up.npy", *options)
    equal(result, [put_down(image, bank("up"), stride=2, groups=2) for image in BATCH])
    assert record["output_size"] == "2×6×11×12"


def test_banks_of_5_axes_are_for_volumes(folder, tmp_path):
    options = ("--stride", "1x2x1", "--padding", "1")
    result, record = applied(folder, tmp_path / "y.npy", "volume.npy", "deep.npy", *options)
    equal(result, correlated(VOLUME, bank("deep"), stride=(1, 2, 1), pads=((1, 1),) * 3))
    assert record["output_size"] == "3×5×3×7"


@pytest.mark.parametrize("op", ["convolve", "correlate"])
@pytest.mark.parametrize(
    ("options", "meaning"),
    [
        *((f"--mode same --border {border}", {"mode": "same", "border": border}) for border in BORDERS),
        ("--mode full --border symmetric --stride 2", {"mode": "full", "border": "symmetric", "stride": 2}),
        ("--mode valid --dilation 2", {"mode": "valid", "dilation": 2}),
        ("--mode same --origin 0,2 --border wrap", {"mode": "same", "origin": (2, 0), "border": "wrap"}),
        (
            "--mode same --border constant --border-value 5",
            {"mode": "same", "border": "constant", "border_value": 5},
        ),
    ],
)
def test_mode_and_border_mean_what_they_mean_for_one_kernel(folder, tmp_path, options, meaning, op):
    result, _ = applied(folder, tmp_path / "y.npy", "x.npy", "plain.npy", "--op", op, *options.split())
    expected = [
        sum(convolve_exactly(x, k, op=op, **meaning).values for x, k in zip(X, kernels, strict=True))
        for kernels in bank("plain")
    ]
    equal(result, np.array(expected))


@pytest.mark.parametrize("border", ["nearest", "wrap"])
def test_padding_may_be_another_border_than_zeros(folder, tmp_path, border):
    options = ("--padding", "1,0,1,2", "--border", border)
    result, _ = applied(folder, tmp_path / "y.npy", "x.npy", "plain.npy", *options)
    padded = np.pad(X, ((0, 0), (1, 1), (0, 2)), mode={"nearest": "edge", "wrap": "wrap"}[border])
    equal(result, correlated(padded, bank("plain")))


def test_the_origin_of_the_bank_itself_is_respected(folder, tmp_path):
    result, _ = applied(
        folder, tmp_path / "y.npy", "gray.png", "origin.json", "--mode", "same", "--dtype", "float32"
    )
    kernel = [[1, 2], [3, 4]]
    equal(result[0], convolve_exactly(GRAY, kernel, op="correlate", origin=(1, 1)).values.astype(int))


@pytest.mark.parametrize("options", ["", "--transposed --stride 2", "--groups 4"])
def test_backends_agree_to_the_last_bit(folder, tmp_path, backend, options):
    name = {"": "plain", "--groups 4": "depthwise"}.get(options, "up")
    arguments = ("x.npy", f"{name}.npy", *options.split(), "-b", backend)
    result, record = applied(folder, tmp_path / "y.npy", *arguments)
    if name == "up":
        equal(result, put_down(X, bank(name), stride=2))
    else:
        equal(result, correlated(X, bank(name), groups=4 if name == "depthwise" else 1))
    if backend != "auto":
        assert record["backend"] in backends.members(backend)
        assert record["why"] == "asked for" or backends.is_family(backend)


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_precision_is_the_type_of_the_arithmetic(folder, tmp_path, precision):
    for kernel, more in (("plain", ()), ("up", ("--transposed",))):
        arguments = ("floats.npy", f"{kernel}.npy", *more, "--precision", precision)
        result, record = applied(folder, tmp_path / f"{kernel}.npy", *arguments)
        exact = (put_down if more else correlated)(X, bank(kernel)).astype(float) / 7
        assert (result.dtype, record["arithmetic"]) == (precision, precision)
        np.testing.assert_allclose(result, exact, rtol=0, atol=1e-3 if precision == "float32" else 1e-11)


@pytest.mark.parametrize(
    ("file", "values"),
    [
        ("bias3.npy", [100, -7, 3]),
        ("bias.csv", [1, 2.5, -3]),
        ("column.txt", [1, 2, 3]),
        ("half.npy", [0.5, -0.25, 1]),
    ],
)
def test_bias_comes_from_any_file_of_numbers(folder, tmp_path, file, values):
    result, _ = applied(folder, tmp_path / "y.npy", "x.npy", "plain.npy", "--bias-file", file)
    equal(result, correlated(X, bank("plain")).astype(float) + np.reshape(values, (3, 1, 1)))


def test_an_array_without_channels_is_one_channel(folder, tmp_path):
    np.save(tmp_path / "flat.npy", GRAY)
    result, _ = applied(folder, tmp_path / "y.npy", tmp_path / "flat.npy", "even.json")
    equal(result, correlated(GRAY[None], np.array([[[[1, 2], [3, 4]]]])).astype(float) / 4)


def test_a_divisor_of_the_bank_divides(folder, tmp_path):
    result, _ = applied(folder, tmp_path / "y.npy", "gray.png", "even.json", "--dtype", "float32")
    equal(result, correlated(GRAY[None], np.array([[[[1, 2], [3, 4]]]])).astype(float) / 4)


@pytest.mark.parametrize("rule", ["propagate", "interpolate", "fill:2"])
def test_nan_rules_hold_over_channels(folder, tmp_path, rule):
    image = X / 8
    image[1, 2, 3], image[3, 5, 6] = np.nan, np.inf
    np.save(tmp_path / "gaps.npy", image)
    np.save(tmp_path / "ones.npy", np.ones((1, 4, 2, 2), int))
    arguments = (tmp_path / "gaps.npy", tmp_path / "ones.npy", "--nan", rule)
    result, _ = applied(folder, tmp_path / "y.npy", *arguments)
    windows = np.lib.stride_tricks.sliding_window_view(image, (2, 2), axis=(1, 2))
    windows = windows.transpose(1, 2, 0, 3, 4).reshape(*result.shape[1:], -1)
    finite = np.isfinite(windows)
    if rule == "propagate":
        expected = np.where(finite.all(-1), windows.sum(-1, where=finite), np.nan)
    elif rule == "interpolate":
        expected = windows.sum(-1, where=finite) * 16 / finite.sum(-1)
    else:
        expected = np.where(finite, windows, 2).sum(-1)
    np.testing.assert_allclose(result[0], expected, rtol=0, atol=1e-11)


# images


def test_a_row_of_weights_makes_colours_gray(folder, tmp_path):
    result, record = applied(folder, tmp_path / "gray.png", "rgb.png", "luma.npy")
    exact = RGB.astype(float) @ LUMA.reshape(3)
    assert (result.dtype, result.shape) == (np.uint8, (6, 8))
    assert np.abs(result - exact).max() < 0.51
    assert (record["size"], record["type"], record["clipped"]) == ("6×8", "uint8 RGB", 0)


def test_three_outputs_are_the_colours_of_an_image(folder, tmp_path):
    result, _ = applied(folder, tmp_path / "turned.png", "rgb.png", "turn.npy")
    equal(result, RGB[..., ::-1])
    result, _ = applied(folder, tmp_path / "turned.jpg", "rgb.png", "turn.npy")
    assert result.shape == RGB.shape


@pytest.mark.parametrize(("outputs", "mode"), [(2, "gray"), (4, "RGB")])
def test_an_even_number_of_outputs_ends_with_alpha_and_says_so(folder, tmp_path, outputs, mode):
    result, record = applied(folder, tmp_path / "out.png", "rgb.png", f"to{outputs}.npy")
    expected = np.clip(RGB.sum(axis=2, dtype=int), 0, 255)
    equal(result, np.repeat(expected[..., None], outputs, axis=2))
    assert record["notes"] == [f"{outputs} outputs become {mode} and alpha"]
    assert record["clipped"] == outputs * (RGB.sum(axis=2, dtype=int) > 255).sum()


def test_alpha_is_dropped_with_a_word_or_is_a_channel(folder, tmp_path):
    result, record = applied(folder, tmp_path / "three.png", "rgba.png", "turn.npy")
    equal(result, RGBA[..., 2::-1])
    assert record["notes"] == ["alpha was dropped: the bank is for 3 channels"]
    result, record = applied(folder, tmp_path / "four.png", "rgba.png", "from4.npy")
    expected = np.rint(RGBA.mean(axis=2))
    equal(result, np.repeat(expected[..., None], 4, axis=2))


def test_responses_are_clipped_in_a_picture_and_whole_in_an_array(folder, tmp_path):
    arguments = ("rgb.png", "to3.npy")
    result, record = applied(folder, tmp_path / "y.png", *arguments)
    total = RGB.sum(axis=2, dtype=int)
    equal(result, np.repeat(np.clip(total, 0, 255)[..., None], 3, axis=2))
    assert (result.dtype, record["clipped"]) == (np.uint8, 3 * (total > 255).sum())
    for options, dtype in ((), np.int64), (("--dtype", "float32"), np.float32):
        result, record = applied(folder, tmp_path / f"{len(options)}.npy", *arguments, *options)
        equal(result, np.repeat(total[None], 3, axis=0))
        assert (result.dtype, record["clipped"]) == (dtype, 0)


def test_16_bit_gray_stays_16_bit(folder, tmp_path):
    result, _ = applied(folder, tmp_path / "out.png", "deep.png", "even.json", "--padding", "0,0,1,1")
    padded = np.pad(GRAY.astype(int) * 257, ((0, 1), (0, 1)))
    exact = correlated(padded[None], np.array([[[[1, 2], [3, 4]]]]))[0].astype(float) / 4
    equal(result, np.clip(np.rint(exact), 0, 65535))
    assert result.dtype == np.uint16


def test_arrays_become_images_in_a_type_that_they_are_asked_for(folder, tmp_path):
    arguments = ("--dtype", "uint8", "--range", "abs")
    result, _ = applied(folder, tmp_path / "out.png", "x.npy", "plain.npy", *arguments)
    equal(np.moveaxis(result, -1, 0), np.clip(np.abs(correlated(X, bank("plain")).astype(int)), 0, 255))


@pytest.mark.filterwarnings("error")
def test_minmax_of_integers_passes_without_a_warning(folder, tmp_path):
    result, _ = applied(
        folder, tmp_path / "y.npy", "x.npy", "plain.npy", "--range", "minmax", "--dtype", "uint8"
    )
    y = correlated(X, bank("plain")).astype(float)
    assert np.abs(result - (y - y.min()) * 255 / (y.max() - y.min())).max() < 0.51


# what is said


def test_the_note_says_that_a_bank_is_a_layer_unless_told_or_quiet(folder):
    for more, expected in (
        (("plain.npy",), NOTE.format("plain", "correlation")),
        (("up.npy", "--transposed"), NOTE.format("up", "the transpose of correlation")),
        (("plain.npy", "--op", "correlate"), ""),
        (("plain.npy", "--op", "convolve"), ""),
        (("plain.npy", "-q"), ""),
        (("1 2 1",), ""),
    ):
        done = within("convolve", "x.npy", "-k", *more, cwd=folder)
        assert done.status == 0
        assert "".join(re.findall(r"(?m)^convcli: .*bank.*\n", done.err)) == expected


def test_several_inputs_are_told_once_and_one_bad_file_does_not_stop_the_rest(folder, tmp_path):
    arguments = ("x.npy", "rgb.png", "batch.npy", "-k", "plain.npy", "-o", f"{tmp_path}/{{stem}}.npy")
    done = within("convolve", *arguments, cwd=folder)
    assert (done.status, done.out) == (1, b"")
    assert done.err.count("is applied as a layer") == 1
    assert (
        "convcli: rgb.png: the bank 3×4×3×2 is for 4 channels, and the image 3×6×8 has 3; "
        "the bank is (out, in / groups, *taps)\n"
    ) in done.err
    equal(np.load(tmp_path / "x.npy"), correlated(X, bank("plain")))
    equal(np.load(tmp_path / "batch.npy")[1], correlated(BATCH[1], bank("plain")))


def test_a_wrong_option_ends_a_batch_before_it_begins(folder, tmp_path):
    arguments = ("x.npy", "batch.npy", "-k", "plain.npy", "-o", f"{tmp_path}/out/")
    for more, status, text in (
        (("-b", "gpu"), 2, 'unknown backend "gpu"'),
        (("--nan", "omit"), 2, 'unknown nan rule "omit"'),
        (("--mode", "wide"), 2, 'unknown mode "wide"'),
    ):
        done = within("convolve", *arguments, *more, cwd=folder)
        assert (done.status, done.err.count("\n")) == (status, 1)
        assert text in done.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "size"),
    [
        (("x.npy", "plain.npy", "--padding", "1", "--stride", "2"), "3×3×4"),
        (("x.npy", "up.npy", "--transposed", "--stride", "2", "--output-padding", "1"), "3×14×15"),
        (
            ("x.npy", "up.npy", "--transposed", "--groups", "2", "--padding", "same-upper", "--stride", "3"),
            "6×18×21",
        ),
        (("batch.npy", "plain.npy", "--mode", "same"), "2×3×5×6"),
        (("rgb.png", "luma.npy", "--padding", "2"), "1×10×12"),
    ],
)
def test_a_dry_run_knows_the_size_and_writes_nothing(folder, tmp_path, arguments, size):
    source, kernel, *more = arguments
    before = contents(folder)
    target = tmp_path / "y.npy"
    done = within("convolve", source, "-k", kernel, *more, "-o", target, "--dry-run", "--json", cwd=folder)
    (record,) = done.json["files"]
    assert (record["output_size"], record["outputs"]) == (size, [])
    assert any(entry["reason"] == "chosen" for entry in record["plan"])
    assert contents(folder) == before
    assert not target.exists()
    _, record = applied(folder, target, *arguments)
    assert record["output_size"] == size


@pytest.mark.parametrize("more", [("plain.npy",), ("up.npy", "--transposed", "--stride", "2")])
def test_explain_prints_candidates_and_the_one_that_ran(folder, more):
    done = within("convolve", "x.npy", "-k", *more, "--explain", "-b", "im2col", cwd=folder)
    assert done.out == b""
    assert "plan for x.npy" in done.err
    assert re.search(r"(?m)^backend +im2col \(asked for\)$", done.err)
    assert re.search(r"(?m)^im2col .* chosen$", done.err)


def test_summary_of_a_process(folder, tmp_path):
    done = succeed("convolve", "x.npy", "-k", "plain.npy", "-o", tmp_path / "y.npy", cwd=folder)
    assert done.out == b""
    note, *lines = done.err.splitlines(keepends=True)
    assert note == NOTE.format("plain", "correlation")
    facts = dict(line.split(maxsplit=1) for line in lines)
    assert facts["input"] == "x.npy  4×6×7 int64\n"
    assert facts["size"] == "4×6×7 → 3×4×6\n"
    equal(np.load(tmp_path / "y.npy"), correlated(X, bank("plain")))


def test_pipes_carry_the_result_and_nothing_else(folder):
    source = (folder / "rgb.png").read_bytes()
    done = succeed("convolve", "-", "-k", "turn.npy", "-o", "-", stdin=source, cwd=folder)
    assert done.out.startswith(b"\x89PNG")
    assert done.err.startswith(NOTE.format("turn", "correlation"))


# refusals

BANK = "x.npy -k plain.npy"
UP = "x.npy -k up.npy --transposed"
CASES = [
    ("x.npy -k box:3 --padding=1", 2, r"--padding is for a bank of kernels"),
    ("x.npy -k box:3 --bias-file=bias3.npy", 2, r"--bias-file is for a bank of kernels"),
    *(
        (
            f"x.npy -k box:3 {option}",
            2,
            rf"{option.split()[0]} is for a bank of kernels, an array \(out, in, h",
        )
        for option in (
            "--padding 1",
            "--groups 2",
            "--bias-file bias3.npy",
            "--transposed",
            "--output-padding 1",
        )
    ),
    *(
        (f"{BANK} {option}", 2, rf"{option.split()[0]} has no meaning for a bank of kernels, which plain is")
        for option in (
            "--gray",
            "--linear",
            "--alpha filter",
            "--normalize sum",
            "--divisor 2",
            "--bias 3",
            "--repeat 2",
            "--combine sum",
        )
    ),
    *(
        (f"{UP} {option}", 2, rf"{option.split()[0]} has no meaning for a transposed bank, which up is")
        for option in ("--mode same", "--border wrap", "--origin 0,0", "--nan interpolate")
    ),
    (f"{BANK} -k box:3", 2, r"plain is a bank of kernels; give it alone, without another -k"),
    ("x.npy -k box:3 -k plain.npy", 2, r"plain is a bank of kernels; give it alone"),
    (f"{BANK} --padding 1 --mode same", 2, r"--padding and --mode both say how far the result reaches"),
    (f"{BANK} --origin 0,0", 2, r"--origin has no effect on a bank without --mode; leave it out"),
    (f"{BANK} --origin 3,0 --mode same", 2, r"origin \(0, 3\) is outside the kernel 3×2"),
    (f"{BANK} --output-padding 1", 2, r"--output-padding is for --transposed; leave it out"),
    ("gray.png -k added.json", 2, r"the bias 3 of bank added has no place; use --bias-file"),
    # numbers
    (f"{BANK} --padding one", 2, r'padding "one" is no number, numbers such as 1x2, or one of valid, same'),
    (f"{BANK} --padding 1,2,3", 2, r"padding \(1, 2, 3\) does not fit 2 axes; give one"),
    (f"{BANK} --padding -1", 2, r"padding -1×-1 is below 0"),
    (f"{BANK} --padding same --stride 2", 2, r'padding "same" goes with stride 1, not 2×2; use "same-upper"'),
    (f"{BANK} --groups 0", 2, r"groups 0 is below 1"),
    (f"{BANK} --groups two", 2, r"--groups"),
    (f"{BANK} --groups 3", 2, r"groups 3 does not divide the 4 channels of the image"),
    ("x.npy -k depthwise.npy --groups 16", 2, r"groups 16 does not divide the 8 kernels"),
    (
        "x.npy -k depthwise.npy",
        2,
        r"the bank 8×1×3×3 is for 1 channel, and the image 4×6×7 has 4; the bank is",
    ),
    (f"{BANK} --stride 0", 2, r"stride 0×0 is below 1"),
    (
        f"{BANK} --dilation 4",
        2,
        r"kernel 3×2 \(dilated: 9×5\) is larger than image 6×7 with its padding, 6×7",
    ),
    (f"{UP} --output-padding 1", 2, r"output padding 1×1 is not below stride 1×1 or dilation 1×1; use less"),
    (f"{UP} --output-padding -1", 2, r"output padding -1×-1 is below 0"),
    (f"{UP} --output-padding x", 2, r'output padding "x" is not a whole number'),
    (f"{UP} --padding 9", 2, r"padding 9 cuts the result 8×8 down to -10×-10; use less"),
    (f"{UP} --padding 9 --dry-run", 2, r"padding 9 cuts the result 8×8 down to -10×-10; use less"),
    (f"{UP} --groups 3", 2, r"groups 3 does not divide the 4 channels of the bank"),
    (
        "x.npy -k plain.npy --transposed",
        2,
        r"is for 3 channels, .* has 4; .*, or \(in, out / groups, \*taps\)",
    ),
    ("rgb.png -k deep.npy", 2, r"the bank 3×2×2×3×2 is for 2 channels, and the image 1×3×6×8 has 1"),
    ("floats.npy -k two.npy --groups 2 --nan interpolate", 2, r"nan interpolate .* there are 2 groups; use"),
    (f"{BANK} --op multiply", 2, r'unknown op "multiply"; use one of convolve, correlate'),
    (f"{BANK} --border reflect", 2, r'"reflect" means two things'),
    (f"{BANK} --border-value 3", 2, r"--border-value 3 is for --border constant"),
    (f"{BANK} -b cuda", 4, r'backend "cuda" cannot be used'),
    (f"{UP} -b cuda", 4, r'backend "cuda" cannot be used'),
    (f"{UP} -b gpu", 2, r'unknown backend "gpu"'),
    # bias
    (
        f"{BANK} --bias-file bias4.npy",
        2,
        r"bias of shape \(4,\) does not fit 3 outputs; give one number for each",
    ),
    (f"{UP} --groups 2 --bias-file bias3.npy", 2, r"bias of shape \(3,\) does not fit 6 outputs"),
    (f"{BANK} --bias-file square.npy", 3, r"bias file square\.npy holds 2×2 numbers; it takes a row of them"),
    (f"{BANK} --bias-file none.npy", 3, r"bias file none\.npy: no such file"),
    (f"{BANK} --bias-file 1,2,3", 3, r"bias file 1,2,3: no such file"),
    # limits
    (
        f"{BANK} --max-memory 4kB",
        5,
        r"the result 4×6 needs .* of memory, more than the 4 kB|needs .* of memory, more",
    ),
    (
        f"{UP} --stride 99999",
        5,
        r"the result \d+×\d+ needs .* of memory, .*, or use a smaller stride or dilation",
    ),
    (f"{UP} --stride {10**17} --dry-run", 5, r"the result \d+×\d+ needs .* of memory"),
    (f"{UP} --dilation 99999", 5, r"the result \d+×\d+ needs .* of memory"),
    (f"{UP} --dilation {10**25}", 5, r"dilation .* is beyond what can be counted"),
    (f"{UP} --dilation {10**17}", 5, r"with its border has|the result \d+×\d+ needs .* of memory"),
    (f"{BANK} --padding {10**17}", 5, r"image 6×7 with its border has"),
    ("x.npy -k plain.npy --max-memory 100", 5, r"x\.npy holds 1,344 bytes, over the limit of 100"),
    # outputs
    ("rgb.png -k to5.npy -o out.png", 2, r"PNG cannot hold 5 outputs of uint8; use \.npy$"),
    ("rgb.png -k to4.npy -o out.jpg", 2, r"JPEG cannot hold 4 outputs of uint8; use \.png or .* or \.npy$"),
    ("rgb.png -k to3.npy -o out.pgm", 2, r"PGM cannot hold 3 outputs of uint8; use \.png or"),
    (
        "rgb.png -k to3.npy -o out.tif --dtype float32",
        2,
        r"TIFF cannot hold 3 outputs of float32; use \.npy, or --",
    ),
    (
        "rgb.png -k to1.npy -o out.png --dtype float32",
        2,
        r"PNG cannot hold 1 output of float32; use \.tif or",
    ),
    (
        "deep.png -k three.json -o out.tif",
        2,
        r"TIFF cannot hold 3 outputs of uint16; use \.png or \.npy, or --dtype uint8",
    ),
    (f"{BANK} -o out.png", 2, r"PNG cannot hold int64 with 3 channels; use \.npy, or --dtype uint8"),
    (
        "batch.npy -k plain.npy -o out.png --dtype uint8",
        2,
        r"bank makes of an array 2×4×5×6 is no image; write it",
    ),
    ("volume.npy -k deep.npy -o out.png --dtype uint8", 2, r"bank makes of an array 2×4×5×6 is no image"),
    (f"{BANK} -o x.npy", 2, r"x\.npy is the input x\.npy itself; use -f"),
    (f"{BANK} -o old.npy", 2, r"old\.npy exists; use -f"),
    (f"{BANK} -o out.xyz", 2, r'"out\.xyz" has no extension'),
]


@pytest.mark.parametrize(("command", "status", "text"), CASES, ids=[case[0] for case in CASES])
def test_error_is_named_and_no_file_changes(folder, command, status, text):
    (folder / "three.json").write_text(json.dumps([[[[1]]], [[[2]]], [[[3]]]]))
    before = contents(folder)
    done = within("convolve", *command.split(), cwd=folder)
    assert contents(folder) == before
    assert (done.status, done.out) == (status, b""), done.err
    assert done.err.count("\n") == 1
    assert done.err.startswith("convcli: ")
    assert "internal error" not in done.err
    assert re.search(text, done.err.rstrip("\n")), done.err


def test_a_format_that_cannot_hold_the_outputs_is_refused_before_they_are_computed(folder, monkeypatch):
    monkeypatch.setattr("convcli.filtering.banks.prepare_bank", lambda *_, **__: pytest.fail("computed"))
    done = within("convolve", "rgb.png", "-k", "to5.npy", "-o", "out.png", cwd=folder)
    assert done.status == 2


def test_the_errors_of_a_process_are_one_line(folder):
    done = convcli("convolve", "x.npy", "-k", "depthwise.npy", cwd=folder)
    assert (done.status, done.out) == (2, b"")
    assert done.err == (
        "convcli: the bank 8×1×3×3 is for 1 channel, and the image 4×6×7 has 4; "
        "the bank is (out, in / groups, *taps)\n"
    )


# in Python


def test_a_layer_knows_its_channels():
    weights = np.ones((6, 2, 3, 3))
    assert (BankOptions().channels(weights), BankOptions().outputs(weights)) == (2, 6)
    assert (BankOptions(groups=3).channels(weights), BankOptions(groups=3).outputs(weights)) == (6, 6)
    turned = BankOptions(groups=2, transposed=True)
    assert (turned.channels(weights), turned.outputs(weights)) == (6, 4)


def test_a_plan_comes_without_outputs():
    kernel = Kernel(bank("up"), "up")
    layer = BankOptions(transposed=True)
    options = Filter(op="correlate", stride=2, backend="direct")
    filtered = prepare_bank(X, kernel, options, layer).filtered
    assert (filtered.outputs, filtered.shape, filtered.plan.backend) == ([], (3, 13, 14), "direct")
    with pytest.raises(UsageError, match="is not below stride"):
        prepare_bank(X, kernel, Filter(), BankOptions(transposed=True, output_padding=1))


# convcli kernels


def test_kernels_shows_every_plane_of_a_bank(folder):
    text = within("kernels", "deep.npy", cwd=folder).text
    facts, *planes = text.split("\n\n")
    assert facts.splitlines() == [
        "bank      deep",
        "size      2×3×2",
        "outputs   3",
        "channels  2",
        f"sum       {bank('deep').sum()}",
    ]
    assert len(planes) == 12
    for where, plane in zip(np.ndindex(3, 2, 2), planes, strict=True):
        title, *rows = plane.rstrip("\n").split("\n")
        assert title == "output {}, channel {}, plane {}:".format(*(n + 1 for n in where))
        equal([list(map(int, row.split())) for row in rows], bank("deep")[where])


def test_kernels_shows_the_first_planes_of_a_large_bank(folder, tmp_path):
    np.save(tmp_path / "large.npy", np.ones((64, 32, 3, 3)))
    text = within("kernels", tmp_path / "large.npy", cwd=folder).text
    assert text.count("output 1, channel") == 16
    assert text.endswith("\n\nand 2,032 more like these; --json prints all\n")


def test_kernels_gives_a_bank_as_json(folder):
    found = within("kernels", "even.json", "--json", cwd=folder).json
    assert found == {
        "name": "even",
        "kernel": [[[[1, 2], [3, 4]]]],
        "divisor": 4.0,
        "bias": 0.0,
        "origin": [0, 0],
        "sum": 2.5,
        "outputs": 1,
        "channels": 1,
    }
    assert within("kernels", "origin.json", "--json", cwd=folder).json["origin"] == [1, 1]


def test_kernels_shows_divisor_and_bias_of_a_bank(folder):
    assert "\ndivisor   4\n" in within("kernels", "even.json", cwd=folder).text
    assert "\nbias      3\n" in within("kernels", "added.json", cwd=folder).text
    assert "rank" not in within("kernels", "even.json", cwd=folder).text


def test_sample_images_go_through_a_bank(folder, tmp_path):
    source = Path(__file__).parents[2] / "sample_images" / "coffee.png"
    result, _ = applied(folder, tmp_path / "gray.png", source, "luma.npy")
    exact = load(source).astype(float) @ LUMA.reshape(3)
    assert np.abs(result - exact).max() < 0.51
