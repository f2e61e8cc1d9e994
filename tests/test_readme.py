"""The README shows only what works: every example is run, and its output is the true one."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from shell import unobserved

from convcli.arrays import native

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
MEASURED = re.compile(r"\d+(\.\d+)?(e-?\d+)? (ms|megapixels/s|GB|MB|kB)|compiled, [^)]*")
NUMBER = re.compile(r"\d[\d.]*(e-?\d+)?(±[\d.]+)?")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def examples(block: str) -> list[tuple[str, str]]:
    """Every command of a console block with the output shown under it."""
    return [tuple(part.split("\n", 1)) for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]]


def unmeasured(text: str, command: str = "") -> list[str]:
    """Lines of text without what differs from run to run: times, sizes in bytes, instructions, spaces.

    All numbers of a benchmark do, their unit, and whose ratio is 1.
    """
    pattern = MEASURED
    if command.startswith("convcli bench"):
        pattern, text = NUMBER, text.replace("times in µs", "times in ms")
    return [re.sub(r"\s+", " ", pattern.sub("#", line)).strip() for line in text.splitlines() if line.strip()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("readme")
    shutil.copytree(ROOT / "sample_images", folder / "sample_images")
    np.save(folder / "x.npy", [[1, 2, 3], [4, 5, 6]])
    np.save(folder / "k.npy", [[10, 20], [30, 40]])
    np.save(folder / "photo.npy", np.ones((3, 8, 8)))
    np.save(folder / "bank.npy", np.ones((4, 3, 3, 3)))
    np.save(folder / "bias.npy", np.arange(4))
    return folder


@pytest.mark.skipif(native.level() is None, reason="it shows the plans that compiled code leads to")
@pytest.mark.parametrize("block", blocks("console"), ids=lambda block: block.split("\n")[0][2:60])
def test_examples_print_what_the_readme_shows(folder, block):
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for command, shown in examples(block):
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=folder,
            env={**unobserved(), "PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        printed = unmeasured(done.stdout + done.stderr, command)
        for line in unmeasured(shown, command):
            assert line in printed


def test_the_python_example_runs_and_says_what_its_comments_say(capsys):
    (code,) = blocks("python")
    scope: dict = {}
    exec(code, scope)
    assert scope["full"].tolist()[:2] == [[10, 40, 70, 60], [70, 230, 330, 240]]
    assert scope["soft"].shape == (2, 3)
    assert scope["T"].shape == (12, 6)
    assert scope["patches"].tolist() == [[1, 2, 4, 5], [2, 3, 5, 6]]
    assert (scope["back"] == scope["image"]).all()
    ours, transform = (
        np.sort_complex(v) for v in (np.linalg.eigvals(scope["C"].toarray()), np.fft.fft([1, 2, 0, 0]))
    )
    np.testing.assert_allclose(ours, transform, atol=1e-12)
    assert scope["product"].tolist() == [3, 10, 13, 10]
    assert scope["y"].shape == (1, 4, 4, 4)
    assert (scope["dx"].shape, scope["dw"].shape) == (scope["x"].shape, scope["w"].shape)
    assert scope["restored"].isnr > 15
    assert capsys.readouterr().out == "fft\n"


@pytest.mark.parametrize("name", ["w_conv", "circulant"])
def test_pictures_of_matrices_are_what_their_captions_make(folder, name):
    caption, links = re.search(r"^(\| `-k .*)\n\|---\|---\|\n(.*)$", README, re.MULTILINE).groups()
    place = [link.partition("readme/")[2].partition(".png")[0] for link in links.split(" | ")].index(name)
    arguments = shlex.split(re.findall(r"`(.*?)`", caption)[place])
    arguments[-1] = f"{name}.png"
    subprocess.run([sys.executable, "-m", "convcli", "toeplitz", *arguments, "-q"], cwd=folder, check=True)
    made, kept = (
        cv2.imread(str(path)) for path in (folder / f"{name}.png", ROOT / f"sample_images/readme/{name}.png")
    )
    assert np.abs(made.astype(int) - kept).mean() < 2  # fonts are not drawn alike everywhere


def test_the_picture_is_what_the_demo_makes(tmp_path):
    target = tmp_path / "edges.jpg"
    (line,) = [
        line
        for line in (ROOT / "Makefile").read_text().splitlines()
        if "bin/convcli" in line.lower() or "convcli convolve" in line
    ]
    options = line.split("convolve ")[1].replace("out/edges.png", str(target)).split()
    subprocess.run([sys.executable, "-m", "convcli", "convolve", *options, "-q"], cwd=ROOT, check=True)
    made, kept = (
        cv2.imread(str(path)).astype(int) for path in (target, ROOT / "sample_images/readme/edges.jpg")
    )
    assert np.abs(made - kept).mean() < 0.5


@pytest.mark.parametrize("name", ["blurred", "sharp"])
def test_the_pictures_of_a_blur_are_what_the_example_makes(tmp_path, name):
    program = [sys.executable, "-m", "convcli"]
    photo, psf = ROOT / "sample_images/coffee.png", ("-k", "motion:15,30", "-q", "-o")
    subprocess.run([*program, "convolve", photo, *psf, "blurred.png"], cwd=tmp_path, check=True)
    if name == "sharp":
        subprocess.run([*program, "deconvolve", "blurred.png", *psf, "sharp.png"], cwd=tmp_path, check=True)
    made, kept = (
        cv2.imread(str(path)).astype(int)
        for path in (tmp_path / f"{name}.png", ROOT / f"sample_images/readme/{name}.jpg")
    )
    assert np.abs(made - kept).mean() < 4  # the kept ones are JPEGs


def test_every_method_and_border_of_deconvolve_is_in_the_readme():
    from convcli.deconvolution import methods
    from convcli.deconvolution.borders import BORDERS

    for name in ("auto", *methods.names(), *BORDERS):
        assert f"| `{name}`" in README


def test_every_option_of_convolve_is_in_its_help_and_every_border_in_the_readme():
    from convcli.spec import BORDERS

    for border in BORDERS:
        assert f"| `{border}`" in README
