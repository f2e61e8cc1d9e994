"""Every test with a `backend` argument runs once per backend, and once with `auto`."""

from __future__ import annotations

import os
import tempfile
from functools import cache

import pytest
from hypothesis import settings

# The same examples every time by default; `--hypothesis-profile=explore` looks for new ones.
settings.register_profile("steady", deadline=None, database=None, derandomize=True, max_examples=20)
settings.register_profile("explore", deadline=None, database=None, max_examples=500)
settings.load_profile("steady")


def pytest_configure(config: pytest.Config) -> None:
    """Keep the tests and whoever runs them out of each other's calibration; child processes inherit this."""
    folder = tempfile.TemporaryDirectory(prefix="convcli-settings-")
    config.add_cleanup(folder.cleanup)
    os.environ["XDG_CONFIG_HOME"] = folder.name


@cache
def backend_params() -> tuple:
    """Return every backend; those that cannot run here carry their own reason as the skip's."""
    from convcli import backends

    params: list = ["auto"]
    for name in sorted({*backends.names()} - {"cuda"}):  # it says that it is not built yet, and no more
        reason = backends.load(name).unavailable()
        params.append(pytest.param(name, marks=pytest.mark.skip(reason=reason) if reason else ()))
    return tuple(params)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    marked = [name for mark in metafunc.definition.iter_markers("parametrize") for name in mark.args[:1]]
    if "backend" in metafunc.fixturenames and "backend" not in str(marked):
        metafunc.parametrize("backend", backend_params())
