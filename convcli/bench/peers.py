"""Other people's convolutions: libraries that solve the same problem, each as one would write it.

The rules, for all alike: the small kernel is turned round and converted beforehand; what is done to the
image, a conversion of its type or a margin around it, is part of the time. 8-bit images give floats, as
ours do. To add a peer, write a function that returns the call to time, and name it in `PEERS`.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np

from convcli.arrays.library import Array
from convcli.bench.contestants import Contestant, Problem
from convcli.text import shape_text

Call = Callable[[], object]


def peers() -> list[Contestant]:
    """Return every library that convcli can be timed against, installed or not.

    Nothing is imported before a contestant is asked whether it refuses.

    Examples
    --------
    >>> [peer.name for peer in peers()][:4]
    ['ndimage.correlate', 'signal.convolve2d', 'signal.fftconvolve', 'signal.oaconvolve']
    """
    return [_contestant(peer) for peer in PEERS]


def _floats(problem: Problem) -> type[np.floating[Any]]:
    """Return the type to compute in, which is ours: 8-bit images are filtered in float32."""
    return np.float64 if problem.case.dtype == "float64" else np.float32


def _turned(problem: Problem) -> Array:
    """Return the kernel to correlate with; its origin is then at ``n // 2``."""
    return np.ascontiguousarray(problem.kernel[::-1, ::-1], _floats(problem))


def _ndimage(ndimage: Any, problem: Problem) -> Call:
    image, weights, floats = problem.image, _turned(problem)[np.newaxis], _floats(problem)
    return lambda: ndimage.correlate(image, weights, output=floats, mode="constant", cval=0.0)


def _convolve2d(signal: Any, problem: Problem) -> Call:
    image, floats = problem.image, _floats(problem)
    weights = problem.kernel.astype(floats)
    return lambda: [signal.convolve2d(plane.astype(floats, copy=False), weights, "same") for plane in image]


def _by_fft(name: str) -> Callable[[Any, Problem], Call]:
    def build(signal: Any, problem: Problem) -> Call:
        image, floats, convolve = problem.image, _floats(problem), getattr(signal, name)
        weights = problem.kernel[np.newaxis].astype(floats)
        return lambda: convolve(image.astype(floats, copy=False), weights, "same", axes=(1, 2))

    return build


def _filter2d(cv2: Any, problem: Problem) -> Call:
    image, weights = problem.image, _turned(problem)
    depth = cv2.CV_64F if weights.dtype == np.float64 else cv2.CV_32F
    zeros = cv2.BORDER_CONSTANT
    return lambda: [cv2.filter2D(plane, depth, weights, borderType=zeros) for plane in image]


def _conv2d(torch: Any, problem: Problem) -> Call:
    image = torch.tensor(problem.image)[:, None]  # planes: a batch of images with one channel each
    weights = torch.tensor(_turned(problem))[None, None]
    height, width = problem.case.shape
    # The padding is the same on either side: for even sizes, one output too many comes last.
    padding = tuple(n // 2 for n in problem.kernel.shape)
    convolve = torch.nn.functional.conv2d

    def call() -> object:
        with torch.inference_mode():
            return convolve(image.to(weights.dtype), weights, padding=padding)[:, 0, :height, :width]

    return call


def _pillow(filters: Any, problem: Problem) -> Call:
    images = [importlib.import_module("PIL.Image").fromarray(plane) for plane in problem.image]
    expand = importlib.import_module("PIL.ImageOps").expand
    # Pillow correlates along rows and convolves along columns: it takes the lowest row first.
    cells = problem.kernel[:, ::-1].ravel().tolist()
    kernel = filters.Kernel(problem.kernel.shape, cells, scale=1)
    height, width = problem.case.shape
    # Where the kernel does not fit, Pillow copies the image: a margin of zeros makes it fit.
    margin = problem.kernel.shape[0] // 2
    box = (margin, margin, margin + width, margin + height)
    return lambda: [expand(image, margin).filter(kernel).crop(box) for image in images]


def _astropy(convolution: Any, problem: Problem) -> Call:
    image, kernel = problem.image, problem.kernel
    options = {"boundary": "fill", "normalize_kernel": False, "nan_treatment": "fill"}
    return lambda: [convolution.convolve(plane, kernel, **options) for plane in image]


def _pillow_limits(problem: Problem) -> str | None:
    shape, weights = problem.kernel.shape, problem.kernel
    if shape not in ((3, 3), (5, 5)):
        return f"takes kernels of 3×3 and 5×5, not {shape_text(shape)}"
    if problem.case.dtype != "uint8":
        return f"filters 8-bit images, not {problem.case.dtype}"
    least, most = (255 * float(weights[where].sum()) for where in (weights < 0, weights > 0))
    if least < -0.5 or most > 255.5:
        return f"its results are 8-bit, and this kernel's reach from {least:.4g} to {most:.4g}"
    return None


def _astropy_limits(problem: Problem) -> str | None:
    shape = problem.kernel.shape
    return None if all(n % 2 for n in shape) else f"takes kernels of odd size, not {shape_text(shape)}"


def _no_limits(_: Problem) -> None:
    return None


def _one_thread(_module: Any, _count: int) -> AbstractContextManager[None]:
    """Stand for a library that has no threads to set."""
    return contextlib.nullcontext()


def _fft_threads(_signal: Any, count: int) -> AbstractContextManager[None]:
    workers: AbstractContextManager[None] = importlib.import_module("scipy.fft").set_workers(count)
    return workers


def _threads(getter: str, setter: str) -> Callable[[Any, int], AbstractContextManager[None]]:
    """Return what holds a library to some threads by a function of its own, and takes it back."""

    @contextlib.contextmanager
    def hold(module: Any, count: int) -> Iterator[None]:
        before = getattr(module, getter)()
        getattr(module, setter)(count)
        try:
            yield
        finally:
            getattr(module, setter)(before)

    return hold


@dataclass(frozen=True)
class Peer:
    """A library's convolution.

    Attributes
    ----------
    name : str
        As the table shows it.
    module : str
        What to import.
    build : callable
        Takes the module and the problem; returns the call to time.
    limits : callable
        Takes a problem; says why the library cannot solve it.
    threads : callable
        Takes the module and a number of threads; holds the library to it, as a context manager.
    """

    name: str
    module: str
    build: Callable[[Any, Problem], Call]
    limits: Callable[[Problem], str | None] = _no_limits
    threads: Callable[[Any, int], AbstractContextManager[None]] = _one_thread


PEERS = (
    Peer("ndimage.correlate", "scipy.ndimage", _ndimage),
    Peer("signal.convolve2d", "scipy.signal", _convolve2d),
    Peer("signal.fftconvolve", "scipy.signal", _by_fft("fftconvolve"), threads=_fft_threads),
    Peer("signal.oaconvolve", "scipy.signal", _by_fft("oaconvolve"), threads=_fft_threads),
    Peer("cv2.filter2D", "cv2", _filter2d, threads=_threads("getNumThreads", "setNumThreads")),
    Peer("torch.conv2d", "torch", _conv2d, threads=_threads("get_num_threads", "set_num_threads")),
    Peer("pillow.Kernel", "PIL.ImageFilter", _pillow, _pillow_limits),
    Peer("astropy.convolve", "astropy.convolution", _astropy, _astropy_limits),
)


def _contestant(peer: Peer) -> Contestant:
    def refuses(problem: Problem) -> str | None:
        return _missing(peer.module) or peer.limits(problem)

    @contextlib.contextmanager
    def prepare(problem: Problem) -> Iterator[Call]:
        module = importlib.import_module(peer.module)
        with peer.threads(module, problem.case.threads):
            yield peer.build(module, problem)

    # Tensors, and lists of arrays or of Pillow's images, all know how to become an array.
    return Contestant(peer.name, "peer", refuses, prepare, np.asarray)


def _missing(module: str) -> str | None:
    """Say why a module cannot be imported; whatever a broken library raises is its reason."""
    if importlib.util.find_spec(module.partition(".")[0]) is None:
        return 'not installed (pip install "convcli[peers]")'
    try:
        importlib.import_module(module)
    except Exception as error:
        reason = " ".join(str(error).split()).rstrip(".")
        return f"cannot be imported ({type(error).__name__}: {reason})"
    return None
