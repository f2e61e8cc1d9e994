"""A new backend is one file; everything that lists, plans or checks backends finds it."""

import json

import numpy as np
import pytest
from shell import save, within

import convcli
from convcli import backends
from convcli.engine import planner, problem

SHIFTED = '''
"""A made-up backend: the sum over cells of shifted copies."""
import math
import numpy as np
from convcli.spec import Cost

SUMMARY = "shifted copies, one per cell"
USES_BLAS = False
IN_PASSES = False
RATES = {"copy": 1e-15}

def unavailable():
    return None

def unsupported(spec):
    return None if len(spec.kernel_shape) == 2 else "only images"

def cost(spec):
    work = {"copy": spec.samples * math.prod(spec.kernel_shape)}
    return Cost(work["copy"], 0, 0, work)

def tile(spec):
    return spec.output_shape

def prepare(kernels, spec, tile):
    def apply(window, out):
        image = window.samples()
        out[...] = 0
        for o, c, i, j in np.ndindex(kernels.shape):
            height, width = out.shape[1:]
            out[o] += kernels[o, c, i, j] * image[c, i : i + height, j : j + width]
    return apply
'''
CACHES = [
    cached
    for module in (backends, planner, problem)
    for cached in vars(module).values()
    if hasattr(cached, "cache_clear")
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Add a file to the folder of backends."""
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "shifted.py").write_text(SHIFTED)
    monkeypatch.setattr(backends, "__path__", [*backends.__path__, str(tmp_path / "more")])
    for cached in CACHES:
        cached.cache_clear()
    yield tmp_path
    for cached in CACHES:
        cached.cache_clear()


@pytest.mark.usefixtures("folder")
def test_a_new_backend_computes_what_the_others_do():
    image, kernel = np.random.default_rng(0).random((20, 30)), np.random.default_rng(1).random((4, 3))
    for options in ({}, {"mode": "full", "border": "wrap"}, {"stride": 2, "dilation": (2, 1)}):
        found = convcli.convolve(image, kernel, backend="shifted", **options)
        np.testing.assert_allclose(found, convcli.convolve(image, kernel, backend="direct", **options))


def test_a_new_backend_is_listed_chosen_refused_and_explained(folder):
    save(folder / "a.png", np.zeros((9, 9), np.uint8))
    assert "shifted copies, one per cell" in within("backends", cwd=folder).out.decode()
    done = within("convolve", "a.png", "-k", "1 2 3; 4 5 7", "-o", "b.png", "--explain", "--json", cwd=folder)
    record = json.loads(done.out)["files"][0]
    assert record["backend"] == "shifted"  # it says that it takes no time
    assert "shifted" in [candidate["candidate"] for candidate in record["plan"]]
    np.save(folder / "a.npy", np.zeros(9))
    done = within("convolve", "a.npy", "-k", "1 2 3", "-b", "shifted", "-o", "b.npy", cwd=folder)
    assert (done.status, "only images" in done.err) == (4, True)
    assert (
        "shifted"
        in within("toeplitz", "-k", "1 2; 3 4", "--shape", "3x3", "--verify", cwd=folder).out.decode()
    )
