"""Kernels in CUDA C++, run by the emulator."""
# ruff: noqa: ARG002

import numpy as np

from ._core import ndarray
from ._state import state
from .cuda.compiler import CompileException
from .cuda.driver import CUDADriverError
from .cuda.memory import MemoryPointer, UnownedMemory


def argument(value):
    """The bytes of an argument of a kernel."""
    if isinstance(value, (ndarray, MemoryPointer)):
        return np.uint64(value.data.ptr if isinstance(value, ndarray) else value.ptr).tobytes()
    if isinstance(value, np.generic):
        return value.tobytes()
    if value is None:
        return bytes(8)
    if isinstance(value, int):
        return np.int64(value).tobytes()  # bool, too, is an int of 8 bytes to CuPy
    if isinstance(value, (float, complex)):
        return np.asarray(value).tobytes()
    raise TypeError(f"Unsupported type {type(value)}")


class RawKernel:
    """A function of a module, as `RawModule.get_function` gives it."""

    def __init__(self, module, name):
        self._module, self.name = module, name
        self.max_dynamic_shared_size_bytes = 48 << 10

    def __call__(self, grid, block, args, *, shared_mem=0, stream=None):
        if type(grid) is not tuple or type(block) is not tuple:
            raise TypeError("Expected tuple, got a grid or a block of another type")
        grid, block = ((*(max(1, n) for n in size), 1, 1)[:3] for size in (grid, block))
        if block[0] * block[1] * block[2] > 1024 or block[2] > 64 or max(grid[1:]) > 65535:
            raise CUDADriverError(1)
        if shared_mem > self.max_dynamic_shared_size_bytes:
            raise CUDADriverError(1)
        data = [argument(value) for value in args]
        state.log.append(("launch", self.name))
        self._module.compile()
        self._module._library.launch(self.name, grid, block, shared_mem, data)


class RawModule:
    """Source that is compiled when it is first needed."""

    def __init__(
        self,
        *,
        code=None,
        path=None,
        options=(),
        backend="nvrtc",
        translate_cucomplex=False,
        enable_cooperative_groups=False,
        name_expressions=None,
        jitify=False,
    ):
        if (code is None) == (path is None):
            raise TypeError("Exactly one of `code` and `path` keyword arguments must be given.")
        if type(options) is not tuple:
            raise TypeError(
                f"Argument 'options' has incorrect type (expected tuple, got {type(options).__name__})"
            )
        if code is None:
            with open(path) as file:
                code = file.read()
        self.code, self.options, self.backend = code, options, backend
        self._library = None

    def compile(self, log_stream=None):
        """Compile the source, unless that is done."""
        if self._library is None:
            state.check(0)
            import emulator

            try:
                self._library = emulator.build(self.code, self.options)
            except RuntimeError as error:
                message = str(error)
                raise CompileException(message, self.code, "kern.cu", self.options, self.backend) from error

    def get_function(self, name):
        """A kernel, by name."""
        self.compile()
        return RawKernel(self, name)

    def get_global(self, name):
        """A pointer to a variable of the module, by name."""
        self.compile()
        return MemoryPointer(UnownedMemory(self._library.symbol(name), 0, self), 0)
