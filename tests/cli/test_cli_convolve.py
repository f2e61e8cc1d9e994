"""``convcli convolve``, run as a process: every option does what it says, to the last sample."""

import functools
import io
import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from oracle import convolve_exactly
from PIL import Image as Pillow
from shell import contents, convcli, exactly, load, save, succeed, within

from convcli.engine import planner, problem
from convcli.images.colour import from_linear, luma, to_linear

RNG = np.random.default_rng(5)
GRAY = RNG.integers(0, 256, (7, 9), dtype=np.uint8)
RGB = RNG.integers(0, 256, (6, 8, 3), dtype=np.uint8)
RGBA = RNG.integers(0, 256, (6, 8, 4), dtype=np.uint8)
KERNEL = np.array([[1, 2, 0, -1], [0, 3, -1, 1], [4, 0, -2, 5]])
INLINE = "1 2 0 -1; 0 3 -1 1; 4 0 -2 5"
BOX = np.ones((3, 3), int)
SAMPLES = sorted((Path(__file__).parents[2] / "sample_images").glob("*.png"))


@pytest.fixture
def folder(tmp_path):
    """Images and arrays, one of a kind."""
    save(tmp_path / "gray.png", GRAY)
    save(tmp_path / "rgb.png", RGB)
    save(tmp_path / "rgba.png", RGBA)
    np.save(tmp_path / "gray.npy", GRAY)
    return tmp_path


def run(folder, *arguments, source="gray.png", output="out.png"):
    """Filter one file; return the output, and what --json says of it."""
    done = succeed("convolve", source, *arguments, "-o", output, "--json", cwd=folder)
    (record,) = done.json["files"]
    assert (record["input"], record["outputs"], record["error"]) == (source, [output], None)
    assert done.err == "".join(f"convcli: {note}\n" for note in record["notes"])
    target = folder / output
    return (np.load(target) if output.endswith(".npy") else load(target)), record


@pytest.mark.parametrize(
    ("arguments", "meaning"),
    [
        ("", {}),
        ("--op correlate --border zero", {"op": "correlate", "border": "zero"}),
        ("--op correlate --mode valid --border wrap", {"op": "correlate", "mode": "valid"}),
        ("--mode full --border symmetric", {"mode": "full", "border": "symmetric"}),
        ("--mode valid --stride 2x3", {"mode": "valid", "stride": (2, 3)}),
        (
            "--mode full --border constant --border-value 37",
            {"mode": "full", "border": "constant", "border_value": 37},
        ),
        ("--border fill --border-value 1/2", {"border": "constant", "border_value": 0.5}),
        ("--border mirror --origin 3,0", {"border": "mirror", "origin": (0, 3)}),
        (
            "--border reflect-101 --origin 0,2 --op correlate",
            {"border": "mirror", "origin": (2, 0), "op": "correlate"},
        ),
        ("--border circular --dilation 2x3", {"border": "wrap", "dilation": (2, 3)}),
        ("--border periodic --dilation 3 --stride 2", {"border": "wrap", "dilation": 3, "stride": 2}),
        ("--border edge --origin 1", {"origin": 1}),
        ("--border replicate --stride 999999999999999999", {"stride": 100}),
        ("--border clamp --threads 3 -b direct", {}),
        ("--divisor 16 --bias 50%", {"divisor": 16, "bias": Fraction(255, 2)}),
        ("--divisor -1/2 --bias -3.5", {"divisor": Fraction(-1, 2), "bias": Fraction(-7, 2)}),
        ("--normalize sum", {"divisor": 12}),
        ("--normalize abs", {"divisor": 20}),
        ("--normalize auto --range clamp", {"divisor": 12}),
    ],
)
def test_option_means_what_the_oracle_means(folder, arguments, meaning):
    output, record = run(folder, "-k", INLINE, *arguments.split())
    expected, clipped = exactly(GRAY, KERNEL, **meaning)
    np.testing.assert_array_equal(output, expected)
    assert record["clipped"] == clipped
    assert record["size"] == "7×9"
    assert record["output_size"] == "×".join(map(str, expected.shape))


def test_the_comparison_with_the_oracle_can_fail(folder):
    output, _ = run(folder, "-k", INLINE, "--op", "correlate")
    assert (output != exactly(GRAY, KERNEL)[0]).any()


def test_each_plane_of_a_colour_image_is_filtered_alone(folder):
    output, record = run(folder, "-k", INLINE, "--normalize", "sum", source="rgb.png")
    expected, clipped = exactly(np.moveaxis(RGB, -1, 0), KERNEL, divisor=12)
    np.testing.assert_array_equal(output, np.moveaxis(expected, 0, -1))
    assert (record["clipped"], record["type"]) == (clipped, "uint8 RGB")


def test_zero_sum_is_never_divided_by(folder):
    output, record = run(folder, "-k", "sobel-x", "--normalize", "sum", "--bias", "128")
    np.testing.assert_array_equal(output, exactly(GRAY, [[1, 0, -1], [2, 0, -2], [1, 0, -1]], bias=128)[0])
    assert record["notes"] == ["kernel sobel-x sums to 0 and was not divided; --normalize abs would"]
    output, record = run(folder, "-k", "sobel-x", "--normalize", "auto", "--bias", "128", "-f")
    expected = exactly(GRAY, [[1, 0, -1], [2, 0, -2], [1, 0, -1]], divisor=8, bias=128)[0]
    np.testing.assert_array_equal(output, expected)
    assert record["notes"] == []


@pytest.mark.parametrize("rule", ["abs", "minmax"])
def test_range_brings_a_signed_response_into_the_image(folder, rule):
    output, record = run(folder, "-k", "sobel-x", "--range", rule)
    response = convolve_exactly(GRAY, [[1, 0, -1], [2, 0, -2], [1, 0, -1]], border="nearest").values
    if rule == "abs":
        expected = np.clip(np.abs(response), 0, 255)
        assert record["clipped"] == np.count_nonzero(np.abs(response) > 255) > 0
    else:
        low, high = min(response.flat), max(response.flat)
        expected = np.vectorize(lambda y: round((y - low) * 255 / (high - low)))(response)
        assert record["clipped"] == 0
    np.testing.assert_array_equal(output, expected.astype(int))


def test_range_none_refuses_what_does_not_fit(folder):
    _, clipped = exactly(GRAY, KERNEL)
    before = contents(folder)
    done = convcli("convolve", "gray.png", "-k", INLINE, "--range", "none", "-o", "out.png", cwd=folder)
    assert (done.status, done.out) == (2, b"")
    assert f'{clipped} samples are outside 0 to 255 and range is "none"' in done.err
    assert contents(folder) == before
    output, _ = run(folder, "-k", "box:3", "--range", "none")
    np.testing.assert_array_equal(output, exactly(GRAY, BOX, divisor=9)[0])


@pytest.mark.parametrize(
    ("dtype", "output", "high"),
    [
        ("uint8", "out.png", 255),
        ("uint16", "out.png", 65535),
        ("uint16", "out.tif", 65535),
        ("float32", "out.tif", None),
    ],
)
def test_dtype_is_the_type_of_the_samples_written(folder, dtype, output, high):
    found, record = run(folder, "-k", INLINE, "--dtype", dtype, output=output)
    assert found.dtype == dtype
    limits = (0, high) if high else (-(10**6), 10**6)
    expected, clipped = exactly(GRAY, KERNEL, low=limits[0], high=limits[1])
    np.testing.assert_array_equal(found, expected)
    assert record["clipped"] == (clipped if high else 0)


def test_16_bit_gray_stays_16_bit(folder):
    image = RNG.integers(0, 65536, (5, 6), dtype=np.uint16)
    save(folder / "deep.png", image)
    output, record = run(folder, "-k", "box:3", source="deep.png")
    assert (output.dtype, record["type"]) == (np.uint16, "uint16 gray")
    np.testing.assert_array_equal(output, exactly(image, BOX, divisor=9, high=65535)[0])


def test_gray_filters_the_brightness_alone(folder):
    output, _ = run(folder, "-k", "box:3", "--gray", source="rgb.png")
    gray = luma(np.moveaxis(RGB, -1, 0))[0]
    np.testing.assert_array_equal(output, exactly(gray, BOX, divisor=9)[0])


def test_linear_filters_light(folder):
    output, _ = run(folder, "-k", "box:1x2", "--op", "correlate", "--linear", "--precision", "float64")
    light = to_linear(GRAY).astype(float)
    mean = (light + np.c_[light[:, 1:], light[:, -1:]]) / 2
    np.testing.assert_array_equal(output, np.rint(from_linear(mean, 255.0)))
    plain, _ = run(folder, "-k", "box:1x2", "--op", "correlate", "-f")
    assert output.mean() > plain.mean() + 1  # the mean of the light is brighter than the mean of the samples


def test_alpha_rules_differ_where_they_should(folder):
    planes = np.moveaxis(RGBA, -1, 0).astype(np.int64)
    blurred = np.moveaxis(exactly(planes, BOX, divisor=9)[0], 0, -1)
    filtered, _ = run(folder, "-k", "box:3", "--alpha", "filter", source="rgba.png")
    np.testing.assert_array_equal(filtered, blurred)
    ignored, _ = run(folder, "-k", "box:3", "--alpha", "ignore", source="rgba.png", output="ignored.png")
    np.testing.assert_array_equal(ignored, np.dstack([blurred[..., :3], RGBA[..., 3]]))
    output, _ = run(folder, "-k", "box:3", source="rgba.png", output="weighed.png")
    products = convolve_exactly(planes[:3] * planes[3], BOX, border="nearest").values
    weights = convolve_exactly(planes[3], BOX, border="nearest").values
    colours = np.vectorize(lambda p, w: float(p / w))(products, np.broadcast_to(weights, products.shape))
    assert np.abs(output[..., :3] - np.moveaxis(colours, 0, -1)).max() < 0.501
    np.testing.assert_array_equal(output[..., 3], blurred[..., 3])


def test_nan_rules_on_an_array(folder):
    image = RNG.standard_normal((6, 7))
    image[2, 3], image[5, 6] = np.nan, np.inf
    np.save(folder / "gaps.npy", image)
    for rule in ("propagate", "interpolate", "fill:2.5"):
        output, _ = run(
            folder, "-k", "1 2 1; 2 4 2", "--nan", rule, source="gaps.npy", output=f"{rule[:4]}.npy"
        )
        exact = convolve_exactly(image, [[1, 2, 1], [2, 4, 2]], border="nearest", nan=rule).values
        expected = np.vectorize(lambda y: np.nan if y is None else float(y), otypes=[float])(exact)
        np.testing.assert_allclose(output, expected, rtol=0, atol=1e-12)
    assert np.isnan(np.load(folder / "prop.npy")).sum() == 8


def test_repeat_applies_the_filter_that_often(folder):
    output, _ = run(
        folder,
        "-k",
        "1 3",
        "--repeat",
        "3",
        "--mode",
        "full",
        "--border",
        "zero",
        source="gray.npy",
        output="out.npy",
    )
    cubed = np.convolve(np.convolve([1, 3], [1, 3]), [1, 3])[None]
    expected = convolve_exactly(GRAY, cubed, mode="full").values
    np.testing.assert_array_equal(output, expected.astype(int))


@pytest.mark.parametrize("rule", ["magnitude", "max", "sum", "mean"])
def test_combine_merges_the_responses(folder, rule):
    kernels = ([[1, 0, -1], [2, 0, -2], [1, 0, -1]], [[1, 2, 1], [0, 0, 0], [-1, -2, -1]])
    x, y = (convolve_exactly(GRAY, k, border="nearest").values.astype(float) for k in kernels)
    expected = {"magnitude": np.hypot(x, y), "max": np.maximum(x, y), "sum": x + y, "mean": (x + y) / 2}[rule]
    output, record = run(folder, "-k", "sobel-x", "-k", "sobel-y", "--combine", rule)
    np.testing.assert_array_equal(output, np.clip(np.rint(expected), 0, 255))
    assert record["kernels"] == ["sobel-x", "sobel-y"]


def test_several_kernels_give_one_file_each(folder):
    succeed(
        "convolve",
        "gray.png",
        "-k",
        "box:3",
        "-k",
        INLINE,
        "-k",
        "1 1",
        "-o",
        "{stem}_{kernel}{ext}",
        cwd=folder,
    )
    made = {name for name in contents(folder) if name.startswith("gray_")}
    assert made == {"gray_1-box-3.png", "gray_2-inline.png", "gray_3-inline.png"}
    np.testing.assert_array_equal(load(folder / "gray_2-inline.png"), exactly(GRAY, KERNEL)[0])


def test_precision_is_the_type_of_the_arithmetic(folder):
    np.save(folder / "float.npy", RNG.standard_normal((6, 7)).astype(np.float32))
    for precision, dtype in (("auto", "float32"), ("float32", "float32"), ("float64", "float64")):
        output, _ = run(
            folder,
            "-k",
            "gaussian:1",
            "--precision",
            precision,
            source="float.npy",
            output=f"{precision}.npy",
        )
        assert output.dtype == dtype


def test_explain_prints_candidates_and_the_reason(folder):
    done = succeed("convolve", "gray.png", "-k", "gaussian:1", "--explain", cwd=folder)
    assert done.out == b""
    assert "plan for gray.png" in done.err
    lines = [line for line in done.err.splitlines() if line.endswith("  chosen")]
    assert len(lines) == 1
    for name in ("direct", "fft", "im2col", "toeplitz", "toeplitz:sparse", "1-D passes", "multiply-adds"):
        assert name in done.err


def test_summary_names_what_was_done(folder):
    done = succeed("convolve", "rgb.png", "-k", "sharpen", "-b", "im2col", "-o", "out.png", cwd=folder)
    assert done.out == b""
    _, clipped = exactly(np.moveaxis(RGB, -1, 0), [[0, -1, 0], [-1, 5, -1], [0, -1, 0]])
    facts = dict(line.split(maxsplit=1) for line in done.err.splitlines())
    assert facts["input"].split() == ["rgb.png", "6×8", "uint8", "RGB"]
    assert facts["kernel"] == "sharpen"
    assert facts["backend"] == "im2col (asked for)"
    assert facts["time"].split()[::3] == ["read", "plan", "compute", "write"]
    assert "megapixels/s" in facts["speed"]
    assert facts["clipped"] == f"{clipped} samples"
    assert facts["output"] == "out.png"


def test_dry_run_plans_and_writes_nothing(folder):
    before = contents(folder)
    done = succeed("convolve", "gray.png", "rgb.png", "-k", "box:3", "-o", "out/", "--dry-run", cwd=folder)
    assert done.out == b""
    assert "(out/gray.png)" in done.err
    assert "(out/rgb.png)" in done.err
    (record,) = succeed(
        "convolve", "gray.png", "-k", "box:3", "-o", "out.png", "--dry-run", "--json", cwd=folder
    ).json["files"]
    assert (record["outputs"], record["output_size"]) == ([], "7×9")
    assert any(entry["reason"].startswith("chosen") for entry in record["plan"])
    assert contents(folder) == before


@pytest.mark.parametrize("output", ["gray.png", "missing/out.png", "out.xyz", "{oops}.png"])
def test_dry_run_refuses_what_the_run_would_refuse(folder, output):
    done = convcli("convolve", "gray.png", "-k", "box:3", "-o", output, "--dry-run", cwd=folder)
    real = convcli("convolve", "gray.png", "-k", "box:3", "-o", output, cwd=folder)
    assert (done.status, done.err) == (real.status, real.err)
    assert real.status == 2


def test_limits_refuse_before_the_work(folder):
    for option, value, text in (
        ("--max-memory", "1kB", r"needs .* of memory, more than the 1 kB allowed"),
        ("--max-pixels", "62", r"gray\.png has 63 pixels, over the limit of 62; raise --max-pixels"),
    ):
        done = convcli("convolve", "gray.png", "-k", "box:3", option, value, "-o", "out.png", cwd=folder)
        assert done.status == 5
        assert re.search(text, done.err), done.err
        assert not (folder / "out.png").exists()
    succeed("convolve", "gray.png", "-k", "box:3", "--max-pixels", "63", "-o", "out.png", cwd=folder)


def test_force_overwrites_even_the_input(folder):
    old = (folder / "gray.png").read_bytes()
    refused = convcli("convolve", "gray.png", "-k", "box:3", "-o", "gray.png", cwd=folder)
    assert refused.status == 2
    assert (folder / "gray.png").read_bytes() == old
    succeed("convolve", "gray.png", "-k", "box:3", "-o", "gray.png", "-f", cwd=folder)
    np.testing.assert_array_equal(load(folder / "gray.png"), exactly(GRAY, BOX, divisor=9)[0])


def test_format_decides_over_the_extension(folder):
    save(folder / "second.bmp", RGB)
    succeed(
        "convolve", "rgb.png", "second.bmp", "-k", "box:3", "--format", "tif", "-o", "out/", "-q", cwd=folder
    )
    for name in ("out/rgb.tif", "out/second.tif"):
        with Pillow.open(folder / name) as picture:
            assert picture.format == "TIFF"
    succeed("convolve", "rgb.png", "-k", "box:3", "--format", "ppm", "-o", "result", cwd=folder)
    assert (folder / "result").read_bytes().startswith(b"P6\n8 6\n255\n")


def test_encoder_options_reach_the_encoder(folder):
    smooth = np.add.outer(np.arange(64), 2 * np.arange(64)).astype(np.uint8)
    smooth = np.add.outer(np.arange(64), 2 * np.arange(64)).astype(np.uint8)
    save(folder / "large.png", np.dstack([smooth, smooth.T, smooth[::-1]]), dpi=(300, 300))
    for name, arguments in (
        ("plain.png", []),
        ("stored.png", ["--compress", "0"]),
        ("stripped.png", ["--strip"]),
        ("good.jpg", []),
        ("small.jpg", ["--quality", "5"]),
    ):
        succeed("convolve", "large.png", "-k", "identity", *arguments, "-o", name, cwd=folder)
    sizes = {name: len(data) for name, data in contents(folder).items()}
    assert sizes["stored.png"] > 64 * 64 * 3
    assert sizes["plain.png"] < sizes["stored.png"] / 3
    assert sizes["small.jpg"] < sizes["good.jpg"] * 0.7
    with Pillow.open(folder / "plain.png") as plain, Pillow.open(folder / "stripped.png") as stripped:
        assert "dpi" in plain.info
        assert "dpi" not in stripped.info


def test_quiet_prints_nothing_and_verbose_prints_more(folder):
    command = ("convolve", "gray.png", "-k", "sobel-x", "--normalize", "sum")
    quiet = succeed(*command, "-o", "1.png", "-q", cwd=folder)
    assert (quiet.out, quiet.err) == (b"", "")
    before = succeed("-q", *command, "-o", "2.png", cwd=folder)
    assert (before.out, before.err) == (b"", "")
    usual, verbose = (
        succeed(*command, *more, "-o", f"{len(more)}3.png", cwd=folder).err for more in ([], ["-v"])
    )
    assert len(verbose.splitlines()) > len(usual.splitlines())


def test_debug_shows_the_traceback_and_nothing_else_does(folder):
    plain = convcli("convolve", "none.png", "-k", "box:3", cwd=folder)
    assert (plain.status, plain.err) == (3, "convcli: none.png does not exist\n")
    debug = convcli("convolve", "none.png", "-k", "box:3", "--debug", cwd=folder)
    assert debug.status == 3
    assert debug.err.startswith("Traceback")
    assert debug.err.endswith("convcli: none.png does not exist\n")


def test_one_bad_file_does_not_stop_the_rest(folder):
    (folder / "bad.png").write_bytes(b"not an image")
    done = convcli(
        "convolve", "gray.png", "bad.png", "none.png", "rgb.png", "-k", "box:3", "-o", "out/", cwd=folder
    )
    assert (done.status, done.out) == (1, b"")
    assert "convcli: bad.png is not an image that convcli reads" in done.err
    assert "convcli: none.png does not exist" in done.err
    assert sorted(p.name for p in (folder / "out").iterdir()) == ["gray.png", "rgb.png"]
    done = convcli("convolve", "bad.png", "gray.png", "-k", "box:3", "-o", "second/", "--json", cwd=folder)
    bad, good = done.json["files"]
    assert done.status == 1
    assert (bad["input"], bad["outputs"], good["outputs"]) == ("bad.png", [], ["second/gray.png"])
    assert "is not an image" in bad["error"]
    assert good["error"] is None


def test_fail_fast_stops_at_the_first_bad_file(folder):
    done = convcli(
        "convolve",
        "gray.png",
        "none.png",
        "rgb.png",
        "-k",
        "box:3",
        "-o",
        "out/",
        "--fail-fast",
        "-q",
        cwd=folder,
    )
    assert (done.status, done.err) == (1, "convcli: none.png does not exist\n")
    assert [p.name for p in (folder / "out").iterdir()] == ["gray.png"]


def test_inputs_that_would_become_one_file_are_refused_before_any_work(folder):
    for inputs, output in (
        (("gray.png", "./gray.png"), "out/"),
        (("gray.png", "gray.npy"), "out/{stem}.png"),
    ):
        done = convcli("convolve", *inputs, "-k", "box:3", "-o", output, cwd=folder)
        assert done.status == 2
        assert "would both become out/gray.png; use more fields in the template" in done.err
    assert not (folder / "out").exists()


def test_names_of_every_kind_come_through(folder):
    names = [
        b"{}.png",
        b"{stem}.png",
        b"-o.png",
        b"new\nline.png",
        "ünï 日本.png".encode(),
        b"caf\xe9.png",
        b"a.b.png",
    ]
    for name in names:
        Path(folder / name.decode(errors="surrogateescape")).write_bytes((folder / "gray.png").read_bytes())
    done = succeed("convolve", "-k", "box:3", "-o", "out/", "--", *names, cwd=folder)
    made = {p.name.encode(errors="surrogateescape") for p in (folder / "out").iterdir()}
    assert made == set(names)
    assert r"new\nline.png" in done.err
    assert r"caf\xe9.png" in done.err


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_pipes_carry_the_data_and_nothing_else(folder, unbuffered):
    source, env = (folder / "rgb.png").read_bytes(), {"PYTHONUNBUFFERED": unbuffered}
    done = succeed("convolve", "-", "-k", "box:3", "-o", "-", stdin=source, env=env)
    expected = np.moveaxis(exactly(np.moveaxis(RGB, -1, 0), BOX, divisor=9)[0], 0, -1)
    with Pillow.open(io.BytesIO(done.out)) as picture:
        assert picture.format == "PNG"
        np.testing.assert_array_equal(np.asarray(picture), expected)
    succeed("convolve", "-", "-k", "box:3", "-o", folder / "whole.png", stdin=source)
    assert done.out == (folder / "whole.png").read_bytes()
    assert "output   -" in done.err
    done = succeed("convolve", "-", "-k", "1 1", "-o", "-", stdin=(folder / "gray.npy").read_bytes(), env=env)
    result = np.load(io.BytesIO(done.out))
    np.testing.assert_array_equal(
        result, convolve_exactly(GRAY, [[1, 1]], border="nearest").values.astype(int)
    )


def test_named_pipe_is_read_like_a_file(folder):
    for name in ("gray.png", "gray.npy"):
        script = f'cat {name} | "$0" "$@"'
        done = convcli(
            "convolve",
            "/dev/stdin",
            "-k",
            "identity",
            "-o",
            f"out-{name}",
            cwd=folder,
            wrapper=["sh", "-c", script],
        )
        assert done.status == 0, done.err
    np.testing.assert_array_equal(load(folder / "out-gray.png"), GRAY)
    np.testing.assert_array_equal(np.load(folder / "out-gray.npy"), GRAY)


def test_output_to_a_device_or_through_a_link(folder):
    succeed("convolve", "gray.png", "-k", "box:3", "-o", "/dev/null", "--format", "png", cwd=folder)
    (folder / "link.png").symlink_to("target.png")
    succeed("convolve", "gray.png", "-k", "identity", "-o", "link.png", cwd=folder)
    assert (folder / "link.png").is_symlink()
    np.testing.assert_array_equal(load(folder / "target.png"), GRAY)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_arrays_of_1_2_or_3_axes_are_filtered(tmp_path, axes):
    image = RNG.integers(-9, 9, (5, 6, 7)[-axes:])
    kernel = RNG.integers(-9, 9, (2, 3, 2)[-axes:])
    np.save(tmp_path / "x.npy", image)
    np.save(tmp_path / "k.npy", kernel)
    output, record = run(
        tmp_path, "-k", "k.npy", "--mode", "full", "--border", "wrap", source="x.npy", output="y.npy"
    )
    expected = convolve_exactly(image, kernel, mode="full", border="wrap").values
    np.testing.assert_array_equal(output, expected.astype(np.int64), strict=True)
    assert (record["size"], record["type"]) == ("×".join(map(str, image.shape)), "int64")


def test_array_becomes_an_image_only_in_a_type_that_holds_it(folder):
    np.save(folder / "float.npy", np.linspace(-1, 1, 63).reshape(7, 9))
    refused = convcli("convolve", "float.npy", "-k", "identity", "-o", "out.png", cwd=folder)
    assert refused.status == 2
    assert "PNG cannot hold float" in refused.err
    output, _ = run(folder, "-k", "identity", "--dtype", "uint8", "--range", "minmax", source="float.npy")
    np.testing.assert_array_equal(output.ravel(), np.rint(np.arange(63) * 255 / 62))
    array, _ = run(folder, "-k", "box:3", source="rgb.png", output="planes.npy")
    np.testing.assert_array_equal(array, exactly(np.moveaxis(RGB, -1, 0), BOX, divisor=9)[0])


def test_commands_of_the_readme(folder):
    save(folder / "photo.jpg", RGB)
    save(folder / "other.jpg", RGB[:, ::-1])
    np.save(folder / "x.npy", RNG.standard_normal((40, 50)))
    np.save(folder / "k.npy", RNG.standard_normal((5, 6)))
    succeed("convolve", "photo.jpg", "-k", "gaussian:3", "-o", "out.png", cwd=folder)
    assert load(folder / "out.png").shape == RGB.shape
    edges = ("-k", "sobel-x", "-k", "sobel-y", "--combine", "magnitude", "-o", "edges.png")
    succeed("convolve", "photo.jpg", *edges, cwd=folder)
    assert load(folder / "edges.png").shape == RGB.shape
    sharp = ("-k", "0 -1 0; -1 5 -1; 0 -1 0", "-o", "out/{stem}_sharp{ext}")
    succeed("convolve", "photo.jpg", "other.jpg", *sharp, cwd=folder)
    assert sorted(p.name for p in (folder / "out").iterdir()) == ["other_sharp.jpg", "photo_sharp.jpg"]
    with Pillow.open(folder / "out/photo_sharp.jpg") as picture:
        assert picture.format == "JPEG"
    piped = succeed(
        "convolve",
        "-",
        "-k",
        "box:9",
        "-o",
        "-",
        "--format",
        "png",
        stdin=(folder / "photo.jpg").read_bytes(),
    )
    assert piped.out.startswith(b"\x89PNG")
    succeed("convolve", "x.npy", "-k", "k.npy", "--mode", "full", "-b", "fft", "-o", "y.npy", cwd=folder)
    image, kernel = np.load(folder / "x.npy"), np.load(folder / "k.npy")
    padded = np.pad(image, ((4, 4), (5, 5)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel.shape)
    np.testing.assert_allclose(
        np.load(folder / "y.npy"), np.einsum("abij,ij->ab", windows, kernel[::-1, ::-1]), rtol=0, atol=1e-12
    )


WHOLE = ("box:3", "kirsch:NE")
FLOAT = "gaussian:2"


@pytest.fixture(scope="module")
def filtered(tmp_path_factory):
    """Run every sample image through a backend; return the outputs by file name."""

    @functools.cache
    def outputs(backend, precision):
        target = tmp_path_factory.mktemp("filtered")
        names = WHOLE if precision == "auto" else ()
        kernels = [argument for name in (*names, FLOAT) for argument in ("-k", name)]
        succeed(
            "convolve",
            *SAMPLES,
            *kernels,
            "-b",
            backend,
            "--precision",
            precision,
            "-o",
            "{stem}_{kernel}.png",
            cwd=target,
        )
        assert len(list(target.iterdir())) == (len(names) + 1) * len(SAMPLES) > 0
        return {path.name: load(path).astype(int) for path in target.iterdir()}

    return outputs


def test_backends_write_the_same_images(backend, filtered):
    """With kernels of whole numbers; with others, at most one level apart in 1 of 1000 samples."""
    expected, found = filtered("direct", "auto"), filtered(backend, "auto")
    assert expected.keys() == found.keys()
    for name, image in expected.items():
        distance = np.abs(image - found[name])
        if FLOAT.replace(":", "-") in name:
            assert distance.max() <= 1, name
            # The promise is about 8 bits: with 16, float32 rounds otherwise more often.
            assert name.startswith("moon16") or (distance > 0).mean() < 1e-3, name
        else:
            assert distance.max() == 0, name


def test_backends_write_the_same_images_in_float64(backend, filtered):
    expected, found = filtered("direct", "float64"), filtered(backend, "float64")
    assert [name for name, image in expected.items() if (image != found[name]).any()] == []


def test_direct_writes_what_the_definition_says(filtered):
    """The reference of the two tests above, against sums of shifted images."""
    for path in SAMPLES:
        image = load(path)
        if image.ndim != 2 or path.stem == "palette":
            continue
        padded = np.pad(image.astype(np.int64), 1, mode="edge")
        total = sum(padded[i : i + len(image), j : j + image.shape[1]] for i in range(3) for j in range(3))
        np.testing.assert_array_equal(
            filtered("direct", "auto")[f"{path.stem}_box-3.png"], np.rint(total / 9)
        )


@pytest.mark.parametrize("options", [(), ("--linear",), ("--gray",), ("--combine", "max", "-k", "sobel-x")])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_an_image_is_planned_once_on_its_way(tmp_path, monkeypatch, options, channels):
    shape = (30, 40) if channels == 1 else (30, 40, channels)
    save(tmp_path / "in.png", np.random.default_rng(0).integers(0, 256, shape, np.uint8))
    plans = []
    plan = planner.plan
    monkeypatch.setattr(planner, "plan", lambda *args, **more: plans.append(args[0]) or plan(*args, **more))
    problem._known.cache_clear()
    done = within("convolve", "in.png", "-k", "gaussian:2", *options, "-o", "out.png", cwd=tmp_path)
    assert done.status == 0
    # Opacity is a second image.
    assert len(plans) == (1 + ("sobel-x" in options)) * (1 + (channels == 4))
