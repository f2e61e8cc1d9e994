"""unroll lists the patches of an image, whatever the geometry, and fold puts them back."""

import itertools
import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import BORDERS, border_index

import convcli
from convcli.errors import LimitError, UsageError
from convcli.matrices.im2col import boxes
from convcli.matrices.matrix import Symbolic, blocks
from convcli.matrices.unroll import folded, sample_names, unrolled

SHAPES = {1: ((7,), (3,)), 2: ((5, 6), (3, 2)), 3: ((4, 3, 5), (2, 1, 3))}
NUMPY_PAD = {
    "zero": "constant",
    "nearest": "edge",
    "symmetric": "symmetric",
    "mirror": "reflect",
    "wrap": "wrap",
}


def equal(result, expected):
    np.testing.assert_array_equal(result, expected, strict=True)


def integers(shape, dtype=np.int64, seed=0):
    return np.random.default_rng(seed).integers(0, 100, shape).astype(dtype)


def sample_indices(shape, taps, stride, dilation, pads, border="zero"):
    """By the definition, one row per position: flat samples of an image (channels, *spatial), or None."""
    channels, *sizes = shape
    spans = [n + before + after for n, (before, after) in zip(sizes, pads, strict=True)]
    starts = []
    for span, tap, step, distance in zip(spans, taps, stride, dilation, strict=True):
        starts.append([p for p in range(0, span, step) if p + (tap - 1) * distance < span])
    rows = []
    for position in itertools.product(*starts):
        row = []
        for channel, *cell in itertools.product(range(channels), *map(range, taps)):
            sample = channel
            for a, size in enumerate(sizes):
                at = border_index(position[a] + cell[a] * dilation[a] - pads[a][0], size, border)
                sample = None if sample is None or at is None else sample * size + at
            row.append(sample)
        rows.append(row)
    return rows


def defined(image, *geometry):
    """The unrolled image (channels, *spatial) by the definition."""
    flat = image.reshape(-1).tolist()
    rows = [[0 if s is None else flat[s] for s in row] for row in sample_indices(image.shape, *geometry)]
    return np.array(rows, image.dtype)


@st.composite
def geometries(draw, axes=None):
    axes = axes or draw(st.integers(1, 3))

    def each(low, high):
        return tuple(draw(st.integers(low, high)) for _ in range(axes))

    stride, dilation = each(1, 3), each(1, 3)
    taps = each(1, 3)
    pads = tuple(zip(each(0, 3), each(0, 3), strict=True))
    sizes = []
    for tap, distance, pair in zip(taps, dilation, pads, strict=True):
        least = max(1, (tap - 1) * distance + 1 - sum(pair))
        sizes.append(draw(st.integers(least, least + 3)))
    return (draw(st.integers(1, 3)), *sizes), taps, stride, dilation, pads


def options(stride, dilation, pads):
    return {"stride": stride, "dilation": dilation, "padding": (*(b for b, _ in pads), *(a for _, a in pads))}


def test_the_definition_of_the_tests_can_be_read():
    assert sample_indices((1, 3), (2,), (1,), (1,), ((1, 0),)) == [[None, 0], [0, 1], [1, 2]]
    assert sample_indices((2, 3), (2,), (2,), (1,), ((0, 1),)) == [[0, 1, 3, 4], [2, None, 5, None]]
    with pytest.raises(AssertionError):
        equal(np.arange(2), np.arange(2.0))


@pytest.mark.parametrize("border", BORDERS)
@given(geometries())
def test_every_row_is_a_patch_read_channel_by_channel(border, geometry):
    shape, taps, *rest = geometry
    image = integers(shape)
    result = convcli.unroll(image, taps, **options(*rest), border=border)
    equal(result, defined(image, taps, *rest, border))


@pytest.mark.parametrize("axes", SHAPES)
@pytest.mark.parametrize("border", NUMPY_PAD)
def test_padding_is_the_border_drawn_around_the_image(axes, border):
    shape, taps = SHAPES[axes]
    image = integers(shape)
    padded = np.pad(image, 2, mode=NUMPY_PAD[border])
    equal(convcli.unroll(image, taps, padding=2, border=border), convcli.unroll(padded, taps))


@pytest.mark.parametrize("step", [1, 2])
@pytest.mark.parametrize("axes", SHAPES)
def test_patches_are_those_of_scikit_image(axes, step):
    from skimage.util import view_as_windows

    shape, taps = SHAPES[axes]
    image = integers(shape)
    windows = view_as_windows(image, taps, step)
    equal(convcli.unroll(image, taps, stride=step), windows.reshape(-1, math.prod(taps)))


@given(geometries())
def test_one_column_per_patch_is_the_transpose(geometry):
    shape, taps, *rest = geometry
    image = integers(shape)
    result = convcli.unroll(image, taps, **options(*rest), layout="columns")
    equal(result, convcli.unroll(image, taps, **options(*rest)).T)


@given(geometries(axes=2))
def test_columns_are_in_the_order_of_torch(geometry):
    torch = pytest.importorskip("torch")
    shape, taps, stride, dilation, ((top, _), (left, _)) = geometry
    image = np.pad(integers(shape, np.float64), ((0, 0), (0, 4), (0, 4)))  # torch pads both ends alike
    how = {"stride": stride, "dilation": dilation, "padding": (top, left)}
    expected = torch.nn.functional.unfold(torch.from_numpy(image)[None], taps, **how)
    result = convcli.unroll(image, taps, **how, layout="columns")
    equal(result, expected[0].numpy())
    back = torch.nn.functional.fold(expected, image.shape[1:], taps, **how)
    equal(convcli.fold(result, image.shape, taps, **how, layout="columns"), back[0].numpy())


def test_order_f_is_that_of_matlab():
    magic = [[16, 2, 3, 13], [5, 11, 10, 8], [9, 7, 6, 12], [4, 14, 15, 1]]
    matrix = unrolled(magic, (2, 2), layout="columns", order="F")
    expected = [  # im2col(magic(4), [2 2], "sliding")
        [16, 5, 9, 2, 11, 7, 3, 10, 6],
        [5, 9, 4, 11, 7, 14, 10, 6, 15],
        [2, 11, 7, 3, 10, 6, 13, 8, 12],
        [11, 7, 14, 10, 6, 15, 8, 12, 1],
    ]
    equal(matrix.rows(0, 4), np.array(expected))


@given(geometries(axes=2))
def test_order_f_is_order_c_of_the_image_turned_over(geometry):
    shape, taps, *rest = geometry
    image = integers(shape)
    matrix = unrolled(image, taps, **options(*rest), border="mirror", order="F")
    turned = [value[::-1] for value in (taps, *rest)]
    equal(matrix.rows(0, matrix.shape[0]), defined(image.swapaxes(1, 2), *turned, "mirror"))


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("axes", SHAPES)
def test_times_the_flat_kernel_it_is_the_correlation(axes, dilation, stride):
    shape, taps = SHAPES[axes]
    image, kernel = integers([2 * n for n in shape]), integers(taps, seed=1) - 50
    how = {"stride": stride, "dilation": dilation}
    expected = convcli.convolve(image, kernel, op="correlate", mode="valid", **how)
    equal(convcli.unroll(image, taps, **how) @ kernel.reshape(-1), expected.reshape(-1))


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("mode", ["same", "full"])
@pytest.mark.parametrize("axes", SHAPES)
def test_any_mode_and_border_times_the_flat_kernel_is_the_correlation(axes, mode, border):
    shape, taps = SHAPES[axes]
    image, kernel = integers(shape), integers(taps, seed=1) - 50
    how = {"mode": mode, "border": border, "border_value": 7, "origin": 0, "stride": 2}
    matrix = unrolled(image, taps, **how)
    expected = convcli.convolve(image, kernel, op="correlate", **how)
    equal(matrix.rows(0, matrix.shape[0]) @ kernel.reshape(-1), expected.reshape(-1))


@pytest.mark.parametrize("dtype", ["?", "u1", "<i2", ">i4", "f2", "f4", "f8", "u8"])
def test_samples_keep_their_type(dtype):
    image = integers((4, 4)).astype(dtype)
    result = convcli.unroll(image, (2, 2), padding=1)
    assert result.dtype == image.dtype
    assert result[0, 3] == image[0, 0]


def test_lists_and_views_are_taken():
    image = integers((6, 8))
    image.setflags(write=False)
    expected = convcli.unroll(image[::-1, 1::2].copy(), (2, 2))
    equal(convcli.unroll(image[::-1, 1::2], (2, 2)), expected)
    equal(convcli.unroll(image[::-1, 1::2].tolist(), [2, 2]), expected)
    equal(convcli.unroll([1, 2, 3], np.int64(2)), np.array([[1, 2], [2, 3]]))


@pytest.mark.parametrize("layout", ["rows", "columns"])
def test_no_more_memory_is_taken_than_the_result_has(layout):
    image = np.ones((600, 800), np.float32)
    tracemalloc.start()
    result = convcli.unroll(image, (5, 5), padding=2, border="mirror", layout=layout)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.1 * result.nbytes


# fold


@given(geometries())
def test_fold_adds_every_entry_where_it_came_from(geometry):
    shape, taps, *rest = geometry
    places = sample_indices(shape, taps, *rest)
    columns = integers((len(places), len(places[0])))
    expected = np.zeros(math.prod(shape), np.int64)
    for row, samples in zip(columns, places, strict=True):
        for value, sample in zip(row, samples, strict=True):
            if sample is not None:
                expected[sample] += value
    equal(convcli.fold(columns, shape, taps, **options(*rest)), expected.reshape(shape))
    equal(convcli.fold(columns.T, shape, taps, **options(*rest), layout="columns"), expected.reshape(shape))


@given(geometries(), st.sampled_from(["rows", "columns"]))
def test_fold_is_the_adjoint_of_unroll(geometry, layout):
    shape, taps, *rest = geometry
    image = integers(shape) - 50
    how = {**options(*rest), "layout": layout}
    columns = convcli.unroll(image, taps, **how)
    other = integers(columns.shape, seed=1) - 50
    assert (columns * other).sum() == (image * convcli.fold(other, shape, taps, **how)).sum()


@given(geometries(), st.sampled_from(["rows", "columns"]))
def test_mean_inverts_unroll_where_a_patch_lies(geometry, layout):
    shape, taps, *rest = geometry
    image = integers(shape) + 1
    how = {**options(*rest), "layout": layout}
    covered = {sample for row in sample_indices(shape, taps, *rest) for sample in row}
    there = np.array([n in covered for n in range(image.size)]).reshape(shape)
    back = convcli.fold(convcli.unroll(image, taps, **how), shape, taps, **how, reduce="mean")
    equal(back, np.where(there, image, 0.0))


def test_mean_gives_single_precision_back_to_the_last_bit():
    image = np.random.default_rng(0).standard_normal((9, 9)).astype(np.float32)
    back = convcli.fold(convcli.unroll(image, (3, 3)), (9, 9), (3, 3), reduce="mean")
    equal(back, image.astype(np.float64))


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("mode", ["same", "full"])
@pytest.mark.parametrize("border", BORDERS)
def test_mean_leaves_out_what_lies_on_the_border(border, mode, order):
    image = integers((2, 5, 4), np.float64)
    how = {"mode": mode, "order": order, "origin": (1, 0)}
    matrix = unrolled(image, (2, 3), **how, border=border, border_value=1e6)
    equal(folded(matrix.rows(0, matrix.shape[0]), image.shape, (2, 3), **how, reduce="mean"), image)


@given(geometries())
def test_fold_is_col2im_of_onnx(geometry):
    pytest.importorskip("onnx")
    from onnx.reference.ops.op_col2im import Col2Im

    shape, taps, stride, dilation, pads = geometry
    columns = integers(np.shape(sample_indices(shape, taps, stride, dilation, pads))).T
    how = options(stride, dilation, pads)
    (expected,) = Col2Im._run(
        None, columns[None], shape[1:], taps, dilations=dilation, pads=how["padding"], strides=stride
    )
    equal(convcli.fold(columns, shape, taps, **how, layout="columns"), expected[0])


@pytest.mark.parametrize(
    ("given_type", "sum_type"),
    [("?", "i8"), ("u1", "i8"), ("i4", "i8"), ("u8", "u8"), ("f2", "f4"), ("f4", "f4"), ("f8", "f8")],
)
def test_sums_are_of_a_type_that_holds_them(given_type, sum_type):
    columns = np.ones((300, 300), given_type)
    result = convcli.fold(columns, 599, 300)
    assert result.dtype == sum_type
    assert result.max() == 300
    assert convcli.fold(columns, 599, 300, reduce="mean").dtype == np.float64


def test_the_result_has_the_shape_asked_for():
    columns = integers((3, 4))
    assert convcli.fold(columns, (2, 4), 2).shape == (2, 4)
    assert convcli.fold(columns[:, :2], 4, 2).shape == (4,)
    assert convcli.fold(columns[:, :2], (1, 4), 2).shape == (1, 4)


def test_infinities_fold_without_a_warning():
    columns = np.array([[1, np.inf], [-np.inf, 2]])
    equal(convcli.fold(columns, 3, 2), np.array([1, np.nan, 2]))


# errors


@pytest.mark.parametrize(
    ("image", "kernel_shape", "how", "text"),
    [
        (
            np.ones(5),
            (2, 2),
            {},
            r"image \(5,\) has 1 axes for a kernel of 2; it takes 2, or 3 with channels",
        ),
        (np.ones((2, 2, 2, 2)), (2, 2), {}, "has 4 axes for a kernel of 2"),
        (np.ones((0, 4, 4)), (2, 2), {}, r"image \(0, 4, 4\) has no channels"),
        (np.ones((0, 4)), (2, 2), {}, "image 0×4 is empty"),
        (np.ones((4, 4)), (), {}, r"kernel_shape \(\) has no axes"),
        (np.ones((1,) * 4), (1,) * 4, {}, "kernel has 4 axes; convolution here has 1, 2 or 3"),
        (np.ones((4, 4)), (2, 0), {}, "kernel_shape 2×0 is below 1"),
        (np.ones((4, 4)), (2, 2.5), {}, r"kernel_shape \(2, 2.5\) is not made of whole numbers"),
        (np.ones((4, 4)), "22", {}, "kernel_shape .* is not (made of|a) whole number"),
        (np.ones((4, 4)), (5, 2), {}, "kernel 5×2 is larger than image 4×4"),
        (np.ones((4, 4)), (3, 3), {"dilation": 2}, r"kernel 3×3 \(dilated: 5×5\) is larger"),
        (np.ones((4, 4)), (2, 2), {"stride": 0}, "stride 0×0 is below 1"),
        (np.ones((4, 4)), (2, 2), {"stride": (1, 1, 1)}, "has 3 numbers for 2 axes"),
        (np.ones((4, 4)), (2, 2), {"dilation": (1, 0)}, "dilation 1×0 is below 1"),
        (np.ones((4, 4)), (2, 2), {"padding": -1}, "padding -1×-1×?.* is below 0"),
        (
            np.ones((4, 4)),
            (2, 2),
            {"padding": (1, 2, 3)},
            r"padding \(1, 2, 3\) does not fit 2 axes; give one",
        ),
        (np.ones((4, 4)), (2, 2), {"padding": "same"}, "padding same is not a whole number"),
        (np.ones((4, 4)), (2, 2), {"padding": ((1, 1), (1, 1))}, "padding .* is not made of whole numbers"),
        (np.ones((4, 4)), (2, 2), {"padding": 0.5}, "padding 0.5 is not a whole number"),
        (np.ones((4, 4)), (2, 2), {"border": "reflect"}, "border .reflect. means two things"),
        (np.ones((4, 4)), (2, 2), {"layout": "row"}, 'unknown layout "row"; did you mean "rows". use one of'),
        (np.ones((4, 4), complex), (2, 2), {}, "image is of type complex128; real numbers are needed"),
        ([[1], [1, 2]], (1, 1), {}, "image has rows of different lengths"),
    ],
)
def test_what_cannot_be_unrolled_is_explained(image, kernel_shape, how, text):
    with pytest.raises(UsageError, match=text):
        convcli.unroll(image, kernel_shape, **how)


@pytest.mark.parametrize(
    ("shape", "image_shape", "how", "text"),
    [
        ((4, 9), (4, 4), {}, r"shape \(4, 9\) are not the 9 positions and 4 cells, \(9, 4\) in layout rows"),
        ((4, 9), (4, 4), {}, "use layout columns$"),
        ((9, 4), (4, 4), {"layout": "columns"}, r"\(4, 9\) in layout columns, .*; use layout rows$"),
        ((9, 5), (4, 4), {}, "check the shapes, stride and padding$"),
        ((36,), (4, 4), {}, r"columns of shape \(36,\)"),
        ((9, 4), (4, 4), {"reduce": "max"}, 'unknown reduce "max"; use one of sum, mean'),
        ((9, 4), (4, 4), {"layout": "F"}, 'unknown layout "F"'),
        ((9, 4), 4, {}, r"image_shape \(4,\) has 1 axes for a kernel of 2"),
        ((9, 4), (4, -4), {}, "image_shape 4×-4 is below 1"),
    ],
)
def test_what_cannot_be_folded_is_explained(shape, image_shape, how, text):
    with pytest.raises(UsageError, match=text):
        convcli.fold(np.ones(shape), image_shape, (2, 2), **how)


def test_columns_that_are_no_numbers_are_refused():
    with pytest.raises(UsageError, match="columns is of type object; real numbers are needed"):
        convcli.fold(np.array([[None]]), 1, 1)


@pytest.mark.parametrize("huge", [10**14, 10**17])
def test_more_than_memory_holds_is_refused_with_its_size(huge):
    text = r"the unrolled image .*×9 of float64 takes .*B, more than memory can"
    with pytest.raises(LimitError, match=text):
        convcli.unroll(np.ones((4, 4)), (3, 3), padding=3 * 10**7)
    with pytest.raises(LimitError, match="with its border has"):
        convcli.unroll(np.ones(4), 3, padding=huge)
    with pytest.raises(LimitError, match="with its border has"):
        convcli.unroll(np.ones(5), 2, dilation=10**8, padding=(0, 10**8))
    with pytest.raises(LimitError, match=r"the image .* of int64 takes"):
        convcli.fold([[1]], huge, 1, stride=huge)
    with pytest.raises(LimitError, match="beyond what can be counted"):
        convcli.unroll(np.ones(4), 3, padding=2**61)


@pytest.mark.parametrize(
    ("dtype", "value", "text"),
    [
        (
            "u1",
            0.5,
            "border value 0.5 is not a sample of uint8; use a whole number from 0 to 255, or an image",
        ),
        ("u1", 256, "from 0 to 255"),
        ("u1", -1, "from 0 to 255"),
        ("i2", math.nan, "from -32768 to 32767"),
        ("?", 2, "from 0 to 1"),
    ],
)
def test_a_border_that_the_samples_cannot_be_is_refused(dtype, value, text):
    image = np.ones((3, 3), dtype)
    with pytest.raises(UsageError, match=text):
        unrolled(image, (2, 2), mode="same", border="constant", border_value=value)
    assert unrolled(image, (2, 2), mode="same", border_value=value).fill == 0


# any rows of it


@pytest.mark.parametrize("layout", ["rows", "columns"])
@pytest.mark.parametrize("border", BORDERS)
@given(geometries(), st.data())
def test_some_rows_are_those_of_the_whole(layout, border, geometry, data):
    shape, taps, *rest = geometry
    matrix = unrolled(integers(shape), taps, **options(*rest), border=border, border_value=-7, layout=layout)
    whole = matrix.rows(0, matrix.shape[0])
    assert (whole.shape, whole.dtype) == (matrix.shape, matrix.dtype)
    start = data.draw(st.integers(0, matrix.shape[0]))
    stop = data.draw(st.integers(start, matrix.shape[0]))
    equal(matrix.rows(start, stop), whole[start:stop])
    equal(np.concatenate(list(blocks(matrix))), whole)


@pytest.mark.parametrize("layout", ["rows", "columns"])
@pytest.mark.parametrize("border", BORDERS)
@given(geometries(), st.data())
def test_cells_are_the_samples_of_the_image_that_stand_there(layout, border, geometry, data):
    shape, taps, *rest = geometry
    image = integers(shape)
    matrix = unrolled(image, taps, **options(*rest), border=border, border_value=-7, layout=layout)
    start = data.draw(st.integers(0, matrix.shape[0]))
    stop = data.draw(st.integers(start, matrix.shape[0]))
    rows, columns, cells = matrix.cells(start, stop)
    made = np.full((stop - start, matrix.shape[1]), -7 if border == "constant" else 0)
    made[rows - start, columns] = image.reshape(-1)[cells]
    equal(made, matrix.rows(start, stop))
    assert list(zip(rows, columns, strict=True)) == sorted(set(zip(rows, columns, strict=True)))
    expected = sample_indices(shape, taps, *rest, border)
    if layout == "columns":
        expected = list(zip(*expected, strict=True))
    listed = [sample for row in expected[start:stop] for sample in row if sample is not None]
    assert cells.tolist() == listed


def test_names_are_those_of_the_samples():
    matrix = unrolled(np.zeros((2, 3)), (2, 2), mode="same", origin=0)
    names = Symbolic(matrix, sample_names(matrix.image.shape)).rows(0, 3)
    assert names.tolist() == [
        ["x11", "x12", "x21", "x22"],
        ["x12", "x13", "x22", "x23"],
        ["x13", "0", "x23", "0"],
    ]


def test_names_follow_order_and_channels():
    matrix = unrolled(np.zeros((2, 2, 3)), (2, 2), order="F")
    names = Symbolic(matrix, sample_names(matrix.image.shape, "F")).rows(0, 1)
    assert names.tolist() == [["x111", "x121", "x112", "x122", "x211", "x221", "x212", "x222"]]
    assert sample_names((1, 11))[9:] == ["x10", "x11"]
    assert sample_names((2, 10, 1))[-1] == "x2_10_1"


@pytest.mark.parametrize(
    ("axes", "rows", "columns"), [(1, (1, 1), (1, 1)), (2, (5, 2), (2, 5)), (3, (9, 3), (3, 9))]
)
def test_blocks_stand_for_the_first_axis(axes, rows, columns):
    shape, taps = SHAPES[axes]
    matrix = unrolled(np.zeros(shape), taps)
    assert matrix.block_shape == rows
    assert unrolled(np.zeros(shape), taps, layout="columns").block_shape == columns
    assert matrix.row_entries == matrix.shape[1]


@pytest.mark.parametrize("shape", [(10**8,), (10**4, 10**5), (500, 500, 500)])
@pytest.mark.parametrize("border", BORDERS)
def test_few_rows_of_a_huge_image_cost_little(shape, border):
    image = np.broadcast_to(np.uint8(5), shape)
    matrix = unrolled(image, (3,) * len(shape), mode="same", border=border, border_value=5)
    tracemalloc.start()
    for start in (0, 10**7 + 3, matrix.shape[0] - 2):
        assert matrix.rows(start, start + 2).max() == 5
        assert len(matrix.cells(start, start + 2)) == 3
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.data())
def test_boxes_are_a_run_in_order(shape, data):
    size = math.prod(shape)
    start = data.draw(st.integers(0, size))
    stop = data.draw(st.integers(start, size))
    found = list(boxes(shape, start, stop))
    seen = [np.ravel_multi_index(where, shape) for box in found for where in itertools.product(*box)]
    assert seen == list(range(start, stop))
    assert len(found) < 2 * len(shape)
