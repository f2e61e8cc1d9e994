"""What is shown of a convolution's matrix is true of it: steps, windows, facts, counts, comparisons."""

from __future__ import annotations

import io
import re
import tracemalloc
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import MODES_AND_BORDERS, OPS, convolve_exactly

from convcli import backends
from convcli.cli.report.grid import grid, print_lines
from convcli.cli.toeplitz.summary import document, print_facts, print_steps
from convcli.engine.verification import verify
from convcli.errors import UsageError
from convcli.matrices.build import cell_names, convolution_matrix, in_order
from convcli.matrices.convolution_matrix import ConvolutionMatrix
from convcli.matrices.matrix import Dense, Symbolic
from convcli.matrices.show.facts import TRANSFORMED, facts
from convcli.matrices.show.palette import colour_of
from convcli.matrices.show.preview import preview
from convcli.matrices.show.steps import steps
from convcli.matrices.value_counts import nonzeros, value_counts
from convcli.options import amount
from convcli.text import bytes_option

colour = colour_of((10, 10))

RNG = np.random.default_rng(11)
LINEAR = [(mode, border) for mode, border in MODES_AND_BORDERS if border != "constant"]
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
KERNEL = np.array([[1, 2, 0], [-3, 4, 5]])


def dense(matrix):
    rows = matrix.rows(0, matrix.shape[0])
    return rows if isinstance(rows, np.ndarray) else rows.toarray()


# Steps


@pytest.mark.parametrize(("mode", "border"), LINEAR)
@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("options", [{}, {"stride": (2, 1)}, {"dilation": (1, 2)}, {"origin": (1, 0)}])
def test_the_small_matrices_stand_in_t_as_the_layout_says(mode, border, op, options):
    image = RNG.integers(0, 9, (4, 6))
    matrix = convolution_matrix(KERNEL, (4, 6), mode=mode, border=border, op=op, **options)
    stages = list(steps(matrix, image))
    assert len(stages) == 8
    small = [dense(part) for _, part, _ in stages[3].parts]
    (_, layout, _), (_, whole, _) = stages[4].parts
    blocks = [
        [
            sum((small[int(name[1:]) - 1] for name in names.split("+") if name != "0"), 0 * small[0])
            for names in row
        ]
        for row in dense(layout)
    ]
    assert np.block(blocks).tolist() == dense(whole).tolist() == matrix.tocsr().toarray().tolist()
    expected = convolve_exactly(image, KERNEL, mode=mode, border=border, op=op, **options).values
    assert dense(stages[7].parts[0][1]).tolist() == expected.tolist()
    assert dense(stages[6].parts[0][1]).tolist() == [expected.reshape(-1).tolist()]
    assert dense(stages[5].parts[0][1]).tolist() == [image.reshape(-1).tolist()]


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("dilation", [1, 2])
def test_the_padded_filter_is_the_first_column_of_the_full_matrix(op, dilation):
    matrix = convolution_matrix(KERNEL, (4, 5), op=op, dilation=dilation)
    padded = dense(list(steps(matrix, np.ones((4, 5), int)))[2].parts[0][1])
    assert padded.reshape(-1).tolist() == dense(matrix)[:, 0].tolist()


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("dilation", [1, 2])
def test_the_output_size_is_worked_out_in_words(mode, stride, dilation):
    matrix = convolution_matrix(KERNEL, (7, 8), mode=mode, stride=stride, dilation=dilation)
    stage = list(steps(matrix, np.ones((7, 8), int)))[1]
    for line, size in zip(stage.lines, matrix.spec.output_shape, strict=True):
        numbers = [int(number) for number in re.findall(r"\d+", line)]
        assert size in numbers
        sums = re.search(r"(\d+) ([+−]) (\d+) ([+−]) (\d+) = (\d+)", line)
        if sums:
            a, first, b, second, c, total = sums.groups()
            signs = {"+": 1, "−": -1}
            assert int(a) + signs[first] * int(b) + signs[second] * int(c) == int(total)
            assert -(-int(total) // stride) == size
        else:
            assert mode == "same"


def test_steps_are_printed_with_a_title_each(capsys):
    print_steps(convolution_matrix([[1, 2], [3, 4]], (2, 2)), np.array([[1, 2], [3, 4]]))
    titles = re.findall(r"(?m)^(\d)\. (.*)$", capsys.readouterr().out)
    assert [number for number, _ in titles] == list("12345678")
    words = (
        "Input and filter",
        "Output size",
        "padded",
        "small matrix",
        "matrix T",
        "vector",
        "product",
        "result",
    )
    for (_, title), word in zip(titles, words, strict=True):
        assert word in title


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (convolution_matrix(np.ones((2, 1, 2, 2)), (3, 3)), "2×1×2×2 is a bank; name one kernel"),
        (convolution_matrix([1, 2], 3), "not 1; a signal is an image with one row, 1x3"),
        (convolution_matrix(np.ones((2, 2, 2)), (3, 3, 3)), "with 2 axes, not 3$"),
        (convolution_matrix(np.ones((2, 2)), (3, 3)).T, "leave out --transpose"),
        (
            convolution_matrix(np.ones((17, 1)), (3, 3)),
            "17 are too many to read; use a kernel of at most 16 rows",
        ),
    ],
)
def test_steps_are_for_one_small_kernel_with_two_axes(matrix, message):
    with pytest.raises(UsageError, match=message):
        next(steps(matrix, np.ones((3, 3))))


# Windows


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("border", ["zero", "symmetric"])
def test_a_window_shows_what_stands_there(transposed, border):
    matrix = convolution_matrix(KERNEL, (4, 5), border=border)
    matrix = matrix.T if transposed else matrix
    whole = dense(matrix)
    rows, columns = [0, 1, 2, 9, 17, 18], [0, 3, 4, 11, 19]
    text, shades = preview(matrix, lambda cell: (cell, 0, 0))(rows, columns)
    assert text == whole[np.ix_(rows, columns)].astype(str).tolist()
    for line, colours in zip(text, shades, strict=True):
        assert [found is not None for found in colours] == [cell != "0" for cell in line]
    if border == "zero":
        for line, colours in zip(text, shades, strict=True):
            for cell, found in zip(line, colours, strict=True):
                assert found is None or str(KERNEL.reshape(-1)[found[0]]) == cell


def test_a_window_of_names_is_that_of_the_whole():
    matrix = convolution_matrix(KERNEL, (4, 5), border="nearest")
    names = Symbolic(matrix, cell_names(matrix.kernels))
    rows, columns = [0, 1, 8, 34], [0, 2, 19]
    text, _ = preview(names, colour)(rows, columns)
    assert text == names.rows(0, 35)[np.ix_(rows, columns)].tolist()


@pytest.mark.parametrize("symbolic", [False, True])
def test_a_window_of_a_huge_matrix_takes_no_memory_for_the_rest(symbolic):
    matrix = convolution_matrix([1, 2, 3], 10**12)
    seen = Symbolic(matrix, cell_names(matrix.kernels)) if symbolic else matrix
    tracemalloc.start()
    text, _ = preview(seen, colour)([0, 1, 10**12 + 1], [0, 1, 10**12 - 1])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert text == ([["w1", "0", "0"], ["w2", "w1", "0"], ["0", "0", "w3"]] if symbolic else [
        ["1", "0", "0"], ["2", "1", "0"], ["0", "0", "3"],
    ])  # fmt: skip
    assert peak < 2e6


def test_a_plain_array_is_shown_too():
    text, shades = preview(Dense(np.array([[1.5, 0.0], [1 / 3, -2.0]]), own_cells=True), colour)(
        [0, 1], [0, 1]
    )
    assert text == [["1.5", "0"], ["0.3333", "-2"]]
    assert shades == [[colour(0), None], [colour(2), colour(3)]]


# The grid


def test_cells_have_distinct_colours_that_black_can_be_read_on():
    colours = [colour(cell) for cell in range(100)]
    assert len(set(colours)) > 90
    assert min(0.2126 * r + 0.7152 * g + 0.0722 * b for r, g, b in colours) > 110


class Terminal(io.StringIO):
    def isatty(self):
        return True


def on_grid(monkeypatch, matrix, columns, **options):
    """Show a matrix on a terminal of so many columns; return its lines, without colours."""
    screen = Terminal()
    monkeypatch.setattr("sys.stdout", screen)
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm-256color")
    print_lines(grid(matrix.shape, preview(matrix, colour), block_shape=matrix.block_shape, **options))
    return ESCAPE.sub("", screen.getvalue()).splitlines()


@pytest.mark.parametrize("columns", [20, 33, 80, 81, 200])
@pytest.mark.parametrize("indent", [0, 3])
@pytest.mark.parametrize(
    "matrix",
    [
        convolution_matrix(KERNEL, (3, 4)),
        convolution_matrix(KERNEL, (30, 40)),
        convolution_matrix(KERNEL / 7, (9, 9), border="mirror"),
        convolution_matrix([1, 2], 100),
        convolution_matrix([[1], [2]], (1, 1)),
        Dense(np.arange(-500, 500).reshape(1, -1)),
        Dense(np.arange(100).reshape(-1, 1)),
        Symbolic(
            convolution_matrix(KERNEL, (5, 5), border="nearest"),
            cell_names(convolution_matrix(KERNEL, (5, 5)).kernels),
        ),
    ],
    ids=lambda matrix: str(getattr(matrix, "shape", matrix)),
)
def test_a_grid_fits_the_terminal(monkeypatch, columns, indent, matrix):
    lines = on_grid(monkeypatch, matrix, columns, indent=indent)
    assert max(map(len, lines)) <= columns
    rows = [line for line in lines if "─" not in line]
    assert all(line.startswith(" " * indent) for line in lines)
    cells = [re.split(r"[ │]+", line.strip()) for line in rows]
    (count,) = {len(line) for line in cells}
    left_out = [place for place in range(count) if all(line[place] == "…" for line in cells)]
    shown = count - len(left_out)
    assert len(left_out) == (shown < matrix.shape[1])
    assert shown >= min(2, matrix.shape[1])
    if matrix.shape[0] <= 64:
        assert len(rows) == matrix.shape[0]
    else:
        assert len(rows) == 64
        assert set(cells[32]) == {"…"}
    for ruler in (line for line in lines if "─" in line):
        assert len(ruler) == max(map(len, rows))
        for place, mark in enumerate(ruler):
            assert (mark == "┼") == all(row[place] == "│" for row in rows if "…" not in row.split()[0])


def test_blocks_are_set_apart(monkeypatch):
    lines = on_grid(monkeypatch, convolution_matrix([[1, 2], [3, 4]], (2, 2), mode="same", border="wrap"), 80)
    assert lines == ["1 2│3 4", "2 1│4 3", "───┼───", "3 4│1 2", "4 3│2 1"]


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 4096), (64, 64), (4096, 1)])
def test_off_the_terminal_small_matrices_are_whole(capsys, rows, columns):
    array = np.arange(rows * columns).reshape(rows, columns)
    print_lines(grid((rows, columns), preview(Dense(array), colour)))
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == array.astype(str).tolist()


def test_off_the_terminal_the_middle_of_a_large_matrix_is_left_out(capsys):
    print_lines(grid((65, 64), preview(Dense(np.arange(65 * 64).reshape(65, 64)), colour), indent=2))
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    kept = [*range(8), None, *range(57, 65)]
    assert lines == [
        ["…" if r is None or c is None else str(64 * r + c) for c in [*range(8), None, *range(56, 64)]]
        for r in kept
    ]


# Facts


def printed_facts(capsys, matrix):
    print_facts(facts(matrix), matrix)
    return dict(re.split(r" {2,}", line, maxsplit=1) for line in capsys.readouterr().out.splitlines())


def test_facts_are_printed_in_words(capsys):
    assert printed_facts(capsys, convolution_matrix([[1, 2], [3, 4]], (3, 3), mode="valid")) == {
        "matrix": "4×9",
        "structure": "doubly blocked Toeplitz",
        "blocks": "2×3 of 2×3",
        "non-zeros": "16 (44.4 %)",
        "size": "288 bytes dense, 212 bytes sparse",
        "im2col": "4×4, 128 bytes dense, which unrolls the image instead",
        "rank": "4 (full)",
    }
    found = printed_facts(capsys, convolution_matrix([1, -1], 4, mode="same", border="wrap"))
    assert "blocks" not in found
    assert found["rank"] == "3 of 4"
    assert found["eigenvalues"] == "complex, sizes 0 … 2: the DFT of the kernel about its origin"
    assert (
        printed_facts(capsys, convolution_matrix([1, 2, 1], 5, mode="same"))["eigenvalues"]
        == "0.2679 … 3.732"
    )


def test_facts_as_json_are_those_printed():
    matrix = convolution_matrix([1, -1], 4, mode="same", border="wrap")
    found = document(facts(matrix), matrix, matrix)
    assert found["eigenvalues"] == {
        "least": pytest.approx(0, abs=1e-12),
        "largest": pytest.approx(2),
        "complex": True,
        "transform_of_kernel": True,
    }
    assert found["matrix"] == dense(matrix).tolist()
    assert (found["shape"], found["nonzeros"], found["density"]) == ((4, 4), 8, 0.5)
    large = convolution_matrix([1, -1], 4096)
    assert document(facts(large), large, large)["matrix"] is None


@pytest.mark.parametrize(("size", "told"), [(10, True), (20, True), (400, False)])
def test_eigenvalues_are_told_only_where_rounding_leaves_them(size, told):
    """A tridiagonal Toeplitz matrix has those of a formula; solvers find them only while it is small."""
    found = facts(convolution_matrix([1, 0, 4], size, mode="same")).eigenvalues
    assert (found is not None) == told
    if told:
        exact = 2 * 2 * np.cos(np.arange(1, size + 1) * np.pi / (size + 1))
        np.testing.assert_allclose(np.sort(found), np.sort(exact), atol=1e-5)


def test_eigenvalues_of_a_triangular_matrix_are_its_diagonal():
    for op in OPS:
        found = facts(convolution_matrix([[2, 1], [1, 1]], (9, 9), mode="same", op=op, origin=0)).eigenvalues
        assert set(found) == {2}


def test_spectra_that_take_long_are_left_out():
    side = round(TRANSFORMED**0.5)
    for size in (side + 1, 10**5):
        found = facts(convolution_matrix(np.ones((3, 3)), (size, size), mode="same", border="wrap"))
        assert (found.rank, found.eigenvalues) == (None, None)
        assert found.structure == "doubly block circulant"


@given(st.data())
def test_the_rank_is_that_of_the_matrix(data):
    axes = data.draw(st.integers(1, 2))
    draw = lambda least, most: tuple(data.draw(st.integers(least, most)) for _ in range(axes))  # noqa: E731
    taps = draw(1, 3)
    kernel = np.array(data.draw(st.lists(st.integers(-1, 1), min_size=9, max_size=9)))[: np.prod(taps)]
    matrix = convolution_matrix(
        kernel.reshape(taps),
        draw(5, 7),
        mode=data.draw(st.sampled_from(["full", "same", "valid"])),
        border=data.draw(st.sampled_from(["zero", "wrap", "symmetric"])),
        stride=draw(1, 2),
        dilation=draw(1, 2),
    )
    assert facts(matrix).rank == np.linalg.matrix_rank(dense(matrix).astype(float))


# Counts


@given(st.data())
def test_counts_are_those_of_the_matrix(data):
    axes = data.draw(st.integers(1, 3))
    draw = lambda least, most: tuple(data.draw(st.integers(least, most)) for _ in range(axes))  # noqa: E731
    taps = draw(1, 7 if axes < 3 else 4)
    rng = np.random.default_rng(data.draw(st.integers(0, 2**31)))
    kernel = rng.integers(-1, 2, taps)
    if data.draw(st.booleans()):
        kernel = kernel * rng.standard_normal(taps)
    if data.draw(st.booleans()):
        kernel = np.stack([np.stack([kernel, -kernel, kernel + 1])] * 2)
    matrix = convolution_matrix(
        kernel,
        draw(1, 7 if axes < 3 else 4),
        mode=data.draw(st.sampled_from(["same", "full"])),
        border=data.draw(st.sampled_from(["zero", "constant", "nearest", "symmetric", "mirror", "wrap"])),
        op=data.draw(st.sampled_from(OPS)),
        origin=tuple(data.draw(st.integers(0, n - 1)) for n in taps),
        stride=draw(1, 3),
        dilation=draw(1, 3),
    )
    expected = Counter(matrix.tocsr().data.tolist())
    counts, exact = value_counts(matrix)
    assert value_counts(matrix.T) == (counts, exact)
    assert nonzeros(matrix) == nonzeros(matrix.T) == (expected.total(), True)
    if matrix.spec.border in ("zero", "constant"):
        assert exact
    if exact:
        assert counts == expected


def test_huge_counts_are_exact_where_no_border_folds():
    assert value_counts(convolution_matrix(np.ones((3, 3)), (10**8, 10**9))) == ({1.0: 9 * 10**17}, True)
    assert value_counts(convolution_matrix([1, 1, 1, 1], 2**59)) == ({1: 2**61}, True)
    assert value_counts(convolution_matrix(np.ones(64), 2**59)) == ({1: 2**65}, True)
    size = 10**15
    wrapped = convolution_matrix([3, 4], size, mode="same", border="wrap")
    assert value_counts(wrapped) == ({3: size, 4: size}, True)


@pytest.mark.parametrize("border", ["symmetric", "mirror", "nearest"])
def test_a_folding_border_is_counted_in_a_small_matrix_and_estimated_in_a_large_one(capsys, border):
    small = convolution_matrix([[3, 4, 5]] * 3, (300, 300), mode="same", border=border)
    assert nonzeros(small) == (small.tocsr().nnz, True)
    large = convolution_matrix([[3, 4, 5]] * 3, (1000, 1000), mode="same", border=border)
    found = facts(large)
    assert not found.nonzeros_exact
    assert found.nonzeros == pytest.approx(large.tocsr().nnz, rel=0.01)
    assert document(found, large, large)["nonzeros_exact"] is False
    printed = printed_facts(capsys, large)
    assert printed["non-zeros"].startswith("≈ 8,98")
    assert re.search(r", ≈ \d+ MB sparse$", printed["size"])


def test_a_kernel_far_larger_than_the_image_is_estimated_at_once():
    rule = convolution_matrix(np.ones(2 * 10**6), 3, mode="full", border="mirror")
    count, exact = nonzeros(rule)
    assert not exact
    assert 0 < count <= rule.shape[0] * rule.shape[1]


# Verification


@pytest.mark.parametrize(("mode", "border"), LINEAR)
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("kind", [int, float])
def test_every_backend_agrees_with_the_matrix(mode, border, transposed, kind):
    bank = RNG.integers(-5, 6, (4, 2, 2, 3)).astype(kind) / (3 if kind is float else 1)
    matrix = convolution_matrix(bank.astype(kind), (5, 6), mode=mode, border=border, stride=(1, 2), groups=2)
    image = RNG.integers(-9, 10, (4, 5, 6)).astype(kind)
    checks = verify(matrix.T if transposed else matrix, image)
    assert [check.backend for check in checks] == backends.listed()
    for check in checks:
        assert check.failed is False
        assert (check.difference is None) == (check.reason is not None)
        assert check.reason is None or check.reason == backends.load(check.backend).unavailable()


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("kind", [int, float])
def test_a_matrix_that_is_wrong_in_one_entry_is_found_out(monkeypatch, transposed, kind):
    build = ConvolutionMatrix.rows

    def wrong(matrix, start, stop):
        made = build(matrix, start, stop)
        made.data[len(made.data) // 2] += 1 if kind is int else 1e-9
        return made

    monkeypatch.setattr(ConvolutionMatrix, "rows", wrong)
    matrix = convolution_matrix(KERNEL.astype(kind), (5, 6), mode="same")
    image = np.arange(1, 31).reshape(1, 5, 6).astype(kind)
    checks = verify(matrix.T if transposed else matrix, image)
    compared = [check for check in checks if check.reason is None]
    assert len(compared) >= 5
    assert all(check.failed for check in compared)


def test_a_difference_that_is_no_number_is_a_failure(monkeypatch):
    module = backends.load("direct")
    honest = module.prepare

    def prepare(*arguments):
        apply = honest(*arguments)

        def nothing(window, out):
            apply(window, out)
            out *= np.nan

        return nothing

    monkeypatch.setattr(module, "prepare", prepare)
    with np.errstate(all="ignore"):
        checks = verify(convolution_matrix(KERNEL / 7, (5, 6)), np.ones((1, 5, 6)))
    assert [check.backend for check in checks if check.failed] == ["direct"]


@pytest.mark.parametrize("sample", [np.nan, np.inf])
def test_an_image_with_gaps_is_not_compared(sample):
    with pytest.raises(UsageError, match="NaN or infinite samples, which leave nothing to compare"):
        verify(convolution_matrix([1, 2], 3), np.array([[1, sample, 2]]))


@pytest.mark.parametrize("shape", [(7,), (3, 4), (2, 3, 4)])
def test_an_image_is_read_in_the_order_of_the_matrix(shape):
    image = RNG.integers(0, 99, (2, *shape))
    for order in "CF":
        vector = in_order(image, order).reshape(-1)
        assert vector.tolist() == [n for plane in image for n in plane.reshape(-1, order=order).tolist()]


# Amounts in remedies


@pytest.mark.parametrize("size", [1, 999, 1000, 1001, 37_234, 10**6 - 1, 312_345_678, 10**12 + 1, 3 * 10**17])
def test_an_amount_in_a_remedy_is_enough_and_hardly_more(size):
    read = amount(bytes_option(size), "output")
    assert size <= read <= size * 1.1 + 100


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8, np.uint64])
def test_verification_does_not_take_rounding_for_a_difference(dtype):
    image = (RNG.random((1, 50)) * 200).astype(dtype)
    assert not any(check.failed for check in verify(convolution_matrix([0.1, 0.2], 50), image))
    assert not any(check.failed for check in verify(convolution_matrix([2**40, 1], 50), image))
