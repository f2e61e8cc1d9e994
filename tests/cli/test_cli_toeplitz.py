"""``convcli toeplitz``: the matrix of every option is the right one, shown, written or refused in a line."""

import io
import os
import re
import shlex
import signal
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.io
import scipy.sparse
from oracle import convolve_exactly
from shell import contents, convcli, load, on_terminal, save, start, succeed, within

from convcli import backends
from convcli.text import bytes_text

RNG = np.random.default_rng(7)
GRAY = RNG.integers(0, 256, (5, 6), dtype=np.uint8)
RGB = RNG.integers(0, 256, (5, 6, 3), dtype=np.uint8)
BANK = RNG.integers(-5, 6, (2, 3, 2, 3))
INLINE, KERNEL = "1 2 0; -1 3 5", np.array([[1, 2, 0], [-1, 3, 5]])
SOBEL_X = np.array([[1, 0, -1], [2, 0, -2], [1, 0, -1]])
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
W_CONV = ["toeplitz", "-k", "1 2; 3 4", "--shape", "3x3", "--mode", "valid"]
LARGE = ["toeplitz", "-k", "sobel-x", "--shape", "64x64"]
ENDLESS = [*LARGE[:-1], "300x300", "--max-output", "100GB"]  # 18 GB of text, some seconds of work
MAGIC = "17 24 1 8 15;23 5 7 14 16;4 6 13 20 22;10 12 19 21 3;11 18 25 2 9"
DEADLINE = 30  # seconds; only a hang comes near it


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Images, arrays and kernels, one of a kind; no test may change anything in it."""
    folder = tmp_path_factory.mktemp("files")
    save(folder / "gray.png", GRAY)
    save(folder / "rgb.png", RGB)
    save(folder / "rgba.png", np.dstack([RGB, GRAY]))
    np.save(folder / "gray.npy", GRAY)
    np.save(folder / "float.npy", GRAY / 7)
    np.save(folder / "single.npy", (GRAY / 7).astype(np.float32))
    np.save(folder / "wide.npy", np.full((3, 4), 2**63, np.uint64))
    np.save(folder / "planes.npy", np.moveaxis(RGB, -1, 0))
    np.save(folder / "signal.npy", np.arange(7))
    np.save(folder / "gap.npy", np.array([[1, np.nan], [2, 3]]))
    np.save(folder / "bank.npy", BANK)
    np.save(folder / "cube.npy", np.arange(8).reshape(2, 2, 2))
    (folder / "text.png").write_bytes(b"Dear all, this is no image.\n")
    (folder / "old.csv").write_bytes(b"precious")
    (folder / "folder").mkdir()
    (folder / "biased.json").write_text(
        '{"kernel": [[1, 2], [3, 4]], "divisor": 4, "bias": 3, "origin": [0, 1]}'
    )
    return folder


def matrix_of(folder, *arguments, **options):
    """Write a matrix to .npy in this process, and read it."""
    target = folder / "written.npy"
    done = within("toeplitz", *arguments, "-o", target, "-f", "-q", cwd=options.get("cwd", folder))
    assert (done.status, done.out, done.err) == (0, b"", "")
    return np.load(target)


def words(command):
    """Split a command; a comma in the kernel stands for a space."""
    kernel, rest = re.fullmatch(r"(?:-k (\S+) ?)?(.*)", command, re.DOTALL).groups()
    return (["-k", kernel.replace(",", " ")] if kernel else []) + rest.split()


def table(text):
    """Lines of a matrix, as lists of words."""
    return [line.split() for line in text.splitlines()]


def untimed(text):
    """Text without the row of times."""
    return [line for line in text.splitlines() if not line.startswith("time ")]


def shown(text):
    """Words of the matrix that comes after the facts."""
    return table(text.split("\n\n")[1])


def fact(text, name):
    (value,) = re.findall(rf"(?m)^ *{name} +(.*?) *$", text.split("\n\n")[0])
    return value


# What the issue asks for, word for word


def test_the_matrix_of_the_slides_is_shown_by_name():
    done = succeed(*W_CONV, "--symbolic")
    assert done.err == ""
    assert shown(done.text) == table(
        "w22 w21 0 w12 w11 0 0 0 0\n"
        "0 w22 w21 0 w12 w11 0 0 0\n"
        "0 0 0 w22 w21 0 w12 w11 0\n"
        "0 0 0 0 w22 w21 0 w12 w11"
    )
    assert fact(done.text, "matrix") == "4×9"


@pytest.mark.parametrize(("op", "first", "middle"), [("convolve", 10, 230), ("correlate", 40, 370)])
def test_the_eight_steps_end_in_the_result(tmp_path, op, first, middle):
    done = within("toeplitz", "-k", "10 20; 30 40", "--shape", "2x3", "--steps", "--op", op, cwd=tmp_path)
    stages = re.split(r"(?m)^(?=\d\. )", done.text)[1:]
    assert [stage[:2] for stage in stages] == [f"{n}." for n in range(1, 9)]
    result = table(stages[-1])[-3:]
    expected = convolve_exactly([[1, 2, 3], [4, 5, 6]], [[10, 20], [30, 40]], mode="full", op=op).values
    assert result == expected.astype(int).astype(str).tolist()
    assert (result[0][0], result[1][1]) == (str(first), str(middle))


def test_order_f_is_convmtx2_of_matlab(tmp_path):
    succeed("toeplitz", "-k", "box:3", "--shape", "5x5", "--order", "F", "-o", "t.csv", "-q", cwd=tmp_path)
    magic = np.array([[float(word) for word in row.split()] for row in MAGIC.split(";")])
    result = (np.loadtxt(tmp_path / "t.csv", delimiter=",") @ magic.reshape(-1, order="F")).reshape(
        (7, 7), order="F"
    )
    documented = [1.8889, 4.5556, 4.6667, 3.6667, 2.6667, 2.5556, 1.6667]
    np.testing.assert_allclose(result[0], documented, rtol=0, atol=5e-5)


def test_every_format_holds_the_same_matrix(tmp_path):
    expected = np.zeros((66, 66, 64, 64), np.int64)
    for (i, j), value in np.ndenumerate(SOBEL_X):
        for r, c in np.ndindex(64, 64):
            expected[r + i, c + j, r, c] = value
    expected = expected.reshape(66 * 66, 64 * 64)
    for extension in ("csv", "mtx", "npz", "png"):
        done = within(*LARGE, "-o", f"t.{extension}", cwd=tmp_path)
        assert (done.status, done.out) == (0, b"")
        assert "4356×4096" in done.err
    text = np.loadtxt(tmp_path / "t.csv", delimiter=",", dtype=np.int64)
    np.testing.assert_array_equal(text, expected, strict=True)
    market = scipy.io.mmread(tmp_path / "t.mtx")
    np.testing.assert_array_equal(market.toarray(), expected)
    sparse = scipy.sparse.load_npz(tmp_path / "t.npz")
    assert isinstance(sparse, scipy.sparse.csr_array)
    np.testing.assert_array_equal(sparse.toarray(), expected, strict=True)
    assert pictured(tmp_path / "t.png", expected)
    assert not pictured(tmp_path / "t.png", np.roll(expected, 40, axis=1)), "the comparison can fail"


def pictured(path, matrix):
    """Whether a picture with 4×4 entries a pixel, in a margin of 16, shows where a matrix is not 0."""
    pixels = load(path)[16:-16, 16:-16].astype(int)
    coloured = np.ptp(pixels, axis=2) > 8
    entries = (matrix != 0).reshape(matrix.shape[0] // 4, 4, matrix.shape[1] // 4, 4).any(axis=(1, 3))
    assert coloured.shape == entries.shape
    wider = entries.copy()  # bands one pixel wide are drawn with one more
    wider[:, 1:] |= entries[:, :-1]
    return bool((coloured >= entries).all() and (coloured <= wider).all())


@pytest.mark.parametrize("kernel", ["gaussian:1", "sobel-x"])
def test_wrap_gives_the_doubly_block_circulant_matrix_and_its_eigenvalues(tmp_path, kernel):
    command = ("toeplitz", "-k", kernel, "--shape", "16x16", "--border", "wrap")
    done = within(*command, cwd=tmp_path)
    assert fact(done.text, "structure") == "doubly block circulant"
    dense = matrix_of(tmp_path, *command[1:])
    blocks = dense.reshape(16, 16, 16, 16).swapaxes(1, 2)
    for i, j in np.ndindex(16, 16):
        assert (blocks[i, j] == blocks[(i + 1) % 16, (j + 1) % 16]).all()
        assert (blocks[i, j] == np.roll(np.roll(blocks[i, j], 1, axis=0), 1, axis=1)).all()
    found = np.linalg.eigvals(dense)
    transform = np.fft.fft2(dense[:, 0].reshape(16, 16)).reshape(-1)
    np.testing.assert_allclose(np.sort(np.abs(found)), np.sort(np.abs(transform)), atol=1e-10)
    text = fact(done.text, "eigenvalues")
    low, high = (float(word) for word in re.findall(r"[\d.e-]+(?= …|:)", text))
    assert low == pytest.approx(np.abs(transform).min(), rel=1e-3, abs=1e-12)
    assert high == pytest.approx(np.abs(transform).max(), rel=1e-3)
    assert ("complex" in text) == (kernel == "sobel-x")
    document = within(*command, "--json", cwd=tmp_path).json["eigenvalues"]
    assert document["largest"] == pytest.approx(np.abs(transform).max())
    assert document["transform_of_kernel"]
    assert fact(done.text, "rank").split()[0] == str(np.linalg.matrix_rank(dense))


# Options


BORDERS = {name: name for name in ("zero", "nearest", "symmetric", "mirror", "wrap")}
ALIASES = {"edge": "nearest", "replicate": "nearest", "clamp": "nearest", "circular": "wrap"}
ALIASES |= {"periodic": "wrap", "reflect-101": "mirror", "constant": "zero", "fill": "zero", "zeros": "zero"}
GEOMETRY = [
    ("", {}),
    ("--mode same", {"mode": "same"}),
    ("--mode valid", {"mode": "valid"}),
    ("--op correlate", {"op": "correlate"}),
    ("--mode same --op correlate --origin 2,1", {"mode": "same", "op": "correlate", "origin": (1, 2)}),
    ("--mode same --origin 0,1", {"mode": "same", "origin": (1, 0)}),
    ("--stride 2", {"stride": 2}),
    ("--stride 2x3 --mode same", {"stride": (2, 3), "mode": "same"}),
    ("--dilation 2x1", {"dilation": (2, 1)}),
    ("--dilation 1,2 --mode valid", {"dilation": (1, 2), "mode": "valid"}),
    ("--border constant --border-value 0", {}),
    *((f"--border {alias} --mode full", {"border": name}) for alias, name in (BORDERS | ALIASES).items()),
    *((f"--border {name} --mode same", {"border": name, "mode": "same"}) for name in BORDERS),
    ("--border wrap", {"border": "wrap", "mode": "same"}),
    ("--border periodic", {"border": "wrap", "mode": "same"}),
]


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize(("arguments", "meaning"), GEOMETRY, ids=[case[0] for case in GEOMETRY])
def test_the_matrix_times_the_image_is_the_exact_convolution(tmp_path, arguments, meaning, order):
    found = matrix_of(
        tmp_path, "-k", INLINE, "--shape", "5x6", "--order", order, *arguments.split(), "--verify"
    )
    expected = convolve_exactly(GRAY, KERNEL, **{"mode": "full"} | meaning).values.astype(np.int64)
    assert found.dtype == np.int64
    product = found @ GRAY.astype(np.int64).reshape(-1, order=order)
    assert product.tolist() == expected.reshape(-1, order=order).tolist()
    turned = matrix_of(
        tmp_path, "-k", INLINE, "--shape", "5x6", "--order", order, *arguments.split(), "--transpose"
    )
    np.testing.assert_array_equal(turned, found.T)


@pytest.mark.parametrize(
    ("kernel", "shape", "values"),
    [
        ("1 2 3", "4", [1, 2, 3]),
        ("1 2 3", "1x4", [[1, 2, 3]]),
        ("cube.npy", "3x2x4", np.arange(8).reshape(2, 2, 2)),
        ("1/4 1/2", "3", [0.25, 0.5]),
        ("biased.json", "3x3", np.array([[1, 2], [3, 4]]) / 4),
    ],
)
def test_kernels_and_shapes_of_every_kind(files, tmp_path, kernel, shape, values):
    sizes = [int(n) for n in shape.split("x")]
    image = RNG.integers(0, 9, sizes)
    expected = convolve_exactly(image, np.asarray(values), mode="full").values.astype(float)
    written = matrix_of(tmp_path, "-k", kernel, "--shape", shape, cwd=files)
    np.testing.assert_array_equal(written @ image.reshape(-1), expected.reshape(-1))


def test_origin_and_divisor_of_a_kernel_file_are_followed_and_its_bias_is_said_to_be_left_out(files):
    done = within("toeplitz", "-k", "biased.json", "--shape", "2x2", "--mode", "same", cwd=files)
    assert done.err == "convcli: the bias 3 of kernel biased is left out: no matrix adds one\n"
    own, asked = (
        shown(
            within("toeplitz", "-k", "biased.json", "--shape", "2x2", "--mode", "same", *more, cwd=files).text
        )
        for more in ((), ("--origin", "0,1"))
    )
    assert own == asked == table("0.75 0 0.25 0\n1 0.75 0.5 0.25\n0 0 0.75 0\n0 0 1 0.75")


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("transpose", [[], ["--transpose"]])
def test_rows_of_a_kernel_are_cut_into_a_bank(tmp_path, order, transpose):
    rows = "1 2; 3 4; 5 6; 7 8; 9 10; 11 12"
    bank = np.arange(1, 13).reshape(2, 3, 1, 2)
    written = matrix_of(
        tmp_path, "-k", rows, "--shape", "2x3", "--channels-in", "3", "--channels-out", "2",
        "--order", order, *transpose, "--verify",
    )  # fmt: skip
    assert_bank(written.T if transpose else written, bank, 1, (2, 3), order)


@pytest.mark.parametrize("options", ["", "--channels-in 3 --channels-out 2", "--channels-out 2"])
def test_a_bank_of_a_file_brings_its_channels(files, tmp_path, options):
    written = matrix_of(tmp_path, "-k", "bank.npy", "--shape", "4x5", *options.split(), cwd=files)
    assert_bank(written, BANK, 1, (4, 5), "C")


@pytest.mark.parametrize("options", [[], ["--channels-in", "6"]])
def test_groups_see_their_own_channels(files, tmp_path, options):
    written = matrix_of(
        tmp_path, "-k", "bank.npy", "--shape", "4x5", "--groups", "2", *options, "--verify", cwd=files
    )
    assert_bank(written, BANK, 2, (4, 5), "C")
    rows = matrix_of(
        tmp_path,
        "-k",
        "1 2; 3 4",
        "--shape",
        "3x3",
        "--groups",
        "2",
        "--channels-in",
        "2",
        "--channels-out",
        "2",
    )
    assert_bank(rows, np.array([[[[1, 2]]], [[[3, 4]]]]), 2, (3, 3), "C")


def assert_bank(matrix, bank, groups, shape, order):
    """Every block from a channel to an output is the matrix of its kernel, or zeros."""
    outputs, inside = bank.shape[:2]
    images = RNG.integers(-9, 9, (inside * groups, *shape))
    per_group = outputs // groups
    expected = [
        sum(
            convolve_exactly(images[output // per_group * inside + c], bank[output, c], mode="full").values
            for c in range(inside)
        )
        .astype(np.int64)
        .reshape(-1, order=order)
        for output in range(outputs)
    ]
    vector = np.concatenate([plane.reshape(-1, order=order) for plane in images])
    assert (matrix @ vector).tolist() == np.concatenate(expected).tolist()


def test_names_are_of_the_kernel_as_written_whatever_the_order(tmp_path):
    for order in "CF":
        done = within(
            "toeplitz", "-k", INLINE, "--shape", "2x3", "--symbolic", "--order", order, cwd=tmp_path
        )
        names = np.array(shown(done.text))
        numbers = matrix_of(tmp_path, "-k", INLINE, "--shape", "2x3", "--order", order)
        for (i, j), value in np.ndenumerate(KERNEL):
            assert set(numbers[names == f"w{i + 1}{j + 1}"]) == {value}
        assert not numbers[names == "0"].any()


def test_cells_that_meet_at_a_border_are_added_by_name(tmp_path):
    done = within(
        "toeplitz", "-k", "1 2 3", "--shape", "3", "--border", "nearest", "--symbolic", cwd=tmp_path
    )
    assert shown(done.text) == table("w1+w2+w3 0 0\nw2+w3 w1 0\nw3 w2 w1\n0 w3 w1+w2\n0 0 w1+w2+w3")


# Images


@pytest.mark.parametrize(
    ("source", "size"),
    [("gray.png", "42×30"), ("rgb.png", "42×30"), ("rgba.png", "42×30"), ("planes.npy", "42×30")],
)
def test_an_image_gives_its_shape(files, source, size):
    done = within("toeplitz", "-k", "1 2; 3 4", source, cwd=files)
    assert (done.status, done.err, fact(done.text, "matrix")) == (0, "", size)


def test_an_image_of_standard_input_gives_its_shape_and_samples(files):
    for name in ("gray.png", "gray.npy"):
        done = succeed("toeplitz", "-k", "1", "-", "--steps", stdin=(files / name).read_bytes())
        result = table(done.text)[-5:]
        assert result == GRAY.astype(str).tolist()


def test_steps_and_verification_take_the_brightness_of_colours(files):
    gray = np.rint(RGB @ [0.2126, 0.7152, 0.0722]).astype(int)  # ITU-R BT.709
    for name in ("rgb.png", "rgba.png"):
        done = within("toeplitz", "-k", "1", name, "--steps", cwd=files)
        assert table(done.text)[-5:] == gray.astype(str).tolist()
    assert within("toeplitz", "-k", "bank.npy", "rgb.png", "--verify", "-q", cwd=files).status == 0


# Verification


@pytest.mark.parametrize("source", ["gray.png", "float.npy", "single.npy", "signal.npy"])
def test_every_backend_that_can_run_here_is_verified(files, source):
    kernel = "1 2 3" if source == "signal.npy" else "gaussian:1"
    done = within("toeplitz", "-k", kernel, source, "--verify", cwd=files)
    assert done.status == 0
    verdicts = {line[0]: line[2:] for line in table(done.text.split("\n\n")[2])[1:]}
    assert verdicts.keys() == {*backends.listed()}
    for name, words in verdicts.items():
        assert words[0] == "agrees" or backends.load(name).unavailable() == " ".join(words)


@pytest.mark.parametrize("options", ["", "--transpose", "--order F", "--json", "-o t.csv", "-o t.csv -q"])
def test_a_backend_that_lies_is_found_out(tmp_path, monkeypatch, options):
    module = backends.load("im2col")
    honest = module.prepare

    def lying(*arguments):
        apply = honest(*arguments)

        def wrong(window, out):
            apply(window, out)
            out[(-1,) * out.ndim] += 1

        return wrong

    monkeypatch.setattr(module, "prepare", lying)
    done = within("toeplitz", "-k", INLINE, "--shape", "4x5", "--verify", *options.split(), cwd=tmp_path)
    assert done.status == 6
    said = "convcli: T · vec(x) is not what im2col computes; please report this with the command"
    assert done.err.splitlines()[-1] == said
    assert contents(tmp_path) == {}, "what is wrong is not written"
    if options.endswith("-q"):
        assert done.err.splitlines() == [said]
    elif "--json" in options:
        (check,) = (check for check in done.json["checks"] if check["backend"] == "im2col")
        assert check["difference"] > check["allowed"] == 0
    else:
        text = done.err if "-o t" in options else done.text
        assert re.search(r"(?m)^im2col +[\d.]+ +differs \(at most 0\)$", text)


def test_a_matrix_that_no_backend_can_be_compared_with_is_not_verified(tmp_path):
    done = within("toeplitz", "-k", "9223372036854775807 1", "--shape", "3x3", "--verify", cwd=tmp_path)
    assert done.status == 6
    assert "convcli: no backend could be compared: the result may have 67 bits" in done.err


def test_quiet_verification_of_a_written_matrix_says_nothing(tmp_path):
    done = within(*W_CONV, "--verify", "-o", "t.csv", "-q", cwd=tmp_path)
    assert (done.status, done.out, done.err) == (0, b"", "")


# Files


@pytest.mark.parametrize("extension", ["csv", "tsv", "npy", "npz", "mtx", "json"])
@pytest.mark.parametrize("kernel", ["1 2; 3 4", "gaussian:1"])
def test_the_announced_size_is_that_of_the_file(tmp_path, extension, kernel):
    done = within("toeplitz", "-k", kernel, "--shape", "9x8", "-o", f"t.{extension}", cwd=tmp_path)
    about, amount, unit = re.match(
        rf"convcli: writing t\.{extension}: \S+, {extension}, (about )?([\d.]+) (\w+)\n", done.err
    ).groups()
    size = (tmp_path / f"t.{extension}").stat().st_size
    assert about is None
    assert float(amount) == float(f"{size / {'bytes': 1, 'kB': 1e3, 'MB': 1e6}[unit]:.3g}")


@pytest.mark.parametrize("extension", ["csv", "npy"])
def test_the_announced_size_of_a_large_file_is_exact(tmp_path, extension):
    done = within(*LARGE[:-1], "40x30", "-o", f"t.{extension}", cwd=tmp_path)
    size = (tmp_path / f"t.{extension}").stat().st_size
    assert f", {extension}, {size / 1e6:.3g} MB\n" in done.err


@pytest.mark.parametrize(
    ("options", "start_of_file"),
    [
        ("-o t.csv", b"4,3,0,2"),
        ("-o t.TSV", b"4\t3\t0\t2"),
        ("-o t.mtx", b"%%MatrixMarket"),
        ("-o t.npy", b"\x93NUMPY"),
        ("-o t.npz", b"PK"),
        ("-o t.png", b"\x89PNG"),
        ("-o t.json", b'{"shape": [4, 9]'),
        ("-o t.csv --sparse-csv", b"row,col,value\n0,0,4\n0,1,3\n"),
        ("-o t.txt --sparse-csv", b"row,col,value\n"),
        ("-o t.csv --sparse-csv --format csv", b"row,col,value\n"),
        ("-o t.csv --format sparse-csv", b"row,col,value\n"),
        ("-o t --format mtx", b"%%MatrixMarket"),
        ("-o t.csv --format .NPY", b"\x93NUMPY"),
        ("-o t.csv --symbolic", b"w22,w21,0,w12"),
        ("-o t.csv --symbolic --sparse-csv", b"row,col,value\n0,0,w22\n"),
    ],
)
def test_extension_or_format_decides_what_is_written(tmp_path, options, start_of_file):
    done = within(*W_CONV, *options.split(), "-q", cwd=tmp_path)
    assert (done.status, done.out, done.err) == (0, b"", "")
    assert (tmp_path / options.split()[1]).read_bytes().startswith(start_of_file)


def test_standard_output_carries_the_data_and_nothing_else():
    done = succeed(*W_CONV, "-o", "-")
    assert done.text.splitlines()[0] == "4,3,0,2,1,0,0,0,0"
    assert len(done.text.splitlines()) == 4
    assert fact(done.err, "matrix") == "4×9"
    done = succeed(*W_CONV, "-o", "-", "--format", "npy", "-q")
    assert done.err == ""
    assert np.load(io.BytesIO(done.out)).shape == (4, 9)


def test_json_is_one_document_with_facts_matrix_and_checks(tmp_path):
    document = succeed(*W_CONV, "--json", "--verify", "-o", tmp_path / "t.npz").json
    assert document["matrix"][0] == [4, 3, 0, 2, 1, 0, 0, 0, 0]
    assert (document["shape"], document["nonzeros"], document["rank"]) == ([4, 9], 16, 4)
    assert (document["format"], document["output"]) == ("npz", str(tmp_path / "t.npz"))
    assert {check["backend"] for check in document["checks"]} == {*backends.listed()}
    assert within(*W_CONV, "--json", "--symbolic", cwd=tmp_path).json["matrix"][0][:2] == ["w22", "w21"]
    assert within(*LARGE, "--json", cwd=tmp_path).json["matrix"] is None


def test_an_existing_file_is_kept_without_force(tmp_path):
    target = tmp_path / "old.csv"
    target.write_bytes(b"precious")
    done = within(*W_CONV, "-o", target, cwd=tmp_path)
    assert done.status == 2
    assert done.err.endswith("old.csv exists; use -f to overwrite it, or another name\n")
    assert contents(tmp_path) == {"old.csv": b"precious"}
    assert within(*W_CONV, "-o", target, "-f", cwd=tmp_path).status == 0
    assert np.loadtxt(target, delimiter=",").shape == (4, 9)


# Limits


@pytest.mark.parametrize(
    ("options", "limit"),
    [
        ("-o t.csv", "1MB"),
        ("-o t.csv", "10B"),
        ("-fqo t.csv", "1MB"),
        ("-ot.csv", "1MB"),
        ("--output=t.tsv --format=csv", "1MB"),
        ("--output t.npy --format npy", "1MB"),
        ("-o t.json --symbolic", "600kB"),
        ("-o t.csv --symbolic", "10B"),
        ("-o - --format csv", "1MB"),
        ("-o t.png", "10B"),
        ("-o t.npz", "10B"),
        ("-o t.mtx", "10B"),
        ("-o t.csv --sparse-csv", "10B"),
    ],
)
def test_a_file_over_the_limit_is_refused_with_the_options_that_work(tmp_path, options, limit):
    done = convcli(*LARGE, *options.split(), "--max-output", limit, cwd=tmp_path)
    assert (done.status, done.out, contents(tmp_path)) == (5, b"", {})
    (line,) = done.err.splitlines()
    name = options.replace("=", " ").replace("-ot", "-o t").split()[1]
    name = "standard output" if name == "-" else name
    assert re.match(rf"convcli: {name} would have [\d.]+ .?B \(4356×4096 entries\), more than the ", line)
    remedy = re.search(r"; the same matrix, sparse, has ([\d.]+) kB: use (.*)$", line)
    if remedy is None:
        more = re.search(r"; raise it with (--max-output [\d.]+kB)$", line)[1].split()
        succeed(*LARGE, *options.split(), *more, cwd=tmp_path)
        return
    instead = [*options.split(), "--max-output", limit, *shlex.split(remedy[2])]
    done = succeed(*LARGE, *instead, cwd=tmp_path)
    (data,) = contents(tmp_path).values() or [done.out]
    assert len(data) == pytest.approx(float(remedy[1]) * 1000, rel=0.1)


def test_four_gigabytes_are_the_limit_of_what_is_not_asked_for(tmp_path):
    done = convcli("toeplitz", "-k", "sobel-x", "--shape", "1000x1000", "-o", "my t.csv", cwd=tmp_path)
    assert (done.status, contents(tmp_path)) == (5, {})
    assert done.err.startswith(
        "convcli: my t.csv would have 2.01 TB (1004004×1000000 entries), more than the 4 GB written without "
        "--max-output; the same matrix, sparse, has "
    )
    assert done.err.endswith(" MB: use -o 'my t.npz'\n")


@pytest.mark.parametrize(
    ("free", "said"),
    [
        (10**5, r"100 kB free on the disk; the same matrix, sparse, has 37\.2 kB: use -o t\.npz"),
        (10**3, r"1 kB free on the disk; the same matrix, sparse, has 37\.2 kB; name a file on another"),
    ],
)
def test_what_is_free_on_the_disk_is_a_limit(tmp_path, monkeypatch, free, said):
    command = [*LARGE, "-o", "t.csv"]
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=free))  # noqa: ARG005
    assert_one_clear_message(within(*command, cwd=tmp_path), 5, said)


@pytest.mark.parametrize("options", ["", "-o t.csv", "--verify", "--steps"])
def test_memory_over_the_limit_is_refused_first(tmp_path, options):
    done = within(*LARGE, *options.split(), "--max-memory", "10kB", cwd=tmp_path)
    assert (done.status, done.out, contents(tmp_path)) == (5, b"", {})
    assert re.fullmatch(
        r"convcli: .* needs [\d.]+ .?B of memory, more than the 10 kB allowed; "
        r"raise --max-memory, or use a smaller shape or kernel\n",
        done.err,
    )


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ("-k sobel-x --shape 100000x100000", 0),
        ("-k sobel-x --shape 100000x100000 --border wrap", 0),
        ("-k box:5 --shape 100000x100000 --border mirror", 0),
        ("-k 1,2,1 --shape 100000000000000", 0),
        ("-k 1,2,1 --shape 100000000000000 --border symmetric --stride 3", 0),
        ("-k 1,2,1 --shape 100000000000000 --transpose", 0),
        ("-k 1,2,1 --shape 100000000000000 -o t.csv", 5),
        ("-k 1,2,1 --shape 100000000000000 -o t.npz", 5),
        ("-k 1,2,1 --shape 100000000000000 --verify", 5),
        ("-k 1,2,1 --shape 1x100000000000000", 5),
        ("-k 1,2,1 --shape 1e30", 2),
        (f"-k 1,2,1 --shape {10**30}", 5),
        (f"-k sobel-x --shape {10**20}x{10**20}", 5),
        (f"-k sobel-x --shape 9x9 --stride {10**30}", 5),
        (f"-k sobel-x --shape 9x9 --stride {10**15}", 0),
        (f"-k sobel-x --shape 9x9 --dilation {10**30}", 5),
        ("-k 1,2,1 --shape 9 --dilation 10000000000", 5),
        ("-k 1,2,1 --shape 10000000000000 --dilation 10000000000 --border mirror", 0),
    ],
)
def test_huge_shapes_are_answered_or_refused_at_once(tmp_path, arguments, status):
    began = time.monotonic()
    done = within("toeplitz", *words(arguments), cwd=tmp_path)
    assert time.monotonic() - began < 5
    assert done.status == status, done.err
    assert contents(tmp_path) == {}
    if status:
        assert_one_clear_message(done, status, "")
    else:
        assert "…" in done.text or "stride" in arguments


# Formats and times


XYZ = """
SUMMARY = "column, row and value, one entry a line"
EXTENSIONS = (".xyz",)
HOLDS_NAMES = True
IS_SPARSE = True


def write(file, matrix, advance):
    for start in range(matrix.shape[0]):
        line = matrix.rows(start, start + 1)
        line = line if hasattr(line, "shape") and not hasattr(line, "toarray") else line.toarray()
        for column, value in enumerate(line[0].tolist()):
            if str(value) != "0":
                file.write(f"{column} {start} {value}\\n".encode())
        advance(1)


def size(matrix):
    return 10 * matrix.shape[0], False
"""


@pytest.fixture
def xyz(tmp_path, monkeypatch):
    """A format of matrices that is one file more in their folder."""
    from convcli.matrices import files

    (tmp_path / "formats").mkdir()
    (tmp_path / "formats" / "xyz.py").write_text(XYZ)
    monkeypatch.setattr(files, "__path__", [*files.__path__, str(tmp_path / "formats")])
    files.names.cache_clear()
    yield files
    files.names.cache_clear()
    files.load.cache_clear()
    sys.modules.pop("convcli.matrices.files.xyz", None)


def test_a_new_format_is_one_file(xyz, tmp_path):
    done = within(*W_CONV, "-o", "t.xyz", cwd=tmp_path)
    assert (done.status, done.out) == (0, b"")
    assert "convcli: writing t.xyz: 4×9, xyz, " in done.err
    lines = (tmp_path / "t.xyz").read_text().splitlines()
    assert lines[:4] == ["0 0 4", "1 0 3", "3 0 2", "4 0 1"]
    assert len(lines) == 16
    done = within(*W_CONV, "--symbolic", "-o", "n.txt", "--format", "xyz", cwd=tmp_path)
    assert (tmp_path / "n.txt").read_text().startswith("0 0 w22\n1 0 w21\n"), done.err
    assert xyz.names()[-1] == "xyz"
    refused = within(*W_CONV, "-o", "t.abc", cwd=tmp_path)
    assert_one_clear_message(refused, 2, r"use one of \.csv \.tsv \.npy \.npz \.mtx \.json \.png \.xyz, or")
    refused = within("toeplitz", *LARGE[1:], "-o", "u.xyz", "--max-output", "1kB", cwd=tmp_path)
    assert_one_clear_message(refused, 5, "u.xyz would have 43.6 kB .*; raise it with --max-output")


TIMES = r"build [\d.e-]+ ms, write [\d.e-]+ ms"


@pytest.mark.parametrize("form", ["csv", "npz", "mtx", "png", "npy"])
@pytest.mark.parametrize("options", [[], ["--transpose"]])
def test_the_table_tells_the_time_of_building_and_writing(tmp_path, form, options):
    done = within(*LARGE, *options, "-o", f"t.{form}", cwd=tmp_path)
    assert re.search(rf"(?m)^time +{TIMES}$", done.err)
    assert re.search(r"(?m)^speed +[\d.]+ .?B/s written$", done.err)


@pytest.mark.parametrize("options", [[], ["--symbolic", "--format", "csv"]])
def test_json_tells_the_same_in_seconds(tmp_path, options):
    began = time.monotonic()
    done = within(*W_CONV, *options, "-o", "t.csv", "--json", cwd=tmp_path).json
    passed = time.monotonic() - began
    assert done["output_bytes"] == (tmp_path / "t.csv").stat().st_size
    assert 0 < done["build_seconds"] < passed
    assert 0 < done["write_seconds"] < passed
    shown = within(*W_CONV, "--json", cwd=tmp_path).json
    assert shown["build_seconds"] > 0
    assert "write_seconds" not in shown


@pytest.mark.parametrize("command", [W_CONV, LARGE, [*W_CONV, "--symbolic", "--transpose"]])
def test_without_a_file_the_time_is_of_the_rows_that_are_shown(tmp_path, command):
    text = within(*command, cwd=tmp_path).text
    assert re.fullmatch(r"build [\d.e-]+ ms, of what is shown", fact(text, "time"))


@pytest.mark.parametrize(
    ("command", "shape"),
    [
        (W_CONV, (4, 4)),
        ([*W_CONV, "--transpose"], (4, 4)),
        (["toeplitz", "-k", "box:3", "--shape", "6x5", "--stride", "2"], (4 * 4, 9)),
    ],
)
def test_the_size_of_the_unrolled_image_stands_beside_that_of_the_matrix(tmp_path, command, shape):
    size = 8 * shape[0] * shape[1]
    document = within(*command, "--json", cwd=tmp_path).json
    assert document["im2col"] == {"shape": list(shape), "dense_bytes": size}
    told = fact(within(*command, cwd=tmp_path).text, "im2col")
    assert told.startswith(f"{shape[0]}×{shape[1]}, {bytes_text(size)} dense")


def test_counts_of_a_large_matrix_under_a_folding_border_are_estimates(tmp_path):
    command = ("toeplitz", "-k", "box:3", "--shape", "2000x2000", "--border", "mirror", "--mode", "same")
    done = within(*command, "--json", cwd=tmp_path).json
    assert done["nonzeros_exact"] is False
    assert done["nonzeros"] == pytest.approx(9 * 2000**2, rel=0.01)
    text = within(*command, cwd=tmp_path).text
    assert fact(text, "non-zeros").startswith("≈ 35,9")
    refused = within(*command, "-o", "t.csv", cwd=tmp_path)
    assert_one_clear_message(refused, 5, r"the same matrix, sparse, has .*: use -o t\.npz")


# On the terminal, and off it


def seen(text):
    return ESCAPE.sub("", text).split("\r\n")


@pytest.mark.parametrize(
    "arguments",
    [
        [*W_CONV, "--symbolic"],
        LARGE,
        ["toeplitz", "-k", "gaussian:1", "--shape", "16x16", "--border", "wrap"],
        ["toeplitz", "-k", "box:3", "--shape", "3x3", "--border", "nearest", "--symbolic"],
        ["toeplitz", "-k", "1 2; 3 4", "--shape", "9x9", "--border", "nearest", "--stride", "2", "--steps"],
        ["toeplitz", "-k", "gaussian:1", "--shape", "12x12", "--verify"],
    ],
    ids=lambda arguments: " ".join(arguments[2:]),
)
def test_80_columns_are_enough_for_a_terminal(arguments):
    status, text = on_terminal(*arguments)
    assert status == 0
    assert max(map(len, seen(text))) <= 80
    assert re.search(r"\x1b\[[\d;]*48;[25];", text), "cells of the kernel have colours of their own"


def test_a_narrow_terminal_shows_fewer_columns_and_cuts_none():
    arguments = ["toeplitz", "-k", "1 2 3", "--shape", "12", "--symbolic", "--border", "nearest"]
    status, text = on_terminal(*arguments, columns=24)
    assert status == 0
    lines = seen(text)
    assert max(map(len, lines)) <= 24
    rows = [line.split() for line in lines if " … " in line]
    assert {len(row) for row in rows} == {5}
    assert [row[0] for row in rows[:4]] == ["w1+w2+…", "w2+w3", "w3", "0"]
    assert [row[4] for row in rows[-3:]] == ["w1", "w1+w2", "w1+w2+…"]


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_no_colour_where_none_is_wanted(env):
    status, text = on_terminal(*W_CONV, env=env)
    assert status == 0
    assert not re.search(r"\x1b\[[0-9;]*\b(3[0-9]|4[0-9]|38|48)\b", text)
    assert "4" in text


def test_pipes_get_the_whole_of_a_small_matrix_whatever_the_width():
    command = ("toeplitz", "-k", "box:3", "--shape", "7x7", "--border", "nearest", "--symbolic")
    done = succeed(*command, env={"COLUMNS": "40", "FORCE_COLOR": "1"})
    assert "\x1b" not in done.text
    assert "…" not in done.text
    lines = shown(done.text)
    assert {len(line) for line in lines} == {49}
    assert len(lines) == 81
    assert lines[0][0] == "w11+w12+w13+w21+w22+w23+w31+w32+w33"


def test_the_middle_of_a_large_matrix_is_left_out(tmp_path):
    lines = shown(within(*LARGE, cwd=tmp_path).text)
    assert {len(line) for line in lines} == {17}
    assert len(lines) == 17
    assert set(lines[8]) == {"…"}
    assert {line[8] for line in lines} == {"…"}
    assert lines[0] == ["1", *"0000000", "…", *"00000000"]
    assert lines[-1] == [*"00000000", "…", *"0000000", "-1"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("-k 5 --shape 1x1", [["5"]]),
        ("-k 3,2 --shape 1", [["3"], ["2"]]),
        ("-k 3,2 --shape 2 --mode valid", [["2", "3"]]),
        ("-k 0 --shape 2", [["0", "0"], ["0", "0"]]),
    ],
)
def test_the_smallest_matrices(tmp_path, arguments, expected):
    done = within("toeplitz", *words(arguments), cwd=tmp_path)
    assert (done.status, done.err, shown(done.text)) == (0, "", expected)


def test_help_shows_examples_that_work(tmp_path):
    done = succeed("toeplitz", "-h")
    examples = re.findall(r"(?m)^    convcli (toeplitz .*)$", done.text)
    assert len(examples) == 5
    for example in examples:
        if "photo" not in example and " -o " not in example:
            done = within(*shlex.split(example), cwd=tmp_path)
            assert (done.status, done.err) == (0, "")


# What is refused


S = "--shape 3x3"
CASES = [
    (S, 2, r"no kernel; add -k"),
    ("-k box:3", 2, r"no image; name an IMAGE, or add --shape HxW"),
    (f"-k box:3 {S} gray.png", 2, r"an image and --shape both say what the matrix is for; leave one out"),
    ("-k box:3 --shape 0x3", 2, r"shape 0×3 is below 1"),
    ("-k box:3 --shape=-1x3", 2, r"shape -1×3 is below 1"),
    ("-k box:3 --shape 3x", 2, r'shape "3x" is not a'),
    ("-k box:3 --shape ax3", 2, r'shape "ax3" is not a'),
    ("-k box:3 --shape 3.5x3", 2, r'shape "3.5x3" is not a'),
    ("-k box:3 --shape=", 2, r'shape "" is not a'),
    ("-k box:3 --shape 2x3x4", 2, r"--shape 2x3x4 has 3 axes and the kernel has 2; write 2 numbers"),
    ("-k box:3 --shape 5", 2, r"--shape 5 has 1 axis and the kernel has 2; write 5x5"),
    ("-k cube.npy --shape 3x3", 2, r"--shape 3x3 has 2 axes and the kernel has 3; write 3 numbers"),
    ("-k box:5 --shape 4x4 --mode valid", 2, r"kernel 5×5 is larger than image 4×4 in mode .valid.; use"),
    ("-k box:3x1 --shape 2x5 --mode valid --order F", 2, r"is larger than image 2×5 in mode"),
    (f"-k boxx:3 {S}", 2, r'unknown kernel "boxx"; did you mean "box"\?'),
    (f"-k none.csv {S}", 3, r"kernel file none\.csv: no such file"),
    ("-k box:3 none.png", 3, r"none\.png does not exist"),
    ("-k box:3 text.png", 3, r"text\.png is not an image that convcli reads"),
    ("-k box:3 folder", 3, r"folder is a folder; name a file in it"),
    ("-k box:3 gray.png --max-pixels 29", 5, r"gray\.png has 30 pixels, over the limit of 29"),
    (f"-k box:3 {S} --op multiply", 2, r'unknown op "multiply"; use one of convolve, correlate'),
    (f"-k box:3 {S} --mode wide", 2, r'unknown mode "wide"; use one of same, full, valid'),
    (f"-k box:3 {S} --border wall", 2, r'unknown border "wall"; use one of zero, '),
    (f"-k box:3 {S} --border reflect", 2, r'"reflect" means two things; use "symmetric".* or "mirror"'),
    (
        f"-k box:3 {S} --border constant --border-value 3",
        2,
        r"border constant with the value 3 adds to every result, which no matrix does; use --border zero",
    ),
    (f"-k box:3 {S} --border fill --border-value 1/2", 2, r"with the value 0\.5 adds to every result"),
    (f"-k box:3 {S} --border fill --border-value x", 2, r'border value "x" is not a number'),
    (f"-k box:3 {S} --border-value 3", 2, r"--border-value 3 is for --border constant; add that"),
    (f"-k box:3 {S} --order K", 2, r'unknown order "K"; use one of C, F'),
    (f"-k box:3 {S} --origin 3,0", 2, r"origin .* is outside the kernel 3×3"),
    (f"-k box:3 {S} --origin x", 2, r'origin "x" is not X,Y'),
    (f"-k box:3 {S} --stride 0", 2, r"stride 0×0 is below 1"),
    (f"-k box:3 {S} --stride 1x2x3", 2, r"stride .* has 3 numbers for 2 axes"),
    (f"-k box:3 {S} --dilation two", 2, r'dilation "two" is not a whole number'),
    (f"-k box:3 {S} --groups 0", 2, r"groups 0 is below 1"),
    (f"-k box:3 {S} --groups 2", 2, r"groups 2 does not divide the 1 output of kernel 3×3; use a bank"),
    (f"-k bank.npy {S} --groups 3", 2, r"groups 3 does not divide the 2 outputs"),
    (f"-k bank.npy {S} --channels-in 2", 2, r"--channels-in 2 and the bank has 3; leave the option out"),
    (f"-k bank.npy {S} --channels-out 3", 2, r"--channels-out 3 and the bank has 2; leave the option out"),
    (f"-k box:3 {S} --channels-in 2", 2, r"kernel 3×3 cannot be cut into 1 × 2 kernels; its rows are"),
    (f"-k box:4 {S} --channels-in 2 --groups 3", 2, r"cannot be cut into 1 × 2 kernels in 3 groups"),
    (f"-k box:3 {S} --channels-in 0", 2, r"--channels-in 0 is below 1"),
    (f"-k box:3 {S} --channels-out=-2", 2, r"--channels-out -2 is below 1"),
    (f"-k box:3 {S} --channels-in two", 2, r"two"),
    (f"-k 9e307,9e307 {S} --border nearest", 2, r"sum up to inf under border .nearest., beyond float64"),
    (
        f"-k 9223372036854775807,1 {S} --border mirror",
        2,
        r"sum up to 9\.22e\+18 under border .mirror., beyond int64; use smaller ones, or border zero",
    ),
    # --steps
    (f"-k bank.npy {S} --steps", 2, r"--steps are for one kernel, and 2×3×2×3 is a bank"),
    ("-k cube.npy --shape 3x3x3 --steps", 2, r"--steps are for images with 2 axes, not 3$"),
    ("-k 1,2,1 --shape 7 --steps", 2, r"not 1; a signal is an image with one row, 1x7$"),
    (f"-k box:3 {S} --steps --transpose", 2, r"leave out --transpose"),
    (f"-k box:3 {S} --steps --order F", 2, r"leave out --order F"),
    (f"-k box:3 {S} --steps --symbolic", 2, r"leave out --symbolic"),
    (f"-k box:3 {S} --steps --json", 2, r"--json prints one document .*; leave out --steps"),
    (f"-k box:3 {S} --steps -o -", 2, r"--steps and -o - would both write to standard output"),
    ("-k box:17 --shape 30x30 --steps", 2, r"17 are too many to read; use a kernel of at most 16 rows"),
    # --verify
    (
        "-k box:3 gap.npy --verify",
        2,
        r"the image has NaN or infinite samples, which leave nothing to compare",
    ),
    ("-k box:3 wide.npy --verify", 2, r"up to 9223372036854775808, beyond 64-bit integers with a sign"),
    ("-k box:3 planes.npy --verify", 2, r"the image has 3 channels, and 1 is wanted; use"),
    ("-k bank.npy gray.png --verify", 2, r"the image has 1 channel, and 3 are wanted; use"),
    # outputs
    (f"-k box:3 {S} -o old.csv", 2, r"old\.csv exists; use -f to overwrite it"),
    ("-k box:3 gray.npy -o gray.npy", 2, r"gray\.npy is the input gray\.npy itself; use -f"),
    (f"-k box:3 {S} -o missing/t.csv", 2, r"missing does not exist; make it first"),
    (f"-k box:3 {S} -o folder", 2, r"folder is a folder; name a file in it"),
    (f"-k box:3 {S} -o folder/", 2, r"folder/ is a folder; name a file in it"),
    (f"-k box:3 {S} --output=", 2, r"the output has no name; use -o FILE"),
    (f"-k box:3 {S} -o t.xyz", 2, r'"t\.xyz" has no extension of a matrix format; use one of \.csv'),
    (f"-k box:3 {S} -o t", 2, r'"t" has no extension of a matrix format; use one of \.csv'),
    (f"-k box:3 {S} -o t.csv --format xyz", 2, r'unknown format "xyz"; use one of csv, tsv, '),
    (f"-k box:3 {S} --format csv", 2, r"--format has no effect for want of -o; add -o FILE"),
    (f"-k box:3 {S} --sparse-csv", 2, r"--sparse-csv has no effect for want of -o; add -o FILE"),
    (f"-k box:3 {S} --sparse-csv -o t.mtx", 2, r"--sparse-csv writes csv, not mtx"),
    (f"-k box:3 {S} --sparse-csv -o t.csv --format npz", 2, r"--sparse-csv writes csv, not npz"),
    *(
        (f"-k box:3 {S} --symbolic -o t.{name}", 2, rf"names, which {name} cannot hold; use one of csv, tsv")
        for name in ("npz", "npy", "mtx")
    ),
    (f"-k box:3 {S} --json -o -", 2, r"--json prints one document .*; leave out .*-o -"),
    (f"-k box:3 {S} -o t.csv --max-output lots", 2, r'output "lots" is not an amount; write for example'),
    (f"-k box:3 {S} --max-memory lots", 2, r'memory "lots" is not an amount; write for example 512MB'),
    (f"-k box:3 {S} --nonsense", 2, r"No such option: --nonsense"),
    (f"-k box:3 {S} --border \x1b[31mred\x07", 2, r"red"),
]


def assert_one_clear_message(done, status, text):
    assert (done.status, done.out) == (status, b""), done.err
    (line,) = done.err.splitlines()
    assert line.startswith("convcli: ")
    assert line.isprintable()
    assert "internal error" not in line
    assert re.search(text, line), line


@pytest.mark.parametrize(("command", "status", "text"), CASES, ids=[case[0] for case in CASES])
def test_what_is_wrong_is_one_line_and_no_file_changes(files, command, status, text):
    before = contents(files)
    done = within("toeplitz", *words(command), cwd=files)
    after = contents(files)
    for name in after.keys() - before.keys():
        (files / name).unlink()
    assert after == before
    assert_one_clear_message(done, status, text)


def test_the_real_program_says_the_same(files):
    done = convcli("toeplitz", "-k", "box:3", "--shape", "0x3", cwd=files)
    assert_one_clear_message(done, 2, "shape 0×3 is below 1")
    done = convcli("toeplitz", "-k", "box:3", "-", stdin=b"")
    assert_one_clear_message(done, 3, "standard input is empty; an image was expected")


def test_nothing_but_help_for_no_arguments():
    done = convcli("toeplitz")
    assert done.status == 2
    assert "Examples:" in done.err + done.text


def test_a_matrix_is_not_poured_over_a_terminal():
    status, text = on_terminal(*W_CONV, "-o", "-")
    assert status == 2
    assert "standard output is a terminal; pipe it, or give -o a file" in " ".join(seen(text))


# What goes wrong on the way


@pytest.mark.parametrize("form", ["csv", "npy", "npz", "mtx", "png", "json", "sparse-csv"])
def test_a_full_disk_is_one_line(tmp_path, form):
    done = within(*W_CONV, "-o", "/dev/full", "--format", form, "-q", cwd=tmp_path)
    assert (done.status, done.out) == (1, b"")
    assert done.err == "convcli: cannot write /dev/full: No space left on device\n"


def test_full_standard_output_is_one_line():
    with open("/dev/full", "wb") as full:
        done = convcli(*W_CONV, "-o", "-", "-q", stdout=full)
        assert (done.status, done.err) == (
            1,
            "convcli: cannot write standard output: No space left on device\n",
        )
        done = convcli(*W_CONV, stdout=full)
        assert (done.status, done.err) == (
            1,
            "convcli: cannot write standard output: No space left on device\n",
        )


@pytest.mark.parametrize("options", ["-o - -q", "-o - --format npy -q", "--json"])
def test_a_reader_that_has_gone_ends_the_run_quietly(options):
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb") as pipe:
        done = convcli(*LARGE, *options.split(), stdout=pipe)
    assert (done.status, done.err) == (141, "")


def test_a_reader_that_stops_early_ends_the_run_quietly():
    done = convcli(
        *ENDLESS, "-o", "-", "-q", wrapper=["sh", "-c", '{ "$0" "$@"; echo $? >&2; } | head -c 10']
    )
    assert (done.out, done.err) == (b"1,0,0,0,0,", "141\n")


@pytest.mark.parametrize(
    ("number", "status", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_a_signal_amid_a_long_write_leaves_the_old_file(tmp_path, number, status, word):
    (tmp_path / "old.csv").write_bytes(b"precious")
    child = start(*ENDLESS, "-o", "old.csv", "-f", "-q", cwd=tmp_path)
    end = time.monotonic() + DEADLINE
    while not any(path.stat().st_size for path in tmp_path.glob(".convcli-*.tmp")):
        assert child.poll() is None, child.stderr.read()
        assert time.monotonic() < end
        time.sleep(0.01)
    child.send_signal(number)
    _, err = child.communicate(timeout=DEADLINE)
    assert (child.returncode, err) == (status, f"convcli: {word}; no file was left half written\n".encode())
    assert contents(tmp_path) == {"old.csv": b"precious"}


@pytest.mark.parametrize("env", [{"LC_ALL": "C"}, {"PYTHONIOENCODING": "ascii"}])
def test_a_locale_without_unicode_is_no_reason_to_crash(env):
    for more in ([], ["--steps"]):
        assert "Traceback" not in succeed(*W_CONV, *more, env=env).err


def test_steps_refuse_products_beyond_64_bits(tmp_path):
    np.save(tmp_path / "big.npy", np.full((3, 3), 2**62))
    done = within("toeplitz", "-k", "1 2; 3 4", "big.npy", "--steps", cwd=tmp_path)
    assert_one_clear_message(done, 2, r"the product may reach .* beyond 64-bit integers")


@pytest.mark.parametrize("option", ["--steps", "--verify"])
def test_what_may_not_be_written_is_refused_before_anything_is_shown(tmp_path, option):
    command = ("-k", "1 2; 3 4", "--shape", "3x3", option, "-o", "s.csv", "--max-output", "10B")
    done = within("toeplitz", *command, cwd=tmp_path)
    assert_one_clear_message(done, 5, "would have 288 bytes")
    assert contents(tmp_path) == {}


def test_several_kernels_are_refused(tmp_path):
    done = within("toeplitz", "-k", "box:3", "-k", "box:5", "--shape", "4x4", cwd=tmp_path)
    assert_one_clear_message(done, 2, "-k was given 2 times")


def test_padding_takes_the_place_of_a_mode(tmp_path):
    padded = within("toeplitz", "-k", "box:3", "--shape", "4x5", "--padding", "2", cwd=tmp_path)
    full = within("toeplitz", "-k", "box:3", "--shape", "4x5", "--mode", "full", cwd=tmp_path)
    assert padded.text.startswith("matrix     42×20")
    assert untimed(padded.text) == untimed(full.text)
    both = within(
        "toeplitz", "-k", "box:3", "--shape", "4x5", "--padding", "2", "--mode", "full", cwd=tmp_path
    )
    assert_one_clear_message(both, 2, "--padding and --mode both say")
    word = within("toeplitz", "-k", "box:3", "--shape", "4x5", "--padding", "same", cwd=tmp_path)
    assert_one_clear_message(word, 2, "--padding same is no number; use --mode same")


def test_a_bank_is_convolved_and_that_is_said_unless_asked_for(tmp_path):
    np.save(tmp_path / "bank.npy", np.arange(24).reshape(2, 3, 2, 2))
    command = ("toeplitz", "-k", "bank.npy", "--shape", "3x3", "--mode", "valid")
    assert (
        "bank.npy is a bank of kernels, and convolution turns each round"
        in within(*command, cwd=tmp_path).err
    )
    for options in (("--op", "convolve"), ("--op", "correlate"), ("-q",)):
        assert "turns each round" not in within(*command, *options, cwd=tmp_path).err


def test_quiet_prints_the_bare_matrix_and_verbose_the_options(tmp_path):
    quiet = within("toeplitz", "-k", "1 2", "--shape", "3", "-q", cwd=tmp_path)
    assert quiet.text == "1 0 0\n2 1 0\n0 2 1\n0 0 2\n"
    verbose = within("toeplitz", "-k", "1 2", "--shape", "3", "-v", cwd=tmp_path)
    assert "op convolve, mode full, border zero, origin 0, stride 1, dilation 1" in verbose.text


def test_names_are_counted_and_have_no_rank(tmp_path):
    done = within("toeplitz", "-k", "0 1 0", "--shape", "1x3", "--symbolic", "--json", cwd=tmp_path)
    assert (done.json["nonzeros"], done.json["rank"], done.json["eigenvalues"]) == (9, None, None)
