"""The stand-in for a GPU, and the real one where there is one."""

from __future__ import annotations

import contextlib
import importlib
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).with_name("standin")


def no_emulator() -> str | None:
    """Why the kernels of CUDA cannot be run on the processor, or None."""
    return None if shutil.which("g++") else "g++, which emulates the GPU, is not installed"


def forget() -> None:
    """Have convcli look for a GPU once more."""
    from convcli.arrays import device
    from convcli.arrays.device import kernels
    from convcli.engine import planner

    for kept in (device._found, kernels._module_on, planner._considered, planner._installed):
        kept.cache_clear()
    kernels._last.clear()


@contextlib.contextmanager
def standin() -> Iterator[Any]:
    """Let CuPy be the stand-in of `tests/standin`, whose arrays lie on the host and will not mix.

    Yields
    ------
    object
        Its state: what it has seen, and what is to go wrong.
    """
    before = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "cupy"}
    for name in before:
        del sys.modules[name]
    sys.path.insert(0, str(FOLDER))
    forget()
    try:
        state = importlib.import_module("cupy._state").state
        state.reset()
        yield state
    finally:
        sys.path.remove(str(FOLDER))
        for name in [name for name in sys.modules if name.partition(".")[0] in ("cupy", "emulator")]:
            del sys.modules[name]
        sys.modules.update(before)
        forget()
