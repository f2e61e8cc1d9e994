"""``convcli deconvolve`` as its users meet it: files in, files out, what it says, what it refuses."""

from __future__ import annotations

import re
import signal
import time

import numpy as np
import pytest
from PIL import Image as Pillow
from shell import contents, convcli, load, on_terminal, save, start, succeed, within

from convcli import convolve, parse_kernel
from convcli.deconvolution import methods
from convcli.deconvolution.quality import isnr

SIZE = 96


def scene(channels=1, dtype=np.uint8, size=SIZE):
    """Draw discs and bars: edges to restore, flat areas to keep."""
    y, x = np.mgrid[:size, :size]
    base = 60.0 + 40 * ((x // 12) % 2) + 90 * ((x - 50) ** 2 + (y - 40) ** 2 < 400)
    planes = np.stack([np.roll(base, 7 * c, axis=1) for c in range(channels)], axis=-1)
    scaled = planes * (257 if dtype == np.uint16 else 1)
    return (scaled[..., 0] if channels == 1 else scaled).astype(dtype)


@pytest.fixture
def blurred(tmp_path):
    """Write photo.png and blurred.png; return the folder."""
    save(tmp_path / "photo.png", scene())
    succeed("convolve", "photo.png", "-k", "gaussian:1.6", "-o", "blurred.png", cwd=tmp_path)
    return tmp_path


def gain(folder, result="sharp.png"):
    planes = [load(folder / name).astype(float)[None] for name in ("photo.png", "blurred.png", result)]
    return isnr(*planes)


def test_a_blur_is_undone(blurred):
    done = succeed("deconvolve", "blurred.png", "-k", "gaussian:1.6", "-o", "sharp.png", cwd=blurred)
    assert done.out == b""
    assert "method      tv (auto" in done.err
    assert "noise" in done.err
    assert "(found)" in done.err
    assert gain(blurred) > 6


def test_what_is_said_of_the_quality_is_true_of_the_file(blurred):
    done = within(
        "deconvolve", "blurred.png", "-k", "gaussian:1.6", "-o", "sharp.png", "--reference", "photo.png",
        "--json", cwd=blurred,
    )  # fmt: skip
    record = done.json["files"][0]
    assert record["isnr"] == pytest.approx(gain(blurred), abs=0.05)
    assert record["history"][-1]["isnr"] == record["isnr"]
    assert [entry["iteration"] for entry in record["history"]] == list(range(1, record["iterations"] + 1))


def test_iterations_are_printed_where_there_is_a_reference(blurred):
    arguments = ("deconvolve", "blurred.png", "-k", "gaussian:1.6", "-n", "12", "--reference", "photo.png")
    lines = within(*arguments, cwd=blurred).err.splitlines()
    assert " ".join(lines[0].split()) == "step residual change noise balance PSNR dB SSIM ISNR dB"
    assert [line.split()[0] for line in lines[1:6]] == ["1", "2", "5", "10", "12"]
    every = within(*arguments, "-v", cwd=blurred).err.splitlines()
    assert [line.split()[0] for line in every[1:13]] == [str(n) for n in range(1, 13)]


@pytest.mark.parametrize(("channels", "dtype", "mode"), [(3, np.uint8, "RGB"), (1, np.uint16, "I;16")])
def test_colour_and_depth_stay(tmp_path, channels, dtype, mode):
    save(tmp_path / "in.png", scene(channels, dtype))
    within("deconvolve", "in.png", "-k", "box:3", "-o", "out.png", cwd=tmp_path)
    with Pillow.open(tmp_path / "out.png") as picture:
        assert (picture.mode, picture.size) == (mode, (SIZE, SIZE))


def test_alpha_is_kept_and_hides_its_colours(tmp_path):
    pixels = np.dstack([scene(3), np.full((SIZE, SIZE), 255, np.uint8)])
    pixels[:, :30] = (0, 255, 0, 0)  # a loud colour that nobody sees
    pixels[:, 30:34, 3] = 128
    save(tmp_path / "in.png", pixels)
    quiet = pixels.copy()
    quiet[:, :30, :3] = (255, 0, 255)
    save(tmp_path / "other.png", quiet)
    for name in ("in", "other"):
        within("deconvolve", f"{name}.png", "-k", "box:3", "-o", f"{name}_out.png", cwd=tmp_path)
    first, second = load(tmp_path / "in_out.png"), load(tmp_path / "other_out.png")
    assert (first[..., 3] == pixels[..., 3]).all()
    assert (first[:, :30] == pixels[:, :30]).all()
    assert (first[:, 30:] == second[:, 30:]).all()


def test_arrays_of_one_to_three_axes(tmp_path):
    for shape, psf in (((200,), "1 2 1"), ((40, 50), "box:3"), ((4, 40, 50), "box:3")):
        x = np.random.default_rng(0).normal(size=shape).cumsum(axis=-1).astype(np.float32)
        np.save(tmp_path / "in.npy", x)
        within("deconvolve", "in.npy", "-k", psf, "-f", "-o", "out.npy", cwd=tmp_path)
        out = np.load(tmp_path / "out.npy")
        assert (out.shape, out.dtype) == (shape, np.float32)


def test_a_volume_is_restored_by_a_volume(tmp_path):
    truth = np.zeros((20, 24, 28))
    truth[8:13, 9:16, 6:20] = 1
    psf = np.ones((3, 3, 3)) / 27
    np.save(tmp_path / "psf.npy", psf)
    np.save(tmp_path / "in.npy", convolve(truth, psf))
    done = within("deconvolve", "in.npy", "-k", "psf.npy", "-o", "out.npy", cwd=tmp_path)
    assert done.status == 0, done.err
    blurred, out = np.load(tmp_path / "in.npy"), np.load(tmp_path / "out.npy")
    assert ((out - truth) ** 2).sum() < 0.1 * ((blurred - truth) ** 2).sum()


def test_an_off_centre_psf_keeps_the_image_in_place(tmp_path):
    psf = np.zeros((4, 6))
    psf[0:2, 1:4] = 1
    np.save(tmp_path / "psf.npy", psf / psf.sum())
    save(tmp_path / "photo.png", scene())
    succeed("convolve", "photo.png", "-k", "psf.npy", "-o", "blurred.png", cwd=tmp_path)
    within("deconvolve", "blurred.png", "-k", "psf.npy", "-o", "sharp.png", cwd=tmp_path)
    assert gain(tmp_path) > 6


def test_a_picture_of_a_star_is_a_psf(tmp_path):
    star = np.rint(
        255 * parse_kernel("gaussian:1.6,13").weights / parse_kernel("gaussian:1.6,13").weights.max()
    )
    save(tmp_path / "star.png", star.astype(np.uint8))
    save(tmp_path / "photo.png", scene())
    succeed("convolve", "photo.png", "-k", "star.png", "-o", "blurred.png", cwd=tmp_path)
    within("deconvolve", "blurred.png", "-k", "star.png", "-o", "sharp.png", cwd=tmp_path)
    assert gain(tmp_path) > 6


def test_several_inputs_and_one_bad(blurred):
    (blurred / "bad.png").write_bytes(b"no picture")
    done = within("deconvolve", "blurred.png", "bad.png", "-k", "gaussian:1.6", "-o", "out/", cwd=blurred)
    assert done.status == 1
    assert (blurred / "out/blurred.png").exists()
    assert not (blurred / "out/bad.png").exists()
    assert re.search(r"bad\.png +failed", done.err)


def test_a_pipe(blurred):
    data = (blurred / "blurred.png").read_bytes()
    done = succeed("deconvolve", "-", "-k", "gaussian:1.6", "-o", "-", "-q", stdin=data)
    (blurred / "sharp.png").write_bytes(done.out)
    assert done.err == ""
    assert gain(blurred) > 6


def test_every_nth_iteration_is_written(blurred):
    arguments = ("-k", "gaussian:1.6", "-n", "6", "--save-every", "3")
    within("deconvolve", "blurred.png", *arguments, "-o", "sharp.png", cwd=blurred)
    made = {name for name in contents(blurred) if name.startswith("sharp")}
    assert made == {"sharp.png", "sharp.0003.png", "sharp.0006.png"}
    assert (load(blurred / "sharp.0006.png") == load(blurred / "sharp.png")).all()
    assert (load(blurred / "sharp.0003.png") != load(blurred / "sharp.png")).any()


def test_the_residual_is_what_the_blurred_result_leaves(blurred):
    np.save(blurred / "blurred.npy", load(blurred / "blurred.png").astype(np.float32))
    common = ("-k", "gaussian:1.6", "--border", "wrap", "-f", "-o")
    within("deconvolve", "blurred.npy", *common, "sharp.npy", "--residual", "rest.npy", cwd=blurred)
    done = within("deconvolve", "blurred.png", *common, "sharp.png", "--residual", "rest.png", cwd=blurred)
    sharp, rest = np.load(blurred / "sharp.npy"), np.load(blurred / "rest.npy")
    again = convolve(sharp, parse_kernel("gaussian:1.6").weights, border="wrap")
    assert abs(load(blurred / "blurred.png") - again - rest).max() < 1e-2
    assert abs(load(blurred / "rest.png") - 128.0 - rest).max() <= 0.51
    assert "no residual is 128" in done.err


def test_the_psf_is_written_as_it_was_used(blurred):
    arguments = ("-k", "1 2 1; 2 4 2; 1 2 1", "-f", "-o", "a.npy", "--save-psf", "p.npy")
    within("deconvolve", "blurred.png", *arguments, cwd=blurred)
    assert np.load(blurred / "p.npy").sum() == pytest.approx(1)
    within("deconvolve", "blurred.png", *arguments, "--no-psf-normalize", cwd=blurred)
    assert np.load(blurred / "p.npy").tolist() == [[1, 2, 1], [2, 4, 2], [1, 2, 1]]


def test_the_blow_up_is_named(blurred):
    done = within("deconvolve", "blurred.png", "-k", "gaussian:1.6", "--method", "inverse", "-o", "a.png",
                  cwd=blurred)  # fmt: skip
    assert re.search(r"noise is \d+ times what it was; --method wiener", done.err)


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("-k", "box:51"), 2, "PSF 51×51 is larger than half the image 96×96"),
        (("-k", "sobel-x"), 2, "sums to 0"),
        (("-k", "box:3", "--method", "lucy"), 2, 'unknown method "lucy"; use one of auto'),
        (("-k", "box:3", "--border", "nearest"), 2, 'unknown border "nearest"; use one of unknown, wrap'),
        (("-k", "box:3", "--accelerate"), 2, "nothing to method tv; it is for landweber, rl"),
        (("-k", "box:3", "--damping", "2"), 2, "damping means nothing to method tv; it is for rl"),
        (("-k", "box:3", "--noise", "-1"), 2, "noise -1"),
        (("-k", "box:3", "--noise", "much"), 2, 'noise "much" is not a number'),
        (("-k", "box:3", "--balance", "inf"), 2, "balance"),
        (("-k", "box:3", "-n", "0"), 2, "iterations 0"),
        (("-k", "box:3", "--tolerance", "-1"), 2, "tolerance -1"),
        (("-k", "box:3", "--save-every", "0"), 2, "--save-every 0"),
        (("-k", "box:3", "-o", "-", "--save-every", "5"), 2, "beside the output"),
        (("-k", "box:3", "-o", "-", "--json"), 2, "--json and -o - would both"),
        (("-k", "box:3", "--residual", "-"), 2, "--residual cannot go to standard output"),
        (("-k", "box:3", "-o", "a.png", "--residual", "a.png"), 2, "name one file"),
        (("-k", "box:3", "-k", "box:5"), 2, "-k was given 2 times"),
        (("-k", "box:3", "--reference", "none.png"), 3, "none.png does not exist"),
        (("-k", "box:3", "--reference", "small.png"), 2, "the reference"),
        (("-k", "box:3", "--max-memory", "200kB"), 5, "more than the 200 kB allowed"),
        (("-k", "box:3", "-o", "blurred.png"), 2, "is the input"),
        (("-k", "box:3", "--exponent", "1/3"), 2, "exponent"),
        (("-k", "box:3", "--method", "hyperlaplacian", "--exponent", "1/3"), 2, "use 1/2, 2/3"),
        (("-k", "box:3", "--origin", "5,5"), 2, "outside the PSF 3×3"),
        (("-k", "1 -3 1", "--method", "rl"), 2, "negative cells"),
        (("-k", "box:3", "-o", "a.png", "--residual", "rest.xyz"), 2, "rest.xyz"),
        (("-k", "box:3", "--reference", "-"), 2, "--reference cannot come from standard input"),
        (("-k", "box:3", "--reference", "deep.png"), 2, "the reference is uint16 gray"),
        (("-k", "box:3", "--balance", "1e300"), 2, "balance 1e+300 is beyond"),
    ],
)  # fmt: skip
def test_refusals_leave_every_file_as_it_was(blurred, arguments, status, words):
    save(blurred / "small.png", scene(size=40))
    save(blurred / "deep.png", scene(dtype=np.uint16))
    before = contents(blurred)
    done = within("deconvolve", "blurred.png", *arguments, cwd=blurred)
    assert (done.status, done.out) == (status, b"")
    assert done.err.count("\n") == 1
    assert words in done.err
    assert contents(blurred) == before


def test_names_that_iterations_will_need_are_checked_first(blurred):
    save(blurred / "sharp.0004.png", scene())
    before = contents(blurred)
    done = within("deconvolve", "blurred.png", "-k", "box:3", "-o", "sharp.png", "--save-every", "2",
                  cwd=blurred)  # fmt: skip
    assert done.status == 2
    assert "sharp.0004.png exists" in done.err
    assert contents(blurred) == before


def test_iterations_never_take_the_name_of_an_input(blurred):
    save(blurred / "a.0002.png", scene())
    before = contents(blurred)
    done = within(
        "deconvolve", "a.0002.png", "-k", "box:3", "-f", "-o", "a.png", "--save-every", "2", cwd=blurred
    )
    assert done.status == 2
    assert "a.0002.png, which is an input or output itself" in done.err
    assert contents(blurred) == before


def test_a_strength_that_cannot_be_found_is_said(blurred):
    """A photo is not periodic, and no strength makes it so."""
    done = within(
        "deconvolve", "blurred.png", "-k", "motion:25,0", "--border", "wrap", "-o", "a.png", cwd=blurred
    )
    assert "no strength explains the residual" in done.err


def test_a_psf_that_is_not_its_mirror_image_is_named_under_border_mirror(blurred):
    common = ("deconvolve", "blurred.png", "-f", "-o", "a.png", "--border", "mirror", "-k")
    assert "not its own mirror image" in within(*common, "motion:9,45", cwd=blurred).err
    assert "mirror image" not in within(*common, "gaussian:1.6", cwd=blurred).err


def test_floats_are_measured_as_they_are(tmp_path):
    """A float picture has no end of its range at 1."""
    truth = scene().astype(np.float32) * 4
    save(tmp_path / "photo.tif", truth)
    save(tmp_path / "blurred.tif", convolve(truth, parse_kernel("gaussian:1.6").weights, border="nearest"))
    done = within("deconvolve", "blurred.tif", "-k", "gaussian:1.6", "--reference", "photo.tif", "--json",
                  cwd=tmp_path)  # fmt: skip
    assert done.json["files"][0]["isnr"] > 6


def test_a_picture_that_nobody_can_see_is_refused(tmp_path):
    save(tmp_path / "in.png", np.zeros((32, 32, 4), np.uint8))
    done = within("deconvolve", "in.png", "-k", "box:3", "-o", "out.png", cwd=tmp_path)
    assert (done.status, "can be seen" in done.err) == (3, True)


@pytest.mark.parametrize("force", [False, True])
def test_ctrl_c_writes_what_it_came_to(tmp_path, force):
    save(tmp_path / "in.png", scene(3, size=768))
    if force:
        (tmp_path / "out.png").write_bytes(b"old")
    arguments = ("deconvolve", "in.png", "-k", "gaussian:2", "-n", "100000", "--tolerance", "0")
    child = start(*arguments, "-o", "out.png", "--save-every", "3", *["-f"] * force, cwd=tmp_path)
    deadline = time.monotonic() + 60
    while not (tmp_path / "out.0003.png").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 130
    assert re.search(r"interrupted after iteration \d+; out.png holds what it came to", err.decode())
    assert load(tmp_path / "out.png").shape == (768, 768, 3)


def test_a_terminal_sees_progress_and_a_table(blurred):
    status, text = on_terminal(
        "deconvolve", "blurred.png", "-k", "gaussian:1.6", "-o", "sharp.png", "--reference", "photo.png",
        cwd=blurred,
    )  # fmt: skip
    assert status == 0
    assert "residual" in text
    assert max(len(line) for line in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).splitlines()) <= 80


def test_stdout_that_is_a_terminal_is_refused(blurred):
    status, text = on_terminal("deconvolve", "blurred.png", "-k", "box:3", "-o", "-", cwd=blurred)
    assert status == 2
    assert "standard output is a terminal" in text


def test_a_disk_that_is_full_leaves_the_old_file(blurred):
    done = convcli("deconvolve", "blurred.png", "-k", "box:3", "-f", "-o", "/dev/full", "--format", "png",
                   cwd=blurred)  # fmt: skip
    assert done.status == 1
    assert "No space left on device" in done.err


MADE_UP = '''
"""Van Cittert: add the difference between the observation and the blurred image, again and again."""

from convcli.deconvolution.method import Step

SUMMARY = "for a test"
ITERATIONS, TOLERANCE, OPTIONS, POSITIVE = 4, 0.0, (), False


def restore(blur, options):
    image = blur.filled
    while True:
        image = image + blur.observed - blur.masked(blur.apply(image))
        yield Step(image, 0.0, options.noise)
'''


def test_a_method_is_one_file(blurred, monkeypatch):
    (blurred / "methods").mkdir()
    (blurred / "methods" / "made_up.py").write_text(MADE_UP)
    monkeypatch.setattr(methods, "__path__", [*methods.__path__, str(blurred / "methods")])
    done = within(
        "deconvolve", "blurred.png", "-k", "gaussian:1.6", "--method", "made_up", "-o", "sharp.png",
        cwd=blurred,
    )  # fmt: skip
    assert "method      made_up (asked for)" in done.err
    assert "iterations  4" in done.err
    assert gain(blurred) > 2
    refused = within(
        "deconvolve",
        "blurred.png",
        "-k",
        "gaussian:1.6",
        "--method",
        "made_up",
        "--balance",
        "1",
        cwd=blurred,
    )
    assert refused.status == 2
    assert "balance means nothing to method made_up" in refused.err
