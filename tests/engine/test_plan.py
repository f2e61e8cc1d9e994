"""A plan is what runs: it is made once, printed, kept, sent away, and followed to the letter."""

from __future__ import annotations

import pickle
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import BORDERS

import convcli
from convcli import backends
from convcli.engine import planner
from convcli.engine.polyphase import runs
from convcli.engine.problem import _known, prepare
from convcli.engine.schedule import schedule
from convcli.spec import ConvSpec

RNG = np.random.default_rng(0)
STREAMED = ["direct", "fft", "im2col", "toeplitz"]
SHAPES = [((300, 400), (15, 15)), ((5000,), (301,)), ((20, 30, 40), (3, 5, 4))]


def tiled(convolution, tile):
    """Return the same convolution on tiles of another shape."""
    chosen = convolution.plan.chosen
    chosen = replace(chosen, schedule=replace(chosen.schedule, tile=tile))
    return replace(convolution, plan=replace(convolution.plan, chosen=chosen))


def same_bits(found, expected):
    return found.dtype == expected.dtype and found.tobytes() == np.ascontiguousarray(expected).tobytes()


@pytest.mark.parametrize("backend", STREAMED)
@pytest.mark.parametrize(("shape", "taps"), SHAPES)
def test_a_plane_has_the_same_bits_alone_as_in_a_batch(backend, shape, taps):
    planes = RNG.standard_normal((6, *shape)).astype(np.float32)
    kernel = RNG.standard_normal(taps)
    together = convcli.convolve(planes, kernel, backend=backend)
    for plane, found in zip(planes, together, strict=True):
        assert same_bits(convcli.convolve(plane, kernel, backend=backend), found)


@pytest.mark.parametrize("backend", STREAMED)
@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("mode", ["same", "full", "valid"])
def test_any_region_has_the_bits_that_it_has_in_the_whole(backend, border, mode):
    image = RNG.standard_normal((2, 1, 61, 83)).astype(np.float32)
    kernel = RNG.standard_normal((1, 1, 9, 8))
    made = tiled(prepare(image, kernel, mode=mode, border=border, backend=backend), (16, 24))
    whole = made.compute(image)
    for rows, columns in [((0, 5), (0, 3)), ((15, 33), (20, 50)), ((40, 53), (1, 76)), ((0, 53), (75, 76))]:
        region = slice(*rows), slice(*columns)
        assert same_bits(made.compute(image, region=region), whole[..., region[0], region[1]])


@given(st.data())
def test_regions_of_strided_and_dilated_convolutions_are_those_of_the_whole(data):
    shape = data.draw(st.tuples(st.integers(20, 60), st.integers(20, 60)))
    taps = data.draw(st.tuples(st.integers(1, 6), st.integers(1, 6)))
    options = {
        "stride": data.draw(st.tuples(st.integers(1, 3), st.integers(1, 3))),
        "dilation": data.draw(st.tuples(st.integers(1, 3), st.integers(1, 3))),
        "mode": data.draw(st.sampled_from(["same", "full"])),
        "border": data.draw(st.sampled_from(BORDERS)),
        "op": data.draw(st.sampled_from(["convolve", "correlate"])),
        "backend": data.draw(st.sampled_from(STREAMED)),
    }
    image = np.random.default_rng(1).standard_normal((1, 2, *shape))
    image[0, 0, 7, 9] = data.draw(st.sampled_from([0.0, np.nan]))
    kernels = np.random.default_rng(2).standard_normal((3, 2, *taps)) + 1
    rule = data.draw(st.sampled_from(["propagate", "interpolate", "fill:2"]))
    made = tiled(prepare(image, kernels, nan=rule, **options), data.draw(st.sampled_from([(5, 8), (32, 16)])))
    whole = made.compute(image)
    region = []
    for n in whole.shape[2:]:
        start = data.draw(st.integers(0, n - 1))
        region.append(slice(start, data.draw(st.integers(start + 1, n))))
    assert same_bits(made.compute(image, region=tuple(region)), whole[(..., *region)])


@pytest.mark.parametrize("backend", ["direct", "fft", "toeplitz"])
def test_a_region_reads_no_more_than_its_tiles_need(backend):
    image = np.full((1, 1, 200, 150), np.nan)
    image[..., 58:102, :] = RNG.standard_normal((44, 150))
    made = tiled(
        prepare(image, RNG.standard_normal((1, 1, 5, 3)), border="nearest", backend=backend), (20, 32)
    )
    found = made.compute(
        image, region=(slice(65, 90), slice(0, 150))
    )  # tiles 60 to 100, and 2 on either side
    assert np.isfinite(found).all()


def test_a_signal_that_wraps_around_is_computed_in_parts():
    signal = RNG.standard_normal((1, 1, 1000))
    made = tiled(prepare(signal, RNG.standard_normal((1, 1, 31)), border="wrap", backend="fft"), (200,))
    parts = [made.compute(signal, region=(slice(n, n + 90),)) for n in range(0, 1000, 90)]
    assert same_bits(np.concatenate(parts, axis=-1), made.compute(signal))


@pytest.mark.parametrize("backend", ["auto", *STREAMED])
def test_a_convolution_goes_to_another_process_without_samples(tmp_path, backend):
    image = RNG.standard_normal((1, 1, 400, 300)).astype(np.float32)
    made = prepare(image, np.outer([1.0, 2, 1], [1, 2, 1])[None, None], border="mirror", backend=backend)
    whole = made.compute(image)
    assert len(pickle.dumps(made)) < 50_000 < image.nbytes
    (tmp_path / "made").write_bytes(pickle.dumps(made))
    np.save(tmp_path / "in.npy", image)
    script = (
        "import pickle, sys, numpy as np\n"
        "made = pickle.load(open('made', 'rb'))\n"
        "np.save('out.npy', made.compute(np.load('in.npy'), region=(slice(100, 250), slice(0, 300))))\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, timeout=60)
    assert same_bits(np.load(tmp_path / "out.npy"), whole[:, :, 100:250])


def test_the_same_question_finds_the_same_convolution(monkeypatch):
    image, kernel = np.zeros((1, 1, 9, 9), np.float32), RNG.random((1, 1, 3, 3))
    made = prepare(image, kernel, border="wrap")
    assert prepare(image + 1, kernel.copy(), border="wrap") is made
    others = [
        prepare(image, kernel),
        prepare(image, kernel, border="wrap", mode="full"),
        prepare(image, kernel * 2, border="wrap"),
        prepare(image.astype(float), kernel, border="wrap"),
        prepare(image[..., 1:], kernel, border="wrap"),
        prepare(image, kernel, border="wrap", threads=1),
    ]
    assert made not in others
    with monkeypatch.context() as patch:
        if "scipy.sparse" in sys.modules:
            patch.delitem(sys.modules, "scipy.sparse")
        else:
            patch.setitem(sys.modules, "scipy.sparse", None)
        assert prepare(image, kernel, border="wrap") is not made  # what it takes to import counts


def test_arguments_that_are_merely_equal_are_told_apart():
    image, kernel = np.zeros((8, 8)), np.ones((3, 3))
    convcli.convolve(image, kernel, stride=2)
    with pytest.raises(convcli.errors.UsageError, match="whole number"):
        convcli.convolve(image, kernel, stride=2.0)
    assert convcli.convolve(image, kernel, stride=[2, 2]).shape == (4, 4)
    assert convcli.convolve(image, kernel, stride=np.array([2, 1])).shape == (4, 8)


def test_what_the_largest_sample_decides_is_not_taken_from_another_image():
    kernel = np.full((3, 3), 1 << 12)
    small, large = np.full((5, 5), 7, np.int32), np.full((5, 5), 2**31 - 1, np.int32)
    for image in (small, large, small):
        found = convcli.convolve(image, kernel, mode="valid")
        assert found.tolist() == [[int(image[0, 0]) * 9 << 12] * 3] * 3


def test_a_large_kernel_is_not_kept():
    image, kernel = np.zeros((1, 1, 300, 300)), RNG.random((1, 1, 200, 200))
    before = _known.cache_info().currsize
    prepare(image, kernel)
    assert _known.cache_info().currsize == before


@pytest.mark.parametrize("backend", STREAMED)
def test_backends_are_given_the_tiles_that_the_plan_names(monkeypatch, backend):
    image = RNG.standard_normal((2, 1, 50, 70))
    made = tiled(
        prepare(image, RNG.standard_normal((1, 1, 4, 5)), stride=2, backend=backend, threads=1), (8, 9)
    )
    module, seen = backends.load(backend), []
    original = module.prepare

    def watched(kernels, spec, tile):
        assert tile == (8, 9)
        apply = original(kernels, spec, tile)

        def applied(window, out):
            seen.append(out.shape[1:])
            apply(window, out)

        return applied

    monkeypatch.setattr(module, "prepare", watched)
    made.compute(image)
    plan = made.plan.schedule
    wanted = [tile.shape for _ in image for tile in plan.tiles() for _ in plan.pieces()]
    assert seen == wanted
    assert len(plan.pieces()) == 4
    assert plan.tile_count == len(wanted) // 8


def test_tiles_are_all_outputs_once():
    spec = ConvSpec((41, 67), (3, 4), stride=(1, 2), dilation=(3, 2))
    seen = np.zeros(spec.output_shape, int)
    for tile in replace(schedule("direct", spec, 0), tile=(5, 7)).tiles():
        phase = seen[tile.phase.outputs]
        phase[tuple(slice(c, c + n) for c, n in zip(tile.corner, tile.shape, strict=True))] += 1
    assert (seen == 1).all()


def test_a_printed_plan_says_what_runs():
    image = np.zeros((3, 1, 480, 640), np.float32)
    made = prepare(image, RNG.standard_normal((1, 1, 31, 31)), border="nearest", backend="fft", threads=2)
    lines = str(made).splitlines()
    plan = made.plan.schedule
    assert lines[0] == "convolve   480×640 with 31×31, mode same, border nearest: 480×640"
    assert lines[3] == "kernel     as a whole, 31×31"
    assert lines[4] == f"tiles      {plan.tile_count} of {plan.tile[0]}×{plan.tile[1]}; 3 planes"
    assert lines[5] == f"threads    {plan.threads}"
    strided = str(prepare(image, np.ones((1, 1, 31, 31)), stride=2, backend="direct"))
    assert ", 16×16 at most, in 4 pieces" in strided


def test_a_call_is_planned_once_and_a_second_one_not_at_all(monkeypatch):
    calls = []
    plan = planner.plan
    monkeypatch.setattr(planner, "plan", lambda *args, **more: calls.append(1) or plan(*args, **more))
    image, kernel = RNG.random((31, 33)).astype(np.float32), RNG.random((5, 3))
    first = convcli.convolve(image, kernel)
    assert calls == [1]
    assert same_bits(convcli.convolve(image, kernel), first)
    assert calls == [1]


def test_a_convolution_refuses_an_image_that_it_was_not_prepared_for():
    made = prepare(np.zeros((1, 1, 20, 12), np.uint8), np.ones((1, 1, 3, 3), int))
    for image in (
        np.zeros((1, 1, 20, 12)),
        np.zeros((1, 1, 20, 13), np.uint8),
        np.zeros((2, 1, 20, 12), "u1"),
    ):
        with pytest.raises(convcli.errors.UsageError, match="is not what was prepared for"):
            made.compute(image)


def test_a_region_is_a_run_of_outputs():
    image = RNG.random((1, 1, 20, 12))
    made = prepare(image, np.ones((1, 1, 3, 3)))
    whole = made.compute(image)
    for region in [(slice(5, 3), slice(None)), (slice(-4, None), slice(2, -2)), (slice(18, 99), slice(0, 0))]:
        assert same_bits(made.compute(image, region=region), whole[(..., *region)])
    with pytest.raises(convcli.errors.UsageError, match="region has step 2"):
        made.compute(image, region=(slice(0, 10, 2), slice(None)))


def test_a_plan_of_very_many_phases_and_pieces_stays_small():
    image = np.zeros((1, 1, 1_300_000), np.float32)
    for options in ({"dilation": 20_000}, {"stride": 1000}):
        made = prepare(
            image, np.ones((1, 1, 5000 if "stride" in options else 3)), backend="direct", **options
        )
        assert len(pickle.dumps(made)) < 60_000
    assert made.plan.schedule.tile_count == len(list(made.plan.schedule.tiles()))


@given(st.integers(0, 60), st.integers(1, 9), st.integers(1, 9))
def test_runs_are_counted_as_they_are_cut(total, step, size):
    cut = [len(range(total)[first::step]) for first in range(min(step, total))]
    assert runs(total, step, size) == sum(-(-n // size) for n in cut)


def test_positions_of_long_axes_are_not_kept():
    image, kernel = np.zeros((1, 1, 100_000), np.float32), np.ones((1, 1, 3))
    made = prepare(image, kernel)
    made.compute(image)
    assert sum(getattr(value, "nbytes", 0) for value in made.__dict__.values()) < 1000
    assert "indices" not in made.__dict__
