"""What is to be computed: all shape arithmetic, with the standard library alone.

Nothing here touches an array, so a plan can be made, printed and tested without data.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from convcli.errors import LimitError, UsageError
from convcli.text import nearest, shape_text

PerAxis = int | tuple[int, ...]
Shape = tuple[int, ...]

MODES = ("same", "full", "valid")
OPS = ("convolve", "correlate")
RANGES = ("clamp", "abs", "minmax", "none")  # ways to make results fit their type


@dataclass(frozen=True, eq=False, repr=False)
class Border:
    """What lies outside an image; the samples that it takes from there are named in `arrays/borders.py`."""

    drawing: str  # the samples around ``a b c d``
    structure: str  # of the matrix of a convolution with this border, as facts name it
    aliases: tuple[str, ...] = ()  # names that other libraries use
    constant: bool = False  # one value lies outside, and none of the image's own samples


BORDERS = {
    "zero": Border("0 0|a b c d|0 0", "{toeplitz}", ("zeros",), constant=True),
    "constant": Border("v v|a b c d|v v", "{toeplitz}", ("fill",), constant=True),
    "nearest": Border(
        "a a|a b c d|d d",
        "{toeplitz}, the border's weight in the outermost columns",
        ("edge", "replicate", "clamp"),
    ),
    "symmetric": Border("b a|a b c d|d c", "{block}Toeplitz plus Hankel"),
    "mirror": Border("c b|a b c d|c b", "{block}Toeplitz plus Hankel", ("reflect-101",)),
    "wrap": Border("c d|a b c d|a b", "{toeplitz}, wrapped around", ("circular", "periodic")),
}
CONSTANT_BORDERS = tuple(name for name, border in BORDERS.items() if border.constant)
BORDER_ALIASES = {alias: name for name, border in BORDERS.items() for alias in border.aliases}

LARGEST = 2**60  # of any number that says how far or how many: sums of a few still have 64 bits

MANTISSA_BITS = {"float32": 24, "float64": 53, "int64": 63}


def choose(value: str, allowed: Iterable[str], what: str, *, accepted: Iterable[str] = ()) -> str:
    """Return `value` if it is one of those allowed; otherwise raise `unknown`."""
    words = tuple(allowed)
    if isinstance(value, str) and value in words:
        return value
    raise unknown(value, words, what, accepted)


def unknown(value: object, allowed: Sequence[str], what: str, accepted: Iterable[str] = ()) -> UsageError:
    """Return the error for a word: the nearest, of those allowed and their aliases, and all the former."""
    close = nearest(str(value).lower(), allowed) or nearest(str(value).lower(), list(accepted))
    hint = f' did you mean "{close}"?' if close else ""
    return UsageError(f'unknown {what} "{value}";{hint} use one of {", ".join(allowed)}')


def border_name(name: str) -> str:
    """Resolve an alias of a border, and refuse the ambiguous ``reflect``."""
    if name == "reflect":
        raise UsageError(
            f'border "reflect" means two things; use "symmetric" (SciPy\'s reflect: '
            f"{BORDERS['symmetric'].drawing}) or \"mirror\" (NumPy's and PyTorch's reflect: "
            f"{BORDERS['mirror'].drawing})"
        )
    return choose(BORDER_ALIASES.get(str(name), name), tuple(BORDERS), "border", accepted=BORDER_ALIASES)


def whole(value: object) -> int | None:
    """Return a whole number as an int, anything else as None, even 3.0."""
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        return None


def numbers_of(value: object, what: str) -> Shape:
    """Return whole numbers as a tuple: several from an iterable, one from one number."""
    single = whole(value)
    if single is not None:
        return (single,)
    try:
        if isinstance(value, str):
            raise TypeError
        values: tuple[object, ...] = tuple(value)  # type: ignore[arg-type]
    except TypeError:
        raise UsageError(f"{what} {value} is not a whole number, or one per axis") from None
    numbers = [n for n in map(whole, values) if n is not None]
    if len(numbers) < len(values):
        raise UsageError(f"{what} {values} is not made of whole numbers")
    return tuple(numbers)


def per_axis(
    value: int | Iterable[int], axes: int, what: str, minimum: int, most: int | None = LARGEST
) -> Shape:
    """Return one int per axis from an int, or from one int per axis."""
    single = whole(value)
    result = numbers_of(value, what) if single is None else (single,) * axes
    if len(result) != axes:
        raise UsageError(
            f"{what} {result} has {len(result)} numbers for {axes} axes; give one, or one per axis"
        )
    if any(n < minimum for n in result):
        raise UsageError(
            f"{what} {shape_text(result)} is below {minimum}; every number must be at least {minimum}"
        )
    if most is not None and any(n > most for n in result):
        raise LimitError(f"{what} {shape_text(result)} is beyond what can be counted; use a smaller number")
    return result


def shape_of(value: int | Iterable[int], what: str) -> Shape:
    """Return a shape from a number for one axis, or one per axis."""
    sizes = numbers_of(value, what)
    if not sizes:
        raise UsageError(f"{what} () has no axes; give one number per axis")
    return per_axis(sizes, len(sizes), what, 1, most=None)


def paddings(padding: int | Iterable[int], axes: int) -> tuple[tuple[int, int], ...]:
    """Write padding, one number, one per axis, or all begins and then all ends, as (before, after) per axis.

    >>> paddings(1, 2), paddings((1, 2), 2), paddings((0, 1, 2, 3), 2)
    (((1, 1), (1, 1)), ((1, 1), (2, 2)), ((0, 2), (1, 3)))
    """
    single = whole(padding)
    values = numbers_of(padding, "padding") if single is None else (single,) * axes
    if len(values) not in (axes, 2 * axes):
        raise UsageError(
            f"padding {padding} does not fit {axes} axes; give one number, one per axis, "
            "or all begins and then all ends"
        )
    values = per_axis(values, len(values), "padding", 0)
    return tuple(zip(values[:axes], values[-axes:], strict=True))


def default_origin(kernel_shape: Iterable[int]) -> Shape:
    """Return the cell that sits on the output pixel unless another is chosen."""
    return tuple((n - 1) // 2 for n in kernel_shape)


def checked_origin(origin: int | Iterable[int], kernel_shape: Shape, what: str = "kernel") -> Shape:
    """Return an origin with one number per axis, or refuse one that is not a cell of the kernel."""
    cell = per_axis(origin, len(kernel_shape), "origin", 0)
    if any(o >= n for o, n in zip(cell, kernel_shape, strict=True)):
        raise UsageError(
            f"origin {cell} is outside the {what} {shape_text(kernel_shape)}; cells are counted from 0"
        )
    return cell


def ceil_div(number: int, divisor: int) -> int:
    """Divide and round up."""
    return -(-number // divisor)


def span(taps: int, dilation: int) -> int:
    """Return the samples that a dilated kernel spans."""
    return (taps - 1) * dilation + 1


@dataclass(frozen=True)
class Axis:
    """One axis of a convolution: sizes in samples, and what follows from them."""

    size: int  # samples of the image
    taps: int  # cells of the kernel
    origin: int
    stride: int
    dilation: int
    start: int  # the stride-1 output runs over image positions ``range(start, stop)``
    stop: int

    @property
    def extent(self) -> int:
        """Samples that the dilated kernel spans."""
        return span(self.taps, self.dilation)

    @functools.cached_property
    def output(self) -> int:
        """Samples of the result, after the stride."""
        return max(0, ceil_div(self.stop - self.start, self.stride))  # the length of a range may overflow

    @property
    def before(self) -> int:
        """Border samples ahead of the image; negative where its first ones are not needed."""
        return self.origin * self.dilation - self.start

    @property
    def after(self) -> int:
        """Border samples behind the image."""
        return (self.output - 1) * self.stride + self.extent - self.before - self.size

    @property
    def padded(self) -> int:
        """Samples of the padded image that the output depends on."""
        return self.before + self.size + self.after


@dataclass(frozen=True)
class ConvSpec:
    """A convolution, described by shapes and options only.

    The result is a set of `batch` independent problems: `channels` image planes in, `outputs` planes
    out, each the sum over the channels of a correlation with one kernel (an image filter has one
    channel and one output; a bank has more).

    Parameters
    ----------
    image_shape, kernel_shape : tuple of int
        Spatial shapes, 1 to 3 axes, (height, width) for images.
    batch, channels, outputs : int
        Leading axes: independent planes, planes summed over, kernels applied.
    mode, border, op : str
        As in the command line; aliases of borders are resolved.
    padding : tuple of (before, after), optional
        Border samples per spatial axis, in place of those that `mode` asks for; negative numbers crop.
    origin, stride, dilation : int or tuple of int, optional
        Per spatial axis. The default origin is ``(n - 1) // 2``.
    dtype : {"float32", "float64", "int64"}
        Type of the arithmetic.
    exact : bool
        Integer image and integer kernel: the result must be the exact integer.
    bound : float
        Upper bound of the magnitude of a result, Σ|k| · max|x|.
    taps : int, optional
        Non-zero cells of the kernel; all cells by default.
    rank : int
        Terms of the kernel's separable form; 0 if it has none worth using.

    Raises
    ------
    UsageError
        For sizes and options that contradict each other.

    Examples
    --------
    >>> spec = ConvSpec((4, 6), (3, 3), mode="full", stride=2)
    >>> spec.output_shape
    (3, 4)
    """

    image_shape: Shape
    kernel_shape: Shape
    batch: int = 1
    channels: int = 1
    outputs: int = 1
    mode: str = "same"
    border: str = "zero"
    op: str = "convolve"
    origin: int | Shape | None = None
    stride: int | Shape = 1
    dilation: int | Shape = 1
    dtype: str = "float32"
    exact: bool = False
    bound: float = 0.0
    taps: int | None = None
    rank: int = 0
    padding: tuple[tuple[int, int], ...] | None = None

    def __post_init__(self) -> None:
        axes = len(self.kernel_shape)
        if not 1 <= axes <= 3:
            raise UsageError(f"kernel has {axes} axes; convolution here has 1, 2 or 3 spatial axes")
        if len(self.image_shape) != axes:
            raise UsageError(
                f"image {shape_text(self.image_shape)} has {len(self.image_shape)} spatial axes "
                f"for a kernel with {axes}"
            )
        if min(self.kernel_shape) < 1:
            raise UsageError(f"kernel {shape_text(self.kernel_shape)} is empty; it needs at least one cell")
        if min(self.image_shape) < 1:
            raise UsageError(f"image {shape_text(self.image_shape)} is empty; it needs at least one sample")
        choose(self.dtype, tuple(MANTISSA_BITS), "dtype")
        put = object.__setattr__
        put(self, "mode", choose(self.mode, MODES, "mode"))
        put(self, "op", choose(self.op, OPS, "op"))
        put(self, "border", border_name(self.border))
        put(self, "stride", per_axis(self.stride, axes, "stride", 1))
        put(self, "dilation", per_axis(self.dilation, axes, "dilation", 1))
        origin, cells = self.origin, self.kernel_shape
        put(self, "origin", default_origin(cells) if origin is None else checked_origin(origin, cells))
        if self.taps is None:
            put(self, "taps", math.prod(self.kernel_shape))
        if all(axis.start < axis.stop for axis in self.axes):
            return
        extents = tuple(a.extent for a in self.axes)
        dilated = f" (dilated: {shape_text(extents)})" if extents != self.kernel_shape else ""
        where, way = ' in mode "valid"', "--mode full"
        if self.padding is not None:
            padded = (n + sum(pair) for n, pair in zip(self.image_shape, self.padding, strict=True))
            where, way = f" with its padding, {shape_text(padded)}", "more padding"
        raise UsageError(
            f"kernel {shape_text(self.kernel_shape)}{dilated} is larger than image "
            f"{shape_text(self.image_shape)}{where}; use {way}, or a smaller kernel"
        )

    @functools.cached_property
    def axes(self) -> tuple[Axis, ...]:
        """One `Axis` per spatial axis, for the correlation that the backends compute."""
        pads = self.padding or (None,) * len(self.kernel_shape)
        given: Any = self.image_shape, self.kernel_shape, self.origin, self.stride, self.dilation, pads
        found = []
        for size, taps, origin, stride, dilation, padding in zip(*given, strict=True):
            if self.op == "convolve":
                origin = taps - 1 - origin  # convolution is correlation with the flipped kernel
            left, right = origin * dilation, (taps - 1 - origin) * dilation
            usual = {"same": (left, right), "full": (left + right,) * 2, "valid": (0, 0)}
            ahead, behind = padding or usual[self.mode]
            found.append(Axis(size, taps, origin, stride, dilation, left - ahead, size + behind - right))
        return tuple(found)

    def reversed(self) -> ConvSpec:
        """Describe the same with spatial axes reversed: column by column of the image as it was."""
        names = ("image_shape", "kernel_shape", "origin", "stride", "dilation", "padding")
        values = {name: getattr(self, name) for name in names}
        return replace(self, **{name: value and value[::-1] for name, value in values.items()})

    @property
    def output_shape(self) -> Shape:
        """Spatial shape of the result."""
        return tuple(axis.output for axis in self.axes)

    @property
    def padded_shape(self) -> Shape:
        """Spatial shape of the padded image that the result depends on."""
        return tuple(axis.padded for axis in self.axes)

    @property
    def itemsize(self) -> int:
        """Bytes of one sample in the arithmetic."""
        return 4 if self.dtype == "float32" else 8

    @property
    def samples(self) -> int:
        """Samples of the result, over batch and outputs."""
        return self.batch * self.outputs * math.prod(self.output_shape)


@dataclass(frozen=True)
class Cost:
    """What a computation is expected to take, in plain arithmetic.

    `work` holds how much of what takes time, by the name of its rate: multiply-adds, bytes moved, calls;
    `start` the same for what is not shared among threads: imports, and to begin and await the threads.
    """

    multiply_adds: float  # multiplications, each with its addition
    kept_bytes: float  # of what is made from the kernel and kept: spectra, bands, a stored matrix
    peak_bytes: float  # largest temporary memory of one tile
    work: dict[str, float] = field(hash=False)
    start: dict[str, float] = field(default_factory=dict, hash=False)
    seconds: float = 0.0  # estimate by the rates of a profile, which the planner fills in

    @property
    def memory_bytes(self) -> float:
        """Memory in use at one time beyond image and result."""
        return self.kept_bytes + self.peak_bytes
