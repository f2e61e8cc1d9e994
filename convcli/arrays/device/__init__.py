"""The GPU, by way of CuPy: whether there is one, its memory, its errors and its clock.

Open ``kernels`` for our own kernels, which ``kernels.cu`` holds. Nothing else imports CuPy, and this does so
when a question comes that only CuPy can answer. Imports ``errors`` and ``text``.
"""

import contextlib
import functools
import gc
import importlib.util
import math
import re
import sys
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convcli.errors import BackendError, ConvcliError
from convcli.text import bytes_text

Array = Any  # of CuPy: it may not be installed
PATIENCE = 10.0  # seconds that a driver has to answer
MISSING = re.compile(r"Failure finding|DynamicLib|lib\w+\.so|\w+\.dll", re.IGNORECASE)
NO_DEVICE = "there is no GPU that CUDA can use; see nvidia-smi, and CUDA_VISIBLE_DEVICES"
INSTALL = 'pip install "convcli[cuda]"'


def unavailable() -> str | None:
    """Reason why no GPU can be used, with a remedy; None if one can. Looks once."""
    return _found()[0]


@functools.cache
def _found() -> tuple[str | None, str]:
    """Reason why there is none, and a description of the one there is."""
    if importlib.util.find_spec("cupy") is None:
        return f"CuPy is not installed; with an NVIDIA card and its driver: {INSTALL}", ""
    answer: list[tuple[str | None, str]] = []
    # A driver that hangs must not take the program with it.
    asking = threading.Thread(target=lambda: answer.append(_asked()), name="look for a GPU", daemon=True)
    asking.start()
    asking.join(PATIENCE)
    if not answer:
        return f"the driver of the GPU has not answered within {PATIENCE:g} s; see nvidia-smi", ""
    return answer[0]


def _asked() -> tuple[str | None, str]:
    try:
        runtime = cupy().cuda.runtime
        driver, built = runtime.driverGetVersion(), runtime.runtimeGetVersion()
    except Exception as error:  # any fault of an installation
        return f"CuPy does not work here: {line(error)}; reinstall it: {INSTALL}", ""
    if driver == 0:
        return "there is no NVIDIA driver; install the one for your card", ""
    if driver // 1000 < built // 1000:
        old = ', or pip install "convcli[cuda12]"' if driver // 1000 == 12 else ""
        versions = f"the NVIDIA driver is for CUDA {_version(driver)} and CuPy for {_version(built)}"
        return f"{versions}; update the driver{old}", ""
    try:
        if runtime.getDeviceCount() == 0:
            return NO_DEVICE, ""
        number = runtime.getDevice()
        facts = runtime.getDeviceProperties(number)
        name = facts["name"].decode(errors="replace")
    except Exception as error:
        silent = f"the GPU does not answer: {line(error)}; see nvidia-smi"
        return NO_DEVICE if "NoDevice" in str(error) else silent, ""
    memory, unit = bytes_text(facts["totalGlobalMem"]), f"{facts['major']}.{facts['minor']}"
    more = runtime.getDeviceCount() - 1
    return None, (
        f"{name}, {memory}, compute capability {unit}, driver for CUDA {_version(driver)}, "
        f"CuPy {cupy().__version__}" + (f" (number {number}; {more} more not used)" if more else "")
    )


def describe() -> str:
    """Describe the GPU, or say why there is none."""
    reason, text = _found()
    return text if reason is None else f"not used: {reason}"


def _version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"


def line(error: BaseException) -> str:
    """First line with words in it of an exception's message, without the full stop."""
    lines = (text.strip() for text in str(error).splitlines())
    text = next((t for t in lines if any(c.isalpha() for c in t)), type(error).__name__)
    return text[:200].rstrip(".")


def cupy() -> Any:
    """Import CuPy."""
    import cupy

    return cupy


def owns(value: object) -> bool:
    """Whether an array of any library lies in the memory of a GPU."""
    # PyTorch's arrays have the attribute by type, and only those on a GPU by value.
    return not isinstance(value, np.ndarray) and hasattr(value, "__cuda_array_interface__")


class OutOfDeviceMemoryError(MemoryError):
    """The memory of the GPU is used up."""


@contextlib.contextmanager
def errors() -> Iterator[None]:
    """Raise errors of CuPy and CUDA as `OutOfDeviceMemoryError`, or as `BackendError` in one line."""
    cuda = cupy().cuda
    try:
        yield
    except ConvcliError:  # it has its line
        raise
    except cuda.memory.OutOfMemoryError as error:
        raise OutOfDeviceMemoryError(line(error)) from error
    except (RuntimeError, ImportError, cuda.compiler.CompileException) as error:
        if MISSING.search(str(error)):  # CuPy looks for a library of CUDA when it first needs it
            text = f"a library of CUDA is missing: {line(error)}; {INSTALL}, or use another backend"
            raise BackendError(text) from error
        if not type(error).__module__.startswith("cupy"):  # the exceptions of CUDA, cuBLAS and cuFFT
            raise
        if re.search("MemoryAllocation|OUT_OF_MEMORY|ALLOC_FAILED", str(error)):
            raise OutOfDeviceMemoryError(line(error)) from error
        text = f"the GPU failed: {line(error)}; use another backend, or see nvidia-smi"
        raise BackendError(text) from error


def free_bytes() -> int:
    """Bytes that can be allocated, including those that CuPy keeps for later."""
    pool = cupy().get_default_memory_pool()
    free: int = cupy().cuda.runtime.memGetInfo()[0] + pool.free_bytes()
    limit: int = pool.get_limit()
    return max(0, min(free, limit - pool.used_bytes()) if limit else free)


def release() -> None:
    """Give back memory that CuPy keeps for later, and that tracebacks of errors keep alive."""
    gc.collect()
    if "cupy.cuda.cufft" in sys.modules:  # plans of transforms hold memory to work in
        cupy().fft.config.get_plan_cache().clear()
    cupy().get_default_memory_pool().free_all_blocks()


def to_device(array: NDArray[Any]) -> Array:
    """Copy an array of the host."""
    with phase("transfer"):
        return cupy().asarray(array)


def to_host(array: Array) -> NDArray[Any]:
    """Copy an array to the host."""
    with phase("transfer"):
        found: NDArray[Any] = array.get()
    return found


_phases: dict[str, list[Any]] | None = None
_NOTHING = contextlib.nullcontext()
compiled = [0.0]  # seconds spent on compilation so far


def phase(name: str) -> contextlib.AbstractContextManager[None]:
    """Time the work of the GPU meanwhile, if it is `watched`; an inner phase of that name counts instead."""
    return _NOTHING if _phases is None else _timed(_phases.setdefault(name, []))


@contextlib.contextmanager
def _timed(noted: list[Any]) -> Iterator[None]:
    before = len(noted)
    event = cupy().cuda.Event
    began, ended = event(), event()
    began.record()
    yield
    ended.record()
    if len(noted) == before:
        noted.append((began, ended))


@contextlib.contextmanager
def watched() -> Iterator[dict[str, float]]:
    """Yield a dictionary that in the end holds seconds of the GPU's clock, for ``transfer`` and ``kernel``.

    Those of ``compile`` are the host's.
    """
    global _phases
    found: dict[str, float] = {}
    _phases, before = {}, _phases
    already = compiled[0]
    try:
        yield found
        cupy().cuda.get_current_stream().synchronize()
        for name, pairs in _phases.items():
            found[name] = sum(cupy().cuda.get_elapsed_time(*pair) for pair in pairs) / 1e3
        found["compile"] = compiled[0] - already
    finally:
        _phases = before


def out_of_memory(needed: float) -> BackendError:
    """Return the error for work that needs so many bytes, as far as that is known."""
    free, total = free_bytes(), cupy().cuda.runtime.memGetInfo()[1]
    known = f"at least {bytes_text(math.ceil(needed))} are needed" if needed > free else "more is needed"
    return BackendError(
        f"the GPU has {bytes_text(free)} of {bytes_text(total)} free, and {known}; "
        "close what else uses it, or use another backend"
    )


def at(array: Array) -> contextlib.AbstractContextManager[None]:
    """Work on the GPU that an array lies on, if it lies on one; `BackendError` if that fails."""
    return _NOTHING if isinstance(array, np.ndarray) else _at(array)


@contextlib.contextmanager
def _at(array: Array) -> Iterator[None]:
    try:
        with errors(), cupy().cuda.Device(array.device.id):
            yield
    except OutOfDeviceMemoryError:
        release()
        raise out_of_memory(2 * array.nbytes) from None
