"""The GPU's backends on the stand-in for one, whose arrays will not mix with those of the host.

That CUDA does what the stand-in does is for the tests marked `gpu`: the same claims, on a real one.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace

import gpu
import numpy as np
import pytest
from oracle import BORDERS, MODES_AND_BORDERS, assert_matches, convolve_exactly
from shell import succeed, within

import convcli
from convcli import backends, layers
from convcli.arrays import device
from convcli.arrays.device import kernels
from convcli.engine.chunks import ROOM, chunks
from convcli.engine.planner import plan
from convcli.engine.problem import prepare
from convcli.errors import BackendError, UsageError
from convcli.spec import ConvSpec

MEMBERS = backends.members("cuda")
RNG = np.random.default_rng(7)

pytestmark = pytest.mark.skipif(gpu.no_emulator() is not None, reason=str(gpu.no_emulator()))


@pytest.fixture(name="state")
def _state():
    with gpu.standin() as state:
        yield state


def on_gpu(array):
    """Copy an array to the GPU, by the CuPy that is there just now."""
    return device.cupy().asarray(array)


def launches(state):
    """Kernels of our own that were run since the last reset of the log."""
    return [name for what, name in state.log if what == "launch"]


# What is computed ----------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", MEMBERS)
@pytest.mark.parametrize(("mode", "border"), MODES_AND_BORDERS)
@pytest.mark.parametrize("dtype", ["float32", "int64"])
@pytest.mark.usefixtures("state")
def test_every_mode_and_border_is_that_of_the_oracle(backend, mode, border, dtype):
    image = RNG.integers(0, 200, (2, 9, 11)).astype(dtype)
    kernel = RNG.integers(-5, 6, (4, 3)) if dtype == "int64" else RNG.standard_normal((4, 3))
    options = {"mode": mode, "border": border, "op": "correlate" if mode == "full" else "convolve"}
    result = convcli.convolve(on_gpu(image), kernel, backend=backend, **options)
    assert_matches(result.get(), convolve_exactly(image, kernel, **options), backend)


@pytest.mark.parametrize("backend", MEMBERS)
@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("axes", [1, 3])
@pytest.mark.usefixtures("state")
def test_signals_and_volumes_are_those_of_the_oracle(backend, axes, border):
    image = RNG.standard_normal({1: (2, 40), 3: (6, 5, 7)}[axes])
    kernel = RNG.standard_normal({1: (7,), 3: (3, 2, 3)}[axes])
    result = convcli.convolve(on_gpu(image), kernel, border=border, backend=backend)
    assert_matches(result.get(), convolve_exactly(image, kernel, border=border), backend)


@pytest.mark.parametrize("backend", MEMBERS)
@pytest.mark.parametrize(("stride", "dilation"), [(2, 1), (1, 2), ((2, 3), (3, 2)), (3, 3)])
@pytest.mark.usefixtures("state")
def test_strides_and_dilations_are_those_of_the_oracle(backend, stride, dilation):
    image, kernel = RNG.standard_normal((14, 17)), RNG.standard_normal((3, 4))
    options = {"border": "mirror", "stride": stride, "dilation": dilation, "mode": "full"}
    result = convcli.convolve(on_gpu(image), kernel, backend=backend, **options)
    assert_matches(result.get(), convolve_exactly(image, kernel, **options), backend)


@pytest.mark.parametrize("shape", [(1, 1), (3, 33), (33, 3), (40, 50), (31, 64)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.usefixtures("state")
def test_a_kernel_of_any_size_is_done_block_by_block(shape, dtype):
    image, kernel = RNG.standard_normal((70, 150)).astype(dtype), RNG.standard_normal(shape)
    result = convcli.convolve(on_gpu(image), kernel, border="wrap", backend="cuda:direct")
    expected = convcli.convolve(image.astype(float), kernel, border="wrap", backend="im2col")
    np.testing.assert_allclose(result.get(), expected, atol={"float32": 3e-3, "float64": 1e-11}[dtype])


@pytest.mark.parametrize(
    ("taps", "high", "options"),
    [
        (6, 54, {"mode": "full", "dilation": (2, 1), "border": "symmetric"}),
        (6, 55, {"mode": "full", "dilation": (2, 1), "border": "mirror"}),
        (12, 43, {"mode": "full", "dilation": (2, 1), "border": "nearest"}),
        (12, 126, {"mode": "full", "dilation": (4, 1), "border": "wrap"}),
        (21, 103, {"dilation": (3, 1), "border": "mirror"}),
        (64, 63, {"stride": (2, 1), "border": "nearest"}),
        (6, 90, {"border": "zero", "mode": "full"}),
    ],
)
@pytest.mark.usefixtures("state")
def test_a_run_of_samples_is_one_only_if_all_steps_are_of_one_sample(taps, high, options):
    # Wide enough for blocks of threads that see no border to the left and to the right.
    image, kernel = RNG.standard_normal((high, 420)), RNG.standard_normal((taps, 3))
    found = convcli.convolve(on_gpu(image), kernel, backend="cuda:direct", **options).get()
    expected = convcli.convolve(image, kernel, backend="im2col", **options)
    np.testing.assert_allclose(found, expected, atol=1e-11)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
@pytest.mark.usefixtures("state")
def test_every_width_and_height_up_to_a_tile_and_beyond_is_filled(dtype):
    kernel = np.arange(1, 10).reshape(3, 3)
    for height, width in [(1, 1), (7, 3), (8, 4), (31, 127), (32, 128), (33, 129), (65, 258)]:
        image = RNG.integers(-9, 9, (height, width)).astype(dtype)
        found = convcli.convolve(on_gpu(image), kernel, mode="full", backend="cuda:direct").get()
        assert np.array_equal(found, convcli.convolve(image, kernel, mode="full", backend="toeplitz")), (
            height,
            width,
        )


@pytest.mark.parametrize("dtype", sorted(kernels.TYPES))
@pytest.mark.usefixtures("state")
def test_samples_of_every_type_are_converted_on_the_way(dtype):
    image = RNG.integers(0, 100, (3, 20, 30)).astype(dtype)
    kernel = RNG.integers(-3, 4, (3, 5))
    for backend in MEMBERS:
        found = convcli.convolve(on_gpu(image)[:, ::2, ::-3], kernel, backend=backend).get()
        expected = convcli.convolve(image[:, ::2, ::-3], kernel, backend="direct")
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-2)


@pytest.mark.parametrize("backend", MEMBERS)
@pytest.mark.usefixtures("state")
def test_banks_with_channels_outputs_and_groups_are_summed_as_on_the_host(backend):
    images = RNG.standard_normal((4, 3, 12, 13))
    bank = RNG.standard_normal((10, 3, 3, 3))
    options = {"mode": "valid", "op": "correlate", "groups": 2}
    expected = prepare(images, bank, backend="direct", **options).compute(images)
    found = prepare(images, bank, backend=backend, **options).compute(images)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    moved = on_gpu(images)
    there = prepare(moved, bank, backend=backend, **options).compute(moved)
    np.testing.assert_allclose(there.get(), expected, atol=1e-12)


@pytest.mark.parametrize("outputs", [1, 40])
def test_more_cells_than_constant_memory_holds_take_several_launches(state, monkeypatch, outputs):
    monkeypatch.setattr(kernels, "CONSTANT_BYTES", 1 << 10)
    images = RNG.standard_normal((1, 5, 20, 21))
    bank = RNG.standard_normal((outputs, 5, 5, 4))
    expected = prepare(images, bank, mode="valid", backend="direct").compute(images)
    images = on_gpu(images)
    problem = prepare(images, bank, mode="valid", backend="cuda:direct")
    state.log.clear()
    np.testing.assert_allclose(problem.compute(images).get(), expected, atol=1e-12)
    assert len(launches(state)) >= outputs * 5 * 5 * 4 * 8 / (1 << 10)


@pytest.mark.parametrize("backend", MEMBERS)
@pytest.mark.parametrize("nan", ["propagate", "interpolate", "fill:3"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.usefixtures("state")
def test_gaps_are_those_of_the_oracle(backend, nan, bad):
    image = RNG.standard_normal((2, 9, 10))
    image[0, 2, 3] = image[1, 8, 9] = bad
    kernel = RNG.random((3, 3))
    for given in (image, on_gpu(image)):
        result = convcli.convolve(given, kernel, nan=nan, border="nearest", backend=backend)
        exact = convolve_exactly(image, kernel, nan=nan, border="nearest")
        assert_matches(result if given is image else result.get(), exact, backend)


@pytest.mark.parametrize("backend", ["cuda:direct", "cuda:im2col", "cuda:toeplitz"])
def test_a_separable_kernel_is_applied_in_passes_that_pad_by_themselves(state, backend):
    kernel = np.outer(RNG.random(9), RNG.random(7)) + np.outer(RNG.random(9), RNG.random(7))
    image = RNG.standard_normal((2, 60, 70))
    moved = on_gpu(image)[:, None]
    problem = prepare(moved, kernel[None, None], border="symmetric", backend=backend)
    passes = next(c for c in problem.plan.candidates if c.rank == 2)
    problem = replace(problem, plan=replace(problem.plan, chosen=passes))
    state.log.clear()
    found = problem.compute(moved)[:, 0]
    np.testing.assert_allclose(
        found.get(), convcli.convolve(image, kernel, border="symmetric", backend="direct"), atol=1e-11
    )
    if backend == "cuda:direct":
        assert launches(state) == ["correlate"] * 4  # a row and a column of each term, the batch in one


def test_a_batch_is_one_launch(state):
    images = on_gpu(RNG.standard_normal((5, 20, 20)).astype(np.float32))
    state.log.clear()
    convcli.convolve(images, RNG.random((3, 3)), backend="cuda:direct")
    assert launches(state) == ["correlate"]


# Where arrays lie ----------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["auto", "cuda", *MEMBERS])
def test_an_array_on_the_gpu_stays_there(state, backend):
    image = on_gpu(RNG.standard_normal((200, 300)).astype(np.float32))
    state.log.clear()
    result = convcli.convolve(image, np.ones((5, 5)) / 25, backend=backend)
    assert type(result) is type(image)
    assert result.shape == image.shape
    assert result.dtype == np.float32
    carried = [size for what, size in state.log if what in ("to_host", "to_device")]
    assert max(carried) < 20_000  # positions of samples and cells of kernels
    assert convcli.plan(ConvSpec((200, 300), (5, 5)), resident=True).backend in MEMBERS


def test_an_array_of_the_host_returns_to_it(state):
    image = RNG.standard_normal((50, 60)).astype(np.float32)
    result = convcli.convolve(image, np.ones((3, 3)), backend="cuda")
    assert isinstance(result, np.ndarray)
    assert ("to_device", image.nbytes) in state.log
    assert ("to_host", image.nbytes) in state.log


@pytest.mark.usefixtures("state")
def test_kernels_may_lie_on_the_gpu_too():
    image, kernel = RNG.standard_normal((9, 9)), RNG.standard_normal((3, 3))
    expected = convcli.convolve(image, kernel)
    assert np.allclose(convcli.convolve(image, on_gpu(kernel)), expected)
    assert np.allclose(convcli.convolve(on_gpu(image), on_gpu(kernel)).get(), expected)


@pytest.mark.usefixtures("state")
def test_arrays_of_other_libraries_are_taken_by_their_interface():
    class Tensor:
        def __init__(self, array):
            self.array = array

        @property
        def __cuda_array_interface__(self):
            return self.array.__cuda_array_interface__

    image = RNG.standard_normal((9, 9))
    found = convcli.convolve(Tensor(on_gpu(image)), np.ones((3, 3)))
    np.testing.assert_allclose(found.get(), convcli.convolve(image, np.ones((3, 3))))


@pytest.mark.usefixtures("state")
def test_a_backend_of_the_host_refuses_an_array_on_the_gpu():
    with pytest.raises(
        BackendError, match=r'"fft" cannot be used: the image lies on the GPU; .*\.get\(\); or use -b auto'
    ):
        convcli.convolve(on_gpu(np.ones((4, 4))), np.ones((3, 3)), backend="fft")


@pytest.mark.usefixtures("state")
def test_a_layer_is_computed_where_its_image_lies():
    x, w, bias = RNG.standard_normal((2, 4, 9, 10)), RNG.standard_normal((6, 2, 3, 3)), np.arange(6.0)
    options = {"stride": 2, "padding": 1, "groups": 2}
    found = layers.conv(on_gpu(x), w, bias, **options)
    np.testing.assert_allclose(found.get(), layers.conv(x, w, bias, **options), atol=1e-12)
    exact = layers.conv(on_gpu(x.astype(int)), w.astype(int), bias.astype(int), groups=2)
    assert np.array_equal(exact.get(), layers.conv(x.astype(int), w.astype(int), bias.astype(int), groups=2))


@pytest.mark.usefixtures("state")
def test_what_is_not_computed_on_the_gpu_says_so():
    image = on_gpu(np.ones((1, 1, 6, 6)))
    text = r"image lies on a GPU, where this is not computed; copy it to the host with \.get\(\)"
    for compute in (
        lambda: layers.max_pool(image, 2),
        lambda: layers.conv_transpose(image, np.ones((1, 1, 2, 2))),
        lambda: convcli.unroll(image[0, 0], (2, 2)),
    ):
        with pytest.raises(BackendError, match=text):
            compute()


@pytest.mark.usefixtures("state")
def test_what_is_no_image_is_refused_on_the_gpu_as_on_the_host():
    with pytest.raises(UsageError, match="image is of type complex64; real numbers are needed"):
        convcli.convolve(on_gpu(np.ones((4, 4), np.complex64)), np.ones((3, 3)))
    with pytest.raises(UsageError, match="kernel 5×5 is larger than image 4×4"):
        convcli.convolve(on_gpu(np.ones((4, 4))), np.ones((5, 5)), mode="valid")


# Memory --------------------------------------------------------------------------------------------


def test_chunks_are_all_outputs_once_and_hold_what_these_need():
    for batch, stride, dilation, free in itertools.product((1, 3), (1, 2), (1, 3), (800, 3000, 1e9)):
        spec = ConvSpec((17, 23), (3, 2), batch=batch, stride=stride, dilation=dilation, border="wrap")
        seen = np.zeros((batch, *spec.output_shape), int)
        for chunk in chunks(spec, 1, free):
            seen[(chunk.items, *chunk.outputs)] += 1
            assert chunk.bytes <= ROOM * free or chunk.spec.samples == 1
            assert chunk.spec.output_shape == tuple(o.stop - o.start for o in chunk.outputs)
            for axis, out, padded in zip(spec.axes, chunk.outputs, chunk.padded, strict=True):
                assert padded.start == out.start * axis.stride
                assert padded.stop == (out.stop - 1) * axis.stride + axis.extent <= axis.padded
        assert (seen == 1).all()


def test_items_of_several_groups_stay_together():
    spec = ConvSpec((64, 64), (3, 3), batch=12)
    for chunk in chunks(spec, 4, 500_000, groups=3):
        assert chunk.items.start % 3 == 0
        assert (chunk.items.stop - chunk.items.start) % 3 == 0


@pytest.mark.parametrize(
    ("backend", "border"), [*(("cuda:direct", b) for b in BORDERS), *((m, "wrap") for m in MEMBERS[1:])]
)
def test_an_image_larger_than_the_memory_is_filtered_chunk_by_chunk(state, backend, border):
    image = RNG.integers(0, 255, (3, 80, 90)).astype(np.uint8)
    kernel = RNG.integers(-3, 4, (5, 6))
    state.total_bytes = state.used_bytes + 80_000
    result = convcli.convolve(image, kernel, border=border, backend=backend)
    assert np.array_equal(result, convcli.convolve(image, kernel, border=border, backend="direct"))
    assert state.peak_bytes <= state.total_bytes
    assert sum(what == "to_host" for what, _ in state.log) > 1


def test_with_room_for_all_the_image_is_sent_as_it_is(state):
    image = RNG.integers(0, 255, (3, 150, 170)).astype(np.uint8)
    convcli.convolve(image, np.ones((3, 3)), backend="cuda:direct")
    assert [s for what, s in state.log if what == "to_device" and s > 10_000] == [image.nbytes]


@pytest.mark.parametrize("backend", MEMBERS)
def test_out_of_memory_is_one_line_with_the_sizes(state, backend):
    state.total_bytes = state.used_bytes + 3000
    with pytest.raises(BackendError, match=r"the GPU has \d.* of .* free, and .* needed.*; close"):
        convcli.convolve(np.ones((300, 300)), np.ones((30, 40)), backend=backend)


def test_what_is_on_the_gpu_and_leaves_no_room_is_named_too(state):
    image = on_gpu(np.ones((400, 400)))
    state.total_bytes = state.used_bytes + 3000
    with pytest.raises((BackendError, MemoryError), match=r"free, and .* needed|[Oo]ut of memory"):
        convcli.convolve(image, np.ones((3, 3)))


def test_a_gap_and_no_memory_to_go_round_it_is_one_line(state):
    image = on_gpu(np.where(np.eye(300), np.nan, 1.0))
    state.total_bytes = state.used_bytes + 900_000
    with pytest.raises(BackendError, match=r"the GPU has .* free, and .* needed"):
        convcli.convolve(image, np.ones((3, 3)))


def test_memory_is_given_back(state):
    before = state.used_bytes
    convcli.convolve(RNG.standard_normal((200, 200)), np.ones((5, 5)), backend="cuda")
    assert state.used_bytes <= before + 100


# Plans ---------------------------------------------------------------------------------------------


def test_a_small_image_does_not_wake_the_gpu():
    script = (
        "import sys, convcli; p = convcli.plan(convcli.ConvSpec((512, 512), (3, 3)));"
        "print(p.backend[:4] == 'cuda', 'cupy' in sys.modules);"
        "print(*(c.reason for c in p.candidates if c.backend == 'cuda'))"
    )
    environment = {**os.environ, "PYTHONPATH": str(gpu.FOLDER)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "False False\nnot looked for: a GPU takes longer to start, about 0.7 s\n"


@pytest.mark.usefixtures("state")
def test_auto_takes_the_gpu_where_it_pays_and_counts_the_transfers():
    spec = ConvSpec((8192, 8192), (61, 61))
    made = plan(spec)
    assert made.backend in MEMBERS
    assert {c.backend for c in made.candidates} >= {*MEMBERS, "direct", "fft"}
    there, carried = (plan(spec, "cuda:direct", resident=resident).cost for resident in (True, False))
    assert "transfer" not in there.work
    assert carried.work["transfer"] == 4 * (spec.samples + (8192 + 60) ** 2)
    assert carried.seconds > there.seconds


@pytest.mark.usefixtures("state")
def test_cuda_is_the_fastest_of_its_backends_and_says_so():
    small, large = (plan(ConvSpec((4096, 4096), (n, n)), "cuda", resident=True) for n in (3, 201))
    assert (small.backend, large.backend) == ("cuda:direct", "cuda:fft")
    assert {c.backend for c in small.candidates} == set(MEMBERS)
    assert small.why == "least estimated time of 4 backends"


@pytest.mark.usefixtures("state")
def test_products_in_tf32_are_refused(monkeypatch):
    monkeypatch.setenv("CUPY_TF32", "1")
    for backend in ("cuda:im2col", "cuda:toeplitz"):
        with pytest.raises(BackendError, match="CUPY_TF32 lets cuBLAS round to 11 bits; unset it"):
            convcli.convolve(np.ones((4, 5), np.float32), np.ones((3, 3)), backend=backend)
        assert convcli.convolve(np.ones((4, 5)), np.ones((3, 3)), backend=backend)[1, 1] == 9


# What may be missing -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"driver": 0}, "there is no NVIDIA driver; install the one for your card"),
        (
            {"driver": 12040},
            "the NVIDIA driver is for CUDA 12.4 and CuPy for 13.0; update the driver, "
            'or pip install "convcli[cuda12]"',
        ),
        (
            {"driver": 11080, "runtime": 12020},
            "the NVIDIA driver is for CUDA 11.8 and CuPy for 12.2; update the driver",
        ),
        ({"devices": 0}, "there is no GPU that CUDA can use; see nvidia-smi, and CUDA_VISIBLE_DEVICES"),
        (
            {"error": RuntimeError("cudaErrorUnknown: unknown error")},
            "the GPU does not answer: cudaErrorUnknown: unknown error; see nvidia-smi",
        ),
    ],
)
def test_what_is_missing_is_named_with_its_remedy(state, wrong, reason):
    for name, value in wrong.items():
        setattr(state, name, value)
    gpu.forget()
    assert device.unavailable() == reason
    with pytest.raises(BackendError) as caught:
        convcli.convolve(np.ones((4, 4)), np.ones((3, 3)), backend="cuda")
    assert str(caught.value) == f'backend "cuda" cannot be used: {reason}; or use -b auto'
    assert convcli.convolve(np.ones((4, 4)), np.ones((3, 3)))[1, 1] == 9
    assert device.describe() == f"not used: {reason}"


def test_a_driver_that_hangs_is_left_alone(state, monkeypatch):
    monkeypatch.setattr(device, "PATIENCE", 0.2)
    state.delay = 1.0
    gpu.forget()
    began = time.perf_counter()
    assert device.unavailable() == "the driver of the GPU has not answered within 0.2 s; see nvidia-smi"
    assert time.perf_counter() - began < 0.9
    (asking,) = (t for t in threading.enumerate() if t.name == "look for a GPU")
    asking.join()


def test_the_gpu_is_looked_for_once(state):
    device.unavailable()
    state.devices = 0
    assert device.unavailable() is None


def test_a_broken_cupy_is_one_line(tmp_path):
    (tmp_path / "cupy.py").write_text(
        "raise ImportError('''\n=====\nFailed to import CuPy.\nlibcudart.so: cannot open''')\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    script = "from convcli.arrays import device; print(device.unavailable())"
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == (
        'CuPy does not work here: Failed to import CuPy; reinstall it: pip install "convcli[cuda]"\n'
    )


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            ImportError('Failure finding "libcufft.so.12": No such file'),
            'a library of CUDA is missing: Failure finding "libcufft.so.12": No such file; '
            'pip install "convcli[cuda]", or use another backend',
        ),
        (None, "the GPU failed: cudaErrorIllegalAddress.*; use another backend, or see nvidia-smi"),
    ],
)
@pytest.mark.usefixtures("state")
def test_what_goes_wrong_on_the_gpu_is_one_line(monkeypatch, error, text):
    raised = error or device.cupy().cuda.runtime.CUDARuntimeError(700)

    def fails(*_, **__):
        raise raised

    monkeypatch.setattr(device.cupy().fft, "rfftn", fails)
    for image in (np.ones((4, 4)), on_gpu(np.ones((4, 4)))):
        with pytest.raises(BackendError, match="^" + text.replace("[", r"\[")):
            convcli.convolve(image, np.ones((3, 3)), backend="cuda:fft")


def test_an_array_that_might_lie_on_a_gpu_and_does_not_is_one_of_the_host():
    class Tensor:
        @property
        def __cuda_array_interface__(self):
            raise AttributeError("on the host")

        def __array__(self, dtype=None, copy=None):
            return np.eye(4)

    found = convcli.convolve(Tensor(), np.ones((3, 3)))
    assert np.array_equal(found, convcli.convolve(np.eye(4), np.ones((3, 3))))


@pytest.mark.usefixtures("state")
def test_a_folder_that_cannot_be_written_is_one_line(monkeypatch):
    def fails(_):
        raise PermissionError(13, "Permission denied", "/home/nobody/.cupy")

    monkeypatch.setattr(device.cupy().RawModule, "compile", fails)
    with pytest.raises(BackendError, match=r"CuPy cannot keep what it compiles: .*; let CUPY_CACHE_DIR name"):
        convcli.convolve(np.ones((4, 4)), np.ones((3, 3)), backend="cuda:direct")


def test_an_array_on_a_gpu_that_cupy_cannot_reach_is_an_error():
    class Tensor:
        __cuda_array_interface__ = {"shape": (3,)}  # noqa: RUF012

    if device.unavailable() is None:
        pytest.skip("CuPy can")
    with pytest.raises(BackendError, match="image lies on a GPU, and cannot be used there: "):
        convcli.convolve(Tensor(), np.ones(3))


# The command line ----------------------------------------------------------------------------------


PATH = {"PYTHONPATH": str(gpu.FOLDER)}


def test_pictures_are_the_same_to_the_last_bit(tmp_path):
    np.save(tmp_path / "x.npy", RNG.integers(0, 255, (40, 50)).astype(np.uint8))
    for backend in ("direct", "cuda"):
        options = ("-k", "sharpen", "-b", backend, "--json", "-o", f"{backend}.npy")
        done = succeed("convolve", "x.npy", *options, cwd=tmp_path, env=PATH)
    assert done.json["files"][0]["backend"] == "cuda:direct"
    assert (tmp_path / "direct.npy").read_bytes() == (tmp_path / "cuda.npy").read_bytes()


def test_the_backends_of_the_gpu_are_listed():
    done = succeed("backends", env=PATH)
    for name in MEMBERS:
        assert any(line.split()[:2] == [name, "ready"] for line in done.text.splitlines()), name
    assert done.text.rstrip().endswith("; the rates of the GPU are assumed")
    assert "gpu          Stand-in, 17.2 GB, compute capability 9.0, driver for CUDA 13.0, CuPy" in done.text


@pytest.mark.usefixtures("state")
def test_bench_shows_transfer_kernel_and_compilation_apart(tmp_path):
    tiny = ("bench", "--size", "64x64", "--kernel-size", "3", "-r", "3")
    files = ("--export-json", "x.json", "--export-markdown", "x.md", "--export-csv", "x.csv")
    done = within(*tiny, "-b", "direct,cuda:direct,cuda", *files, cwd=tmp_path)
    assert done.status == 0, done.err
    assert "cuda:direct: transfer 0." in done.text
    assert "first call" in done.text
    direct, cuda, family = json.loads((tmp_path / "x.json").read_text())["results"]
    assert direct["kernel_seconds"] is None
    for row in (cuda, family):
        assert 0 < row["kernel_seconds"] + row["transfer_seconds"] <= 2 * row["median_seconds"]
        assert row["first_seconds"] >= row["compile_seconds"] >= 0
    assert "- cuda:direct: transfer" in (tmp_path / "x.md").read_text()
    assert "kernel_seconds" in (tmp_path / "x.csv").read_text().splitlines()[0]
    again = within(*tiny, "-b", "cuda:direct", "--compare", "x.json", cwd=tmp_path)
    assert again.status == 0, again.err


@pytest.mark.parametrize("command", ["convolve x.npy -k box:3 -o y.npy", "bench --size 64x64 -b cuda -r 1"])
def test_without_cupy_it_is_exit_4_and_one_line(tmp_path, command):
    if device.unavailable() is None or "not installed" not in device.unavailable():
        pytest.skip("CuPy is installed")
    np.save(tmp_path / "x.npy", np.ones((4, 4)))
    done = within(*command.split(), *([] if "-b" in command else ["-b", "cuda"]), cwd=tmp_path)
    assert done.status == 4
    assert done.err.count("\n") == 1
    assert "CuPy is not installed; with an NVIDIA card and its driver: pip install" in done.err
    assert not (tmp_path / "y.npy").exists()


# What the real compiler says -----------------------------------------------------------------------

COMPILE = """
import json, sys
from cupy.cuda import nvrtc
source, every = json.load(sys.stdin)
for options in every:
    program = nvrtc.createProgram(source, "device.cu", (), ())
    try:
        nvrtc.compileProgram(program, options)
    except nvrtc.NVRTCError:
        pass
    print(json.dumps(nvrtc.getProgramLog(program).strip()))
"""


def every_option(cupy):
    """Compile `kernels.cu` for all types, and for small and the largest blocks; return the options."""
    compiled, seen = cupy.RawModule, []
    cupy.RawModule = lambda **given: seen.append(list(given["options"])) or compiled(**given)
    for real, axes in itertools.product(kernels.VECTORS, (1, 2)):
        for block in ((3,) * axes, kernels.LARGEST_BLOCK[axes][-axes:]):
            kernels.Correlation(cupy.ones((1, 1, *block), real))._compiled(np.dtype(real))
    for real, sample in itertools.product(kernels.VECTORS, kernels.TYPES):
        kernels.gather(cupy.zeros((2, 2), sample), [np.arange(2)] * 2, 0, real, None)
    return seen


@pytest.mark.parametrize("architecture", ["sm_75", "sm_90"])
def test_the_real_compiler_takes_the_source_without_a_word(architecture):
    python = os.environ.get("CONVCLI_TEST_CUPY", sys.executable)
    if subprocess.run(
        [python, "-c", "from cupy.cuda import nvrtc; nvrtc.getVersion()"], capture_output=True
    ).returncode:
        pytest.skip("CuPy and NVRTC are not installed")
    target = [f"-arch={architecture}", "--device-as-default-execution-space"]  # as CuPy has it
    with gpu.standin():
        every = [target + options for options in every_option(device.cupy())]
    question = json.dumps([kernels._source(), every])
    done = subprocess.run([python, "-c", COMPILE], input=question, capture_output=True, text=True, check=True)
    assert set(done.stdout.splitlines()) == {'""'}
    assert done.stdout.count("\n") == len(every) > 30
