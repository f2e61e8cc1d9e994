"""Every method keeps the contract of `deconvolve`: shapes, types, brightness, place, errors, history."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import convcli
from convcli.deconvolution import methods
from convcli.deconvolution.borders import BORDERS
from convcli.errors import InputError, LimitError, UsageError

METHODS = methods.names()
SHAPES = {1: ((48,), (5,)), 2: ((26, 24), (4, 3)), 3: ((12, 14, 11), (3, 2, 3))}

FAITHFUL = [name for name in METHODS if name != "blind"]  # to the PSF as given

every_method = pytest.mark.parametrize("method", METHODS)
every_border = pytest.mark.parametrize("border", BORDERS)
every_dimension = pytest.mark.parametrize("axes", SHAPES)


def hill(shape):
    """A bright hill far from the rim, so that no blur moves brightness over it."""
    places = np.indices(shape) / (np.array(shape).reshape(-1, *(1 for _ in shape)) - 1) - 0.5
    return 100 + 90 * np.exp(-np.square(places).sum(axis=0) / (2 * 0.09**2))


def random_psf(shape, seed=0):
    psf = np.random.default_rng(seed).random(shape) + 0.2
    return psf / psf.sum()


def lone(shape, origin=None):
    """A PSF that is a single cell, at the origin."""
    psf = np.zeros(shape)
    psf[origin or tuple((n - 1) // 2 for n in shape)] = 3
    return psf


def photo(axes, dtype="float64", planes=(), noise=0.3):
    """What a camera makes of `hill`, and through what."""
    shape, taps = SHAPES[axes]
    psf = random_psf(taps)
    image = convcli.convolve(np.broadcast_to(hill(shape), (*planes, *shape)), psf, border="nearest")
    image = image + np.random.default_rng(axes).normal(0, noise, image.shape)
    return (np.rint(image) if np.dtype(dtype).kind == "u" else image).astype(dtype), psf


@every_method
@every_border
@every_dimension
def test_shape_type_and_brightness_stay(method, border, axes):
    for planes, dtype in [((), "uint8"), ((2,), "uint16"), ((2,), "float32"), ((), "float64")]:
        image, psf = photo(axes, dtype, planes)
        result = convcli.deconvolve(image, psf, method=method, border=border, iterations=4)
        assert result.image.shape == image.shape
        assert result.image.dtype == ("float64" if dtype == "float64" else "float32")
        assert np.isfinite(result.image).all()
        # CLEAN puts points outside the frame; blind has another PSF; these are the first few iterations.
        rim = 0.002 if method in ("blind", "clean", "hyperlaplacian") else 0.001
        assert result.image.mean(dtype=float) == pytest.approx(image.mean(dtype=float), rel=rim)
        assert result.method == method


@pytest.mark.parametrize("method", sorted({*METHODS} - {"clean"}))  # a hill is no star
@every_dimension
def test_a_blur_is_undone(method, axes):
    image, psf = photo(axes, noise=0.1)
    shape = SHAPES[axes][0]
    result = convcli.deconvolve(image, psf, method=method, reference=hill(shape))
    assert result.isnr > 0
    assert result.isnr == result.history[-1].isnr
    error = np.square(result.image - hill(shape)).sum()
    assert result.isnr == pytest.approx(10 * np.log10(np.square(image - hill(shape)).sum() / error))


@pytest.mark.parametrize("dtype", ["int8", "uint32", "int64", "bool", "float16", ">f4", "longdouble"])
def test_every_type_of_sample_is_taken(dtype):
    image = (photo(2)[0] > 120).astype(dtype)
    result = convcli.deconvolve(image, np.ones((3, 3)), iterations=3)
    wide = np.dtype(dtype).itemsize > (2 if np.dtype(dtype).kind in "iu" else 4)
    assert result.image.dtype == ("float64" if wide else "float32")


@pytest.mark.parametrize(("precision", "dtype"), [("float32", "float64"), ("float64", "uint8")])
def test_precision_can_be_forced(precision, dtype):
    image, psf = photo(2, dtype)
    assert convcli.deconvolve(image, psf, precision=precision, iterations=2).image.dtype == precision


@pytest.mark.parametrize("method", FAITHFUL)
@every_border
@every_dimension
def test_a_psf_of_one_cell_returns_the_image(method, border, axes):
    taps = SHAPES[axes][1]
    corner = tuple(n - 1 for n in taps)
    rng = np.random.default_rng(5)
    shape = {1: (20,), 2: (12, 9), 3: (8, 7, 6)}[axes]
    image = 100 + 50 * rng.random(shape) * (rng.random(shape) > 0.9)
    for dtype, psf, origin, noise in [
        ("float32", lone(taps), None, 1e-3),
        ("float64", lone((1,) * axes), None, 0),
        ("float64", lone(taps, corner), corner, 0),
    ]:
        given = image.astype(dtype)
        result = convcli.deconvolve(given, psf, method=method, border=border, noise=noise, origin=origin)
        np.testing.assert_allclose(result.image, given, atol=0.02)


CONSTANTS = (0.0, -5.0, 100.0, 1e9, -1e-9, 1e30, -1e30, 1e-30)


@every_method
@every_border
@pytest.mark.parametrize("value", CONSTANTS)
def test_a_constant_image_stays_constant(method, border, value):
    for dtype, axes in [("float32", 1), ("float32", 2), ("float64", 3)]:
        shape, taps = SHAPES[axes]
        image = np.full(shape, value, dtype)
        result = convcli.deconvolve(image, random_psf(taps), method=method, border=border, iterations=2)
        np.testing.assert_allclose(result.image, image, rtol=1e-4)


@every_method
@pytest.mark.parametrize("factor", [1e-30, 1e-10, 1e10, 1e30])
def test_the_unit_of_brightness_does_not_matter(method, factor):
    for dtype, axes in itertools.product(["float32", "float64"], [1, 2]):
        image, psf = photo(axes, dtype, noise=1)
        expected = convcli.deconvolve(image, psf, method=method, iterations=10)
        result = convcli.deconvolve((image * factor).astype(dtype), psf, method=method, iterations=10)
        np.testing.assert_allclose(result.image / factor, expected.image, rtol=1e-3)
        assert result.noise == pytest.approx(expected.noise * factor, rel=1e-3)


small_psfs = st.one_of(
    *(
        arrays("float64", shape, elements=st.floats(0, 1, width=32))
        for shape in [(3,), (2, 2), (3, 4), (1, 4)]
    )
).filter(lambda psf: psf.sum() > 0)


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=15)
@given(psf=small_psfs, data=st.data())
def test_a_finite_image_never_gives_nan(method, psf, data):
    shape = data.draw(st.sampled_from([(8, 9), (11, 8), (2, 8, 8)]))
    elements = st.floats(-1e6, 1e6, width=32)
    image = data.draw(arrays(data.draw(st.sampled_from(["float32", "float64"])), shape, elements=elements))
    origin = tuple(data.draw(st.integers(0, n - 1)) for n in psf.shape)
    border = data.draw(st.sampled_from(BORDERS))
    noise = data.draw(st.sampled_from(["auto", 0, 1e3]))
    result = convcli.deconvolve(
        image, psf, method=method, border=border, origin=origin, noise=noise, iterations=6
    )
    assert np.isfinite(result.image).all()
    assert result.image.shape == image.shape


@every_method
@every_border
def test_samples_that_are_not_finite_are_unknown(method, border):
    psf = random_psf((4, 3))
    ramp = np.add.outer(np.linspace(100, 150, 26), np.linspace(-20, 20, 24))
    image = np.stack([ramp, 250 - ramp])
    image[0, 12, 11], image[1, 3, 3:5], image[0, 0, 0] = np.nan, np.inf, -np.inf
    result = convcli.deconvolve(image, psf, method=method, border=border, noise=0.5, iterations=30).image
    assert np.isfinite(result).all()
    if border == "unknown" and method not in ("blind", "clean"):  # a ramp has no edge and is no star
        limit = 40 if method == "landweber" else 15  # it is slow; a sample taken for 0 would be off by 100
        assert np.abs(result - np.stack([ramp, 250 - ramp])).max() < limit


def test_an_image_without_a_finite_sample_is_refused():
    with pytest.raises(InputError, match="the image has no finite sample that can be seen; nothing is known"):
        convcli.deconvolve(np.full((9, 9), np.nan), np.ones((3, 3)))


GEOMETRIES = [
    ((4, 6), None),
    ((2, 2), None),
    ((5, 5), (0, 0)),
    ((5, 4), (4, 1)),
    ((1, 6), (0, 5)),
    ((6, 1), None),
]


def binomial(taps):
    """A PSF with one peak, as every method can take it."""
    return np.outer(*(np.array([math.comb(n - 1, k) for k in range(n)], dtype=float) for n in taps))


def stars(shape):
    """Points on a flat ground, far from the rim."""
    image, rng = np.full(shape, 100.0), np.random.default_rng(11)
    for _ in range(9):
        image[tuple(rng.integers(8, n - 8) for n in shape)] += rng.uniform(500, 900)
    return image


def texture(shape):
    rng = np.random.default_rng(11)
    return 100 + 20 * convcli.convolve(rng.standard_normal(shape), np.ones((3, 3)) / 3, border="wrap")


def shift(image, reference):
    """Where the correlation of two images is highest, in samples."""
    spectrum = np.fft.fft2(image - image.mean()) * np.fft.fft2(reference - reference.mean()).conj()
    peak = np.unravel_index(np.fft.ifft2(spectrum).real.argmax(), image.shape)
    return tuple((p + n // 2) % n - n // 2 for p, n in zip(peak, image.shape, strict=True))


@pytest.mark.parametrize("method", FAITHFUL)
@pytest.mark.parametrize(("taps", "origin"), GEOMETRIES, ids=str)
@pytest.mark.parametrize(("border", "outside"), [("wrap", "wrap"), ("unknown", "nearest")])
def test_even_and_off_centre_psfs_leave_the_image_in_place(method, taps, origin, border, outside):
    truth, psf = stars((40, 44)), binomial(taps)
    image = convcli.convolve(truth, psf / psf.sum(), border=outside, origin=origin)
    result = convcli.deconvolve(image, psf, method=method, border=border, origin=origin, iterations=20)
    assert shift(result.image, truth) == (0, 0)


def test_the_check_of_the_place_can_fail():
    truth, psf = stars((40, 44)), binomial((5, 5))
    image = convcli.convolve(truth, psf / psf.sum(), border="wrap", origin=0)
    wrong = convcli.deconvolve(image, psf, border="wrap", iterations=20)
    assert shift(wrong.image, truth) == shift(image, truth) == (2, 2)


def test_planes_are_restored_with_one_noise_and_one_balance():
    image, psf = photo(2, planes=(3,))
    options = {"method": "wiener", "border": "wrap", "noise": 1, "balance": 0.01}
    apart = [convcli.deconvolve(plane, psf, **options).image for plane in image]
    together = convcli.deconvolve(image, psf, **options)
    np.testing.assert_allclose(together.image, apart, rtol=1e-9)
    deeper = convcli.deconvolve(image.reshape(1, 3, 1, 26, 24), psf, **options)
    np.testing.assert_array_equal(deeper.image.reshape(image.shape), together.image)


def test_a_psf_is_scaled_to_sum_1():
    image, psf = photo(2)
    expected = convcli.deconvolve(image, psf, noise=1)
    for factor in (1e-300, 7, 1e300):
        result = convcli.deconvolve(image, psf * factor, noise=1)
        np.testing.assert_allclose(result.image, expected.image, rtol=1e-6)
        assert result.psf.sum() == pytest.approx(1)


@every_method
def test_a_psf_can_be_left_as_it_is(method):
    image, psf = photo(2, noise=0.01)
    result = convcli.deconvolve(2 * image, 2 * psf, method=method, normalize=False)
    assert result.image.mean() == pytest.approx(image.mean(), rel=0.01)


@every_border
def test_aliases_of_borders_are_those_of_convolve(border):
    image, psf = photo(2)
    names = {"wrap": ["circular", "periodic"], "mirror": ["reflect-101"]}.get(border, [])
    expected = convcli.deconvolve(image, psf, border=border, iterations=3).image
    for name in names:
        found = convcli.deconvolve(image, psf, border=name, iterations=3).image
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("method", ["tikhonov", "tv", "wiener"])
def test_nothing_is_better_than_to_leave_the_surroundings_unknown(method):
    truth = np.add.outer(np.arange(64.0), 2 * np.arange(64.0)) + texture((64, 64))
    psf = np.ones((5, 5)) / 25
    image = convcli.convolve(truth, psf, mode="valid")
    errors = {}
    for border in BORDERS:
        result = convcli.deconvolve(image, psf, method=method, noise=0.2, border=border)
        errors[border] = np.square(result.image - truth[2:-2, 2:-2]).mean()
    assert min(errors, key=errors.get) == "unknown"
    assert errors["wrap"] > 4 * errors["unknown"]


@pytest.mark.parametrize("method", ["wiener", "tv"])
def test_noise_and_balance_are_found(method):
    truth = texture((96, 96)) + 60 * (np.indices((96, 96)).sum(axis=0) > 90)
    psf = np.ones((5, 5)) / 25
    image = convcli.convolve(truth, psf, border="wrap") + np.random.default_rng(2).normal(0, 2, truth.shape)
    found = convcli.deconvolve(image, psf, method=method, border="wrap", reference=truth)
    assert found.noise == pytest.approx(2, rel=0.05)
    steps = found.balance * np.array([0.3, 0.5, 0.7, 1.4, 2, 3])
    best = max(
        convcli.deconvolve(image, psf, method=method, border="wrap", balance=b, reference=truth).isnr
        for b in steps
    )
    assert found.isnr > best - 0.35


ERRORS = {
    "method": ({"method": "magic"}, r'unknown method "magic"; use one of auto, .*tv'),
    "border": (
        {"border": "reflected"},
        r'unknown border "reflected"; use one of unknown, wrap, taper, mirror',
    ),
    "precision": ({"precision": "half"}, r'unknown precision "half"; use one of'),
    "psf too large": (
        {"psf": np.ones((11, 3))},
        r"PSF 11×3 is larger than half the image 20×21; crop the PSF to where it is not 0, or use a larger",
    ),
    "psf of zeros": ({"psf": np.zeros((3, 3))}, "the PSF is all zeros; nothing can be seen through it"),
    "psf of sum 0": (
        {"psf": np.array([[1.0, -1.0]])},
        "the PSF sums to 0 and cannot be scaled to 1; --no-psf-normalize leaves it as it is",
    ),
    "psf not finite": ({"psf": [[1, np.nan]]}, "a PSF 1×2 must have 1 to 3 axes and finite cells"),
    "psf empty": ({"psf": np.ones((0, 3))}, "a PSF 0×3 must have 1 to 3 axes and finite cells"),
    "psf of 4 axes": ({"psf": np.ones((1, 1, 1, 1))}, "must have 1 to 3 axes and finite cells"),
    "psf of 0 axes": ({"psf": 1.0}, "must have 1 to 3 axes and finite cells"),
    "psf complex": ({"psf": np.ones((3, 3)) * 1j}, "PSF is of type complex128; real numbers are needed"),
    "psf ragged": ({"psf": [[1, 2], [3]]}, "PSF has rows of different lengths; an array is needed"),
    "psf of more axes": (
        {"psf": np.ones((3, 3, 3))},
        "image 20×21 has no 3 axes of samples for a PSF with 3",
    ),
    "image empty": ({"image": np.ones((0, 21))}, "image 0×21 has no 2 axes of samples for a PSF with 2"),
    "image of text": ({"image": [["a"]]}, "image is of type <U1; real numbers are needed"),
    "image complex": ({"image": np.ones((20, 21)) * 1j}, "image is of type complex128; real numbers are"),
    "origin outside": (
        {"origin": (1, 3)},
        r"origin \(1, 3\) is outside the PSF 3×3; cells are counted from 0",
    ),
    "origin negative": ({"origin": -1}, "origin .*-1.* is below 0; every number must be at least 0"),
    "origin of 3": ({"origin": (1, 1, 1)}, "origin .* has 3 numbers for 2 axes; give one, or one per axis"),
    "noise negative": ({"noise": -1}, "noise -1 is not a number of at least 0, nor auto"),
    "noise a word": ({"noise": "loud"}, "noise loud is not a number of at least 0, nor auto"),
    "noise infinite": ({"noise": np.inf}, "noise inf is not a number of at least 0, nor auto"),
    "balance negative": ({"balance": -0.1}, r"balance -0\.1 is not a number of at least 0, nor auto"),
    "balance a word": ({"balance": "strong"}, "balance strong is not a number of at least 0, nor auto"),
    "damping negative": ({"method": "rl", "damping": -1}, "damping -1 is not a number of at least 0"),
    "tolerance negative": ({"tolerance": -1}, "tolerance -1 is not a number of at least 0"),
    "iterations 0": ({"iterations": 0}, "iterations 0 is not a whole number of at least 1"),
    "iterations half": ({"iterations": 2.5}, r"iterations 2\.5 is not a whole number of at least 1"),
    "threads 0": ({"threads": 0}, "threads 0 is below 1; every number must be at least 1"),
    "exponent": (
        {"method": "hyperlaplacian", "exponent": 0.7},
        r"exponent 0\.7 has no closed form here; use 1/2, 2/3",
    ),
    "balance without use": (
        {"method": "landweber", "balance": 1},
        r"balance means nothing to method landweber; it is for .*tv.*wiener",
    ),
    "acceleration without use": (
        {"accelerate": True},
        r"accelerate means nothing to method tv; it is for .*landweber, rl",
    ),
    "damping without use": (
        {"method": "wiener", "damping": 3},
        "damping means nothing to method wiener; it is",
    ),
    "exponent without use": (
        {"method": "tv", "exponent": 0.5},
        "exponent means nothing to method tv; it is for hyperlaplacian",
    ),
    "reference of another shape": (
        {"reference": np.ones((21, 20))},
        "the reference 21×20 is not of the image's shape 20×21, or has other channels; use the image before",
    ),
    "reference of more planes": (
        {"reference": np.ones((3, 20, 21))},
        "the reference 3×20×21 is not of the image's shape 20×21, or has other channels",
    ),
    "top": (
        {"reference": np.ones((20, 21)), "top": 0},
        "top 0 is not a positive number; use the sample value",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_name_the_value_the_rule_and_the_way_out(name):
    options, text = ERRORS[name]
    image = np.random.default_rng(0).random((20, 21))
    with pytest.raises(UsageError, match=text):
        convcli.deconvolve(**{"image": image, "psf": np.ones((3, 3)), **options})


@every_method
@every_border
def test_what_would_not_fit_into_memory_is_refused(method, border):
    image, psf = photo(2)
    with pytest.raises(
        LimitError, match=r"the image 26×24 needs .* more than the 1 kB allowed; raise --max-mem"
    ):
        convcli.deconvolve(image, psf, method=method, border=border, max_memory=1000)


@every_method
@pytest.mark.parametrize("iterations", [1, 4])
def test_exactly_so_many_iterations_as_asked_for(method, iterations):
    image, psf = photo(2)
    result = convcli.deconvolve(image, psf, method=method, iterations=iterations, tolerance=0)
    assert result.iterations <= iterations
    if methods.load(method).ITERATIONS > 1 and method != "clean":  # which may have nothing left to take
        assert result.iterations == iterations
    assert [record.iteration for record in result.history] == list(range(1, result.iterations + 1))
    assert not result.interrupted


@every_method
def test_history_ends_with_the_result(method):
    image, psf = photo(2)
    seen = []
    result = convcli.deconvolve(
        image, psf, method=method, reference=hill((26, 24)), watch=lambda record, _: seen.append(record)
    )
    assert seen == result.history
    last = result.history[-1]
    assert (last.noise, last.balance) == (result.noise, result.balance)
    assert (last.psnr, last.ssim, last.isnr) == (result.psnr, result.ssim, result.isnr)
    assert None not in (last.psnr, last.ssim, last.isnr)
    assert all(np.isfinite([r.residual, r.change, r.noise]).all() for r in result.history)
    assert result.iterations <= methods.load(method).ITERATIONS


@pytest.mark.parametrize("method", sorted({"rl", "landweber", "clean"} & set(METHODS)))
@every_border
def test_the_residual_falls(method, border):
    image, psf = photo(2)
    result = convcli.deconvolve(image, psf, method=method, border=border, iterations=15)
    residuals = [record.residual for record in result.history]
    assert residuals == sorted(residuals, reverse=True)


@pytest.mark.parametrize("method", ["inverse", "landweber", "rl", "tikhonov", "tv", "wiener"])
def test_the_residual_is_what_the_blurred_result_leaves(method):
    image, psf = photo(2)
    result = convcli.deconvolve(image, psf, method=method, border="wrap", noise=0.3)
    rest = image - convcli.convolve(result.image, psf, border="wrap")
    assert result.history[-1].residual == pytest.approx(np.sqrt(np.square(rest).mean()), rel=1e-6)


@pytest.mark.parametrize("method", ["rl", "landweber"])
def test_it_stops_where_the_residual_is_the_noise(method):
    image, psf = photo(2, noise=2)
    by_itself = convcli.deconvolve(image, psf, method=method, noise=2)
    assert 1 < by_itself.iterations < methods.load(method).ITERATIONS
    assert by_itself.history[-1].residual <= 2 < by_itself.history[-2].residual
    asked = convcli.deconvolve(image, psf, method=method, noise=2, iterations=by_itself.iterations + 5)
    assert asked.iterations == by_itself.iterations + 5


@pytest.mark.parametrize("method", ["tv", "hyperlaplacian", "rl", "landweber"])
def test_tolerance_ends_the_iterations(method):
    image, psf = photo(2)
    result = convcli.deconvolve(image, psf, method=method, iterations=100, tolerance=1e-2)
    assert 1 < result.iterations < 100
    assert result.history[-1].change < 1e-2
    assert all(record.change >= 1e-2 for record in result.history[:-1])


@every_method
def test_the_watch_sees_the_image_of_every_iteration(method):
    image, psf = photo(2)
    image -= 150  # positive methods lift what is negative, which is not to be seen
    images = []

    def watch(_, current):
        images.append(current())

    result = convcli.deconvolve(image, psf, method=method, iterations=3, watch=watch)
    assert len(images) == result.iterations
    assert all(current.shape == image.shape for current in images)
    np.testing.assert_allclose(images[-1], result.image, rtol=1e-9)
    images[-1][...] = 0  # a copy
    assert result.image.any()


@every_method
def test_an_interrupt_returns_what_there_is(method):
    image, psf = photo(2)

    def watch(record, _):
        if record.iteration == min(2, methods.load(method).ITERATIONS):
            raise KeyboardInterrupt

    result = convcli.deconvolve(image, psf, method=method, iterations=9, watch=watch)
    assert result.interrupted
    expected = convcli.deconvolve(image, psf, method=method, iterations=result.iterations)
    assert not expected.interrupted
    np.testing.assert_array_equal(result.image, expected.image)


def test_an_interrupt_before_anything_is_done_goes_on(monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(methods.load("tv"), "restore", interrupted)
    with pytest.raises(KeyboardInterrupt):
        convcli.deconvolve(*photo(2), method="tv")


def test_other_errors_of_the_watch_are_not_swallowed():
    def watch(*_):
        raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        convcli.deconvolve(*photo(2), watch=watch)


@every_method
def test_the_result_does_not_depend_on_threads_or_repetition(method):
    image, psf = photo(2, planes=(2,))
    results = [
        convcli.deconvolve(image, psf, method=method, iterations=5, threads=n).image for n in (1, 2, 2)
    ]
    np.testing.assert_array_equal(results[1], results[2])
    np.testing.assert_allclose(results[0], results[1], rtol=1e-9)


@every_method
def test_what_was_given_stays_as_it_was(method):
    image, psf = photo(2)
    copies = image.copy(), psf.copy()
    image.flags.writeable = psf.flags.writeable = False
    convcli.deconvolve(image, psf, method=method, iterations=3, reference=image)
    np.testing.assert_array_equal(image, copies[0])
    np.testing.assert_array_equal(psf, copies[1])


def test_auto_is_a_method():
    image, psf = photo(2)
    result = convcli.deconvolve(image, psf)
    assert result.method in METHODS
    named = convcli.deconvolve(image, psf, method=result.method)
    np.testing.assert_array_equal(result.image, named.image)
