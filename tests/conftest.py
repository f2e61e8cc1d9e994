"""Every test with a `backend` argument runs once per backend, and once with `auto`."""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import gpu
import pytest
from hypothesis import settings

# The same examples every time by default; `--hypothesis-profile=explore` looks for new ones.
settings.register_profile("steady", deadline=None, database=None, derandomize=True, max_examples=20)
settings.register_profile("explore", deadline=None, database=None, max_examples=500)
settings.load_profile("steady")


collect_ignore = ["standin"]  # it would be imported, and be the CuPy of all tests


def pytest_configure(config: pytest.Config) -> None:
    """Keep the tests and whoever runs them out of each other's calibration; child processes inherit this."""
    folder = tempfile.TemporaryDirectory(prefix="convcli-settings-")
    config.add_cleanup(folder.cleanup)
    os.environ["XDG_CONFIG_HOME"] = folder.name
    paths = []  # of the processes that tests begin
    if _on_gpu(config):  # from a checkout in which nothing was installed
        paths.append(str(Path(__file__).parents[1]))
    else:  # what is not about it shall not depend on it
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    if config.option.standin:
        stack = ExitStack()
        stack.enter_context(gpu.standin())
        config.add_cleanup(stack.close)
        paths.append(str(gpu.FOLDER))
    if paths:
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [*paths, os.environ.get("PYTHONPATH")]))


def pytest_addoption(parser: pytest.Parser) -> None:
    """With it ``-m gpu`` needs no GPU: what the code does is tested, and not what CUDA makes of it."""
    parser.addoption(
        "--standin", action="store_true", help="run the tests of the GPU on the stand-in for one"
    )


@cache
def backend_params(on_gpu: bool) -> tuple:
    """Return every backend of the host, or of the GPU, where none means that the tests are skipped."""
    from convcli import backends
    from convcli.arrays import device

    if not on_gpu:
        return ("auto", *(n for n in backends.heads() if not backends.is_family(n)))
    reason = device.unavailable()
    marks = [pytest.mark.gpu, *([pytest.mark.skip(reason=reason)] if reason else [])]
    return tuple(pytest.param(name, marks=marks) for name in ("cuda", *backends.members("cuda")))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    marked = [name for mark in metafunc.definition.iter_markers("parametrize") for name in mark.args[:1]]
    if "backend" in metafunc.fixturenames and "backend" not in str(marked):
        metafunc.parametrize("backend", backend_params(_on_gpu(metafunc.config)))


def _on_gpu(config: pytest.Config) -> bool:
    """Whether the tests that need a GPU were asked for."""
    wanted = config.option.markexpr
    return "gpu" in wanted and "not gpu" not in wanted
