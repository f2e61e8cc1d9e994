"""Every method against an independent witness: closed forms, dense matrices, other solvers."""

from pathlib import Path

import numpy as np
import pytest
import scipy.optimize
from PIL import Image
from skimage.restoration import richardson_lucy

import convcli
from convcli.deconvolution import methods
from convcli.deconvolution.borders import grid_shape
from convcli.errors import UsageError

CAMERA = Path(__file__).parents[2] / "sample_images" / "camera.png"
STAR = 1 / (1 + np.arange(-7, 8)[:, None] ** 2 + np.arange(-7, 8) ** 2)
QUADRATIC = {"wiener": 1, "tikhonov": 2}  # the penalty's power of −Δ


def transfer(psf, shape, origin=None):
    """The transform of a PSF laid on a torus, cell by cell."""
    origin = origin or tuple((n - 1) // 2 for n in psf.shape)
    placed = np.zeros(shape)
    for cell in np.ndindex(psf.shape):
        placed[tuple((j - o) % n for j, o, n in zip(cell, origin, shape, strict=True))] += psf[cell]
    return np.fft.fftn(placed)


def blurred(image, psf, origin=None):
    return np.fft.ifftn(np.fft.fftn(image) * transfer(psf, image.shape, origin)).real


def gradient(image):
    return np.stack([np.roll(image, -1, axis) - image for axis in range(image.ndim)])


def gradient_adjoint(parts):
    return sum(np.roll(part, 1, axis) - part for axis, part in enumerate(parts))


def minus_laplacian(shape):
    waves = np.meshgrid(*(2 - 2 * np.cos(2 * np.pi * np.fft.fftfreq(n)) for n in shape), indexing="ij")
    return sum(waves)


def scene(shape, seed=0):
    """Blocks and a ramp, brightness 20 to 230."""
    rng = np.random.default_rng(seed)
    image = np.broadcast_to(np.linspace(20, 60, shape[-1]), shape).copy()
    for _ in range(12):
        low = [rng.integers(0, n - 4) for n in shape]
        image[tuple(slice(i, i + rng.integers(3, 1 + n // 2)) for i, n in zip(low, shape, strict=True))] = (
            rng.uniform(20, 230)
        )
    return image


def restore(image, psf, method, border="wrap", **options):
    return convcli.deconvolve(image, psf, method=method, border=border, **options)


@pytest.mark.parametrize("shape", [(40,), (30, 25), (9, 8, 7)], ids=str)
@pytest.mark.parametrize("method", QUADRATIC)
@pytest.mark.parametrize("balance", [1e-4, 0.03, 2.0])
def test_quadratic_penalties_have_their_closed_form(shape, method, balance):
    rng = np.random.default_rng(1)
    image, psf = 100 * rng.random(shape), rng.random((4, 3, 2)[: len(shape)])
    psf /= psf.sum()
    seen = transfer(psf, shape)
    below = np.abs(seen) ** 2 + balance * minus_laplacian(shape) ** QUADRATIC[method]
    expected = np.fft.ifftn(seen.conj() * np.fft.fftn(image) / below).real
    result = restore(image, psf, method, noise=1, balance=balance)
    np.testing.assert_allclose(result.image, expected, atol=1e-10)
    assert result.balance == balance
    assert result.noise == 1


def normal_equations(grid, psf, known, balance, power):
    """(HᵀMH + b L) and HᵀM, with every entry of H and L set by the definition."""
    size, cells = int(np.prod(grid)), np.arange(np.prod(grid)).reshape(grid)
    blur, laplacian = np.zeros((size, size)), np.zeros((size, size))
    origin = [(n - 1) // 2 for n in psf.shape]
    for place in np.ndindex(*grid):
        row = cells[place]
        for cell in np.ndindex(psf.shape):
            source = (i + o - j for i, o, j in zip(place, origin, cell, strict=True))
            blur[row, cells[tuple(i % n for i, n in zip(source, grid, strict=True))]] += psf[cell]
        for axis in range(len(grid)):
            for step in (-1, 1):
                other = list(place)
                other[axis] = (other[axis] + step) % grid[axis]
                laplacian[row, row] += 1
                laplacian[row, cells[tuple(other)]] -= 1
    masked = blur[known.ravel()]
    penalty = np.linalg.matrix_power(laplacian, power)
    return masked.T @ masked + balance * penalty, masked.T


@pytest.mark.parametrize("method", QUADRATIC)
@pytest.mark.parametrize("holes", [0, 3])
def test_what_is_unknown_is_solved_for_like_the_rest(method, holes):
    rng = np.random.default_rng(2)
    shape, balance = (12, 10), 0.05
    image, psf = 100 * rng.random(shape), rng.random((3, 3))
    psf /= psf.sum()
    image.ravel()[rng.choice(image.size, holes, replace=False)] = np.nan
    grid = grid_shape(shape, psf.shape, "unknown")
    assert all(g >= n + t - 1 for g, n, t in zip(grid, shape, psf.shape, strict=True))
    placed = np.full(grid, np.nan)
    placed[:12, :10] = image
    known = np.isfinite(placed)
    matrix, right = normal_equations(grid, psf, known, balance, QUADRATIC[method])
    expected = np.linalg.solve(matrix, right @ placed[known]).reshape(grid)[:12, :10]
    result = restore(image, psf, method, "unknown", noise=1, balance=balance, tolerance=0, iterations=800)
    np.testing.assert_allclose(result.image, expected, atol=0.02)
    # … and the border matters: this is not what a photo said to be periodic gives.
    assert np.abs(restore(image, psf, method, noise=1, balance=balance).image - expected).max() > 1


def chambolle_pock(image, psf, balance, iterations):
    """Minimum of ½‖y − Hx‖² + b Σ|∇x| by the primal-dual method, step for step as published."""
    seen = transfer(psf, image.shape)
    target, tau, sigma = seen.conj() * np.fft.fftn(image), 3.5, 0.035
    x, ahead, dual = image.copy(), image.copy(), np.zeros((image.ndim, *image.shape))
    for _ in range(iterations):
        dual += sigma * gradient(ahead)
        dual /= np.maximum(1, np.sqrt(np.square(dual).sum(axis=0)) / balance)
        spectrum = np.fft.fftn(x - tau * gradient_adjoint(dual)) + tau * target
        new = np.fft.ifftn(spectrum / (1 + tau * np.abs(seen) ** 2)).real
        x, ahead = new, 2 * new - x
    return x


def tv_objective(x, image, psf, balance):
    misfit = np.square(image - blurred(x, psf)).sum() / 2
    return misfit + balance * np.sqrt(np.square(gradient(x)).sum(axis=0)).sum()


@pytest.fixture(scope="module")
def blocks():
    image, psf = scene((32, 30)), np.ones((3, 3)) / 9
    return image, psf, blurred(image, psf) + np.random.default_rng(3).normal(0, 2, image.shape)


@pytest.mark.parametrize("balance", [0.3, 1.0, 10.0])
def test_total_variation_is_as_low_as_another_solver_gets_it(blocks, balance):
    _, psf, image = blocks
    least = tv_objective(chambolle_pock(image, psf, balance, 3000), image, psf, balance)
    by_default = restore(image, psf, "tv", noise=2, balance=balance).image
    assert tv_objective(by_default, image, psf, balance) < least * 1.002
    at_length = restore(image, psf, "tv", noise=2, balance=balance, tolerance=0, iterations=800).image
    assert tv_objective(at_length, image, psf, balance) < least * (1 + 1e-5)
    assert tv_objective(image, image, psf, balance) > least * 1.1  # it is no small thing to reach


@pytest.mark.parametrize("exponent", [2 / 3, 1 / 2])
def test_a_hyperlaplacian_is_lower_than_where_other_methods_end(blocks, exponent):
    _, psf, image = blocks

    def objective(x):
        return np.square(image - blurred(x, psf)).sum() / 2 + (np.abs(gradient(x)) ** exponent).sum()

    result = restore(image, psf, "hyperlaplacian", noise=2, balance=1, exponent=exponent).image
    rivals = [restore(image, psf, name, noise=2, balance=1).image for name in ("tv", "wiener")]
    assert objective(result) < 0.95 * min(objective(x) for x in (*rivals, image))


@pytest.mark.parametrize("accelerate", [False, True])
def test_landweber_ends_at_least_squares_without_negative_samples(accelerate):
    rng = np.random.default_rng(6)
    psf = np.array([1.0, 2.0, 1.0, 0.5]) / 4.5
    truth = np.maximum(rng.normal(0, 5, 24), 0)
    columns = np.stack([blurred(unit, psf) for unit in np.eye(24)], axis=1)
    image = np.maximum(columns @ truth + rng.normal(0, 0.5, 24), 0)
    expected, _ = scipy.optimize.nnls(columns, image)
    assert (expected == 0).sum() > 3
    result = restore(image, psf, "landweber", noise=0, iterations=2000, accelerate=accelerate)
    np.testing.assert_allclose(result.image, expected, atol=1e-6)


def test_landweber_by_its_formula():
    rng = np.random.default_rng(7)
    image, psf = rng.random((14, 11)), rng.random((3, 4))
    psf /= psf.sum()
    seen = transfer(psf, image.shape)
    x = image
    for _ in range(5):
        rest = np.fft.fftn(image) - seen * np.fft.fftn(x)
        x = np.maximum(0, x + 1.9 / (np.abs(seen) ** 2).max() * np.fft.ifftn(seen.conj() * rest).real)
    np.testing.assert_allclose(restore(image, psf, "landweber", iterations=5).image, x, atol=1e-12)


@pytest.mark.parametrize("shape", [(31,), (30, 25), (9, 8, 7)], ids=str)
def test_the_inverse_is_a_division(shape):
    rng = np.random.default_rng(8)
    image, psf = rng.random(shape), rng.random((3,) * len(shape)) * 0.05
    psf[(1,) * len(shape)] += 1
    expected = np.fft.ifftn(np.fft.fftn(image) / transfer(psf / psf.sum(), shape)).real
    np.testing.assert_allclose(restore(image, psf, "inverse").image, expected, atol=1e-12)


@pytest.mark.parametrize("limit", [1e-3, 0.1, 0.5])
def test_the_inverse_drops_what_the_blur_took(limit):
    image, psf = np.random.default_rng(9).random((24, 24)), np.ones((4, 4)) / 16
    seen = transfer(psf, image.shape)
    kept = np.abs(seen) > limit
    assert not kept.all()
    expected = np.fft.ifftn(np.where(kept, np.fft.fftn(image) / np.where(kept, seen, 1), 0)).real
    result = restore(image, psf, "inverse", balance=limit)
    np.testing.assert_allclose(result.image, expected, atol=1e-12)
    assert "--method wiener" in result.notes[0]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("psf", [STAR, np.ones((5, 9)), np.tri(7)], ids=["star", "box", "corner"])
def test_richardson_lucy_is_that_of_scikit_image(psf, dtype):
    psf = psf / psf.sum()
    image = np.zeros((110, 120))
    image[30:80, 35:85] = scene((50, 50)) / 255  # a dark margin, so that no border is seen
    image = np.maximum(blurred(image, psf), 0).astype(dtype)
    expected = richardson_lucy(image, psf.astype(dtype), num_iter=30, clip=False)
    result = restore(image, psf, "rl", iterations=30)
    assert result.iterations == 30
    np.testing.assert_allclose(result.image, expected, atol=1e-4)


@pytest.fixture(scope="module", params=["exact", "photons"])
def photo(request):
    """A blurred photograph, as it is and counted in photons, and the PSF."""
    with Image.open(CAMERA) as file:
        truth = np.asarray(file.convert("L").resize((128, 128), Image.Resampling.BOX), dtype=float)
    psf = STAR / STAR.sum()
    image = blurred(truth, psf)
    return psf, image if request.param == "exact" else np.random.default_rng(1).poisson(image).astype(float)


def likelihoods(photo, **options):
    """Of Poisson's law, after every iteration."""
    psf, image = photo
    found = []

    def watch(_, current):
        expected = blurred(current().reshape(image.shape), psf)
        found.append(float((image * np.log(np.maximum(expected, 1e-9)) - expected).sum()))

    result = restore(image, psf, "rl", watch=watch, **options)
    return np.array(found), result.image


def test_richardson_lucy_never_gets_less_likely(photo):
    found, image = likelihoods(photo, iterations=40)
    assert (np.diff(found) > 0).all()
    assert image.min() >= 0
    assert image.sum() == pytest.approx(photo[1].sum(), rel=1e-9)


def test_acceleration_takes_a_third_of_the_iterations(photo):
    slow, _ = likelihoods(photo, iterations=50)
    fast, image = likelihoods(photo, iterations=17, accelerate=True)
    assert fast[-1] >= slow[-1]
    assert image.min() >= 0


def test_damping_leaves_the_noise_alone():
    truth, psf = np.full((60, 60), 50.0), STAR / STAR.sum()
    truth[30, 30] = 5000
    image = blurred(truth, psf) + np.random.default_rng(2).normal(0, 1, truth.shape)
    plain = restore(image, psf, "rl", noise=1, iterations=60).image
    damped = restore(image, psf, "rl", noise=1, iterations=60, damping=4).image
    assert damped[:15].std() < 0.3 * plain[:15].std()
    assert damped[30, 30] > 0.6 * plain[30, 30]


def test_without_damping_or_penalty_they_change_nothing(photo):
    psf, image = photo
    plain = restore(image, psf, "rl", iterations=5).image
    np.testing.assert_array_equal(restore(image, psf, "rl", iterations=5, damping=0).image, plain)
    np.testing.assert_allclose(restore(image, psf, "rl", iterations=5, balance=0).image, plain, rtol=1e-9)


def test_a_penalty_makes_richardson_lucy_smoother(photo):
    psf, image = photo

    def variation(x):
        return np.sqrt(np.square(gradient(x)).sum(axis=0)).sum()

    found = [variation(restore(image, psf, "rl", iterations=60, balance=b).image) for b in (0, 5e-4, 2e-3)]
    assert found == sorted(found, reverse=True)
    assert found[-1] < 0.95 * found[0]


def test_richardson_lucy_refuses_a_psf_with_negative_cells():
    with pytest.raises(UsageError, match=r"negative cells, down to -0\.\d+.*; use --method tv or wiener"):
        restore(np.ones((20, 20)), np.array([[-1.0, 5.0, -1.0]]), "rl")


@pytest.mark.parametrize("method", ["rl", "landweber"])
def test_positive_methods_take_an_image_that_goes_below_zero(method):
    """They restore what is above its least sample."""
    truth = scene((40, 36)) - 100
    psf = np.ones((3, 3)) / 9
    image = blurred(truth, psf)
    result = restore(image, psf, method, noise=0.1).image
    assert np.square(result - truth).mean() < 0.5 * np.square(image - truth).mean()
    assert result.min() >= image.min() - 1e-9


@pytest.mark.parametrize("method", methods.names())
def test_every_method_says_what_it_is(method):
    module = methods.load(method)
    assert module.SUMMARY
    assert len(module.SUMMARY) < 110
    assert "\n" not in module.SUMMARY
    assert module.ITERATIONS >= 1
    assert set(module.OPTIONS) <= {"balance", "accelerate", "damping", "exponent"}
