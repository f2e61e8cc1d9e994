"""`deconvolve` on a GPU: the results of the host, no image that leaves it on the way, and what is refused."""

from __future__ import annotations

import importlib
import importlib.util

import gpu
import numpy as np
import pytest
from shell import contents, convcli, load, save, succeed, within

import convcli as library
from convcli import deconvolve
from convcli.arrays import device
from convcli.deconvolution import methods
from convcli.deconvolution.borders import BORDERS
from convcli.deconvolution.noise import estimate_noise
from convcli.errors import BackendError, LimitError, UsageError

PSFS = {1: (5,), 2: (4, 3), 3: (3, 2, 3)}
SHAPES = {1: (48,), 2: (26, 24), 3: (12, 14, 11)}
METHODS = methods.names()
OPTIONS = {
    "rl": [{"accelerate": True}, {"damping": 2.0}, {"balance": 0.01}],
    "landweber": [{"accelerate": True}],
    "hyperlaplacian": [{"exponent": 0.5}],
    "tv": [{"balance": 0.1}, {"noise": 0.5}],
    "inverse": [{"balance": 0.1}],
}
every_method = pytest.mark.parametrize("method", METHODS)


@pytest.fixture
def state():
    """The stand-in for a GPU, as it is seen by `deconvolve`."""
    with gpu.standin() as state:
        yield state


@pytest.fixture
def cupy(state):  # noqa: ARG001 - there is no CuPy without it
    return importlib.import_module("cupy")


def photo(axes, dtype="float32", planes=(2,)):
    """A hill, and a point beside it, blurred and with a sample that is unknown; and the PSF."""
    rng = np.random.default_rng(axes)
    places = np.indices(SHAPES[axes]) / (np.array(SHAPES[axes]).reshape(-1, *(1 for _ in SHAPES[axes])) - 1)
    scene = 100 + 90 * np.exp(-np.square(places - 0.5).sum(axis=0) / (2 * 0.09**2))
    psf = rng.random(PSFS[axes]) + 0.2
    image = library.convolve(
        np.broadcast_to(scene, (*planes, *scene.shape)), psf / psf.sum(), border="nearest"
    )
    image = image + rng.normal(0, 0.3, image.shape)
    if np.dtype(dtype).kind == "f":
        image[..., 3] = np.nan
    return image.astype(dtype), psf


def close(found, expected):
    """Whether what a GPU found is what the host did, to rounding."""
    bound = {"float32": 1e-3, "float64": 1e-10}[expected.dtype.name] * np.abs(expected).max()
    return found.dtype == expected.dtype and np.abs(found.get() - expected).max() <= bound


def agrees(cupy, image, psf, **options):
    """Restore on both, and compare."""
    here = deconvolve(image, psf, **options)
    there = deconvolve(cupy.asarray(image), psf, **options)
    assert all(type(array) is cupy.ndarray for array in (there.image, there.residual, there.psf))
    assert close(there.image, here.image)
    assert close(there.psf, here.psf)
    np.testing.assert_allclose(there.residual.get(), here.residual, atol=1e-3)
    assert there.iterations == here.iterations
    for name in ("noise", "balance", "psnr", "ssim", "isnr"):
        number, expected = getattr(there, name), getattr(here, name)
        assert type(number) is type(expected)
        if number is not None:
            assert number == pytest.approx(expected, rel=1e-3)


@every_method
@pytest.mark.parametrize("border", BORDERS)
def test_every_border(method, border, cupy):
    image, psf = photo(2)
    agrees(cupy, image, psf, method=method, border=border, iterations=5)


@every_method
@pytest.mark.parametrize("axes", SHAPES)
def test_every_dimension_in_double_precision(method, axes, cupy):
    image, psf = photo(axes, "float64")
    agrees(cupy, image, psf, method=method, iterations=5)


@pytest.mark.parametrize(
    ("method", "options"), [(method, options) for method in OPTIONS for options in OPTIONS[method]]
)
def test_every_option(method, options, cupy):
    image, psf = photo(2)
    agrees(cupy, image, psf, method=method, iterations=5, **options)


@every_method
def test_measures_against_a_reference(method, cupy):
    image, psf = photo(2, "uint8")
    agrees(cupy, image, psf, method=method, iterations=3, reference=np.roll(image, 1, axis=-1))


@pytest.mark.gpu
@every_method
def test_a_real_gpu_finds_the_same(method):
    if reason := device.unavailable():
        pytest.skip(reason)
    cupy = importlib.import_module("cupy")
    for axes in SHAPES:
        for border in BORDERS:
            image, psf = photo(axes, "float64")
            agrees(
                cupy, image, psf, method=method, border=border, iterations=5, reference=np.nan_to_num(image)
            )
    for dtype in ("uint8", "float32"):
        image, psf = photo(2, dtype)
        here, there = (
            deconvolve(image, psf, method=method, iterations=5, backend=b) for b in ("cpu", "cuda")
        )
        np.testing.assert_allclose(there.image, here.image, rtol=1e-3, atol=0.1)


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint16", "int64", "float16", "float32"])
def test_every_type_of_sample(dtype, cupy):
    image, psf = photo(2, dtype, planes=())
    agrees(cupy, image, psf, iterations=3)


def test_a_reference_may_lie_elsewhere(cupy):
    image, psf = photo(2, "uint8")
    truth = np.roll(image, 1)
    measures = [
        deconvolve(y, psf, iterations=2, reference=x).psnr
        for y in (image, cupy.asarray(image))
        for x in (truth, cupy.asarray(truth))
    ]
    assert measures == pytest.approx([measures[0]] * 4)


def test_the_samples_lie_in_any_order(cupy):
    image, psf = photo(2)
    turned = cupy.asarray(np.ascontiguousarray(image.T)).T
    assert close(deconvolve(turned, psf, iterations=3).image, deconvolve(image, psf, iterations=3).image)


def test_the_noise_is_that_of_the_host(cupy):
    for axes in SHAPES:
        image, _ = photo(axes, "float64")
        assert estimate_noise(cupy.asarray(image), axes) == pytest.approx(estimate_noise(image, axes))
    assert estimate_noise(cupy.zeros((1, 20, 20)), 2) == 0


def test_an_image_of_the_host_comes_back_to_it(state):
    image, psf = photo(2)
    shown = []
    result = deconvolve(
        image, psf, backend="cuda", iterations=2, watch=lambda _, current: shown.append(current())
    )
    assert ("to_device", image.nbytes) in state.log
    for array in (result.image, result.residual, result.psf, *shown):
        assert type(array) is np.ndarray
        assert array.dtype == np.float32
    np.testing.assert_array_equal(shown[-1], result.image)
    np.testing.assert_allclose(result.image, deconvolve(image, psf, iterations=2).image, rtol=1e-4)


def test_an_image_of_the_gpu_is_watched_there(cupy):
    image, psf = photo(2)
    shown = []
    result = deconvolve(cupy.asarray(image), psf, iterations=2, watch=lambda _, now: shown.append(now()))
    assert type(shown[0]) is cupy.ndarray
    assert bool((shown[-1] == result.image).all())


def test_by_default_an_image_of_the_host_stays_there(state):
    for backend in ("auto", "cpu"):
        assert type(deconvolve(*photo(2), iterations=2, backend=backend).image) is np.ndarray
    assert not state.log


@pytest.mark.parametrize("method", sorted({*METHODS} - {"inverse"}))  # that is one iteration
@pytest.mark.parametrize("measured", [False, True])
def test_no_image_leaves_the_gpu_on_the_way(method, measured, state, cupy):
    image, psf = cupy.asarray(np.random.default_rng(0).random((96, 100)) * 100), np.ones((5, 5))
    reference = image + 1 if measured else None
    marks = []
    state.log.clear()
    deconvolve(
        image,
        psf,
        method=method,
        iterations=3,
        reference=reference,
        watch=lambda *_: marks.append(len(state.log)),
    )
    moved = [entry for entry in state.log if entry[0] in ("to_host", "to_device")]
    assert max(size for _, size in moved) < image.nbytes / 16
    per_iteration = [size for kind, size in state.log[marks[0] : marks[1]] if kind == "to_host"]
    assert max(per_iteration) <= 8  # numbers, one by one
    components = 500 * 3 if method == "clean" else 0
    assert len(per_iteration) <= 20 + components + (100 + 200 if method == "blind" else 0)


def test_a_psf_that_lies_on_the_gpu_is_taken(cupy):
    image, psf = photo(2)
    found = deconvolve(image, cupy.asarray(psf), iterations=2).image
    np.testing.assert_array_equal(found, deconvolve(image, psf, iterations=2).image)


def test_the_processor_does_not_fetch_images(cupy):
    with pytest.raises(
        BackendError, match=r'"cpu" cannot be used: the image lies on the GPU; .*\.get\(\); or use -b auto$'
    ):
        deconvolve(cupy.zeros((9, 9)), np.ones((3, 3)), backend="cpu")


@pytest.mark.parametrize("backend", ["gpu", "direct", "cuda:fft", None])
def test_unknown_backends_are_refused(backend):
    with pytest.raises(UsageError, match=r"unknown backend .*; .*use one of auto, cpu, cuda$"):
        deconvolve(*photo(2), backend=backend)


def test_without_a_gpu_it_says_so(state):
    state.devices = 0
    with pytest.raises(
        BackendError, match=r'^backend "cuda" cannot be used: there is no GPU .*; or use -b auto$'
    ):
        deconvolve(*photo(2), backend="cuda")
    assert type(deconvolve(*photo(2), iterations=1).image) is np.ndarray


def test_what_does_not_fit_is_refused_before_it_is_begun(state):
    image = np.zeros((512, 512), np.float32)
    state.total_bytes = state.used_bytes + (1 << 20)
    state.log.clear()
    with pytest.raises(
        BackendError, match=r"^the GPU has 1\.05 MB of .* free, and at least 25\.7 MB are needed"
    ):
        deconvolve(image, np.ones((3, 3)), backend="cuda")
    assert not state.log
    with pytest.raises(LimitError, match="1 kB"):
        deconvolve(image, np.ones((3, 3)), backend="cuda", max_memory=1000)


def test_memory_that_is_used_up_on_the_way_is_a_line(state):
    def watch(*_):
        state.total_bytes = state.used_bytes

    with pytest.raises(BackendError, match=r"^the GPU has 0 bytes .* are needed; close what else uses it"):
        deconvolve(*photo(2), backend="cuda", watch=watch)


def test_a_gpu_that_fails_is_a_line(cupy):
    def watch(*_):
        raise cupy.cuda.runtime.CUDARuntimeError(700)

    with pytest.raises(BackendError, match=r"^the GPU failed: cudaErrorIllegalAddress"):
        deconvolve(*photo(2), backend="cuda", watch=watch)


@pytest.fixture
def blurred(tmp_path):
    scene = 60 + 90 * (np.add.outer(np.arange(40) // 9, np.arange(48) // 7) % 2)
    save(tmp_path / "photo.png", scene.astype(np.uint8))
    succeed("convolve", "photo.png", "-k", "gaussian:1.2", "-o", "blurred.png", cwd=tmp_path)
    return tmp_path


def test_the_command_line(blurred):
    """Everything that is written is what the host writes, up to rounding."""
    command = ("deconvolve", "blurred.png", "-k", "gaussian:1.2", "-n", "4", "--reference", "photo.png")
    for where, env in (("cpu", {}), ("cuda", {"PYTHONPATH": str(gpu.FOLDER)})):
        files = ("-o", f"{where}.png", "--residual", f"{where}-rest.npy", "--save-psf", f"{where}-psf.npy")
        done = succeed(*command, "-b", where, *files, "--save-every", "2", "--json", cwd=blurred, env=env)
        (record,) = done.json["files"]
        assert record["iterations"] == 4
        assert record["psnr"] > 20
    for name in ("{}.png", "{}.0002.png"):
        here, there = (load(blurred / name.format(where)).astype(int) for where in ("cpu", "cuda"))
        assert abs(here - there).max() <= 1
    for name in ("{}-rest.npy", "{}-psf.npy"):
        here, there = (np.load(blurred / name.format(where)) for where in ("cpu", "cuda"))
        np.testing.assert_allclose(there, here, atol=1e-3)


def test_the_command_line_without_cupy(blurred, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "cupy" else find(name, *more)
    )
    before = contents(blurred)
    gpu.forget()
    try:
        done = within(
            "deconvolve", "blurred.png", "-k", "gaussian:1.2", "-b", "cuda", "-o", "x.png", cwd=blurred
        )
    finally:
        gpu.forget()
    assert done.status == 4
    assert 'backend "cuda" cannot be used: CuPy is not installed' in done.err
    assert done.err.count("\n") == 1
    assert contents(blurred) == before


def test_the_command_line_refuses_unknown_backends(blurred):
    done = convcli("deconvolve", "blurred.png", "-k", "gaussian:1.2", "-b", "fft", "-o", "x.png", cwd=blurred)
    assert done.status == 2
    assert done.err.endswith('unknown backend "fft"; use one of auto, cpu, cuda\n')
