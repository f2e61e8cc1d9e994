"""``convcli unroll``: the matrix of patches is what the definition says, in every form, and folds back."""

import io
import itertools
import json
import math
import re
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import scipy.sparse
from oracle import border_index, convolve_exactly, output_positions
from PIL import Image as Pillow
from shell import contents, convcli, load, on_terminal, save, succeed, within

from convcli.matrices.files import recognised

CHART = Path(__file__).parents[2] / "sample_images" / "chart.png"
RNG = np.random.default_rng(7)
GRAY = RNG.integers(0, 256, (6, 7), dtype=np.uint8)
RGB = RNG.integers(0, 256, (5, 6, 3), dtype=np.uint8)
RGBA = RNG.integers(0, 256, (5, 6, 4), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (5, 6), dtype=np.uint16)
LINE = RNG.integers(-50, 50, 9)
PLANES = RNG.integers(-9, 10, (2, 5, 6))
VOLUME = RNG.integers(-9, 10, (3, 4, 5))
VOLUMES = RNG.integers(-9, 10, (2, 3, 4, 5))
FLOATS = RNG.standard_normal((4, 5)).astype(np.float32)
ONE, BANK = RNG.integers(-9, 10, (3, 2)), RNG.integers(-9, 10, (2, 3, 2, 3))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Images and arrays, one of a kind; no test may change them."""
    where = tmp_path_factory.mktemp("images")
    save(where / "gray.png", GRAY)
    save(where / "rgb.png", RGB)
    save(where / "rgba.png", RGBA)
    save(where / "la.png", RGBA[..., 2:], "LA")
    save(where / "deep.png", DEEP)
    arrays = {"line": LINE, "gray": GRAY, "planes": PLANES, "volume": VOLUME, "volumes": VOLUMES}
    kernels = {"one": ONE, "bank": BANK, "bank1": BANK[:, :1], "quarters": np.array([[0.25, 0.5]])}
    for name, array in {**arrays, **kernels, "floats": FLOATS, "bits": GRAY > 99}.items():
        np.save(where / f"{name}.npy", array)
    return where


def named(name):
    """The samples of a file of `folder`, as (channels, *spatial)."""
    photos = {"gray": GRAY[None], "rgb": np.moveaxis(RGB, -1, 0), "rgba": np.moveaxis(RGBA[..., :3], -1, 0)}
    photos |= {"la": RGBA[None, ..., 2], "deep": DEEP[None]}
    arrays = {"line": LINE[None], "planes": PLANES, "volume": VOLUME[None], "volumes": VOLUMES}
    arrays |= {"gray": GRAY[None], "floats": FLOATS[None], "bits": (GRAY > 99)[None].astype(np.uint8)}
    stem, _, extension = name.partition(".")
    return photos[stem] if extension == "png" else arrays[stem]


def counting(shape):
    return np.arange(1, math.prod(shape) + 1).reshape(shape)


def unrolled(
    image,
    taps,
    *,
    mode="valid",
    border="zero",
    value=0,
    origin=None,
    stride=1,
    dilation=1,
    order="C",
    layout="rows",
):
    """The matrix by the definition: `image` is (channels, *spatial)."""
    axes = len(taps)
    stride, dilation = ((n,) * axes if isinstance(n, int) else n for n in (stride, dilation))
    origin = origin or tuple((n - 1) // 2 for n in taps)
    runs = [
        output_positions(*numbers[:4], "correlate", mode, numbers[4])
        for numbers in zip(image.shape[1:], taps, origin, dilation, stride, strict=True)
    ]

    def along(ranges):
        if order == "C":
            return itertools.product(*ranges)
        return (where[::-1] for where in itertools.product(*ranges[::-1]))

    rows = []
    for position in along(runs):
        row = []
        for plane, cell in itertools.product(image, along([range(n) for n in taps])):
            at = [
                border_index(p + (c - o) * d, n, border)
                for p, c, o, d, n in zip(position, cell, origin, dilation, plane.shape, strict=True)
            ]
            row.append(value if None in at else plane[tuple(at)])
        rows.append(row)
    matrix = np.array(rows)
    return matrix if layout == "rows" else matrix.T


def equal(result, expected):
    np.testing.assert_array_equal(result, np.asarray(expected))


def written(folder, target, *arguments):
    """Unroll to a .npy file; return the matrix and what stderr has."""
    done = within("unroll", *arguments, "-o", target, cwd=folder)
    assert (done.status, done.out) == (0, b""), done.err
    return np.load(target), done.err


def document(folder, *arguments):
    done = within("unroll", *arguments, "--json", cwd=folder)
    assert done.status == 0, done.err
    return done.json


# the matrix


@pytest.mark.parametrize("layout", ["rows", "columns"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize(
    ("source", "options", "meaning"),
    [
        ("gray.png", "-s 3x2", {}),
        ("gray.png", "-s 2x3 --stride 2x3", {"stride": (2, 3)}),
        ("gray.png", "-s 2,3 --dilation 2", {"dilation": 2}),
        ("gray.png", "-s 3x3 --stride 999999999999999999", {"stride": 100}),
        ("gray.npy", "-s 2x2 --mode same", {"mode": "same"}),
        ("gray.npy", "-s 2x2 --mode same --origin 1,0", {"mode": "same", "origin": (0, 1)}),
        ("gray.npy", "-s 3x2 --mode full --stride 2", {"mode": "full", "stride": 2}),
        ("rgb.png", "-s 2x3", {}),
        ("rgba.png", "-s 5x6", {}),
        ("la.png", "-s 3x3", {}),
        ("deep.png", "-s 3x3 --mode same --border nearest", {"mode": "same", "border": "nearest"}),
        ("line.npy", "-s 3 --mode full --border wrap", {"mode": "full", "border": "wrap"}),
        ("planes.npy", "-s 3x3 --mode same --border mirror", {"mode": "same", "border": "mirror"}),
        ("volume.npy", "-s 2x2x3 --stride 1x2x2", {"stride": (1, 2, 2)}),
        ("volumes.npy", "-s 2x3x2 --mode same", {"mode": "same"}),
        ("floats.npy", "-s 2x2 --mode full", {"mode": "full"}),
        ("bits.npy", "-s 2x2", {}),
    ],
)
def test_matrix_is_that_of_the_definition(folder, tmp_path, source, options, meaning, order, layout):
    arguments = [source, *options.split(), "--order", order, "--layout", layout]
    result, _ = written(folder, tmp_path / "m.npy", *arguments)
    taps = tuple(map(int, re.split("[x,]", options.split()[1])))
    image = named(source)
    equal(result, unrolled(image, taps, **meaning, order=order, layout=layout))
    assert result.dtype == image.dtype


def test_the_comparison_with_the_definition_can_fail(folder, tmp_path):
    result, _ = written(folder, tmp_path / "m.npy", "gray.png", "-s", "3x3")
    with pytest.raises(AssertionError):
        equal(result, unrolled(GRAY[None], (3, 3), order="F"))


@pytest.mark.parametrize("mode", ["same", "full"])
@pytest.mark.parametrize(
    ("options", "border"),
    [
        ("", "zero"),
        ("--border constant --border-value 37", "constant"),
        ("--border fill --border-value 37", "constant"),
        ("--border edge", "nearest"),
        ("--border symmetric", "symmetric"),
        ("--border reflect-101", "mirror"),
        ("--border circular", "wrap"),
    ],
)
def test_every_border_is_drawn_around_the_image(folder, tmp_path, options, border, mode):
    """The patch is larger than the image, so that the border is seen more than once."""
    result, _ = written(
        folder, tmp_path / "m.npy", "--shape", "2x3", "-s", "5x4", "--mode", mode, *options.split()
    )
    value = 37 if border == "constant" else 0
    equal(result, unrolled(counting((1, 2, 3)), (5, 4), mode=mode, border=border, value=value))


@pytest.mark.parametrize("shape", [(9,), (5, 6), (3, 4, 5)])
@pytest.mark.parametrize("channels", [1, 2])
def test_the_samples_of_a_shape_count(folder, shape, channels):
    name = "x".join(map(str, shape))
    taps = "x".join("2" for _ in shape)
    found = document(folder, "--shape", name, "-s", taps, "--channels", str(channels))
    equal(found["matrix"], unrolled(counting((channels, *shape)), (2,) * len(shape)))
    assert found["channels"] == channels


def test_columns_of_a_colour_image_are_those_of_torch(folder, tmp_path):
    """torch.nn.functional.unfold: (C · kh · kw, positions), channels slowest."""
    result, _ = written(folder, tmp_path / "m.npy", "rgb.png", "-s", "2x3", "--layout", "columns")
    windows = np.lib.stride_tricks.sliding_window_view(np.moveaxis(RGB, -1, 0), (2, 3), axis=(1, 2))
    equal(result, windows.transpose(0, 3, 4, 1, 2).reshape(18, -1))


def test_one_channel_of_a_colour_image_is_its_brightness(folder, tmp_path):
    result, _ = written(folder, tmp_path / "m.npy", "rgba.png", "-s", "1x1", "--channels", "1")
    brightness = RGBA[..., :3] @ np.array([0.2126, 0.7152, 0.0722])
    equal(result, np.rint(brightness).reshape(-1, 1))


def test_order_f_is_im2col_of_matlab(tmp_path):
    (tmp_path / "magic.csv").write_text("")
    np.save(tmp_path / "magic.npy", [[16, 2, 3, 13], [5, 11, 10, 8], [9, 7, 6, 12], [4, 14, 15, 1]])
    arguments = ("unroll", "magic.npy", "-s", "2x2", "--layout", "columns", "--order", "F")
    assert within(*arguments, cwd=tmp_path).text.endswith(  # im2col(magic(4), [2 2], "sliding")
        "\n"
        "16  5  9  2 11  7  3 10  6\n"
        " 5  9  4 11  7 14 10  6 15\n"
        " 2 11  7  3 10  6 13  8 12\n"
        "11  7 14 10  6 15  8 12  1\n"
    )


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("layout", ["rows", "columns"])
def test_symbols_name_the_samples(folder, order, layout):
    options = ("--shape", "3x4", "-s", "2x2", "--mode", "same", "--order", order, "--layout", layout)
    found = document(folder, *options, "--symbolic")
    names = np.array([[f"x{i}{j}" for j in range(1, 5)] for i in range(1, 4)], object)
    equal(found["matrix"], unrolled(names[None], (2, 2), mode="same", value="0", order=order, layout=layout))


def test_symbols_of_several_channels_have_the_channel_in_front(folder):
    found = document(folder, "--shape", "2x2", "-s", "1x2", "--channels", "2", "--symbolic")
    assert found["matrix"] == [["x111", "x112", "x211", "x212"], ["x121", "x122", "x221", "x222"]]


# what is printed


def test_facts_and_the_matrix_go_to_stdout():
    done = succeed("unroll", "--shape", "3x3", "-s", "2x2")
    assert done.err == ""
    assert re.sub(r"build [\d.]+ ms", "build # ms", done.text) == (
        "matrix     4×4, a patch per row\n"
        "positions  2×2\n"
        "patch      2×2 of 1 channel\n"
        "size       128 bytes, 1.78 times the image's\n"
        "toeplitz   4×9, 212 bytes sparse, which unrolls the kernel instead\n"
        "time       build # ms, of what is shown\n"
        "\n"
        "1 2 4 5\n"
        "2 3 5 6\n"
        "4 5 7 8\n"
        "5 6 8 9\n"
    )


@pytest.mark.parametrize(
    ("options", "lines"),
    [
        ("--shape 3x5 -s 2x3 --order F", ["positions  2×3", "patch      2×3 of 1 channel"]),
        ("--shape 3x4 -s 2x3 --layout columns", ["matrix     6×4, a patch per column"]),
        ("rgb.png -s 3x3", ["patch      3×3 of 3 channels", "size       324 bytes, 3.6 times the image's"]),
        ("--shape 3x3 -s 2x2 --mode same --origin 1,0", ["origin     1,0 (x,y), the cell of a patch"]),
    ],
)
def test_facts_are_about_the_image_whatever_the_order(folder, options, lines):
    text = within("unroll", *options.split(), cwd=folder).text
    for line in lines:
        assert f"{line}" in text


def test_with_an_output_facts_go_to_stderr_and_quiet_leaves_them_out(tmp_path):
    arguments = ("unroll", "--shape", "3x3", "-s", "2x2", "-o")
    done = within(*arguments, "m.csv", cwd=tmp_path)
    assert done.out == b""
    assert done.err.startswith(
        "convcli: writing m.csv: 4×4, csv, 32 bytes\nmatrix     4×4, a patch per row\n"
    )
    done = within(*arguments, "q.csv", "-q", cwd=tmp_path)
    assert (done.status, done.out, done.err) == (0, b"", "")


@pytest.mark.parametrize("layout", ["rows", "columns"])
def test_the_middle_of_a_large_matrix_is_left_out(folder, layout):
    """And what is shown is cut from the same matrix, seen along whichever side."""
    found = within("unroll", "--shape", "40x50", "-s", "5x6", "--layout", layout, cwd=folder).text
    lines = [line.split() for line in found.partition("\n\n")[2].splitlines()]
    matrix = unrolled(counting((1, 40, 50)), (5, 6), layout=layout).astype(str)
    ends = [[*range(8), None, *range(n - 8, n)] for n in matrix.shape]
    expected = [
        ["…" if None in where else matrix[where] for where in ((r, c) for c in ends[1])] for r in ends[0]
    ]
    assert lines == expected


@pytest.mark.parametrize("options", ["", "--symbolic", "-k box:3"])
def test_a_wide_matrix_is_shown_without_much_memory(folder, options):
    shape = (150, 200) if options == "--symbolic" else (700, 800)
    size = () if "-k" in options else ("-s", "3x3")
    arguments = ("--shape", "x".join(map(str, shape)), *size, *options.split(), "--layout", "columns")
    tracemalloc.start()
    done = within("unroll", *arguments, cwd=folder)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert done.status == 0
    assert done.text.count("…") >= 9
    allowed = {"": 2, "--symbolic": 30, "-k box:3": 6}[options]
    assert peak < allowed * 8 * math.prod(shape)


def test_a_terminal_gets_colours_and_no_line_too_long():
    status, text = on_terminal("unroll", "--shape", "9x9", "-s", "3x3", "--layout", "columns", columns=60)
    assert status == 0
    assert re.search(r"\x1b\[[0-9;]*48;[25];", text), "entries are coloured by sample"
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    assert max(map(len, plain.split("\r\n"))) <= 60


# with a kernel


def expected_product(image, bank, op="convolve", **options):
    """Σ over channels, exactly: (outputs, *positions)."""
    planes = [
        sum(convolve_exactly(x, k, op=op, **options).values for x, k in zip(image, kernels, strict=True))
        for kernels in bank
    ]
    return np.array(planes).astype(float)


@pytest.mark.parametrize("op", ["convolve", "correlate"])
@pytest.mark.parametrize(
    ("options", "meaning"),
    [
        ("", {}),
        ("--mode same", {"mode": "same"}),
        ("--mode same --origin 0,2 --layout columns", {"mode": "same", "origin": (2, 0)}),
        ("--mode full --stride 2", {"mode": "full", "stride": 2}),
        (
            "--mode same --border mirror --dilation 2x3",
            {"mode": "same", "border": "mirror", "dilation": (2, 3)},
        ),
        (
            "--mode full --border constant --border-value 5 --order F",
            {"mode": "full", "border": "constant", "border_value": 5},
        ),
        ("--layout columns --order F --stride 2x1", {"stride": (2, 1)}),
    ],
)
def test_product_is_the_convolution(folder, options, meaning, op):
    found = document(folder, "gray.png", "-k", "one.npy", "--op", op, *options.split())
    expected = expected_product(GRAY[None], ONE[None, None], op, **{"mode": "valid"} | meaning)
    equal(found["product"], expected)
    order = "F" if "--order F" in options else "C"
    matrix = np.array(found["matrix"])
    flat = np.array(found["w_flat"]) @ (matrix if found["layout"] == "columns" else matrix.T)
    positions = expected.shape[1:] if order == "C" else expected.shape[:0:-1]
    equal(flat.reshape(positions) if order == "C" else flat.reshape(positions).T, expected[0])


def test_default_op_is_convolution(folder):
    found = document(folder, "gray.png", "-k", "one.npy")
    assert found["w_flat"] == [ONE[::-1, ::-1].reshape(-1).tolist()]
    assert document(folder, "gray.png", "-k", "one.npy", "--op", "correlate")["w_flat"] == [
        ONE.reshape(-1).tolist()
    ]


def test_the_origin_of_the_kernel_itself_is_respected(folder):
    found = document(folder, "gray.png", "-k", "2x2+0+1: 1,2 3,4", "--mode", "same")
    equal(found["product"], expected_product(GRAY[None], [[[[1, 2], [3, 4]]]], mode="same", origin=(1, 0)))


def test_a_bank_sums_over_channels(folder):
    for op in ("convolve", "correlate"):
        for order in ("C", "F"):
            options = ("rgb.png", "-k", "bank.npy", "--op", op, "--order", order)
            found = document(folder, *options)
            equal(found["product"], expected_product(named("rgb.png"), BANK, op, mode="valid"))
            assert np.shape(found["w_flat"]) == (2, 18)


@pytest.mark.parametrize("source", ["line.npy", "volumes.npy"])
def test_products_of_1_and_3_axes(folder, tmp_path, source):
    image = named(source)
    kernel = RNG.integers(-9, 10, (1, len(image), *(2,) * (image.ndim - 1)))
    np.save(tmp_path / "k.npy", kernel if len(image) > 1 else kernel[0, 0])
    found = document(folder, source, "-k", str(tmp_path / "k.npy"))
    equal(found["product"], expected_product(image, kernel, mode="valid"))


def test_weights_that_are_fractions_stay_fractions(folder):
    found = document(folder, "--shape", "1x3", "-k", "quarters.npy")
    assert (found["w_flat"], found["product"]) == ([[0.5, 0.25]], [[[1.0, 1.75]]])


def test_kernel_and_product_are_printed_below_the_matrix():
    done = succeed("unroll", "--shape", "3x3", "-k", "1 2; 3 4", "--layout", "columns")
    assert done.text.endswith("\n\nW_flat:\n4 3 2 1\n\nW_flat · X, as 2×2:\n23 33\n53 63\n")


def test_a_bank_has_a_product_per_output(folder):
    text = within("unroll", "--shape", "3x3", "-k", "bank1.npy", "--op", "correlate", cwd=folder).text
    for number, rows in enumerate(
        expected_product(counting((1, 3, 3)), BANK[:, :1], "correlate", mode="valid"), 1
    ):
        shown = "\n".join(" ".join(f"{value:.0f}" for value in row) for row in rows)
        assert f"\n\nW_flat · Xᵀ, output {number}, as 2×1:\n" in text
        assert shown in re.sub(" +", " ", text).replace("\n ", "\n")


def test_of_many_outputs_the_first_are_printed(folder, tmp_path):
    np.save(tmp_path / "many.npy", np.ones((40, 1, 1, 1)))
    text = within("unroll", "--shape", "2x2", "-k", tmp_path / "many.npy", cwd=folder).text
    assert text.count("W_flat · Xᵀ, output") == 16
    assert text.endswith("\n\nand 24 more outputs\n")


@pytest.mark.parametrize("layout", ["rows", "columns"])
def test_what_is_not_finite_makes_its_whole_patch_nan(folder, tmp_path, layout):
    image = np.ones((4, 5))
    image[0, 0], image[0, 1], image[3, 4] = np.inf, -np.inf, np.nan
    np.save(tmp_path / "gaps.npy", image)
    found = document(folder, tmp_path / "gaps.npy", "-k", "1 0; 0 1", "--layout", layout)
    exact = convolve_exactly(image, [[1, 0], [0, 1]], mode="valid").values
    assert found["product"] == [np.vectorize(lambda y: y if y is None else float(y))(exact).tolist()]


@pytest.mark.parametrize("layout", ["rows", "columns"])
def test_a_product_over_many_blocks_of_rows_is_exact(folder, tmp_path, layout):
    image = RNG.integers(0, 2**40, (300, 301))
    np.save(tmp_path / "large.npy", image)
    text = within("unroll", tmp_path / "large.npy", "-k", "1 -2 3", "--layout", layout, cwd=folder).text
    first = text.rpartition(":\n")[2].split("\n")[0].split()
    row = image[0, 2:] - 2 * image[0, 1:-1] + 3 * image[0, :-2]
    assert first == [*map(str, row[:8]), "…", *map(str, row[-8:])]


def test_products_beyond_64_bits_are_refused(tmp_path):
    np.save(tmp_path / "large.npy", np.full((3, 3), 2**62))
    done = within("unroll", "large.npy", "-k", "1 1", cwd=tmp_path)
    assert (done.status, done.out) == (2, b"")
    assert "the product may reach 9.22e+18, beyond 64-bit integers; convert the image to float64" in done.err


# files


def read_back(path, kind):
    """Read a matrix by other means than ours."""
    if kind in ("csv", "tsv"):
        return np.loadtxt(path, delimiter="," if kind == "csv" else "\t", ndmin=2)
    if kind == "npz":
        return scipy.sparse.load_npz(path).toarray()
    if kind == "mtx":
        return scipy.io.mmread(path).toarray()
    if kind == "json":
        return np.array(json.loads(path.read_text())["rows"])
    return np.load(path)


@pytest.mark.parametrize("source", ["gray.png", "deep.png", "floats.npy"])
@pytest.mark.parametrize("kind", ["csv", "tsv", "npy", "npz", "mtx", "json"])
def test_every_format_holds_the_matrix(folder, tmp_path, kind, source):
    path = tmp_path / f"m.{kind}"
    done = within("unroll", source, "-s", "2x3", "--mode", "same", "-o", path, cwd=folder)
    assert done.status == 0, done.err
    result, expected = read_back(path, kind), unrolled(named(source), (2, 3), mode="same")
    dtype = named(source).dtype
    equal(result.astype(dtype), expected.astype(dtype))
    size = re.search(r": \d+×6, (\w+), (\d+ bytes|[\d.]+ kB)", done.err)
    assert size[1] == kind


def test_format_decides_over_the_extension(folder, tmp_path):
    written = within(
        "unroll", "gray.png", "-s", "3x3", "--format", "tsv", "-o", tmp_path / "m.txt", cwd=folder
    )
    assert written.status == 0
    equal(read_back(tmp_path / "m.txt", "tsv"), unrolled(GRAY[None], (3, 3)))


def test_sparse_csv_lists_entries(folder, tmp_path):
    path = tmp_path / "m.csv"
    arguments = ("--shape", "3x3", "-s", "3x3", "--mode", "same", "--sparse-csv", "-o", path)
    assert within("unroll", *arguments, cwd=folder).status == 0
    head, *lines = path.read_text().splitlines()
    entries = np.array([list(map(int, line.split(","))) for line in lines])
    matrix = np.zeros((9, 9))
    matrix[entries[:, 0], entries[:, 1]] = entries[:, 2]
    assert head == "row,col,value"
    equal(matrix, unrolled(counting((1, 3, 3)), (3, 3), mode="same"))
    assert len(lines) == np.count_nonzero(matrix)


def test_names_are_written_too(folder, tmp_path):
    for name in ("m.csv", "m.json"):
        arguments = ("unroll", "--shape", "2x2", "-s", "1x2", "--symbolic", "-o", tmp_path / name)
        assert within(*arguments, cwd=folder).status == 0
    assert (tmp_path / "m.csv").read_text() == "x11,x12\nx21,x22\n"
    assert json.loads((tmp_path / "m.json").read_text())["rows"] == [["x11", "x12"], ["x21", "x22"]]


def test_a_picture_shows_the_structure(folder, tmp_path):
    assert within("unroll", "gray.png", "-s", "3x3", "-o", tmp_path / "m.png", cwd=folder).status == 0
    with Pillow.open(tmp_path / "m.png") as picture:
        assert picture.format == "PNG"
        assert min(picture.size) >= 9


def test_pipes_carry_the_matrix_and_nothing_else(folder):
    source = (folder / "rgb.png").read_bytes()
    done = succeed("unroll", "-", "-s", "2x3", "-o", "-", stdin=source)
    equal(np.loadtxt(io.BytesIO(done.out), delimiter=","), unrolled(named("rgb.png"), (2, 3)))
    assert "writing standard output: 16×18, csv, " in done.err
    done = succeed("unroll", "-", "-s", "2x3", "-o", "-", "--format", "npy", "-q", stdin=source)
    equal(np.load(io.BytesIO(done.out)), unrolled(named("rgb.png"), (2, 3)))
    assert done.err == ""


def test_json_is_one_document_with_everything(folder, tmp_path):
    found = document(folder, "--shape", "3x4", "-s", "2x3", "--channels", "2", "--layout", "columns")
    matrix = unrolled(counting((2, 3, 4)), (2, 3), layout="columns")
    assert 0 < found.pop("build_seconds") < 1
    assert found == {
        "shape": [12, 4],
        "layout": "columns",
        "options": {
            "op": "correlate",
            "mode": "valid",
            "border": "zero",
            "origin": [1, 0],
            "stride": [1, 1],
            "dilation": [1, 1],
        },
        "positions": [2, 2],
        "patch": [2, 3],
        "channels": 2,
        "origin": None,
        "bytes": 384,
        "toeplitz": {"shape": [4, 24], "sparse_bytes": 596, "exact": True},
        "matrix": matrix.tolist(),
        "w_flat": None,
        "product": None,
    }
    path = tmp_path / "m.mtx"
    found = document(folder, "--shape", "3x4", "-k", "1 2; 3 4", "--mode", "same", "-o", path)
    assert (found["output"], found["format"], found["origin"]) == (str(path), "mtx", [1, 1])
    assert document(folder, CHART, "-s", "3x3")["matrix"] is None, "large ones are left out"


# limits


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            "gray.png -s 3x3 -o out.csv --max-output 100",
            r"out\.csv would have \d+ bytes .*--max-output \d+",
        ),
        ("--shape 2000x2000 -s 9x9 -o out.npy --max-output 1GB", r"would have 2\.57 GB .*more than the 1 GB"),
        ("--shape 900000x900000 -s 3x3", r"image 900000×900000 needs 6\.48 TB of memory"),
        (f"--shape {10**18} -s 3", r"needs 8 EB of memory"),
        ("--shape 900x900 -s 3x3 --max-memory 1MB", r"needs 6\.48 MB of memory, more than the 1 MB"),
        ("--shape 300x300 -s 3x3 --symbolic --max-memory 2MB", r"naming the samples needs 27 MB"),
        ("--shape 100x100 -k box:3 --max-memory 150kB", r"the product needs 154 kB"),
        ("--shape 99x9 -s 9x9 --max-memory 9kB", r"showing the matrix needs 332 kB"),
        ("gray.png -s 3x3 --max-pixels 41", r"gray\.png has 42 pixels, over the limit of 41"),
        ("gray.npy -s 3x3 --max-memory 10", r"gray\.npy holds .* bytes, over the limit of 10"),
        ("--shape 9x9 -s 3x3 --mode full --dilation 99999999999", r"with its border has 400000000005×40"),
        (f"--shape 9 -s {10**15} --mode full", r"with its border has \d+ samples; use a smaller kernel"),
        (
            f"--shape 9 -s {10**25} --mode full",
            r"size \d+ is beyond what can be counted; use a smaller number",
        ),
    ],
)
def test_what_is_too_much_is_refused_with_its_size(folder, options, text):
    before = contents(folder)
    done = within("unroll", *options.split(), cwd=folder)
    assert (done.status, done.out) == (5, b""), done.err
    assert done.err.count("\n") == 1
    assert re.search(text, done.err), done.err
    assert contents(folder) == before


def test_output_limit_is_the_size_itself(folder, tmp_path):
    arguments = ("unroll", "gray.png", "-s", "3x3", "-o", tmp_path / "m.npy", "--max-output")
    assert within(*arguments, "307", cwd=folder).status == 5
    assert within(*arguments, "308", cwd=folder).status == 0
    assert (tmp_path / "m.npy").stat().st_size == 308


# fold


def folded(folder, matrix, *arguments, output="back.npy"):
    done = within("unroll", matrix, "--fold", *arguments, "-o", output, "-f", cwd=folder)
    assert (done.status, done.out) == (0, b""), done.err
    return (np.load(folder / output) if output.endswith(".npy") else load(folder / output)), done.err


def test_stride_two_comes_back_but_for_what_no_patch_covers(tmp_path):
    image = load(CHART).copy()
    options = ("-s", "3x3", "--stride", "2")
    succeed("unroll", CHART, *options, "-o", "cols.csv", cwd=tmp_path)
    done = succeed(
        "unroll", "cols.csv", "--fold", "--shape", "256x256", *options, "-o", "back.png", cwd=tmp_path
    )
    assert done.out == b""
    assert done.err == (
        "convcli: writing back.png: 256×256, uint8\n"
        "convcli: 511 of 65536 samples lie under no patch and became 0; "
        "--mode same or full, when unrolling, covers all\n"
    )
    image[255], image[:, 255] = 0, 0
    equal(load(tmp_path / "back.png"), image)


def test_mode_same_comes_back_whole(tmp_path):
    options = ("-s", "3x3", "--stride", "2", "--mode", "same")
    succeed("unroll", CHART, *options, "-o", "cols.csv", cwd=tmp_path)
    done = succeed(
        "unroll", "cols.csv", "--fold", "--shape", "256x256", *options, "-o", "back.png", cwd=tmp_path
    )
    assert done.err == "convcli: writing back.png: 256×256, uint8\n"
    equal(load(tmp_path / "back.png"), load(CHART))


@pytest.mark.parametrize("kind", ["csv", "tsv", "npy", "npz", "mtx", "sparse-csv"])
def test_every_format_folds_back(folder, tmp_path, kind):
    name = "m.csv" if kind == "sparse-csv" else f"m.{kind}"
    more = ("--sparse-csv",) if kind == "sparse-csv" else ()
    options = ("-s", "2x3", "--mode", "full")
    assert within("unroll", "rgb.png", *options, *more, "-o", tmp_path / name, cwd=folder).status == 0
    shape = ("--shape", "5x6", "--channels", "3")
    equal(folded(tmp_path, name, *options, *shape, output="back.png")[0], RGB)


@pytest.mark.parametrize("kind", ["tsv", "npy", "npz", "mtx", "sparse-csv"])
def test_streams_fold_back_whatever_their_format(folder, tmp_path, kind):
    """The last patches lie on zeros alone, which a list of entries does not show."""
    options = ("-s", "2x2", "--mode", "full", "--stride", "2")
    more = ("--sparse-csv", "--format", "csv") if kind == "sparse-csv" else ("--format", kind)
    within("unroll", "gray.png", *options, *more, "-o", tmp_path / "m.out", cwd=folder)
    fold = ("unroll", "-", "--fold", "--shape", "6x7", *options, "-o", "-", "--format", "png")
    done = succeed(*fold, stdin=(tmp_path / "m.out").read_bytes())
    assert done.err == "convcli: writing standard output: 6×7, uint8\n"
    with Pillow.open(io.BytesIO(done.out)) as picture:
        equal(np.asarray(picture), GRAY)


@pytest.mark.parametrize(
    ("head", "kind"),
    [(b"1,2\n\t", "csv"), (b"", "csv"), (b"1\t2", "tsv"), (b"PK\3\4", "npz"), (b"\x93NUMPY\1\0", "npy")],
)
def test_streams_are_recognised_by_how_they_begin(head, kind):
    assert recognised(head) == kind


@pytest.mark.parametrize("layout", ["rows", "columns"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize(
    ("source", "shape", "options"),
    [
        ("gray.npy", "6x7", "-s 3x2 --dilation 2x1"),
        ("gray.npy", "6x7", "-s 2x2 --mode same --origin 1,1"),
        ("planes.npy", "5x6 --channels 2", "-s 3x3 --stride 2 --mode full"),
        ("line.npy", "9", "-s 4 --mode same"),
        ("volume.npy", "3x4x5", "-s 2x2x2"),
        ("volumes.npy", "3x4x5 --channels 2", "-s 1x2x3 --stride 1x2x2"),
    ],
)
def test_fold_undoes_unroll(folder, tmp_path, source, shape, options, order, layout):
    image = named(source)
    how = [*options.split(), "--order", order, "--layout", layout]
    written(folder, tmp_path / "m.npy", source, *how)
    back, _ = folded(tmp_path, "m.npy", *how, "--shape", *shape.split())
    equal(back, image if "--channels" in shape else image[0])
    assert back.dtype == np.float64


@pytest.mark.parametrize("mode", ["valid", "same", "full"])
def test_sum_is_the_adjoint(folder, tmp_path, mode):
    how = ["-s", "3x2", "--stride", "2x1", "--mode", mode]
    matrix, _ = written(folder, tmp_path / "m.npy", "planes.npy", *how)
    other = RNG.integers(-99, 99, matrix.shape)
    np.save(tmp_path / "other.npy", other)
    shape = ("--shape", "5x6", "--channels", "2")
    back, _ = folded(tmp_path, "other.npy", *how, *shape, "--reduce", "sum")
    assert back.dtype == np.int64
    assert (matrix * other).sum() == (PLANES * back).sum()


@pytest.mark.parametrize(
    ("source", "output", "dtype", "more"),
    [
        ("deep.png", "back.png", np.uint16, ()),
        ("deep.png", "back.tif", np.uint16, ("--dtype", "uint16")),
        ("floats.npy", "back.tif", np.float32, ("--dtype", "float32")),
        ("floats.npy", "back.npy", np.float32, ("--dtype", "float32")),
        ("floats.npy", "back.npy", np.float64, ()),
        ("gray.png", "back.npy", np.uint16, ("--dtype", "uint16")),
        ("gray.png", "back.pgm", np.uint8, ()),
        ("gray.png", "back.out", np.uint8, ("--format", "png")),
    ],
)
def test_image_is_of_the_type_asked_for(folder, tmp_path, source, output, dtype, more):
    written(folder, tmp_path / "m.npy", source, "-s", "2x2")
    image = named(source)[0]
    back, _ = folded(
        tmp_path, "m.npy", "-s", "2x2", "--shape", "x".join(map(str, image.shape)), *more, output=output
    )
    equal(back, image)
    assert back.dtype == dtype


def test_types_of_text_are_not_known_so_16_bits_are_asked_for(folder, tmp_path):
    within("unroll", "deep.png", "-s", "2x2", "-o", tmp_path / "m.csv", cwd=folder)
    options = ("m.csv", "-s", "2x2", "--shape", "5x6")
    done = within("unroll", *options, "--fold", "-o", "back.png", cwd=tmp_path)
    assert done.status == 2
    assert re.search(
        r"from \d+ to 6\d{4}, beyond uint8; use --dtype uint16, --dtype float32 with \.tif, or -o with",
        done.err,
    )
    equal(folded(tmp_path, *options, "--dtype", "uint16", output="back.png")[0], DEEP)


def test_means_of_large_integers_do_not_overflow(tmp_path):
    np.save(tmp_path / "m.npy", np.full((4, 4), 2**63 - 1))
    options = ("m.npy", "-s", "2x2", "--shape", "3x3")
    equal(folded(tmp_path, *options)[0], np.full((3, 3), 2.0**63))
    done = within("unroll", *options, "--fold", "--reduce", "sum", cwd=tmp_path)
    assert (done.status, done.out) == (2, b"")
    assert f"a sum may reach {4 * (2**63 - 1)}, beyond int64" in done.err
    np.save(tmp_path / "m.npy", np.full((4, 4), 2**61 - 1))
    equal(folded(tmp_path, *options, "--reduce", "sum")[0][1, 1], 4 * (2**61 - 1))


def test_without_an_output_the_image_is_printed(folder, tmp_path):
    written(folder, tmp_path / "m.npy", "--shape", "2x3", "-s", "1x2")
    options = ("--fold", "--shape", "2x3", "-s", "1x2")
    assert within("unroll", "m.npy", *options, cwd=tmp_path).text == "1 2 3\n4 5 6\n"
    assert within("unroll", "m.npy", *options, "--reduce", "sum", cwd=tmp_path).text == (
        " 1  4  3\n 4 10  6\n"
    )
    written(folder, tmp_path / "c.npy", "--shape", "2x3", "-s", "1x2", "--channels", "2")
    assert within("unroll", "c.npy", *options, "--channels", "2", cwd=tmp_path).text == (
        "channel 1:\n1 2 3\n4 5 6\n\nchannel 2:\n 7  8  9\n10 11 12\n"
    )
    written(folder, tmp_path / "v.npy", "--shape", "2x1x2", "-s", "1x1x1", "--channels", "2")
    options = ("--fold", "--shape", "2x1x2", "-s", "1x1x1", "--channels", "2")
    assert within("unroll", "v.npy", *options, cwd=tmp_path).text == (
        "channel 1, plane 1:\n1 2\n\nchannel 1, plane 2:\n3 4\n\n"
        "channel 2, plane 1:\n5 6\n\nchannel 2, plane 2:\n7 8\n"
    )


def test_16_bits_are_printed_in_full(folder, tmp_path):
    written(folder, tmp_path / "m.npy", "deep.png", "-s", "2x2")
    text = within("unroll", "m.npy", "--fold", "--shape", "5x6", "-s", "2x2", cwd=tmp_path).text
    equal([line.split() for line in text.splitlines()], DEEP.astype(str))


@pytest.mark.parametrize(
    ("options", "way"),
    [
        ("-s 2x2 --stride 2 --shape 5x5", "9 of 25 samples .*; --mode same or full, when"),
        ("-s 2x2 --stride 3 --shape 8x8", "28 of 64 samples .*; a smaller --stride, when"),
        ("-s 2 --dilation 2 --stride 2 --shape 4", "2 of 4 samples .*; a smaller --stride, when"),
        ("-s 2x2 --stride 2 --shape 5x5 --channels 2", "18 of 50 samples .*; --mode same or full, when"),
        ("-s 2 --stride 2 --shape 4 --mode same --origin 1", "1 of 4 .*; --mode full, when"),
        ("-s 3x3 --stride 2 --shape 5x5", None),
    ],
)
def test_samples_under_no_patch_are_counted(folder, tmp_path, options, way):
    written(folder, tmp_path / "m.npy", *options.split())
    done = within("unroll", "m.npy", "--fold", *options.split(), cwd=tmp_path)
    assert done.status == 0
    assert (done.err == "") if way is None else re.search(way, done.err), done.err
    assert within("unroll", "m.npy", "--fold", *options.split(), "-q", cwd=tmp_path).err == ""


@pytest.mark.parametrize(
    ("matrix", "options", "text"),
    [
        (
            "wide.npz",
            "--shape 1x2000001 -s 1x2000000 --max-memory 100MB",
            r"the image with the matrix, dense, needs 112 MB of memory",
        ),
        ("m.npy", "--shape 900000x900000 -s 3x3", r"the image 900000×900000 needs 32\.4 TB of memory"),
        ("m.npy", f"--shape {10**17}x{10**17} -s 1x1", r"needs \S+ EB of memory"),
        (
            "m.npy",
            "--shape 3x3 -s 2x2 --max-memory 300",
            r"the image 3×3 needs 360 bytes .* 300 bytes allowed",
        ),
        (
            "m.npy",
            "--shape 1x1 -s 1x1 --max-memory 200",
            r"m\.npy: the file takes 256 bytes, over the limit of 200",
        ),
        ("m.npy", f"--shape 3x3 -s 2x2 --mode full --dilation {10**17}", r"with its border has"),
    ],
)
def test_folding_what_is_too_much_is_refused_before(tmp_path, matrix, options, text):
    np.save(tmp_path / "m.npy", np.ones((4, 4)))
    entries = scipy.sparse.coo_array(([1.0], ([0], [0])), shape=(2, 2 * 10**6))
    scipy.sparse.save_npz(tmp_path / "wide.npz", entries.tocsr())
    before = contents(tmp_path)
    tracemalloc.start()
    done = within("unroll", matrix, "--fold", *options.split(), cwd=tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (done.status, done.out) == (5, b""), done.err
    assert done.err.count("\n") == 1
    assert re.search(text, done.err), done.err
    assert peak < 50e6
    assert contents(tmp_path) == before


# errors


@pytest.fixture(scope="module")
def bad(folder):
    """Add matrices good and bad to the images."""
    matrix = unrolled(GRAY[None], (2, 3))
    np.savetxt(folder / "m.csv", matrix, "%d", ",")
    np.save(folder / "m.npy", matrix)
    np.save(folder / "float.npy", np.full((25, 6), 1e300))
    np.save(folder / "nan.npy", np.full((25, 6), np.nan))
    np.save(folder / "signed.npy", matrix.astype(int) - 256)
    np.save(folder / "three.npy", np.ones((2, 2, 2)))
    np.save(folder / "complex.npy", np.ones((25, 6), complex))
    np.save(folder / "number.npy", np.float64(7))
    np.save(folder / "nothing.npy", np.ones((0, 3)))
    np.save(folder / "four.npy", np.ones((2, 2, 2, 2)))
    text = (folder / "m.csv").read_bytes()
    (folder / "line.csv").write_bytes(b"\n".join(text.splitlines()[:20]))
    (folder / "cell.csv").write_bytes(text[:40])
    (folder / "ragged.csv").write_text("1,2,3\n4,5\n")
    (folder / "word.csv").write_text("1,2,3\n4,five,6\n")
    (folder / "empty.csv").write_text("")
    (folder / "outside.csv").write_text("row,col,value\n25,0,1\n")
    (folder / "half.npy").write_bytes((folder / "m.npy").read_bytes()[:200])
    (folder / "noise.npz").write_bytes(b"PK\3\4 and so on")
    (folder / "old.npy").write_bytes(b"precious")
    (folder / "folder").mkdir()
    return folder


GOOD = "gray.png -s 3x3"
FOLD = "--fold --shape 6x7 -s 2x3"
CASES = [
    # sizes and shapes
    ("gray.png", 2, r"no size of the patches; add -s, for example -s 3x3"),
    ("-s 3x3", 2, r"no image; name an IMAGE, or add --shape HxW"),
    (
        "gray.png --shape 3x3 -s 2x2",
        2,
        r"an image and --shape both say what the matrix is for; leave one out",
    ),
    ("gray.png -s 3", 2, r"the image 6×7 has 2 axes and the patches 3 have 1; write -s 3x3"),
    ("--shape 6x7 -s 3", 2, r"--shape 6×7 has 2 axes and the patches 3 have 1; write -s 3x3"),
    ("--shape 6 -s 3x3", 2, r"--shape 6 has 1 axes and the patches 3×3 have 2; write -s 3"),
    ("four.npy -s 2x2", 2, r"the image 2×2×2×2 has 4 axes and the patches 2×2 have 2; write as many"),
    ("gray.png -s 3x9", 2, r'kernel 3×9 is larger than image 6×7 in mode "valid"; use --mode full'),
    ("gray.png -s 3x3 --dilation 3", 2, r"kernel 3×3 \(dilated: 7×7\) is larger than image 6×7"),
    ("gray.png -s 0x3", 2, r"size 0×3 is below 1"),
    ("gray.png -s three", 2, r'size "three" is not a whole number, or one per axis such as 2x3'),
    ("--shape 0x3 -s 1x1", 2, r"shape 0×3 is below 1"),
    ("--shape 2x2x2x2 -s 2x2x2x2", 2, r"kernel has 4 axes; convolution here has 1, 2 or 3"),
    (f"{GOOD} --stride 0", 2, r"stride 0×0 is below 1"),
    (f"{GOOD} --stride 1x1x1", 2, r"stride .* has 3 numbers for 2 axes"),
    (f"{GOOD} --channels 0", 2, r"channels 0 is below 1"),
    (f"{GOOD} --channels 3", 2, r"the image has 1 channel.*3 are wanted"),
    ("planes.npy -s 2x2 --channels 1", 2, r"the image has 2 channels, and 1 is wanted"),
    # options
    (f"{GOOD} --layout wide", 2, r'unknown layout "wide"; use one of rows, columns'),
    (f"{GOOD} --order R", 2, r'unknown order "R"; use one of C, F'),
    (f"{GOOD} --mode wide", 2, r'unknown mode "wide"; use one of same, full, valid'),
    (f"{GOOD} --border reflect --mode same", 2, r'"reflect" means two things'),
    (f"{GOOD} --border-value 3", 2, r"--border-value 3 is for --border constant"),
    (
        f"{GOOD} --mode same --border constant --border-value 0.5",
        2,
        r"border value 0\.5 is not a sample of uint8; use a whole number from 0 to 255",
    ),
    (f"{GOOD} --origin 1,1", 2, r"--origin has no effect in mode valid; leave it out, or use --mode same"),
    (f"{GOOD} --origin 3,0 --mode same", 2, r"origin \(0, 3\) is outside the kernel 3×3"),
    (
        f"{GOOD} --symbolic --mode same --border constant --border-value 7",
        2,
        r"--symbolic has no name for the border value 7; use --border zero",
    ),
    (f"{GOOD} --op correlate", 2, r"--op correlate is for the kernel of -k; leave it out, or add -k"),
    (f"{GOOD} --reduce sum", 2, r"--reduce is for --fold; leave it out, or add --fold"),
    (f"{GOOD} --dtype uint8", 2, r"--dtype is for --fold; leave it out, or add --fold"),
    (f"{GOOD} --nonsense", 2, r"No such option: --nonsense"),
    (f"{GOOD} --max-output lots", 2, r'output "lots" is not an amount'),
    # kernels
    ("gray.png -s 3x3 -k one.npy", 2, r"-s 3×3 is not the size of the kernel, 3×2; leave -s out"),
    ("gray.png -k one.npy --op multiply", 2, r'unknown op "multiply"; use one of convolve, correlate'),
    ("rgb.png -k one.npy", 2, r"the kernel is for 1 channel and the image has 3; use a bank .*--channels"),
    ("gray.png -k bank.npy", 2, r"the kernel is for 3 channels and the image has 1; .* width\)$"),
    ("--shape 5x5 -k bank.npy", 2, r"is for 3 channels and the image has 1; use .*, or --channels 3$"),
    ("gray.png -k gausian:3", 2, r'unknown kernel "gausian"; did you mean "gaussian"\?'),
    ("gray.png -k none.npy", 3, r"kernel file none\.npy: no such file"),
    ("gray.png -k one.npy -o -", 2, r"-k prints to standard output, and so does -o -; give -o a file"),
    # images
    ("none.png -s 3x3", 3, r"none\.png does not exist"),
    ("folder -s 3x3", 3, r"folder is a folder; name a file in it"),
    ("m.csv -s 3x3", 3, r"m\.csv is not an image that convcli reads"),
    ("complex.npy -s 1x1", 3, r"complex\.npy holds complex128; only bool, integers and floats"),
    ("number.npy -s 1", 3, r"number\.npy is a single number"),
    ("nothing.npy -s 1x1", 3, r"nothing\.npy 0×3 is empty"),
    ("half.npy -s 1x1", 3, r"half\.npy is truncated"),
    # outputs
    (f"{GOOD} -o out.xyz", 2, r'"out\.xyz" has no extension of a matrix format; use one of \.csv'),
    (f"{GOOD} -o out --format xyz", 2, r'format "xyz"'),
    (f"{GOOD} --format csv", 2, r"--format has no effect for want of -o"),
    (f"{GOOD} --sparse-csv", 2, r"--sparse-csv has no effect for want of -o"),
    (f"{GOOD} --sparse-csv -o out --format npy", 2, r"--sparse-csv writes \.?csv, not npy"),
    (f"{GOOD} --symbolic -o out.npz", 2, r"--symbolic writes names, which npz cannot hold"),
    (f"{GOOD} -o old.npy", 2, r"old\.npy exists; use -f to overwrite it"),
    ("gray.npy -s 3x3 -o gray.npy", 2, r"gray\.npy is the input gray\.npy itself; use -f"),
    (f"{GOOD} -o missing/out.npy", 2, r"missing does not exist; make it first"),
    (f"{GOOD} --json -o -", 2, r"--json and -o - would both write to standard output"),
    # fold: options
    (FOLD, 2, r"--fold needs the file of a matrix: convcli unroll patches\.csv --fold"),
    ("m.csv --fold -s 2x3", 2, r"--fold needs --shape HxW of the image"),
    ("m.csv --fold --shape 6x7", 2, r"no size of the patches; add -s"),
    ("m.csv --fold --shape 6x7 -s 2", 2, r"--shape 6×7 has 2 axes and -s 2 has 1; write as many numbers"),
    ("m.csv --fold --shape 6x0 -s 1x1", 2, r"shape 6×0 is below 1"),
    (f"m.csv {FOLD} --channels 0", 2, r"channels 0 is below 1"),
    (f"m.csv {FOLD} --channels -2", 2, r"channels -2 is below 1"),
    (f"m.csv {FOLD} --reduce max", 2, r'unknown reduction "max"; use one of sum, mean'),
    (
        f"m.csv {FOLD} --dtype int8 -o out.png",
        2,
        r'unknown dtype "int8"; did you mean "uint8"\? use one of uint8, uint16, float32',
    ),
    (f"m.csv {FOLD} --dtype uint8", 2, r"--dtype has no effect for want of -o"),
    (f"m.csv {FOLD} --format png", 2, r"--format has no effect for want of -o"),
    *(
        (f"m.csv {FOLD} {option}", 2, rf"{option.split()[0]} has no meaning with --fold; leave it out")
        for option in (
            "--border wrap",
            "--op correlate",
            "--symbolic",
            "--sparse-csv",
            "--json",
            "--max-pixels 9",
            "--max-output 9MB",
        )
    ),
    (f"m.csv {FOLD} -k box:3", 2, r"--kernel has no meaning with --fold; leave it out"),
    # fold: matrices
    (
        "m.csv --fold --shape 7x6 -s 2x3",
        2,
        r"m\.csv is a matrix 25×6, and patches 2×3 of an image 7×6 are 24×6",
    ),
    (f"m.csv {FOLD} --layout columns", 2, r"are 6×25 with --layout columns; use --layout rows"),
    (f"m.csv {FOLD} --channels 2", 2, r"of 2 channels are 25×12 with --layout rows; check -s"),
    (f"line.csv {FOLD}", 2, r"line\.csv is a matrix 20×6"),
    (f"cell.csv {FOLD}", 3, r"cell\.csv is ragged: line \d has \d cells?, 6 are expected"),
    (f"ragged.csv {FOLD}", 3, r"ragged\.csv is ragged: line 2 has 2 cells, 3 are expected"),
    (f"word.csv {FOLD}", 3, r'word\.csv has "five", which is not a number, in line 2, cell 2'),
    (f"empty.csv {FOLD}", 3, r"empty\.csv is empty"),
    (f"outside.csv {FOLD}", 3, r"outside\.csv has entry 1 at row 25, column 0 in a matrix of 25×6"),
    (f"half.npy {FOLD}", 3, r"half\.npy is truncated"),
    (f"three.npy {FOLD}", 3, r"three\.npy holds an array of shape \(2, 2, 2\); a matrix has rows"),
    (f"complex.npy {FOLD}", 3, r"complex\.npy holds complex128"),
    (f"noise.npz {FOLD}", 3, r"noise\.npz .*(damaged|not)"),
    (f"gray.png {FOLD}", 3, r'gray\.png has the unknown type "\.png"; matrices are read from \.csv'),
    (f"none.csv {FOLD}", 3, r"none\.csv does not exist"),
    (f"folder {FOLD}", 3, r"folder"),
    # fold: outputs
    (f"m.csv {FOLD} -o out.xyz", 2, r'"out\.xyz" has no extension of an image format'),
    (f"m.csv {FOLD} -o old.npy", 2, r"old\.npy exists; use -f"),
    (f"m.npy {FOLD} -o m.npy", 2, r"m\.npy is the input m\.npy itself; use -f"),
    (f"m.csv {FOLD} -o missing/out.png", 2, r"missing does not exist"),
    (
        f"m.csv {FOLD} -o out.png --dtype float32",
        2,
        r"PNG cannot hold 1 channel of float32; use \.tif or \.npy",
    ),
    (f"m.csv {FOLD} -o out.png --channels 5", 2, r"PNG cannot hold 5 channels of uint8; use \.npy$"),
    ("m.csv --fold --shape 6x7x1 -s 2x3x1 -o out.png", 2, r"a volume 6×7×1 is no image; write it to a \.npy"),
    (
        f"signed.npy {FOLD} -o out.png",
        2,
        r"samples from -\d+ to -\d+, beyond uint8; use --dtype float32 with",
    ),
    (f"nan.npy {FOLD} -o out.png", 2, r"samples from nan to nan, beyond uint8"),
    (
        f"m.csv {FOLD} --reduce sum -o out.png",
        2,
        r"samples from \d+ to \d+, beyond uint8; use --dtype uint16",
    ),
    (
        f"float.npy {FOLD} -o out.png",
        2,
        r"samples from 1e\+300 to 1e\+300, beyond uint8; use --dtype float32",
    ),
]


@pytest.mark.parametrize(("command", "status", "text"), CASES, ids=[case[0] for case in CASES])
def test_error_is_named_and_no_file_changes(bad, command, status, text):
    before = contents(bad)
    done = within("unroll", *command.split(), cwd=bad)
    assert contents(bad) == before
    assert (done.status, done.out) == (status, b""), done.err
    lines = done.err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("convcli: ")
    assert lines[0].isprintable()
    assert "internal error" not in done.err
    assert re.search(text, lines[0]), done.err


@pytest.mark.parametrize(
    ("command", "status", "text"),
    [
        ("m.csv --fold --shape 6x7 -s 2x3 -o", 2, r"the output has no name; use -o FILE"),
        ("gray.png -s 3x3 -o", 2, r"the output has no name; use -o FILE"),
    ],
)
def test_an_output_without_a_name_is_refused(bad, command, status, text):
    done = within("unroll", *command.split(), "", cwd=bad)
    assert done.status == status
    assert re.search(text, done.err)


def test_errors_of_a_process_are_one_line_on_stderr(bad):
    for arguments, status, stdin, line in (
        (("gray.png",), 2, b"", "no size of the patches; add -s, for example -s 3x3"),
        (("-", *FOLD.split()), 3, b"", "standard input is empty; a matrix has at least one row"),
        (
            ("-", *FOLD.split()),
            3,
            b"1,2\n3\n",
            "standard input is ragged: line 2 has 1 cells, 2 are expected",
        ),
        (("none.csv", *FOLD.split()), 3, b"", "none.csv does not exist"),
    ):
        done = convcli("unroll", *arguments, cwd=bad, stdin=stdin)
        assert (done.status, done.out, done.err) == (status, b"", f"convcli: {line}\n")


@pytest.mark.parametrize(
    "arguments", [("gray.png", "-s", "3x3"), ("m.csv", "--fold", "--shape", "6x7", "-s", "2x3")]
)
def test_a_terminal_is_no_place_for_a_file(bad, arguments):
    status, text = on_terminal("unroll", *arguments, "-o", "-", cwd=bad)
    assert (status, text) == (2, "convcli: standard output is a terminal; pipe it, or give -o a file\r\n")


def test_without_arguments_help_is_shown():
    done = convcli("unroll")
    assert done.status == 2
    assert "Examples:" in done.err + done.text


def test_force_overwrites(bad, tmp_path):
    (tmp_path / "old.npy").write_bytes(b"precious")
    done = within("unroll", "gray.png", "-s", "3x3", "-o", tmp_path / "old.npy", "-f", cwd=bad)
    assert done.status == 0
    equal(np.load(tmp_path / "old.npy"), unrolled(GRAY[None], (3, 3)))


def test_the_table_and_json_tell_the_time_of_building_and_writing(tmp_path):
    command = ("unroll", "--shape", "300x300", "-s", "5x5", "-o", "t.npy")
    done = within(*command, cwd=tmp_path)
    assert re.search(r"(?m)^time +build [\d.e-]+ ms, write [\d.e-]+ ms$", done.err)
    assert re.search(r"(?m)^speed +[\d.]+ .?B/s written$", done.err)
    found = within(*command, "-f", "--json", cwd=tmp_path).json
    assert found["output_bytes"] == (tmp_path / "t.npy").stat().st_size
    assert min(found["build_seconds"], found["write_seconds"]) > 0


@pytest.mark.parametrize("border", ["zero", "wrap", "mirror"])
def test_the_size_of_the_unrolled_kernel_stands_beside_that_of_the_matrix(tmp_path, border):
    options = ("--shape", "40x50", "--border", border, "--mode", "same", "--json")
    found = within("unroll", *options, "-s", "3x3", cwd=tmp_path).json["toeplitz"]
    other = within("toeplitz", *options, "-k", "box:3", cwd=tmp_path).json
    assert found["shape"] == other["shape"]
    assert found["exact"] == (border != "mirror")
    assert found["sparse_bytes"] == pytest.approx(other["sparse_bytes"], rel=0 if found["exact"] else 0.1)
    assert other["im2col"]["shape"] == within("unroll", *options, "-s", "3x3", cwd=tmp_path).json["shape"]
