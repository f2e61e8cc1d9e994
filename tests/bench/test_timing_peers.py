"""Other people's libraries and programs solve the very problem that ours are timed on, or say why not."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import itertools
import os
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from oracle import assert_matches, convolve_exactly
from shell import within

import convcli.bench.peers
from convcli.bench.contestants import Contestant, Task
from convcli.bench.peers import peers
from convcli.bench.results import Case
from convcli.errors import BackendError

LIBRARIES = {peer.name: peer for peer in peers("peer")}
PROGRAMS = {program.name: program for program in peers("process")}
LIMITS = {entry.name: entry.limits for entry in peers()}
DTYPES = ("float32", "float64", "uint8")
GEOMETRIES = {
    "odd": ((1, 9, 11), (3, 3)),
    "even": ((3, 7, 8), (4, 2)),
    "mixed": ((2, 6, 9), (2, 5)),
    "large": ((1, 15, 17), (13, 11)),  # where OpenCV turns to Fourier
    "larger than the image": ((1, 4, 5), (9, 7)),
    "larger and even": ((4, 3, 2), (8, 6)),
}


@functools.cache
def task(image_shape, kernel_shape, dtype="float32", threads=1, positive=False) -> Task:
    """Return a random problem, the same every time; `positive` weights have the sum 1."""
    rng = np.random.default_rng(7)
    image = rng.integers(0, 256, image_shape) if dtype == "uint8" else rng.standard_normal(image_shape)
    image = image.astype(dtype)
    image.setflags(write=False)  # everybody gets the same one
    kernel = rng.standard_normal(kernel_shape)
    if positive:
        kernel = np.abs(kernel) / np.abs(kernel).sum()
    case = Case("random", image_shape[0], image_shape[1:], "random", kernel_shape, dtype, threads)
    return Task(case, image, kernel)


@functools.cache
def exact(of: tuple) -> object:
    given = task(*of)
    return convolve_exactly(given.image, given.kernel)


def solve(contestant: Contestant, given: Task) -> np.ndarray:
    """Let a contestant solve a problem, or skip the test where its library or program is absent."""
    reason = contestant.refuses(given)
    if reason and reason.startswith("not installed"):
        pytest.skip(f"{contestant.name} {reason}")
    assert reason is None
    with contestant.prepare(given) as call:
        return contestant.read(call())


def solvable(names, geometries=tuple(GEOMETRIES)) -> list[tuple[str, str, str]]:
    """List who can solve what, by contestant, geometry and type."""
    combinations = itertools.product(names, geometries, DTYPES)
    return [(n, g, d) for n, g, d in combinations if not LIMITS[n](task(*GEOMETRIES[g], d))]


@pytest.mark.parametrize(("name", "geometry", "dtype"), solvable(LIBRARIES))
def test_libraries_agree_with_the_oracle(name, geometry, dtype):
    result = solve(LIBRARIES[name], task(*GEOMETRIES[geometry], dtype))
    wanted = ("float64",) if dtype == "float64" else ("float32", "float64")
    assert result.dtype.name in wanted
    assert_matches(result, exact((*GEOMETRIES[geometry], dtype)), "fft")


@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize("image_shape", [(3, 9, 11), (1, 1, 2)])
def test_pillow_agrees_to_half_a_grey_level(image_shape, size):
    of = (image_shape, (size, size), "uint8", 1, True)
    result = solve(LIBRARIES["pillow.Kernel"], task(*of))
    assert np.abs(result - exact(of).values.astype(float)).max() < 0.5001


@pytest.mark.parametrize(
    ("name", "given", "reason"),
    [
        (
            "pillow.Kernel",
            task((1, 9, 9), (3, 5), "uint8"),
            "takes kernels of 3×3 and 5×5, not 3×5",
        ),
        ("pillow.Kernel", task((1, 9, 9), (3, 3)), "filters 8-bit images, not float32"),
        (
            "pillow.Kernel",
            Task(task((1, 9, 9), (3, 3), "uint8").case, np.zeros((1, 9, 9)), np.diag([2.0, -1.0, 1.0])),
            "its results are 8-bit, and this kernel's reach from -255 to 765",
        ),
        ("astropy.convolve", task((1, 9, 9), (3, 4)), "takes kernels of odd size, not 3×4"),
        (
            "magick -morphology",
            task((1, 9, 9), (3, 3)),
            "its samples have 16 bits, too few for float32",
        ),
        (
            "magick -morphology",
            task((2, 9, 9), (3, 3), "uint8"),
            "reads files of 1 or 3 planes, not 2",
        ),
        (
            "magick -morphology",
            task((1, 9, 9), (120, 120), "uint8"),
            "a kernel of 120×120 is too long for a command line",
        ),
        ("gmic -convolve", task((1, 9, 9), (3, 3), "float64"), "computes in float32, not float64"),
    ],
)
def test_what_cannot_be_solved_is_refused_with_the_reason(name, given, reason):
    assert LIMITS[name](given) == reason


def test_an_installed_library_passes_its_limits_on():
    reason = LIBRARIES["pillow.Kernel"].refuses(task((1, 9, 9), (3, 5), "uint8"))
    assert reason == "takes kernels of 3×3 and 5×5, not 3×5"


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_missing_library_says_how_to_get_it(monkeypatch, name):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    reason = LIBRARIES[name].refuses(task((1, 9, 9), (3, 3)))
    assert reason == 'not installed (pip install "convcli[peers]")'


def test_a_broken_library_is_refused_not_raised(monkeypatch):
    def broken(_):
        raise ImportError("libGL.so.1: cannot open\nshared object file.")

    monkeypatch.setattr(importlib, "import_module", broken)
    reason = LIBRARIES["signal.convolve2d"].refuses(task((1, 9, 9), (3, 3)))
    assert reason == "cannot be imported (ImportError: libGL.so.1: cannot open shared object file)"


def test_nothing_is_imported_before_it_is_asked_for():
    roots = {peer.module.partition(".")[0] for peer in peers("peer")}
    code = "import sys; from convcli.bench.peers import peers; peers(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not roots & set(done.stdout.split())


@pytest.mark.parametrize(
    ("name", "module", "getter"),
    [
        ("cv2.filter2D", "cv2", "getNumThreads"),
        ("torch.conv2d", "torch", "get_num_threads"),
        ("signal.fftconvolve", "scipy.fft", "get_workers"),
        ("signal.oaconvolve", "scipy.fft", "get_workers"),
    ],
)
def test_threads_are_set_and_taken_back(name, module, getter):
    count = getattr(pytest.importorskip(module), getter)
    before = count()
    given = task((1, 9, 9), (3, 3), threads=before + 1)

    def fail() -> None:
        with LIBRARIES[name].prepare(given):
            assert count() == before + 1
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert count() == before


@pytest.mark.parametrize(("name", "geometry", "dtype"), solvable(PROGRAMS, ["even", "larger than the image"]))
def test_installed_programs_agree_with_the_oracle(name, geometry, dtype):
    given = task(*GEOMETRIES[geometry], dtype)
    result, wanted = solve(PROGRAMS[name], given), exact((*GEOMETRIES[geometry], dtype))
    if name == "magick -morphology":
        step = 255 * np.abs(given.kernel).sum() / 65535
        assert np.abs(result - wanted.values.astype(float)).max() < step
    else:
        assert_matches(result, wanted, "fft")


SHELL, TOOLS = shutil.which("sh"), os.environ["PATH"]  # of before the search path is emptied
PIXELS = np.arange(12, dtype="u1").reshape(1, 3, 4)
WEIGHTS = np.array([[1.0, -0.5], [0.25, 2.0], [0.0, 0.0625]])
SMALL = Task(Case("random", 1, (3, 4), "random", (3, 2), "uint8", 3), PIXELS, WEIGHTS)
RESULT = np.arange(-6.0, 6.0, dtype="<f4").reshape(1, 3, 4)


def v_file(image, number) -> bytes:
    """Write a file of libvips by the table in its manual: 64 bytes, then the pixels."""
    planes, height, width = image.shape
    words = (0x08F2A6B6, width, height, planes, 0, number, 0, 0)
    return struct.pack("<8I2f6I", *words, 1.0, 1.0, *[0] * 6) + image.transpose(1, 2, 0).tobytes()


def install(monkeypatch, folder, name, body) -> None:
    """Put a shell script on an otherwise empty search path, under the name of a program."""
    script = folder / name
    script.write_text(f"#!{SHELL}\nPATH='{TOOLS}'\n{body}\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


def record(monkeypatch, folder, name, threads, output, result) -> None:
    """Install a program that keeps its arguments and files, and "computes" `result`."""
    (folder / "result").write_bytes(result)
    body = f"""
        [ "$1" = -version ] && {{ echo "Version: ImageMagick 7.1.1"; exit; }}
        printf '%s\\n' "$@" > {folder}/arguments
        echo "{" ".join(f"${name}" for name in threads)}" > {folder}/threads
        pwd > {folder}/where
        cp * {folder}
        cp {folder}/result {output}"""
    install(monkeypatch, folder, name, body)


@pytest.mark.parametrize(
    ("name", "executable", "threads", "arguments", "files", "result"),
    [
        (
            "vips conv",
            "vips",
            ["VIPS_CONCURRENCY"],
            ["conv", "in.v", "out.v", "mask.mat", "--precision", "float"],
            {
                "in.v": v_file(np.pad(PIXELS, ((0, 0), (1, 1), (1, 1))), 0),
                "mask.mat": b"2 3\n0.0625 0.0\n2.0 0.25\n-0.5 1.0\n",  # turned round
            },
            v_file(np.pad(RESULT, ((0, 0), (1, 1), (1, 1)), constant_values=99), 6),
        ),
        (
            "magick -morphology",
            "magick",
            ["MAGICK_THREAD_LIMIT", "OMP_NUM_THREADS"],
            [
                *("in.pgm", "-virtual-pixel", "black", "-define", "convolve:bias=13.114754098360656%"),
                *("-morphology", "Convolve"),
                "2x3+0+1: 0.262295082,-0.131147541 0.0655737705,0.524590164 0,0.0163934426",
                *("-depth", "16", "out.pgm"),
            ],
            {"in.pgm": b"P5\n4 3\n255\n" + PIXELS.tobytes()},
            b"P5\n4 3\n65535\n"
            + np.rint(65536 * 0.5 / 3.8125 + 65535 * RESULT / 255 / 3.8125).astype(">u2").tobytes(),
        ),
        (
            "gmic -convolve",
            "gmic",
            ["OMP_NUM_THREADS"],
            ["in.cimg", "mask.cimg", "-convolve[0]", "[1],0", "-remove[1]", "-output", "out.cimg"],
            {
                "in.cimg": b"1 unsigned_char little_endian\n4 3 1 1\n" + PIXELS.tobytes(),
                "mask.cimg": b"1 float little_endian\n2 3 1 1\n" + WEIGHTS.astype("<f4").tobytes(),
            },
            b"1 float little_endian\n4 3 1 1\n" + RESULT.tobytes(),
        ),
    ],
)
def test_command_lines_and_files(monkeypatch, tmp_path, name, executable, threads, arguments, files, result):
    output = next(word for word in arguments if word.startswith("out"))
    record(monkeypatch, tmp_path, executable, threads, output, result)
    np.testing.assert_allclose(solve(PROGRAMS[name], SMALL), RESULT, atol=0.01)
    assert (tmp_path / "arguments").read_text().splitlines() == arguments
    assert (tmp_path / "threads").read_text().split() == ["3"] * len(threads)
    assert {file: (tmp_path / file).read_bytes() for file in files} == files
    assert not Path((tmp_path / "where").read_text().strip()).exists()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (r"printf 'banner\n\033[31mvips: disk full\033[0m\n\n' >&2; exit 1", "vips failed: vips: disk full"),
        ("exit 3", "vips failed: exit status 3"),
        ("exit 0", "the result cannot be read: .*No such file"),
        ("echo x > out.v", "the result cannot be read: "),
    ],
)
def test_a_program_that_fails_is_named(monkeypatch, tmp_path, body, message):
    install(monkeypatch, tmp_path, "vips", body)
    with pytest.raises(BackendError, match=message):
        solve(PROGRAMS["vips conv"], SMALL)


def test_a_file_of_the_wrong_kind_is_no_result(monkeypatch, tmp_path):
    for name, output in [("vips", "out.v"), ("magick", "out.pgm"), ("gmic", "out.cimg")]:
        record(monkeypatch, tmp_path, name, ["HOME"], output, b"P4\n1 1\n" + bytes(99))
        contestant = next(c for c in PROGRAMS.values() if c.name.startswith(name))
        with pytest.raises(BackendError, match="the result cannot be read: no "):
            solve(contestant, SMALL)


def test_a_program_that_does_not_start_is_an_error_of_ours(monkeypatch, tmp_path):
    install(monkeypatch, tmp_path, "gmic", "")
    with PROGRAMS["gmic -convolve"].prepare(SMALL) as call:
        (tmp_path / "gmic").unlink()
        with pytest.raises(BackendError, match="gmic cannot be run: No such file or directory"):
            call()


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_missing_program_is_refused(monkeypatch, tmp_path, name):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert PROGRAMS[name].refuses(SMALL) == "not installed"
    with pytest.raises(BackendError, match=f"{name} is not installed"), PROGRAMS[name].prepare(SMALL):
        pass


def test_another_program_called_convert_is_not_imagemagick(monkeypatch, tmp_path):
    install(monkeypatch, tmp_path, "convert", 'echo "converts FAT to NTFS"')
    assert PROGRAMS["magick -morphology"].refuses(SMALL) == "not installed"


MADE_UP = """
import math
from convcli.bench.library import Library

def build(module, task):
    image = task.image
    weights = task.kernel[0, 0]
    return lambda: image * weights

def limits(task):
    return None if task.kernel.size == 1 else "multiplies by one number only"

PEERS = (Library("math.scale", "math", build, limits),)
"""


def test_a_new_peer_is_one_file(monkeypatch, tmp_path):
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "scale.py").write_text(MADE_UP)
    monkeypatch.setattr(
        convcli.bench.peers, "__path__", [*convcli.bench.peers.__path__, str(tmp_path / "more")]
    )
    options = ("--size", "8", "-b", "direct", "--peers", "-r", "1")
    first, *_, last = (
        within("bench", *options, "-k", "3", cwd=tmp_path).out.decode().split("\n\n")[0].splitlines()
    )
    assert first.startswith("8×8 float32, 3 1×1 kernel")
    assert re.match(r"math.scale +[0-9.]+ ", last)
    refused = within("bench", *options, "-k", "box:3", cwd=tmp_path).out.decode()
    assert "math.scale          multiplies by one number only" in refused
    assert "math.scale" in [peer.name for peer in peers("peer")]
