"""Convolution in exact fractions, by nested loops, straight from its definition.

Written from the formulas alone and sharing no code with convcli, so that an agreement means something.

    convolve:   y[i] = Σ_j k[j] · x[i + (o − j)·d]
    correlate:  y[i] = Σ_j k[j] · x[i + (j − o)·d]
"""

from __future__ import annotations

import functools
import itertools
import math
import zlib
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

BORDERS = ("zero", "constant", "nearest", "symmetric", "mirror", "wrap")
OPS = ("convolve", "correlate")

# Every mode with every border that it can see; `valid` sees none.
MODES_AND_BORDERS = [(mode, border) for mode in ("same", "full") for border in BORDERS] + [("valid", "zero")]

# Backends that add the products of one output to one another and nothing else, so that their error
# is bounded by that output's own products. The others mix far samples into every output.
LOCAL_BACKENDS = frozenset(
    {"direct", "toeplitz", "toeplitz:sparse", "im2col", "cuda:direct", "cuda:im2col", "cuda:toeplitz"}
)


@dataclass(frozen=True)
class Exact:
    """An exact result and what the error bounds need.

    Attributes
    ----------
    values : array of Fraction, None where the result is NaN
    local, broad : arrays of Fraction
        Σ|k||x| over the output's own footprint, and Σ|k| · max|x|; for renormalised outputs, the
        same after the division has magnified them.
    terms : int
        Cells of the kernel.
    samples : int
        Samples of one image plane together with the kernel's reach.
    """

    values: np.ndarray
    local: np.ndarray
    broad: np.ndarray
    terms: int
    samples: int


def fraction(number) -> Fraction | None:
    """Return the exact value of a number; None when it is not finite."""
    number = number.item() if isinstance(number, np.generic) else number
    return Fraction(number) if math.isfinite(number) else None


def border_index(position: int, size: int, border: str) -> int | None:
    """Return the sample that stands at `position`; None where the border has a value of its own.

    The folded borders are walked one sample at a time from sample 0.

    >>> ["abcd"[border_index(p, 4, "symmetric")] for p in range(-3, 7)]
    ['c', 'b', 'a', 'a', 'b', 'c', 'd', 'd', 'c', 'b']
    >>> ["abcd"[border_index(p, 4, "mirror")] for p in range(-3, 7)]
    ['d', 'c', 'b', 'a', 'b', 'c', 'd', 'c', 'b', 'a']
    """
    if 0 <= position < size:
        return position
    if border in ("zero", "constant"):
        return None
    if border == "nearest":
        return 0 if position < 0 else size - 1
    here, step = 0, (-1 if position < 0 else 1)
    for _ in range(abs(position)):
        if 0 <= here + step < size:
            here += step
        elif border == "wrap":
            here = 0 if step > 0 else size - 1
        else:
            step = -step  # the fold: symmetric shows the edge sample twice, mirror once
            if border == "mirror" and size > 1:
                here += step
    return here


def output_positions(size, taps, origin, dilation, op, mode, stride=1) -> list[int]:
    """List the image positions that have an output, by trying all of them."""
    reach = offsets(taps, origin, dilation, op)
    first, last = min(reach), max(reach)
    far = taps * dilation
    tried = range(-far, size + far + 1)
    chosen = {
        "same": [i for i in tried if 0 <= i < size],
        "full": [i for i in tried if i + last >= 0 and i + first < size],
        "valid": [i for i in tried if i + first >= 0 and i + last < size],
    }[mode]
    return chosen[::stride]


def offsets(taps, origin, dilation, op) -> list[int]:
    """List, per cell of the kernel, how far from the output pixel its sample lies."""
    return [(origin - j if op == "convolve" else j - origin) * dilation for j in range(taps)]


def convolve_exactly(
    image,
    kernel,
    *,
    mode="same",
    border="zero",
    border_value=0,
    op="convolve",
    origin=None,
    stride=1,
    dilation=1,
    nan="propagate",
) -> Exact:
    """Convolve in exact fractions; arguments as in `convcli.convolve`."""
    image, kernel = np.asarray(image), np.asarray(kernel)
    axes = kernel.ndim
    origin = _each(origin, axes) if origin is not None else [(n - 1) // 2 for n in kernel.shape]
    stride, dilation = _each(stride, axes), _each(dilation, axes)
    spatial = image.shape[image.ndim - axes :]

    # samples[axis][i][j]: index of the sample that cell j meets at output i, along one axis
    samples = []
    for a in range(axes):
        geometry = (kernel.shape[a], origin[a], dilation[a], op)
        positions = output_positions(spatial[a], *geometry, mode, stride[a])
        samples.append(
            [[border_index(i + shift, spatial[a], border) for shift in offsets(*geometry)] for i in positions]
        )
    cells = [(j, fraction(kernel[j])) for j in itertools.product(*map(range, kernel.shape))]
    outside = fraction(border_value) if border == "constant" else Fraction(0)
    replacement = fraction(float(nan.removeprefix("fill:"))) if nan.startswith("fill:") else None

    leading, shape = image.shape[: image.ndim - axes], tuple(map(len, samples))
    results = [np.empty((math.prod(leading), *shape), dtype=object) for _ in range(3)]
    planes = [_plane(plane, replacement) for plane in image.reshape(-1, *spatial)] if image.size else []
    seen = [abs(x) for plane in [*planes, {(): outside}] for x in plane.values() if x is not None]
    largest = max(seen, default=Fraction(0))
    for n, plane in enumerate(planes):
        for i in itertools.product(*map(range, shape)):
            footprint = []
            for j, weight in cells:
                where = tuple(samples[a][i[a]][j[a]] for a in range(axes))
                footprint.append((weight, outside if None in where else plane[where]))
            for array, number in zip(results, _output(footprint, largest, nan), strict=True):
                array[(n, *i)] = number
    reach = [n + k * d for n, k, d in zip(spatial, kernel.shape, dilation, strict=True)]
    values, local, broad = (array.reshape(leading + shape) for array in results)
    return Exact(values, local, broad, len(cells), math.prod(reach))


def _each(value, axes) -> list[int]:
    return [value] * axes if isinstance(value, int) else list(value)


def _plane(plane, replacement) -> dict[tuple[int, ...], Fraction | None]:
    exact = {where: fraction(plane[where]) for where in np.ndindex(plane.shape)}
    if replacement is not None:
        return {where: replacement if x is None else x for where, x in exact.items()}
    return exact


def _output(footprint, largest, nan) -> tuple[Fraction | None, Fraction, Fraction]:
    """Return one output with its local and its broad magnitude."""
    finite = [(k, x) for k, x in footprint if x is not None]
    total = sum((k * x for k, x in finite), Fraction(0))
    own = sum((abs(k * x) for k, x in finite), Fraction(0))
    weights = sum((abs(k) for k, _ in footprint), Fraction(0))
    if len(finite) == len(footprint):
        return total, own, weights * largest
    kept = sum((k for k, _ in finite), Fraction(0))
    if nan != "interpolate" or kept == 0:
        return None, own, weights * largest
    mean = total / kept
    whole = sum((k for k, _ in footprint), Fraction(0))
    kept_weights = sum((abs(k) for k, _ in finite), Fraction(0))
    gain, rest = abs(whole / kept), weights * abs(mean)
    return (
        whole * mean,
        gain * (own + kept_weights * abs(mean)) + rest,
        gain * (weights * largest + weights * abs(mean)) + rest,
    )


def error_bound(exact: Exact, where, eps: float, backend: str) -> Fraction:
    """Return the largest error that `assert_matches` lets pass at one output."""
    if backend in LOCAL_BACKENDS:
        return Fraction(eps) * (exact.terms + 4) * exact.local[where]
    return Fraction(eps) * (exact.terms + 8 * math.ceil(math.log2(exact.samples + 2))) * exact.broad[where]


def assert_matches(result, exact: Exact, backend: str) -> None:
    """Fail unless `result` is `exact`: integers to the last digit, floats within the bound.

    With n cells in the kernel and eps that of the result's type, the error of an output y may be

    - for backends that only add up the products of y: eps · (n + 4) · Σ_j |k[j]·x[j]|. Rounding k and
      x, n products and n sums cost at most (n + 3) · eps/2 of it;
    - for all others (`fft`, separated kernels, `auto`, which may pick those):
      eps · (n + 8·log2 N) · Σ|k| · max|x| with N the samples of a plane and its border. Transforms
      spread the rounding of the largest sample over all outputs.

    Where weights are renormalised over finite samples, both magnitudes grow as the division makes them.
    NaN must stand exactly where the exact result has none, infinities nowhere.
    """
    result = np.asarray(result)
    assert result.shape == exact.values.shape, f"shape {result.shape}, not {exact.values.shape}"
    if result.dtype.kind != "f":
        assert result.dtype == np.int64, f"dtype {result.dtype}, neither int64 nor a float"
        wrong = [where for where in np.ndindex(result.shape) if int(result[where]) != exact.values[where]]
        first = wrong[0] if wrong else None
        assert not wrong, (
            f"{len(wrong)} integers differ, first at {first}: {result[first]}, not {exact.values[first]}"
        )
        return
    eps = float(np.finfo(result.dtype).eps)
    for where in np.ndindex(result.shape):
        got, want = float(result[where]), exact.values[where]
        if want is None:
            assert math.isnan(got), f"{got} at {where}, not NaN"
            continue
        assert math.isfinite(got), f"{got} at {where}, not {float(want)}"
        error, bound = abs(Fraction(got) - want), error_bound(exact, where, eps, backend)
        assert error <= bound, f"{got} at {where}, not {float(want)}: off by {float(error)} > {float(bound)}"


def assert_close(result, reference, kernel, image) -> None:
    """Fail unless two float64 results agree to eps · (n + 8·log2 N) · Σ|k| · max|x|.

    For images too large for the oracle; `reference` comes from another project.
    """
    assert result.shape == reference.shape, f"shape {result.shape}, not {reference.shape}"
    scale = float(np.abs(kernel).sum(dtype=float)) * float(np.abs(image).max(initial=0))
    bound = np.finfo(np.float64).eps * (np.size(kernel) + 8 * math.log2(np.size(image) + 2)) * scale
    error = float(np.abs(result.astype(np.float64) - reference).max(initial=0))
    assert error <= bound, f"off by {error} > {bound}"


@dataclass(frozen=True)
class Case:
    """Shapes, types and options of one call, from which its arrays follow."""

    image_shape: tuple[int, ...]
    kernel_shape: tuple[int, ...]
    dtype: str = "uint8"
    kernel_dtype: str = "int64"
    options: tuple[tuple[str, object], ...] = ()
    separable: bool = False

    @property
    def keywords(self) -> dict:
        """Options to call with."""
        return dict(self.options)

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Return image and kernel, the same ones every time."""
        seed = zlib.crc32(repr((self.image_shape, self.kernel_shape, self.dtype, self.kernel_dtype)).encode())
        rng = np.random.default_rng(seed)
        image = draw(rng, self.image_shape, self.dtype)
        if not self.separable:
            return image, draw(rng, self.kernel_shape, self.kernel_dtype, most=7, least=-7)
        lines = [draw(rng, n, self.kernel_dtype, most=3, least=1) for n in self.kernel_shape]
        return image, functools.reduce(np.multiply.outer, lines)


def draw(rng, shape, dtype, most=2**20, least=-(2**20)) -> np.ndarray:
    """Draw an array of the type: integers from its range or [least, most], normal floats."""
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(bool)
    limits = np.iinfo(dtype)
    return rng.integers(max(least, limits.min), min(most, limits.max), shape, endpoint=True).astype(dtype)


def make_case(
    image_shape, kernel_shape, dtype="uint8", kernel_dtype=None, separable=False, **options
) -> Case:
    """Return a `Case`; the kernel is of integers for integer images, of floats for others."""
    if kernel_dtype is None:
        kernel_dtype = "float64" if np.dtype(dtype).kind == "f" else "int64"
    return Case(image_shape, kernel_shape, dtype, kernel_dtype, tuple(sorted(options.items())), separable)


@functools.cache
def expected(case: Case) -> Exact:
    """Return the exact result of a case, worked out once for all backends."""
    return convolve_exactly(*case.arrays(), **case.keywords)
