"""What every backend promises: one primitive for banks, bounded memory, a name, a reason."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import threading
import time
import tracemalloc
import weakref
from dataclasses import replace

import numpy as np
import pytest
from scipy import signal

import convcli
from convcli import backends
from convcli.engine import planner
from convcli.engine.planner import BUDGET_BYTES, plan
from convcli.engine.polyphase import pieces
from convcli.engine.problem import prepare
from convcli.engine.separable import low_rank, separate
from convcli.errors import BackendError, LimitError, UsageError
from convcli.matrices.build import toeplitz_matrix
from convcli.spec import ConvSpec
from convcli.system import threads

RNG = np.random.default_rng(11)


def bank_reference(image, kernels):
    """Sum over channels of the valid correlation, with SciPy, one output after the other."""
    return np.stack(
        [
            sum(signal.correlate(plane, k, mode="valid") for plane, k in zip(image, bank, strict=True))
            for bank in kernels
        ]
    )


@pytest.mark.parametrize("taps", [(5,), (3, 4), (2, 3, 2)])
def test_a_bank_sums_over_channels_and_stacks_outputs(backend, taps):
    spatial = (23, 17, 9)[: len(taps)]
    image = RNG.integers(-9, 9, (2, 3, *spatial)).astype(float)
    kernels = RNG.integers(-9, 9, (4, 3, *taps)).astype(float)
    result = prepare(image, kernels, mode="valid", op="correlate", backend=backend).compute(image)
    expected = np.stack([bank_reference(item, kernels) for item in image])
    np.testing.assert_allclose(result, expected, atol=1e-10)


def test_a_bank_with_stride_and_dilation_keeps_its_channels_apart(backend):
    image = RNG.standard_normal((1, 2, 20, 21))
    kernels = RNG.standard_normal((3, 2, 3, 3))
    result = prepare(image, kernels, mode="valid", op="correlate", stride=2, dilation=(1, 3), backend=backend)
    wide = np.zeros((3, 2, 3, 7))
    wide[..., ::3] = kernels
    np.testing.assert_allclose(
        result.compute(image)[0], bank_reference(image[0], wide)[:, ::2, ::2], atol=1e-12
    )


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
@pytest.mark.parametrize("size", [3, 31, 101])
def test_no_backend_needs_more_than_four_times_its_input_and_output(backend, size, dtype):
    if backend == "toeplitz:sparse":
        pytest.skip("stores the whole matrix: that is its purpose")
    if backend.startswith("cuda"):
        pytest.skip("the memory of a GPU is kept within its bounds by chunks: see test_cuda.py")
    side = 1024 if size < 30 else 300
    image = (RNG.random((side, side)) * 255).astype(dtype)
    kernel = RNG.standard_normal((size, size))
    convcli.convolve(image[:8, :8], kernel[:2, :2], backend=backend)  # imports are not its memory
    tracemalloc.start()
    result = convcli.convolve(image, kernel, backend=backend)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak <= 4 * (image.nbytes + result.nbytes) + (64 << 20)


@pytest.mark.parametrize("taps", [3, 31, 101, 900])
def test_only_as_many_threads_run_as_memory_is_promised_for(backend, taps):
    if backend in ("auto", "toeplitz:sparse"):
        pytest.skip("auto is one of the others; the whole matrix is not cut")
    if backend.startswith("cuda"):
        pytest.skip("one thread of the host is enough for a GPU")
    spec = ConvSpec((2048, 2048), (taps, taps))
    made = plan(spec, backend, threads=64)
    assert made.cost.memory_bytes <= 3 * 4 * (2048**2 + spec.samples) + (64 << 20)
    assert made.schedule.threads >= 2 or taps > 100


def watch_preparations(monkeypatch, around=None):
    """Count, at every preparation of `direct`, the prepared kernels that are still in use."""
    module, living, counts = backends.load("direct"), weakref.WeakSet(), []
    prepare = module.prepare

    def watched(kernels, spec, tile):
        apply = prepare(kernels, spec, tile)
        time.sleep(0.005)  # for the other threads to want it too

        def applied(window, out):
            if around:
                around.wait(10)
            apply(window, out)

        living.add(applied)
        counts.append(len(living))
        return applied

    monkeypatch.setattr(module, "prepare", watched)
    return counts


def on_threads(convolution, threads):
    """Return the same convolution, to run on that many threads."""
    chosen = convolution.plan.chosen
    chosen = replace(chosen, schedule=replace(chosen.schedule, threads=threads))
    return replace(convolution, plan=replace(convolution.plan, chosen=chosen))


@pytest.mark.parametrize("threads", [1, 4])
def test_every_group_is_prepared_once_when_it_is_its_turn(monkeypatch, threads):
    # All tiles of a group are drawn before the next one is prepared, and all threads wait for each other.
    image, kernels = RNG.integers(0, 9, (32, 2, 6, 6)), RNG.integers(0, 9, (8, 2, 3, 3))
    counts = watch_preparations(monkeypatch, threading.Barrier(threads))
    problem = prepare(
        image, kernels, groups=8, mode="valid", op="correlate", backend="direct", threads=threads
    )
    problem = on_threads(problem, threads)
    expected = [bank_reference(item, kernels[[n % 8]]) for n, item in enumerate(image)]
    np.testing.assert_array_equal(problem.compute(image), expected)
    assert len(counts) == 8
    assert max(counts) == 2


@pytest.mark.parametrize(("kept_bytes", "used"), [(BUDGET_BYTES // 3, 3), (0, 8)])
def test_groups_of_one_tile_run_on_no_more_threads_than_their_kernels_have_room(
    monkeypatch, kept_bytes, used
):
    spec = ConvSpec((20, 20), (3, 3), batch=8)
    (light,) = plan(spec, "direct", threads=8).candidates
    heavy = replace(
        light,
        cost=replace(light.cost, kept_bytes=kept_bytes),
        schedule=replace(light.schedule, threads=8),
    )
    monkeypatch.setattr(planner, "_considered", lambda *_: (heavy,))
    assert plan(spec, "direct", threads=8, groups=8).schedule.threads == used


def test_as_many_threads_run_as_the_schedule_says(monkeypatch):
    image, kernels = RNG.integers(0, 9, (8, 1, 20, 20)), RNG.integers(0, 9, (8, 1, 3, 3))
    problem = on_threads(prepare(image, kernels, groups=8, backend="direct"), 5)
    used, run = [], threads.run
    monkeypatch.setattr(threads, "run", lambda jobs, n, **options: (used.append(n), run(jobs, n, **options)))
    problem.compute(image)
    assert used == [5]


@pytest.mark.parametrize("threads", [1, 4])
def test_what_fails_while_a_group_is_prepared_is_raised(monkeypatch, threads):
    module, left = backends.load("direct"), [1]
    original = module.prepare

    def failing(*arguments):
        if not left:
            raise RuntimeError("no room for the kernel")
        left.pop()
        return original(*arguments)

    monkeypatch.setattr(module, "prepare", failing)
    image = np.ones((8, 1, 6, 6))
    problem = prepare(image, np.ones((4, 1, 3, 3)), groups=4, backend="direct", threads=threads)
    with pytest.raises(RuntimeError, match="no room for the kernel"):
        problem.compute(image)


def test_names_lists_the_folder_without_importing_a_backend():
    code = (
        "import sys, convcli.backends as b; names = b.names(); "
        "print([n for n in names if f'convcli.backends.{n}' in sys.modules], 'numpy.fft' in names)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[]", "False"]


def test_an_unknown_backend_is_a_usage_error_and_cuda_is_unavailable():
    with pytest.raises(UsageError, match='unknown backend "fast"; use one of auto, cuda, cuda:direct'):
        plan(ConvSpec((4, 4), (3, 3)), "fast")
    with pytest.raises(BackendError, match=r'"cuda" cannot be used: .*; or use -b auto'):
        plan(ConvSpec((4, 4), (3, 3)), "cuda")


def test_the_plan_names_every_backend_and_why_one_was_chosen():
    made = plan(ConvSpec((640, 480), (9, 9), rank=1))
    assert {c.backend for c in made.candidates} == set(backends.listed())
    assert made.chosen in made.candidates
    assert made.cost.seconds == min(c.cost.seconds for c in made.candidates if c.cost)
    assert "least estimated time" in made.why


def test_auto_leaves_the_transform_aside_where_it_could_not_be_exact():
    spec = ConvSpec((64, 64), (5, 5), dtype="int64", exact=True, bound=2.0**60)
    refused = [c for c in plan(spec).candidates if c.reason]
    assert [c.backend for c in refused] == ["fft", "cuda"]
    assert "beyond float64 transforms" in refused[0].reason
    with pytest.raises(BackendError, match='"fft" cannot be used: exact integers'):
        plan(spec, "fft")


def test_auto_takes_passes_for_a_large_separable_kernel_in_a_small_image():
    spec = ConvSpec((64, 64), (5, 5), rank=1)
    assert any(c.rank == 1 for c in plan(spec).candidates)
    assert not any(c.rank for c in plan(replace(spec, rank=0)).candidates)


def test_a_memory_limit_excludes_the_stored_matrix_and_names_its_size():
    spec = ConvSpec((1000, 1000), (9, 9))
    with pytest.raises(LimitError, match=r"toeplitz:sparse needs 992 MB of memory, more than the 100 MB"):
        plan(spec, "toeplitz:sparse", max_memory=100_000_000)
    assert plan(spec, max_memory=100_000_000).backend != "toeplitz:sparse"


def test_pieces_of_a_strided_kernel_cover_every_cell_once():
    spec = ConvSpec((50, 50), (7, 5), stride=(3, 2), dilation=(2, 4))
    seen = np.zeros((7, 5), int)
    for piece in pieces(spec):
        seen[piece.cells] += 1
    assert (seen == 1).all()


def test_a_huge_kernel_is_cut_into_pieces_that_a_tile_can_surround():
    image, kernel = np.zeros((20, 3000)), RNG.integers(0, 5, (3, 2500)).astype(float)
    image[10, 1500] = 1
    result = convcli.convolve(image, kernel, backend="fft")
    np.testing.assert_allclose(result[9:12, 1500 - 1249 : 1500 + 1251], kernel, atol=1e-12)
    assert len(pieces(ConvSpec(image.shape, kernel.shape))) == 3


def test_the_matrix_of_a_bank_times_the_image_is_the_valid_correlation():
    kernels, image = RNG.integers(0, 4, (2, 3, 2, 3)), RNG.integers(0, 9, (3, 6, 7))
    matrix = toeplitz_matrix(kernels, (6, 7), mode="valid", op="correlate")
    assert matrix.nnz == np.count_nonzero(kernels) * 5 * 5
    assert (matrix @ image.reshape(-1)).reshape(2, 5, 5).tolist() == bank_reference(image, kernels).tolist()


@pytest.mark.parametrize("shape", [(3, 4), (5, 2, 3)])
def test_an_outer_product_separates_into_its_factors(shape):
    factors = [RNG.integers(-5, 6, n) * 2 + 1 for n in shape]
    kernel = (
        np.multiply.outer(np.multiply.outer(*factors[:2]), factors[2])
        if len(shape) == 3
        else np.outer(*factors)
    )
    for typed in (kernel, kernel.astype(float), -kernel.astype(float)):
        found = separate(typed)
        product = functools.reduce(np.multiply.outer, found)
        np.testing.assert_allclose(product, typed, rtol=1e-14, atol=1e-13)
        assert {v.dtype.kind for v in found} == {typed.dtype.kind}


def test_a_sum_of_outer_products_has_that_many_terms():
    kernel = sum(np.outer(RNG.random(15), RNG.random(13)) for _ in range(3))
    terms = low_rank(kernel)
    assert len(terms) == 3
    np.testing.assert_allclose(sum(np.outer(*term) for term in terms), kernel, rtol=1e-12)
    assert low_rank(RNG.random((15, 13))) == []


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_has_threads_of_its_own():
    threads.run([lambda: None] * 4, 2)
    child = os.fork()
    if child == 0:
        done: list[int] = []
        try:
            threads.run([lambda: done.append(1)] * 4, 2)
        finally:
            os._exit(len(done))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 4
