"""The matrix of a convolution is the textbooks' one, and T · vec(x) is the convolution, over all options."""

from __future__ import annotations

import itertools
import math
import tracemalloc

import numpy as np
import pytest
import scipy.linalg
import scipy.signal
from hypothesis import given
from hypothesis import strategies as st
from oracle import MODES_AND_BORDERS, OPS, convolve_exactly

import convcli
from convcli import circulant_matrix, toeplitz_matrix
from convcli.errors import UsageError
from convcli.matrices.build import cell_names, convolution_matrix
from convcli.matrices.matrix import Symbolic, blocks
from convcli.matrices.show.facts import facts
from convcli.matrices.value_counts import nonzeros, value_counts

RNG = np.random.default_rng(3)
SHAPES = {1: ((7,), (3,)), 2: ((5, 6), (2, 3)), 3: ((3, 4, 3), (2, 3, 2))}
STEPS = [(1, 1), (2, 1), (1, 2), (3, 2)]
LINEAR = [(mode, border) for mode, border in MODES_AND_BORDERS if border != "constant"]


def integers(shape, least=-5):
    return RNG.integers(least, 6, shape)


def exactly(image, kernel, **options):
    """Convolve by the oracle, as integers."""
    return convolve_exactly(image, kernel, **options).values.astype(np.int64)


def magic():
    """MATLAB's magic(5)."""
    rows = "17 24 1 8 15;23 5 7 14 16;4 6 13 20 22;10 12 19 21 3;11 18 25 2 9"
    return np.array([[int(n) for n in row.split()] for row in rows.split(";")])


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize(("mode", "border"), LINEAR)
@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize(("stride", "dilation"), STEPS)
def test_t_times_the_image_is_the_exact_convolution(axes, mode, border, op, stride, dilation):
    shape, taps = SHAPES[axes]
    if mode == "valid" and dilation > 1:
        taps = (2,) * axes
    image, kernel = integers(shape), integers(taps)
    options = {"mode": mode, "border": border, "op": op, "stride": stride, "dilation": dilation}
    expected = exactly(image, kernel, **options)
    matrix = toeplitz_matrix(kernel, shape, **options)
    assert matrix.shape == (expected.size, image.size)
    assert matrix.dtype == np.int64
    assert (matrix @ image.reshape(-1)).tolist() == expected.reshape(-1).tolist()
    by_columns = toeplitz_matrix(kernel, shape, order="F", **options)
    assert (by_columns @ image.reshape(-1, order="F")).tolist() == expected.reshape(-1, order="F").tolist()


@given(st.data())
def test_t_times_the_image_is_the_exact_convolution_whatever_the_options(data):
    axes = data.draw(st.integers(1, 3))
    draw = lambda least, most: tuple(data.draw(st.integers(least, most)) for _ in range(axes))  # noqa: E731
    shape, taps = draw(1, 5), draw(1, 7 if axes < 3 else 4)  # kernels larger than the image too
    options = {
        "mode": data.draw(st.sampled_from(["same", "full"])),
        "border": data.draw(st.sampled_from(["zero", "nearest", "symmetric", "mirror", "wrap"])),
        "op": data.draw(st.sampled_from(OPS)),
        "origin": tuple(data.draw(st.integers(0, n - 1)) for n in taps),
        "stride": draw(1, 3),
        "dilation": draw(1, 3),
    }
    rng = np.random.default_rng(data.draw(st.integers(0, 2**31)))
    image, kernel = rng.integers(-4, 5, shape), rng.integers(-1, 2, taps)
    expected = exactly(image, kernel, **options).reshape(-1)
    rule = convolution_matrix(kernel, shape, **options)
    matrix = rule.tocsr()
    assert (matrix @ image.reshape(-1)).tolist() == expected.tolist()
    assert (rule.T.tocsr() != matrix.T.tocsr()).nnz == 0
    assert matrix.nnz == np.count_nonzero(matrix.toarray()) == nonzeros(rule)[0]
    assert matrix.has_sorted_indices
    rows, columns, cells = rule.cells(0, matrix.shape[0])
    added = np.zeros(matrix.shape, np.int64)
    np.add.at(added, (rows, columns), rule.kernels.reshape(-1)[cells])
    assert (added == matrix.toarray()).all()


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
def test_one_axis_is_scipys_convolution_matrix(mode):
    for size, taps in itertools.product((1, 4, 9), (1, 2, 3, 4)):
        if taps > size:
            continue
        kernel = integers(taps)
        ours = toeplitz_matrix(kernel, size, mode=mode).toarray()
        assert (ours == scipy.linalg.convolution_matrix(kernel, size, mode)).all()


def test_order_f_is_matlabs_convmtx2():
    image, kernel = magic(), np.full((3, 3), 1 / 9)
    matrix = toeplitz_matrix(kernel, (5, 5), order="F")
    assert matrix.shape == (49, 25)
    result = (matrix @ image.reshape(-1, order="F")).reshape(7, 7, order="F")
    # the first row of the example in MATLAB's documentation
    documented = [1.8889, 4.5556, 4.6667, 3.6667, 2.6667, 2.5556, 1.6667]
    np.testing.assert_allclose(result[0], documented, atol=5e-5)
    np.testing.assert_allclose(result, scipy.signal.convolve2d(image, kernel), atol=1e-12)


def test_a_column_and_a_row_are_matlabs_convmtx():
    kernel = integers(3)
    column = np.zeros((6, 4), np.int64)
    for j in range(4):
        column[j : j + 3, j] = kernel
    assert (toeplitz_matrix(kernel, 4).toarray() == column).all()
    assert (convolution_matrix(kernel, 4).T.tocsr().toarray() == column.T).all()


def test_it_is_the_doubly_blocked_matrix_of_the_padded_filters_rows():
    kernel, (height, width) = integers((3, 2)), (4, 5)
    padded = np.zeros((height + 2, width + 1), np.int64)
    padded[:3, :2] = kernel
    small = [scipy.linalg.toeplitz(row, [row[0]] + [0] * (width - 1)) for row in padded]
    index = scipy.linalg.toeplitz(np.arange(1, height + 3), [1] + [0] * (height - 1))
    zero = np.zeros_like(small[0])
    doubly = np.block([[small[i - 1] if i else zero for i in row] for row in index])
    assert (toeplitz_matrix(kernel, (height, width)).toarray() == doubly).all()


def test_valid_correlation_is_the_unrolled_kernel():
    kernel, n, m = integers((3, 3)), 6, 3
    unrolled = np.zeros(((n - m + 1) ** 2, n * n), np.int64)
    for row, (y, x) in enumerate(itertools.product(range(n - m + 1), repeat=2)):
        for i, j in itertools.product(range(m), repeat=2):
            unrolled[row, (y + i) * n + x + j] = kernel[i, j]
    ours = toeplitz_matrix(kernel, (n, n), mode="valid", op="correlate")
    assert (ours.toarray() == unrolled).all()


def test_symbolic_valid_convolution_is_the_textbooks_w_conv():
    rule = convolution_matrix(np.ones((2, 2)), (3, 3), mode="valid")
    rows = Symbolic(rule, cell_names(rule.kernels)).rows(0, 4)
    assert [" ".join(row) for row in rows] == [
        "w22 w21 0 w12 w11 0 0 0 0",
        "0 w22 w21 0 w12 w11 0 0 0",
        "0 0 0 w22 w21 0 w12 w11 0",
        "0 0 0 0 w22 w21 0 w12 w11",
    ]


def test_cells_that_a_border_brings_together_are_added():
    rule = convolution_matrix([1, 2, 4], 2, mode="same", border="nearest")
    assert Symbolic(rule, cell_names(rule.kernels)).rows(0, 2).tolist() == [["w2+w3", "w1"], ["w3", "w1+w2"]]
    assert rule.tocsr().toarray().tolist() == [[6, 1], [4, 3]]


def test_names_are_of_the_kernel_as_written_whatever_the_order():
    names = cell_names(convolution_matrix(np.ones((2, 3)), (4, 4), order="F").kernels, "F")
    assert names == ["w11", "w21", "w12", "w22", "w13", "w23"]
    assert cell_names(np.ones((1, 1, 2, 10)))[-1] == "w2_10"
    assert cell_names(np.ones((2, 1, 1, 2))) == ["w1111", "w1112", "w2111", "w2112"]


@pytest.mark.parametrize(
    ("shape", "taps"), [((6,), (3,)), ((4, 5), (3, 2)), ((3, 2, 4), (2, 2, 3)), ((2, 3), (4, 5))]
)
def test_the_transform_diagonalises_the_circulant_matrix(shape, taps):
    kernel = RNG.standard_normal(taps)
    matrix = circulant_matrix(kernel, shape).toarray()
    wrapped = np.zeros(shape)
    for cell in np.ndindex(*taps):
        wrapped[tuple(c % n for c, n in zip(cell, shape, strict=True))] += kernel[cell]
    np.testing.assert_allclose(matrix[:, 0].reshape(shape), wrapped, atol=1e-14)
    dft = np.ones((1, 1))
    for n in shape:
        dft = np.kron(dft, scipy.linalg.dft(n))
    diagonal = dft @ matrix @ np.linalg.inv(dft)
    np.testing.assert_allclose(diagonal, np.diag(np.fft.fftn(wrapped).reshape(-1)), atol=1e-12)


def test_one_axis_of_the_circulant_matrix_is_scipys():
    assert (circulant_matrix([1, 2, 3], 5).toarray() == scipy.linalg.circulant([1, 2, 3, 0, 0])).all()


def test_circular_convolution_is_a_product_of_transforms():
    image, kernel = RNG.standard_normal((5, 6)), RNG.standard_normal((2, 3))
    product = np.fft.ifft2(np.fft.fft2(image) * np.fft.fft2(kernel, (5, 6))).real
    np.testing.assert_allclose(
        circulant_matrix(kernel, (5, 6)) @ image.reshape(-1), product.reshape(-1), atol=1e-12
    )


def test_the_symmetric_border_adds_a_hankel_matrix_to_a_toeplitz_matrix():
    kernel, n = integers(3), 6
    matrix = toeplitz_matrix(kernel, n, mode="same", border="symmetric").toarray()
    toeplitz = toeplitz_matrix(kernel, n, mode="same").toarray()
    hankel = scipy.linalg.hankel([kernel[2]] + [0] * (n - 1), [0] * (n - 1) + [kernel[0]])
    assert (matrix == toeplitz + hankel).all()


@pytest.mark.parametrize("groups", [1, 2, 3])
@pytest.mark.parametrize("axes", [1, 2])
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_bank_gives_the_block_matrix_from_channels_to_outputs(groups, axes, order):
    shape, taps = SHAPES[axes]
    bank, image = integers((6, 2, *taps)), integers((2 * groups, *shape))
    options = {"mode": "same", "border": "mirror", "op": "correlate"}
    rule = convolution_matrix(bank, shape, groups=groups, order=order, **options)
    expected = [
        sum(exactly(image[o // (6 // groups) * 2 + c], bank[o, c], **options) for c in range(2))
        for o in range(6)
    ]
    vec = lambda planes: np.concatenate([plane.reshape(-1, order=order) for plane in planes])  # noqa: E731
    assert (rule.tocsr() @ vec(image)).tolist() == vec(expected).tolist()
    assert (rule.T.tocsr().toarray() == rule.tocsr().toarray().T).all()


@pytest.mark.parametrize("options", [{}, {"mode": "same", "border": "wrap"}, {"stride": 2}, {"order": "F"}])
@pytest.mark.parametrize("transposed", [False, True])
def test_any_rows_are_those_of_the_whole(options, transposed):
    rule = convolution_matrix(integers((2, 2, 3, 2)), (4, 5), **options)
    rule = rule.T if transposed else rule
    whole = rule.tocsr().toarray()
    for start, stop in itertools.combinations(range(0, whole.shape[0] + 1, 3), 2):
        assert (rule.rows(start, stop).toarray() == whole[start:stop]).all()
        rows, columns, _ = rule.cells(start, stop)
        inside = np.zeros(whole.shape, bool)
        inside[rows, columns] = True
        assert (inside[start:stop] >= (whole[start:stop] != 0)).all()
        assert rows.min(initial=start) >= start
        assert rows.max(initial=0) < stop
    assert (np.vstack([block.toarray() for block in blocks(rule)]) == whole).all()


def test_the_transpose_is_the_adjoint():
    image, kernel = integers((5, 6)), integers((3, 2))
    rule = convolution_matrix(kernel, (5, 6), border="symmetric", stride=2)
    other = integers(rule.shape[0])
    forward = convcli.convolve(image, kernel, mode="full", border="symmetric", stride=2)
    assert forward.reshape(-1) @ other == image.reshape(-1) @ (rule.T.tocsr() @ other)


def test_one_long_axis_takes_no_table_of_it():
    tracemalloc.start()
    counts = value_counts(convolution_matrix([1, 2, 1], 2 * 10**7))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert counts == ({1: 4 * 10**7, 2: 2 * 10**7}, True)
    assert peak < 200e6


def test_building_takes_hardly_more_memory_than_the_matrix():
    rule = convolution_matrix(RNG.standard_normal((5, 5)), (256, 256))
    tracemalloc.start()
    matrix = rule.tocsr()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    size = matrix.data.nbytes + matrix.indices.nbytes + matrix.indptr.nbytes
    assert matrix.indices.dtype == np.int32
    assert peak < 1.2 * size


def test_an_all_zero_kernel_gives_an_empty_matrix():
    assert toeplitz_matrix(np.zeros((2, 2)), (3, 3)).nnz == 0


FACTS = [
    ({}, "doubly blocked Toeplitz", 16),
    ({"mode": "valid"}, "doubly blocked Toeplitz", None),
    ({"mode": "same", "border": "wrap"}, "doubly block circulant", None),
    ({"border": "wrap"}, "doubly blocked Toeplitz, wrapped around", None),
    ({"mode": "same", "border": "symmetric"}, "block Toeplitz plus Hankel", None),
    ({"mode": "same", "border": "mirror"}, "block Toeplitz plus Hankel", None),
    ({"mode": "same", "border": "nearest"}, "the border's weight in the outermost columns", None),
    ({"stride": 2}, "doubly blocked Toeplitz, strided 2×2", None),
]


@pytest.mark.parametrize(("options", "structure", "rank"), FACTS)
def test_facts_are_true_of_the_matrix(options, structure, rank):
    rule = convolution_matrix(RNG.standard_normal((3, 3)), (4, 4), **options)
    found, dense = facts(rule), rule.tocsr().toarray()
    assert found.structure.endswith(structure)
    assert found.nonzeros == np.count_nonzero(dense)
    assert found.density == np.count_nonzero(dense) / dense.size
    assert found.rank == (rank or np.linalg.matrix_rank(dense))
    assert found.dense_bytes == dense.nbytes
    if dense.shape[0] != dense.shape[1]:
        assert found.eigenvalues is None
        return
    ours = np.sort_complex(np.asarray(found.eigenvalues, complex))
    np.testing.assert_allclose(ours, np.sort_complex(np.linalg.eigvals(dense).astype(complex)), atol=1e-9)


@pytest.mark.parametrize("kernel", [[1, 2, 1], [1, -2, 1], [1, -1], [0, 0, 5]])
def test_eigenvalues_of_a_large_circulant_matrix_are_the_transform(kernel):
    found = facts(convolution_matrix(kernel, 4096, mode="same", border="wrap", origin=0))
    transform = np.fft.fft(kernel, 4096)
    np.testing.assert_allclose(np.abs(found.eigenvalues), np.abs(transform), atol=1e-12)
    assert found.transform
    assert found.rank == 4096 - sum(np.abs(transform) < 1e-9)


def test_other_structures_are_named():
    assert facts(convolution_matrix([1, 2], 3)).structure == "Toeplitz"
    assert facts(convolution_matrix(np.ones((2, 2, 2)), (3, 3, 3))).structure == "triply blocked Toeplitz"
    assert facts(convolution_matrix([1, 2], 3).T).structure == "transpose of Toeplitz"
    bank = facts(convolution_matrix(np.ones((2, 3, 2)), 4))
    assert bank.structure == "2×3 parts (outputs × channels), each Toeplitz"
    assert facts(convolution_matrix([0, 0], 3)).rank == 0


BAD = [
    ((np.ones((2, 2)), (3,)), {}, "kernel 2×2 has 2 axes for an image 3; it takes 1, or 3 with"),
    ((np.ones(2), 0), {}, "shape 0 is below 1"),
    ((np.ones(2), (3.5,)), {}, "not made of whole numbers"),
    ((np.ones((3, 1, 2)), 5), {"groups": 2}, "groups 2 does not divide the 3 outputs"),
    ((np.ones(2), 5), {"groups": 0}, "groups 0 is below 1"),
    ((np.ones(2), 5), {"order": "K"}, 'unknown order "K"; use one of C, F'),
    ((np.ones(9), 5), {"mode": "valid"}, "larger than image"),
    ((np.ones(2), 5), {"border": "reflect"}, "two things"),
    ((np.ones(2), 5), {"stride": 0}, "stride 0 is below 1"),
    ((np.ones((2, 2)), (5, 5)), {"origin": (0, 2), "order": "F"}, "outside the kernel"),
    ((np.array([1, np.nan]), 5), {}, "must be finite"),
]


@pytest.mark.parametrize(("arguments", "options", "message"), BAD)
def test_bad_arguments_are_refused(arguments, options, message):
    with pytest.raises(UsageError, match=message.replace("(", r"\(")):
        toeplitz_matrix(*arguments, **options)


def test_the_size_of_a_huge_matrix_costs_nothing():
    rule = convolution_matrix(np.ones((5, 5)), (10**6, 10**6))
    assert rule.shape == ((10**6 + 4) ** 2, 10**12)
    assert rule.rows(rule.shape[0] - 1, rule.shape[0]).nnz == 1
    assert math.prod(rule.block_shape) == (10**6 + 4) * 10**6


def test_no_rows_are_an_empty_matrix():
    rule = convolution_matrix([1, 2], 5)
    assert rule.rows(2, 2).shape == (0, 5)
    assert [len(part) for part in rule.cells(3, 3)] == [0, 0, 0]


@pytest.mark.parametrize("shape", [np.int64(4), (4,), [np.int32(4)], np.array([4]), np.array(4)])
def test_a_shape_is_any_whole_numbers(shape):
    assert toeplitz_matrix([1, 2], shape).shape == (5, 4)
    assert circulant_matrix([1, 2], shape).shape == (4, 4)


@pytest.mark.parametrize("shape", [1.5, None, 1j, "4", ()])
def test_what_is_no_shape_is_refused(shape):
    with pytest.raises(UsageError, match="shape"):
        toeplitz_matrix([1, 2], shape)


@pytest.mark.parametrize("dtype", [">f8", ">f4", ">i2", ">u4"])
def test_byte_order_does_not_matter(dtype):
    image = RNG.integers(0, 9, (3, 4))
    kernel = np.array([[1, 2]], dtype)
    expected = exactly(image, [[1, 2]], mode="full")
    assert (convcli.convolve(image.astype(dtype), kernel, mode="full") == expected).all()
    assert (convcli.convolve(image.astype(dtype), kernel, mode="full", precision="float32") == expected).all()
    assert (toeplitz_matrix(kernel, (3, 4)) @ image.reshape(-1) == expected.reshape(-1)).all()
    patches = convcli.unroll(image.astype(dtype), (2, 2))
    assert (convcli.fold(patches, (3, 4), (2, 2), reduce="mean") == image).all()


@pytest.mark.parametrize("padding", [1, (1, 0), (0, 1, 2, 3)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_padding_is_that_of_a_layer(padding, order):
    from convcli import layers

    image, bank = integers((1, 2, 4, 5)), integers((3, 2, 2, 3))
    rule = convolution_matrix(bank, (4, 5), padding=padding, op="correlate", stride=(2, 1), order=order)
    expected = layers.conv(image, bank, padding=padding, stride=(2, 1))
    vec = np.concatenate([plane.reshape(-1, order=order) for plane in image[0]])
    result = np.concatenate([plane.reshape(-1, order=order) for plane in expected[0]])
    assert (rule.tocsr() @ vec).tolist() == result.tolist()


def test_circular_cells_that_never_meet_may_be_large():
    assert circulant_matrix([2**62, 2**62], 9).max() == 2**62
    with pytest.raises(UsageError, match="beyond int64"):
        circulant_matrix([2**62, 2**62], 1)
