"""Every backend agrees with the oracle in every mode, border, op, type and dimension."""

from __future__ import annotations

import concurrent.futures
import functools
import subprocess
import sys

import numpy as np
import pytest
import scipy.ndimage
import scipy.signal
from oracle import (
    MODES_AND_BORDERS,
    OPS,
    assert_close,
    assert_matches,
    border_index,
    convolve_exactly,
    expected,
    make_case,
)

import convcli
from convcli.errors import ConvcliError, UsageError

DTYPES = ("uint8", "int16", "int64", "float32", "float64")
SHAPES = {1: ((6,), (3,)), 2: ((4, 5), (3, 2)), 3: ((3, 4, 3), (2, 3, 2))}


def check(case, backend):
    """Compare one case with the oracle, and return the result."""
    image, kernel = case.arrays()
    result = convcli.convolve(image, kernel, backend=backend, **case.keywords)
    assert_matches(result, expected(case), backend)
    return result


@pytest.mark.parametrize("axes", SHAPES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize(("mode", "border"), MODES_AND_BORDERS)
def test_every_backend_agrees_with_the_oracle(backend, mode, border, op, dtype, axes):
    options = {"border_value": 5} if border == "constant" else {}
    check(make_case(*SHAPES[axes], dtype, mode=mode, border=border, op=op, **options), backend)


GEOMETRIES = {
    "one cell": ((4, 5), (1, 1), {}),
    "one row": ((4, 5), (1, 4), {}),
    "one column": ((4, 5), (3, 1), {}),
    "even, origin first": ((4, 5), (2, 4), {"origin": (0, 0)}),
    "even, origin last": ((4, 5), (2, 4), {"origin": (1, 3)}),
    "odd, origin in a corner": ((4, 5), (3, 3), {"origin": (2, 0)}),
    "strided": ((5, 6), (3, 3), {"stride": (2, 3)}),
    "stride beyond the image": ((4, 5), (3, 3), {"stride": (9, 2)}),
    "dilated": ((5, 7), (3, 2), {"dilation": (2, 3)}),
    "dilated beyond the image": ((3, 4), (2, 3), {"dilation": (5, 4)}),
    "dilated, strided, off centre": (
        (6, 7),
        (2, 3),
        {"dilation": (2, 1), "stride": (1, 2), "origin": (1, 0)},
    ),
    "kernel larger": ((2, 3), (5, 4), {}),
    "kernel much larger": ((2, 3), (9, 8), {"origin": (7, 1)}),
    "kernel larger on one axis": ((2, 7), (5, 3), {}),
    "one sample": ((1, 1), (3, 2), {}),
    "one row of image": ((1, 5), (3, 3), {"dilation": (1, 2)}),
    "line": ((7,), (4,), {"origin": 3, "stride": 3, "dilation": 2}),
    "short line": ((2,), (9,), {"stride": 2}),
    "volume": ((2, 3, 4), (3, 2, 2), {"origin": (0, 1, 0), "stride": (1, 2, 2), "dilation": (2, 1, 2)}),
}


def fits(shape, kernel_shape, options):
    """Return whether mode `valid` has an output."""
    spread = np.broadcast_to(options.get("dilation", 1), len(shape))
    return all((k - 1) * d < n for n, k, d in zip(shape, kernel_shape, spread, strict=True))


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("dtype", ["uint8", "float64"])
@pytest.mark.parametrize(("mode", "border"), MODES_AND_BORDERS)
def test_every_geometry_agrees_with_the_oracle(backend, mode, border, dtype, geometry):
    shape, kernel_shape, options = GEOMETRIES[geometry]
    if border == "constant":
        options = options | {"border_value": -3}
    for op in OPS:
        case = make_case(shape, kernel_shape, dtype, mode=mode, border=border, op=op, **options)
        if mode == "valid" and not fits(shape, kernel_shape, options):
            with pytest.raises(UsageError, match="is larger than image"):
                convcli.convolve(*case.arrays(), backend=backend, **case.keywords)
        else:
            check(case, backend)


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize(("mode", "border"), [("same", "mirror"), ("full", "constant"), ("full", "wrap")])
def test_separable_kernels_agree_with_the_oracle(backend, mode, border, dtype, geometry):
    shape, kernel_shape, options = GEOMETRIES[geometry]
    if border == "constant":
        options = options | {"border_value": 2}
    for op in OPS:
        check(
            make_case(shape, kernel_shape, dtype, separable=True, mode=mode, border=border, op=op, **options),
            backend,
        )


@pytest.mark.parametrize("stride", [1, 2, 3, (1, 5), (7, 2)])
@pytest.mark.parametrize("dilation", [1, 2, (3, 1)])
@pytest.mark.parametrize("size", [(2, 2), (5, 4), (1, 3)])
def test_separable_kernels_at_every_stride_and_dilation(backend, size, dilation, stride):
    options = {"stride": stride, "dilation": dilation, "border": "symmetric"}
    check(make_case((9, 8), size, "int16", separable=True, **options), backend)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("axes", SHAPES)
def test_valid_ignores_the_border(backend, axes, dtype):
    image, kernel = make_case(*SHAPES[axes], dtype).arrays()
    plain = convcli.convolve(image, kernel, mode="valid", backend=backend)
    for border in ("constant", "nearest", "symmetric", "mirror", "wrap"):
        other = convcli.convolve(image, kernel, mode="valid", border=border, border_value=9, backend=backend)
        assert other.dtype == plain.dtype
        assert np.array_equal(other, plain)


@pytest.mark.parametrize(
    ("alias", "border"), [("replicate", "nearest"), ("periodic", "wrap"), ("reflect-101", "mirror")]
)
def test_aliases_of_borders_give_the_same_result(alias, border):
    image, kernel = make_case((4, 5), (3, 3)).arrays()
    results = [convcli.convolve(image, kernel, border=name) for name in (alias, border)]
    assert np.array_equal(*results)


def test_the_defaults_are_those_of_the_manual(backend):
    image, kernel = make_case((4, 5), (2, 4)).arrays()
    options = {
        "mode": "same",
        "border": "zero",
        "op": "convolve",
        "origin": (0, 1),
        "stride": 1,
        "dilation": 1,
    }
    plain = convcli.convolve(image, kernel, backend=backend)
    assert np.array_equal(plain, convcli.convolve(image, kernel, backend=backend, **options))


# --- types


@pytest.mark.parametrize(
    ("image_dtype", "kernel_dtype", "result_dtype"),
    [
        *(
            (i, k, "int64")
            for i in ("bool", "uint8", "int8", "uint16", "int32", "uint64")
            for k in ("int64", "uint8")
        ),
        *((i, "float64", "float32") for i in ("uint8", "int8", "uint16", "int16", "float16", "float32")),
        *((i, "float32", "float64") for i in ("int32", "uint32", "int64", "uint64", "float64")),
        ("float32", "int64", "float32"),
        ("float16", "uint8", "float32"),
        ("float64", "int8", "float64"),
        ("uint8", "float16", "float32"),
        (">u2", ">i4", "int64"),
        (">i2", ">f8", "float32"),
        (">f4", ">f4", "float32"),
        (">f8", ">i2", "float64"),
    ],
)
def test_the_image_decides_the_type_of_the_result(backend, image_dtype, kernel_dtype, result_dtype):
    case = make_case((4, 5), (3, 2), image_dtype, kernel_dtype)
    result = check(case, backend)
    assert result.dtype == np.dtype(result_dtype)
    assert result.dtype.isnative


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("dtype", [*DTYPES, "bool"])
@pytest.mark.parametrize("kernel_dtype", ["int64", "float64"])
def test_precision_forces_the_type(backend, precision, dtype, kernel_dtype):
    case = make_case((4, 5), (3, 2), dtype, kernel_dtype, precision=precision)
    image, kernel = case.arrays()
    result = convcli.convolve(image, kernel, precision=precision, backend=backend)
    assert result.dtype == precision
    assert_matches(result, convolve_exactly(image, kernel), backend)


def test_wider_floats_than_float64_become_float64(backend):
    image, kernel = make_case((4, 5), (3, 2), "float64").arrays()
    result = convcli.convolve(image.astype(np.longdouble), kernel.astype(np.longdouble), backend=backend)
    assert result.dtype == np.float64
    assert np.array_equal(result, convcli.convolve(image, kernel, backend=backend))


FRESH = """
import sys, numpy as np, convcli
image, kernel = np.arange(35).reshape(5, 7) % 11, np.array([[1, -2, 3], [4, 0, -5]])
whole = convcli.convolve(image, kernel, border="mirror", backend=sys.argv[1])
broken = convcli.convolve(image / 2, kernel / 2, border="mirror", backend=sys.argv[1])
print(whole.tolist() == np.rint(4 * broken).tolist(), whole.tolist())
"""


def test_a_fresh_interpreter_gives_the_same(backend):
    # what is imported already may decide which transforms and matrices are used
    done = subprocess.run([sys.executable, "-c", FRESH, backend], capture_output=True, text=True, check=True)
    image, kernel = np.arange(35).reshape(5, 7) % 11, np.array([[1, -2, 3], [4, 0, -5]])
    exact = convolve_exactly(image, kernel, border="mirror").values
    assert done.stdout.strip() == f"True {[[int(y) for y in row] for row in exact]}"


def test_lists_are_images_too():
    assert convcli.convolve([1, 2, 3], [4, 5], mode="full").tolist() == [4, 13, 22, 15]
    assert convcli.convolve([[1.0, 2.0]], [[0.5]]).tolist() == [[0.5, 1.0]]


# --- layouts


def layouts(image):
    """Return the same image in other layouts of memory."""
    read_only = image.copy()
    read_only.flags.writeable = False
    spaced = np.zeros((*image.shape[:-1], 3 * image.shape[-1]), image.dtype)[..., ::3]
    spaced[...] = image
    packed = np.zeros(image.shape, [("pad", "u1"), ("value", image.dtype)])
    packed["value"] = image
    return {
        "Fortran order": np.asfortranarray(image),
        "negative strides": image[::-1, ::-1].copy()[::-1, ::-1],
        "spaced": spaced,
        "read-only": read_only,
        "unaligned": packed["value"],
    }


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32", "float64"])
@pytest.mark.parametrize("layout", layouts(np.zeros((1, 1))))
def test_the_layout_in_memory_changes_nothing(backend, layout, dtype):
    image, kernel = make_case((5, 6), (3, 2), dtype).arrays()
    plain = convcli.convolve(image, kernel, border="mirror", backend=backend)
    laid_out = convcli.convolve(
        layouts(image)[layout], layouts(kernel)[layout], border="mirror", backend=backend
    )
    assert np.array_equal(laid_out, plain)


def test_a_broadcast_image_is_an_image(backend):
    image = np.broadcast_to(np.arange(4.0), (3, 4))
    kernel = np.broadcast_to(2, (3, 3))
    assert np.allclose(
        convcli.convolve(image, kernel, backend=backend), convcli.convolve(image.copy(), kernel.copy())
    )


@pytest.mark.parametrize("border", ["zero", "wrap"])
@pytest.mark.parametrize("mode", ["same", "full", "valid"])
@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
def test_inputs_stay_as_they_were_and_are_not_returned(backend, dtype, mode, border):
    for kernel_shape in ((1, 1), (3, 3)):
        image, kernel = make_case((4, 5), kernel_shape, dtype, dtype).arrays()
        kept = image.copy(), kernel.copy()
        result = convcli.convolve(image, kernel, mode=mode, border=border, backend=backend)
        assert not np.shares_memory(result, image)
        assert result.flags.writeable
        result[...] = 0
        assert np.array_equal(image, kept[0])
        assert np.array_equal(kernel, kept[1])


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("leading", [(3,), (2, 3), (1, 1, 2)])
@pytest.mark.parametrize("axes", SHAPES)
def test_leading_axes_are_independent_images(backend, axes, leading, dtype):
    spatial, kernel_shape = SHAPES[axes]
    for options in ({"border": "mirror"}, {"mode": "full", "stride": 2}):
        check(make_case(leading + spatial, kernel_shape, dtype, **options), backend)


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
@pytest.mark.parametrize("leading", [(0,), (2, 0), (0, 3)])
def test_a_batch_of_none_gives_none(backend, leading, dtype):
    kernel = np.ones((3, 2), int if dtype == "uint8" else float)
    result = convcli.convolve(
        np.zeros((*leading, 4, 5), dtype), kernel, mode="full", stride=2, backend=backend
    )
    assert result.shape == (*leading, 3, 3)
    assert result.dtype == {"uint8": "int64"}.get(dtype, dtype)


# --- sizes


def large_image(shape, seed=5):
    return np.random.default_rng(seed).standard_normal(shape)


def skip_stored_matrix(backend):
    if "sparse" in backend:
        pytest.skip("stores the whole matrix, which would not fit here")


@pytest.mark.parametrize(
    ("border", "theirs"), [("zero", "constant"), ("symmetric", "reflect"), ("wrap", "wrap")]
)
def test_an_image_of_many_tiles_has_no_seams(backend, border, theirs):
    skip_stored_matrix(backend)
    image, kernel = large_image((700, 900)), large_image((9, 9), 6)
    reference = scipy.ndimage.convolve(image, kernel, mode=theirs)
    assert_close(convcli.convolve(image, kernel, border=border, backend=backend), reference, kernel, image)


def test_integers_over_many_tiles_have_no_seams(backend):
    skip_stored_matrix(backend)
    rng = np.random.default_rng(7)
    image, kernel = rng.integers(0, 256, (530, 1030), dtype=np.uint8), rng.integers(-9, 10, (5, 7))
    reference = scipy.ndimage.correlate(image.astype(np.int64), kernel, mode="nearest")
    result = convcli.convolve(image, kernel, border="nearest", op="correlate", backend=backend)
    assert np.array_equal(result, reference)


def test_strides_over_many_tiles_have_no_seams(backend):
    skip_stored_matrix(backend)
    image, kernel = large_image((600, 620)), large_image((5, 4), 6)
    options = {"stride": (3, 2), "dilation": (4, 7), "mode": "full"}
    stuffed = np.zeros((17, 22))
    stuffed[::4, ::7] = kernel
    reference = scipy.signal.oaconvolve(image, stuffed)[::3, ::2]
    assert_close(convcli.convolve(image, kernel, backend=backend, **options), reference, stuffed, image)


@pytest.mark.parametrize("shape", [(1, 40000), (40000, 1), (2, 3, 60, 50), (3000, 6, 5)])
def test_long_thin_and_deep_images_have_no_seams(backend, shape):
    image, kernel = large_image(shape), large_image((3, 5), 8)
    reference = scipy.ndimage.convolve(
        image, kernel.reshape((1,) * (len(shape) - 2) + kernel.shape), mode="mirror"
    )
    result = convcli.convolve(image, kernel, border="mirror", backend=backend)
    assert_close(result, reference, kernel, image)


def test_long_lines_have_no_seams(backend):
    image, kernel = large_image((100_000,)), large_image((33,), 8)
    result = convcli.convolve(image, kernel, mode="full", backend=backend)
    assert_close(result, np.convolve(image, kernel), kernel, image)


def test_volumes_have_no_seams(backend):
    image, kernel = large_image((30, 31, 32)), large_image((3, 4, 5), 8)
    result = convcli.convolve(image, kernel, mode="full", backend=backend)
    assert_close(result, scipy.signal.convolve(image, kernel, method="direct"), kernel, image)


@pytest.mark.parametrize(("mode", "size"), [("same", 30), ("full", 60), ("valid", 150)])
def test_a_kernel_of_101_cells_a_side_is_no_special_case(backend, mode, size):
    if mode != "same":
        skip_stored_matrix(backend)
    image, kernel = large_image((size, size - 9)), large_image((101, 101), 9)
    reference = scipy.signal.oaconvolve(image, kernel, mode="full")
    start = {"same": 50, "full": 0, "valid": 100}[mode]
    stop = {"same": -50, "full": None, "valid": -100}[mode]
    result = convcli.convolve(image, kernel, mode=mode, backend=backend)
    assert_close(result, reference[start:stop, start:stop], kernel, image)


@pytest.mark.parametrize("border", ["symmetric", "mirror", "wrap"])
def test_a_large_kernel_folds_a_small_image_many_times(backend, border):
    image, kernel = large_image((4, 3)), large_image((101, 101), 9)
    folded = {"symmetric": "symmetric", "mirror": "reflect", "wrap": "wrap"}[border]
    reference = scipy.signal.oaconvolve(np.pad(image, 50, mode=folded), kernel, mode="valid")
    assert_close(convcli.convolve(image, kernel, border=border, backend=backend), reference, kernel, image)


@pytest.mark.parametrize("separable", [False, True])
@pytest.mark.parametrize(
    ("shape", "kernel_shape", "options"),
    [
        ((3, 40), (2, 1100), {}),
        ((40, 3), (2100, 2), {"stride": (2, 1), "border": "wrap"}),
        ((5, 4, 3), (70, 2, 130), {"border": "mirror"}),
        ((3, 4, 5), (1, 2, 140), {"stride": (1, 1, 3), "dilation": (1, 3, 2), "border": "symmetric"}),
    ],
)
def test_very_long_kernels_are_no_special_case(backend, shape, kernel_shape, options, separable):
    rng = np.random.default_rng(28)
    image = rng.integers(-99, 99, shape)
    kernel = rng.integers(-9, 10, kernel_shape)
    if separable:
        kernel = kernel[:, :1] * kernel[:1] if kernel.ndim == 2 else kernel[:, :1, :1] * kernel[:1, :1] * 2
        kernel = np.broadcast_to(kernel, kernel_shape)
    # what the border adds is taken from the oracle's own index function
    spread, lines = options.get("dilation", (1,) * kernel.ndim), []
    for n, taps, d in zip(shape, kernel_shape, spread, strict=True):
        ahead = (taps - 1 - (taps - 1) // 2) * d
        reach = range(-ahead, n + (taps - 1) * d - ahead)
        lines.append([border_index(p, n, options.get("border", "zero")) for p in reach])
    padded = image[np.ix_(*[[p or 0 for p in line] for line in lines])]
    outside = functools.reduce(np.logical_or.outer, [np.array([p is None for p in line]) for line in lines])
    padded[outside] = 0
    stuffed = np.zeros([(k - 1) * d + 1 for k, d in zip(kernel_shape, spread, strict=True)], int)
    stuffed[tuple(slice(None, None, d) for d in spread)] = kernel
    reference = np.rint(scipy.signal.fftconvolve(padded.astype(float), stuffed.astype(float), "valid"))
    reference = reference[tuple(slice(None, None, s) for s in options.get("stride", (1,) * kernel.ndim))]
    assert np.array_equal(convcli.convolve(image, kernel, backend=backend, **options), reference)


# --- threads


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
def test_the_number_of_threads_changes_nothing(backend, dtype):
    rng = np.random.default_rng(10)
    image = (255 * rng.random((2, 180, 150))).astype(dtype)
    kernel = rng.integers(-5, 6, (5, 5)) if dtype == "uint8" else rng.standard_normal((5, 5))
    one, two, three = (
        convcli.convolve(image, kernel, border="mirror", backend=backend, threads=n) for n in (1, 2, 3)
    )
    assert np.array_equal(one, two)
    assert np.array_equal(one, three)


@pytest.mark.parametrize("separable", [False, True])
def test_two_threads_give_what_one_gives_on_a_large_image(backend, separable):
    skip_stored_matrix(backend)
    image, kernel = large_image((500, 700)).astype(np.float32), large_image((11, 11), 9)
    if separable:
        kernel = np.outer(kernel[0], kernel[1])
    one, two = (convcli.convolve(image, kernel, backend=backend, threads=n) for n in (1, 2))
    assert np.array_equal(one, two)


def test_calls_from_several_threads_do_not_disturb_each_other(backend):
    images = [large_image((90, 80), seed) for seed in range(8)]
    kernel = large_image((5, 5), 9)
    alone = [convcli.convolve(image, kernel, backend=backend, threads=2) for image in images]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda x: convcli.convolve(x, kernel, backend=backend, threads=2), images))
    for one, other in zip(alone, together, strict=True):
        assert np.array_equal(one, other)


# --- refusals


@pytest.mark.parametrize(
    ("image", "kernel", "options", "text"),
    [
        (np.zeros((4, 4), complex), np.ones((3, 3)), {}, "complex"),
        (np.zeros((4, 4)), np.ones((3, 3), complex), {}, "complex"),
        (np.full((4, 4), None), np.ones((3, 3)), {}, "object"),
        (np.zeros((4, 4)), np.full((3, 3), None), {}, "object"),
        (np.full((4, 4), "a"), np.ones((3, 3)), {}, "<U1|str"),
        (np.zeros((4, 4), "M8[s]"), np.ones((3, 3)), {}, "datetime|M8"),
        (np.zeros((4, 4)), np.array([[1.0, np.nan]]), {}, "nan|finite"),
        (np.zeros((4, 4)), np.array([[1.0, np.inf]]), {}, "inf|finite"),
        (np.zeros((4, 4)), np.ones(()), {}, "axes"),
        (np.zeros((4, 4)), np.ones((3, 3, 3)), {}, "axes"),
        (np.zeros((4,) * 5), np.ones((1,) * 4), {}, "4 axes"),
        (np.zeros((4, 4)), np.ones((0, 3)), {}, "kernel 0×3 is empty"),
        (np.zeros((4, 0)), np.ones((3, 3)), {}, "image 4×0 is empty"),
        (np.zeros((4, 4)), np.ones((3, 3)), {"mode": "sane"}, 'unknown mode "sane"'),
        (np.zeros((4, 4)), np.ones((3, 3)), {"op": "add"}, 'unknown op "add"'),
        (np.zeros((4, 4)), np.ones((3, 3)), {"border": "reflect"}, "two things"),
        (np.zeros((4, 4)), np.ones((3, 3)), {"stride": 0}, "stride"),
        (np.zeros((4, 4)), np.ones((3, 3)), {"stride": 1.5}, "stride"),
        (np.zeros((4, 4)), np.ones((3, 3)), {"dilation": (1, 2, 3)}, "dilation"),
        (np.zeros((4, 4)), np.ones((3, 3)), {"origin": (0, 3)}, "origin"),
        (np.zeros((4, 4)), np.ones((3, 3)), {"precision": "float16"}, "float16"),
        (np.zeros((4, 4)), np.ones((3, 3)), {"nan": "ignore"}, "ignore"),
        (np.zeros((4, 4)), np.ones((3, 3)), {"nan": "fill:blue"}, "blue"),
        (np.zeros((4, 4)), np.ones((3, 3)), {"nan": "fill:"}, "fill"),
        (np.zeros((4, 4)), np.ones((3, 3)), {"threads": 0}, "threads"),
        ([[1, 2], [3]], np.ones((3, 3)), {}, "rows"),
        (np.zeros((4, 4)), [[1.0, 2.0], [3.0]], {}, "rows"),
    ],
)
def test_a_refusal_is_a_usage_error_on_every_backend(backend, image, kernel, options, text):
    with pytest.raises(UsageError, match=text):
        convcli.convolve(image, kernel, backend=backend, **options)


@pytest.mark.parametrize("option", [{"dilation": 2**40}, {"dilation": (2**40, 1)}])
def test_a_dilation_beyond_all_memory_is_answered_or_refused(option):
    image = np.arange(16.0).reshape(4, 4)
    try:
        result = convcli.convolve(image, np.eye(3), **option)
    except ConvcliError:
        return
    assert result.shape == image.shape


def test_an_unknown_backend_is_refused_with_its_name():
    with pytest.raises(ConvcliError, match="nonesuch"):
        convcli.convolve(np.zeros((4, 4)), np.ones((3, 3)), backend="nonesuch")


def test_options_are_keywords_only():
    with pytest.raises(TypeError, match="positional"):
        convcli.convolve(np.zeros((4, 4)), np.ones((3, 3)), "full")
