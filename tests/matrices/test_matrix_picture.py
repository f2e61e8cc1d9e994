"""A picture shows which cell of the kernel stands where, whatever the size of the matrix."""

import io
import time
import tracemalloc

import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convcli.images.draw import print_labels
from convcli.matrices.build import cell_names, convolution_matrix
from convcli.matrices.files import write_matrix
from convcli.matrices.matrix import Dense, Symbolic
from convcli.matrices.show.palette import cell_colours
from convcli.matrices.show.picture import (
    BORDER,
    EMPTY,
    INK,
    LARGEST_CELL,
    LINE,
    LONGEST,
    MARGIN,
    PALE,
    SLIM,
    layout,
    paint,
    picture,
)
from convcli.matrices.unroll import sample_names, unrolled

KERNEL = np.array([[1, -2, 0], [30, 4, -5]])
SMALL = convolution_matrix([[1, 2], [3, 4]], (3, 3), mode="valid")

# From linear sRGB to Oklab, and to what is left of it without one kind of cones: Machado, Oliveira and
# Fernandes (2009), "A physiologically-based model for simulation of color vision deficiency", severity 1.
EYES = {
    "normal": np.eye(3),
    "protan": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deutan": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.01182, 0.04294, 0.968881],
    ],
    "tritan": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.3039],
    ],
}
CONES = [
    [0.41222147, 0.53633254, 0.05144599],
    [0.2119035, 0.68069955, 0.10739696],
    [0.08830246, 0.28171884, 0.6299787],
]
LAB = [
    [0.21045426, 0.79361779, -0.00407205],
    [1.9779985, -2.42859221, 0.45059371],
    [0.02590404, 0.78277177, -0.80867577],
]


def seen(colours, eye="normal"):
    """Oklab coordinates, in which distance is how different colours look."""
    signal = np.asarray(colours) / 255
    light = np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)
    return np.cbrt(np.clip(light @ np.transpose(EYES[eye]), 0, 1) @ np.transpose(CONES)) @ np.transpose(LAB)


def corner(pixels, matrix, row, column):
    """Colour of an entry's square, beside its label."""
    where = layout(matrix.shape)
    y, x = where.middle(row, column)
    return tuple(pixels[int(y - 0.35 * where.cell[0]), int(x - 0.35 * where.cell[1])].tolist())


def colours_of(matrix):
    """The colour of each kernel cell."""
    return [
        tuple(colour)
        for colour in cell_colours(np.arange(matrix.kernels.size), matrix.kernels.shape).tolist()
    ]


def inked(pixels, matrix, row, column):
    """Whether there is dark text in the middle of a square."""
    where = layout(matrix.shape)
    y, x = (int(n) for n in where.middle(row, column))
    height, width = (int(0.35 * side) for side in where.cell)
    part = pixels[y - height : y + height + 1, x - width : x + width + 1]
    return bool((part.max(axis=2) < 80).any())


def test_squares_have_the_colours_of_the_kernel_cells():
    matrix = convolution_matrix(KERNEL, (3, 4))
    pixels, colours = picture(matrix), colours_of(matrix)
    expected = {(row, column): colours[cell] for row, column, cell in zip(*matrix.cells(0, 24), strict=True)}
    for row in range(matrix.shape[0]):
        for column in range(matrix.shape[1]):
            cell = expected.get((row, column), EMPTY)
            assert corner(pixels, matrix, row, column) == (PALE if cell == colours[2] else cell)


def test_zeros_of_the_kernel_are_pale_but_names_of_them_are_not():
    matrix = convolution_matrix([0, 1], 4)
    assert corner(picture(matrix), matrix, 0, 0) == PALE
    named = Symbolic(matrix, ["w1", "w2"])
    assert corner(picture(named), matrix, 0, 0) == colours_of(matrix)[0]


def test_cells_that_meet_have_the_mean_of_their_colours():
    matrix = convolution_matrix([1, 2], 3, mode="same", border="symmetric", origin=1)
    meeting = [cell for row, column, cell in zip(*matrix.cells(0, 3), strict=True) if (row, column) == (2, 2)]
    assert len(meeting) == 2
    expected = np.mean([colours_of(matrix)[cell] for cell in meeting], axis=0)
    np.testing.assert_allclose(corner(picture(matrix), matrix, 2, 2), expected, atol=0.51)


def test_the_picture_of_the_transpose_is_the_transpose():
    matrix = convolution_matrix(KERNEL, (5, 6), mode="same", border="wrap", stride=2)
    for one, other in ((matrix, matrix.T), (Symbolic(matrix, ["w"] * 6), Symbolic(matrix.T, ["w"] * 6))):
        painted = [paint(each, layout(each.shape), lambda _: None) for each in (one, other)]
        np.testing.assert_array_equal(painted[0], painted[1].swapaxes(0, 1))


def test_lines_run_between_squares_and_darker_ones_between_blocks():
    pixels = picture(SMALL)
    cell = LARGEST_CELL
    row = pixels[MARGIN + 10, MARGIN:-MARGIN, 0]
    assert {int(row[n * cell]) for n in (1, 2, 4, 5, 7, 8)} == {LINE}
    assert {int(row[n * cell]) for n in (3, 6)} == {BORDER}
    column = pixels[MARGIN:-MARGIN, MARGIN + 2 * cell + 10, 0]
    assert [int(column[n * cell]) for n in (1, 2, 3)] == [LINE, BORDER, LINE]
    assert (pixels[MARGIN - 1, MARGIN:-MARGIN] == BORDER).all()
    assert (pixels[: MARGIN - 2] == 255).all()


def test_a_matrix_without_blocks_has_no_border_inside():
    matrix = convolution_matrix([1, 2], 5)
    assert not (picture(matrix)[MARGIN:-MARGIN, MARGIN:-MARGIN] == BORDER).all(axis=2).any()


def test_small_matrices_are_labelled_and_large_ones_are_not():
    pixels = picture(SMALL)
    assert inked(pixels, SMALL, 0, 0)
    assert not inked(pixels, SMALL, 0, 2)  # a zero stands back
    assert (pixels != picture(Symbolic(SMALL, [""] * 4))).any()
    large = convolution_matrix(KERNEL, (30, 30))
    assert not inked(picture(large), large, 0, 0)


def test_names_take_the_place_of_numbers():
    names = cell_names(SMALL.kernels)
    named = picture(Symbolic(SMALL, names))
    assert (named != picture(SMALL)).any()
    assert inked(named, SMALL, 0, 0)


def test_numbers_too_long_for_their_squares_are_left_out():
    matrix = Dense(np.where(np.eye(40), 10**17, 0).astype(np.int64))
    pixels = picture(matrix)
    assert corner(pixels, matrix, 3, 3) == (255, 255, 255)
    assert not inked(pixels, matrix, 3, 3)


def test_labels_keep_to_their_boxes():
    paper = np.full((50, 100, 3), 255, np.uint8)
    printed = print_labels(paper, [(50, 25, "w11", INK)], (40, 60))
    rows, columns = np.nonzero((printed < 255).any(axis=2))
    assert rows.min() >= 5
    assert rows.max() < 45
    assert columns.min() >= 20
    assert columns.max() < 80
    assert abs((rows.min() + rows.max()) / 2 - 25) < 4
    assert (paper == 255).all()


@pytest.mark.parametrize("layout_", ["rows", "columns"])
def test_an_unrolled_image_shows_its_brightness(layout_):
    image = np.random.default_rng(0).integers(0, 256, (5, 6)).astype(np.uint8)
    matrix = unrolled(image, (2, 3), layout=layout_)
    pixels, expected = picture(matrix), matrix.rows(0, matrix.shape[0])
    for row in range(matrix.shape[0]):
        for column in range(matrix.shape[1]):
            assert corner(pixels, matrix, row, column) == (expected[row, column],) * 3
            assert inked(pixels, matrix, row, column) or expected[row, column] < 120


@pytest.mark.parametrize("dtype", [np.float32, np.int16, bool, np.float64])
def test_brightness_runs_from_the_lowest_to_the_highest_sample(dtype):
    matrix = unrolled(np.array([0, 1, 1, 0, 1]).astype(dtype), 2)
    assert corner(picture(matrix), matrix, 0, 0) == (0, 0, 0)
    assert corner(picture(matrix), matrix, 0, 1) == (255, 255, 255)


@pytest.mark.parametrize(
    "values", [[7.0, 7.0], [np.nan, 1.0], [np.nan, np.nan], [np.inf, 0.0], [1e308, -1e308]]
)
def test_any_samples_have_a_picture(values):
    assert picture(Dense(np.array([values]))).shape == (
        LARGEST_CELL + 2 * MARGIN,
        2 * LARGEST_CELL + 2 * MARGIN,
        3,
    )


def test_a_symbolic_image_has_a_colour_for_each_sample():
    matrix = unrolled(np.zeros((3, 4)), (2, 2), mode="full")
    named = Symbolic(matrix, sample_names((1, 3, 4)))
    pixels, colours = picture(named), cell_colours(np.arange(12), (1, 3, 4))
    found = {(row, column): cell for row, column, cell in zip(*matrix.cells(0, 20), strict=True)}
    for row in range(20):
        for column in range(4):
            cell = found.get((row, column))
            assert corner(pixels, matrix, row, column) == (
                EMPTY if cell is None else tuple(colours[cell].tolist())
            )


def test_any_symbolic_matrix_has_colours():
    matrix = Symbolic(Dense(np.ones((2, 3)), own_cells=True), ["k"] * 6)
    assert len({corner(picture(matrix), matrix, row, column) for row in (0, 1) for column in (0, 1, 2)}) == 6
    image = unrolled(np.zeros((300, 300)), (2, 2))
    pixels = picture(Symbolic(image, ["x"] * 90_000))[MARGIN:-MARGIN, MARGIN:-MARGIN]
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 100


@given(st.integers(1, 10**7), st.integers(1, 10**7))
def test_pictures_are_neither_huge_nor_slim(rows, columns):
    where = layout((rows, columns))
    for side, n, merged, cell in zip(where.size, where.shape, where.merged, where.cell, strict=True):
        assert side <= LONGEST + 2 * MARGIN
        assert side - 2 * MARGIN > min(SLIM / 2 - 1, n - 1)
        assert merged == 1 or cell == 1
    if max(rows, columns) >= 10:
        assert max(where.size) > LONGEST / 2
    assert where.middle(rows - 1, columns - 1) < where.size


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (3, 3), (5, 5), (3, 7), (1, 9), (9, 1), (11, 11)])
@pytest.mark.parametrize("eye", EYES)
def test_neighbours_in_the_kernel_look_different(shape, eye):
    colours = seen(cell_colours(np.arange(shape[0] * shape[1]), shape), eye).reshape(*shape, 3)
    places = np.stack(np.indices(shape), -1).reshape(-1, 2)
    for one in places:
        for other in places:
            if np.abs(one - other).max() == 1:
                assert np.linalg.norm(colours[tuple(one)] - colours[tuple(other)]) > 0.04
    assert np.linalg.norm(colours - seen(EMPTY, eye), axis=-1).min() > 0.05


def test_rows_of_a_kernel_differ_in_hue():
    lab = seen(cell_colours(np.arange(25), (5, 5))).reshape(5, 5, 3)
    hues = np.degrees(np.arctan2(lab[..., 2], lab[..., 1]))
    turned = (hues - hues[:, :1] + 180) % 360 - 180
    assert np.abs(turned).max() < 25  # within a row, but for what sRGB cannot show
    firsts = np.sort(hues[:, 0])
    assert np.diff(firsts, append=firsts[0] + 360).min() > 25


def test_a_large_matrix_shows_a_band_for_each_kernel_row():
    matrix = convolution_matrix([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], (64, 64))
    squares = paint(matrix, layout(matrix.shape), lambda _: None)
    line = (squares[500] != EMPTY).any(axis=1).astype(int)
    assert np.count_nonzero(np.diff(line, prepend=0) > 0) == 3
    assert squares.shape == (1089, 1024, 3)


@pytest.mark.parametrize("size", [10**6, (1000, 1000), (100, 30, 30)], ids=str)
@pytest.mark.parametrize("transposed", [False, True])
def test_a_huge_matrix_is_sampled_in_bounded_time_and_memory(size, transposed):
    axes = 1 if isinstance(size, int) else len(size)
    matrix = convolution_matrix(np.ones((5,) * axes), size)
    matrix = matrix.T if transposed else matrix
    began = time.perf_counter()
    tracemalloc.start()
    squares = paint(matrix, layout(matrix.shape), lambda _: None)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert time.perf_counter() - began < 10
    assert peak < 250e6
    filled = (squares != EMPTY).any(axis=2)
    assert filled.any(axis=1).all()
    rows, columns = np.nonzero(filled)
    assert np.abs(rows / len(filled) - columns / filled.shape[1]).max() < 0.05


def test_a_long_unrolled_image_keeps_its_brightness():
    image = np.repeat(np.arange(200, dtype=np.uint8), 200).reshape(200, 200)
    for layout_ in ("rows", "columns"):
        matrix = unrolled(image, (3, 3), layout=layout_)
        squares = paint(matrix, layout(matrix.shape), lambda _: None)
        gray = squares[..., 0].astype(int) if layout_ == "rows" else squares[..., 0].T.astype(int)
        assert (np.diff(gray[:, 0]) >= 0).all()
        assert (gray[0, 0], gray[-1, 0]) == (0, 197)


def test_the_file_is_a_colour_png():
    file = io.BytesIO()
    write_matrix(file, SMALL, "png")
    with PIL.Image.open(file) as image:
        assert (image.format, image.mode, image.size) == ("PNG", "RGB", layout(SMALL.shape).size[::-1])
        np.testing.assert_array_equal(np.asarray(image), picture(SMALL))
