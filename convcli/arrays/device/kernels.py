"""Our own kernels, compiled for the GPU at hand: ``kernels.cu``."""

import contextlib
import functools
import itertools
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from convcli.arrays import device
from convcli.arrays.device import Array
from convcli.errors import BackendError

Indices = Sequence[NDArray[np.intp]]
TYPES = {
    "float32": "float",
    "float64": "double",
    "int8": "signed char",
    "uint8": "unsigned char",
    "int16": "short",
    "uint16": "unsigned short",
    "int32": "int",
    "uint32": "unsigned",
    "int64": "long long",
    "uint64": "unsigned long long",
}
VECTORS = {"float32": "float4", "float64": "double2", "int64": "longlong2"}
VECTOR_BYTES = 16
CONSTANT_BYTES = 60 << 10  # of 64 KiB, for cells of kernels
# Cells of a kernel that are done at a time, of a signal and of an image: the samples that they need must fit
# into 48 KiB of shared memory. Outputs of a thread one above the other, threads of a block down and across.
LARGEST_BLOCK = {1: (1, 512), 2: (32, 32)}
SIGNAL_THREADS, IMAGE_THREADS = (1, 1, 128), (8, 4, 32)
COPY_THREADS, COPY_PART = 256, 1024
MOST_BLOCKS = 2**31 - 1


def _module(definitions: tuple[tuple[str, object], ...]) -> Any:
    """Compile ``kernels.cu`` for the GPU in use; CuPy keeps what it compiled, on disk too."""
    return _module_on(device.cupy().cuda.runtime.getDevice(), definitions)


@functools.cache
def _module_on(_: int, definitions: tuple[tuple[str, object], ...]) -> Any:
    began = time.perf_counter()
    source = Path(__file__).with_name("kernels.cu").read_text(encoding="utf-8")
    options = ("-std=c++17", *(f"-D{name}={value}" for name, value in definitions))
    try:
        module = device.cupy().RawModule(code=source, options=options)
        module.compile()
    except OSError as error:
        folder = f"CuPy cannot keep what it compiles: {device.line(error)}"
        raise BackendError(f"{folder}; let CUPY_CACHE_DIR name a folder that can be written") from error
    device.compiled[0] += time.perf_counter() - began
    return module


def gather(image: Array, indices: Indices, fill: float, dtype: DTypeLike, nonfinite: Array) -> Array:
    """Copy samples by position on the last 1 to 3 axes; set `nonfinite` to 1 if one is not finite."""
    kind: Any = np.dtype(dtype)
    lengths = tuple(map(len, indices))
    copy = device.cupy().empty((*image.shape[: image.ndim - len(indices)], *lengths), kind)
    if copy.size == 0:
        return copy
    items, channels, steps = _steps(image, len(indices))
    module = _module((("REAL", TYPES[kind.name]), ("SAMPLE", TYPES[image.dtype.name])))
    parts = copy.size // lengths[-1] * -(-lengths[-1] // COPY_PART)
    arguments = (
        *(image, *steps, *_positions(indices)),
        *map(np.int64, (items, channels, *_three(lengths))),
        *(kind.type(fill), copy, _flag(nonfinite)),
    )
    module.get_function("gather")((min(parts, MOST_BLOCKS),), (COPY_THREADS,), arguments)
    return copy


class Correlation:
    """A bank of kernels (outputs, channels, *spatial), cut into blocks as the compiled code wants them."""

    def __init__(self, kernels: Array) -> None:
        self.dtype = np.dtype(kernels.dtype)
        self.axes = kernels.ndim - 2
        self.outputs, channels = kernels.shape[:2]
        deep, high, wide = _three(kernels.shape[2:])
        self.deep = deep
        self.lanes = VECTOR_BYTES // self.dtype.itemsize
        self.threads = SIGNAL_THREADS if self.axes == 1 else IMAGE_THREADS
        limits = LARGEST_BLOCK[min(self.axes, 2)]
        self.down, self.across = (-(-n // limit) for n, limit in zip((high, wide), limits, strict=True))
        self.high, self.wide = -(-high // self.down), -(-wide // self.across)
        pitch = -(-self.wide // self.lanes) * self.lanes
        self.blocks = channels * deep * self.down * self.across
        # Rows end on 16 bytes; there are zeros beyond the kernel.
        whole = (self.outputs, channels, deep, self.down * self.high, self.across * self.wide)
        padded = device.cupy().zeros(whole, self.dtype)
        padded[:, :, :, :high, :wide] = kernels.reshape(self.outputs, channels, deep, high, wide)
        split = padded.reshape(*whole[:3], self.down, self.high, self.across, self.wide).swapaxes(4, 5)
        self.cells = device.cupy().zeros((*split.shape[:-1], pitch), self.dtype)
        self.cells[..., : self.wide] = split
        self.cells = self.cells.reshape(self.outputs, self.blocks, -1)

    def _compiled(self, sample: np.dtype[Any]) -> Any:
        names = ("REAL", "SAMPLE", "LANES", "VECTOR", "HIGH", "WIDE", "CELLS", "ROWS", "DOWN", "ACROSS")
        types = TYPES[self.dtype.name], TYPES[sample.name], self.lanes, VECTORS[self.dtype.name]
        sizes = self.high, self.wide, CONSTANT_BYTES // self.dtype.itemsize, *self.threads
        return _module(tuple(zip(names, (*types, *sizes), strict=True)))

    def _launches(self) -> Iterator[tuple[int, int, int, int]]:
        """First output and number of them, first block and number: as many as constant memory holds."""
        most = max(1, CONSTANT_BYTES // self.dtype.itemsize // self.cells.shape[2])
        together = max(1, most // self.blocks)
        for output in range(0, self.outputs, together):
            for first in range(0, self.blocks, most):
                yield output, min(together, self.outputs - output), first, min(most, self.blocks - first)

    def __call__(
        self, image: Array, out: Array, indices: Indices, steps: Sequence[int], fill: float, nonfinite: Array
    ) -> None:
        """Fill `out` (items, outputs, *shape), rows contiguous; samples are taken as `gather` takes them."""
        if out.size == 0:
            return
        module = self._compiled(image.dtype)
        correlate, weights = module.get_function("correlate"), module.get_global("weights")
        items, _, strides = _steps(image, self.axes)
        positions = _positions(indices)
        depth, height, width = _three(out.shape[2:])
        size = self.dtype.itemsize
        item, step, plane, row, _ = (s // size for s in _five(out.strides, out.shape, self.axes))
        aligned = all(s % self.lanes == 0 for s in (item, step, plane, row))
        dense = all(s == 1 for s in steps[-2:])
        rows, down, across = self.threads
        tiles = -(-width // (across * self.lanes)) * -(-height // (down * rows)) * depth * items
        for output, count, first, blocks in self._launches():
            if tiles * count > MOST_BLOCKS:
                raise BackendError(
                    f"{tiles * count:.3g} blocks of threads are more than a GPU takes at a time; "
                    "use a smaller image, or another backend"
                )
            cells = self.cells[output, first : first + blocks] if count == 1 else self.cells[output:][:count]
            target = out[:, output:]
            arguments = (
                *(image, *strides, *positions, *map(np.int64, map(len, _lists(indices)))),
                *(self.dtype.type(fill), target, *map(np.int64, (item, step, plane, row))),
                *(np.uint32(count), np.uint32(depth), np.int64(height), np.int64(width)),
                *map(np.int32, (self.deep, self.down, self.across, first, first + blocks, first > 0)),
                *map(np.int32, (aligned and target.data.ptr % VECTOR_BYTES == 0, dense)),
                _flag(nonfinite),
            )
            # There is one constant memory: no other thread may fill it before this kernel is launched.
            with _constant, _after_the_last():
                weights.copy_from_device_async(
                    cells.data, cells.nbytes, device.cupy().cuda.get_current_stream()
                )
                with device.phase("kernel"):
                    correlate((tiles * count,), (across, down), arguments)


_constant = threading.Lock()
_last: list[Any] = []


@contextlib.contextmanager
def _after_the_last() -> Iterator[None]:
    """Have the current stream wait for the kernel that was launched last, on any stream."""
    stream = device.cupy().cuda.get_current_stream()
    if _last:
        stream.wait_event(_last[0])
    yield
    event = device.cupy().cuda.Event(disable_timing=True)
    event.record(stream)
    _last[:] = [event]


def _three(lengths: Sequence[int]) -> tuple[int, int, int]:
    """Depth, height and width."""
    deep, high, wide = (*(1,) * (3 - len(lengths)), *lengths)
    return deep, high, wide


def _lists(indices: Indices) -> list[NDArray[np.intp]]:
    """A list of positions for each of three axes."""
    return [np.zeros(1, np.intp)] * (3 - len(indices)) + list(indices)


def _positions(indices: Indices) -> list[Array]:
    """Bring the positions to the GPU, all three lists in one go."""
    lists = [np.asarray(i, np.int64) for i in _lists(indices)]
    together = device.cupy().asarray(np.concatenate(lists))
    starts = np.cumsum([0, *map(len, lists)]).tolist()
    return [together[a:b] for a, b in itertools.pairwise(starts)]


def _five(steps: Sequence[int], shape: Sequence[int], axes: int) -> tuple[int, ...]:
    """Steps of item, channel, plane, row and column; 0 for what is not there."""
    leading = steps[: len(shape) - axes]
    return (*(0,) * (2 - len(leading)), *leading, *(0,) * (3 - axes), *steps[len(shape) - axes :])


def _steps(image: Array, axes: int) -> tuple[int, int, list[np.int64]]:
    """Items, channels, and the steps from one sample to the next along five axes, in samples."""
    leading = image.shape[: image.ndim - axes]
    items, channels = (1,) * (2 - len(leading)) + tuple(leading)
    steps = _five(image.strides, image.shape, axes)
    return items, channels, [np.int64(s // image.dtype.itemsize) for s in steps]


def nonfinite_flag() -> Array:
    """Return an array, (1,) int32, in which `gather` and `Correlation` note samples that are not finite."""
    return device.cupy().zeros(1, np.int32)


def _flag(nonfinite: Array | None) -> Array:
    """Return the flag, or a spare one where the answer is not used."""
    return device.cupy().empty(1, np.int32) if nonfinite is None else nonfinite
