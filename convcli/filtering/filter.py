"""Filter the planes of an image with one or several kernels."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from convcli.arrays.library import Array
from convcli.arrays.samples import samples_of
from convcli.engine.planner import Plan, plan
from convcli.engine.precision import PRECISIONS, nan_rule
from convcli.engine.problem import Convolution
from convcli.errors import UsageError
from convcli.filtering.options import Filter
from convcli.filtering.response import Response, Samples, engine_options
from convcli.images.colour import finish, from_linear, luma, refuse_clipped, to_linear, white
from convcli.kernels import Kernel
from convcli.spec import ConvSpec, choose
from convcli.system.resources import available_memory, check_memory
from convcli.text import shape_text


@dataclass(eq=False, repr=False)
class Filtered:
    """The results of filtering."""

    outputs: list[Array]  # one per kernel, or a single one if they were combined; none after a dry run
    plan: Plan  # of the first kernel's first pass over the colours
    clipped: int = 0  # samples cut off at the ends of the range
    plan_seconds: float = 0.0
    compute_seconds: float = 0.0
    shape: tuple[int, ...] = ()  # of an output, where `plan` does not tell
    notes: list[str] = field(default_factory=list)  # for the user


@dataclass(frozen=True, eq=False, repr=False)
class Prepared:
    """Work that was planned, and waits to be done."""

    filtered: Filtered  # all that is known before
    work: Callable[[], Iterable[tuple[Array, int]]]  # returns outputs, and how many samples were clipped

    def run(self) -> Filtered:
        """Do the work; once."""
        began = time.perf_counter()
        with np.errstate(all="ignore"):  # what overflows is infinite, and clipped or shown as such
            for output, clipped in self.work():
                self.filtered.outputs.append(output)
                self.filtered.clipped += clipped
        self.filtered.compute_seconds = time.perf_counter() - began
        return self.filtered


def prepare_filter(
    planes: Array, kernels: Sequence[Kernel], options: Filter, *, alpha: bool = False, photo: bool = True
) -> Prepared:
    """Plan the filtering of an image, or an array, with every kernel.

    If `photo`, `planes` (channels, height, width) are brightness, and results return to their type; else they
    may have any axes. If `alpha`, the last plane is alpha.

    >>> chart, mean = np.full((1, 4, 4), 7, dtype=np.uint8), Kernel(np.ones((3, 3)), "mean", divisor=9)
    >>> prepare_filter(chart, [mean], Filter()).run().outputs[0].tolist()[0][0]
    [7, 7, 7, 7]
    """
    began = time.perf_counter()
    options = options.for_kernels(kernels)
    planes = samples_of(planes, "image")
    source_type = planes.dtype
    notes: list[str] = []
    responses = [
        Response(_scaled(fitted(kernel, planes, photo), options, notes), options, source_type, photo)
        for kernel in kernels
    ]
    samples = _samples(planes, options, alpha)
    as_read = not (alpha or options.linear or options.gray)
    convolutions = [r.prepare(planes) if as_read else r.first(samples, alpha) for r in responses]
    apart = options.combine == "none" and all(r.in_one_go(planes, alpha) for r in responses)
    _check_memory(responses[0], convolutions, samples, alpha, apart)
    whole = options.precision == "auto" and all(r.kernel.values.dtype.kind == "i" for r in responses)
    snap = photo and not whole

    def work() -> Iterable[tuple[Array, int]]:
        seen = _converted(planes, options, alpha)
        pairs = list(zip(responses, convolutions, strict=True))
        if apart:
            return (_streamed(response, seen, first, snap) for response, first in pairs)
        results = _combined((r.respond(seen, alpha, first) for r, first in pairs), options.combine, alpha)
        return (finished(r, source_type, options, alpha=alpha, photo=photo, snap=snap) for r in results)

    found = Filtered([], convolutions[0].plan, notes=notes, plan_seconds=time.perf_counter() - began)
    return Prepared(found, work)


def _converted(planes: Array, options: Filter, alpha: bool) -> Array:
    """Turn samples into light, and colours into brightness, if that is asked for."""
    colours = len(planes) - alpha
    if options.linear:
        planes = np.concatenate([to_linear(planes[:colours]), planes[colours:]])
    if options.gray and colours == 3:
        planes = np.concatenate([luma(planes[:3]), planes[3:]])
    return planes


def _samples(planes: Array, options: Filter, alpha: bool) -> Samples:
    """Describe what `_converted` will return."""
    if not (options.linear or options.gray or alpha):
        return Samples(planes.shape, planes.dtype, 0, 0)
    one = planes[(slice(-1, None), *(slice(1),) * (planes.ndim - 1))]  # a sample is converted in no time
    made = _converted(np.broadcast_to(one, (len(planes), *one.shape[1:])), options, alpha)
    largest = _largest(planes[: len(planes) - alpha])
    if options.linear and planes.dtype.kind == "f":
        largest = max(largest, float(to_linear(np.array([largest]))[0]))
    opacity = _largest(planes[len(planes) - alpha :])
    return Samples((len(made), *planes.shape[1:]), made.dtype, largest, opacity)


def _largest(planes: Array) -> float:
    """The largest magnitude that is finite."""
    if planes.dtype.kind != "f":
        return max(int(planes.max(initial=0)), -int(planes.min(initial=0)))
    return float(np.max(np.abs(planes), where=np.isfinite(planes), initial=0))


def _streamed(response: Response, planes: Array, first: Convolution, snap: bool) -> tuple[Array, int]:
    options = response.options
    dtype, rule = _target(np.dtype(first.result_type), response.source_type, options, True)
    output, clipped = response.respond_into(planes, first, dtype, rule, snap=snap)
    refuse_clipped(clipped, dtype, rule)
    return output, clipped


def _check_memory(
    response: Response, convolutions: list[Convolution], samples: Samples, alpha: bool, apart: bool
) -> None:
    """Refuse what would not fit, before it is begun: an estimate of all that is held at a time."""
    options = response.options
    limit = options.max_memory if options.max_memory is not None else available_memory()
    if limit is None:
        return
    results = 2 if options.combine != "none" else 1
    copies = 0  # of 8 bytes a sample
    if alpha and options.alpha == "premultiply":
        results += 3  # products, their quotient and the opacity
    if (options.linear and not apart) or options.repeat > 1:
        copies += 3  # light or intermediate results, the same in whole steps
    if convolutions[0].result_type == "int64" or options.range == "minmax":
        copies += 1
    size, itemsize = math.prod(samples.shape), samples.dtype.itemsize
    written = 0
    for made in convolutions:
        spec, dtype = made.plan.spec, np.dtype(made.result_type)
        output = _target(dtype, response.source_type, options, response.photo)[0].itemsize
        # A result that is finished tile by tile is never there as a whole, unless samples are not finite.
        floats = samples.dtype.kind == "f" and not options.linear
        whole = dtype.itemsize + itemsize + 3 if floats else 0
        needed: float = (output + whole if apart else results * dtype.itemsize) * spec.samples
        needed += size * itemsize + written + 8 * copies * max(size, spec.samples)
        needed += 24 * sum(spec.padded_shape)  # where each sample of the border comes from
        needed += made.plan.cost.memory_bytes
        check_memory(needed, limit, f"the result {shape_text(spec.output_shape)}", "--stride or --mode valid")
        written += output * spec.samples if options.combine == "none" else 0


def check_options(kernels: Sequence[Kernel], options: Filter) -> None:
    """Raise what is wrong with the options whatever the image, before any is read."""
    known = engine_options(options.for_kernels(kernels))
    choose(options.precision, PRECISIONS, "precision")
    nan_rule(options.nan)
    asked = {name: known[name] for name in ("border", "op")}
    asked |= {name: known[name] for name in ("stride", "dilation") if isinstance(known[name], int)}
    for kernel in kernels:
        mode = "full" if known["mode"] == "valid" else known["mode"]
        spec = ConvSpec(kernel.taps, kernel.taps, mode=mode, **asked)
        plan(replace(spec, stride=1, dilation=1), options.backend, threads=options.threads)


def finished(
    result: Array, source_type: np.dtype[Any], options: Filter, *, alpha: bool, photo: bool, snap: bool
) -> tuple[Array, int]:
    """Bring one result into the type and range that are asked for, and count the samples that were clipped.

    `source_type` is that of the image's samples, `snap` as in `convcli.images.colour.finish`.
    """
    if options.linear:
        for plane in result[:-1] if alpha else result:
            plane[...] = from_linear(plane, white(source_type))
    dtype, rule = _target(result.dtype, source_type, options, photo)
    # An array, whatever its axes, is one plane; so is a 1-D signal.
    output, clipped = finish(result if photo else result[None], alpha, dtype, rule, snap=snap)
    return output if photo else output[0], clipped


def fitted(kernel: Kernel, planes: Array, photo: bool) -> Kernel:
    """Match the axes of kernel and image: a row of cells filters a 1-D signal too."""
    values, origin = kernel.values, kernel.origin
    while values.ndim > planes.ndim and values.shape[0] == 1:
        values, origin = values[0], origin and origin[1:]
    if photo and values.ndim > 2:
        raise UsageError(
            f"kernel {shape_text(values.shape)} has 3 axes and an image has 2; use a .npy volume"
        )
    return replace(kernel, values=values, origin=origin)


def _scaled(kernel: Kernel, options: Filter, notes: list[str]) -> Kernel:
    """Put the divisor that the options ask for into the kernel."""
    if options.divisor is not None:
        return replace(kernel, divisor=options.divisor * kernel.scale)
    if options.normalize == "none":
        return kernel
    total, weight = float(kernel.values.sum()), float(np.abs(kernel.values).sum())
    zero_sum = abs(total) <= 1e-12 * weight
    divisor = weight if options.normalize == "abs" or (options.normalize == "auto" and zero_sum) else total
    if weight == 0:
        notes.append(f"kernel {kernel.name} is all zeros and was not divided")
        return kernel
    if options.normalize == "sum" and zero_sum:
        notes.append(f"kernel {kernel.name} sums to 0 and was not divided; --normalize abs would")
        return kernel
    return replace(kernel, divisor=divisor)


def _combined(results: Iterable[Array], rule: str, alpha: bool) -> Iterable[Array]:
    """Merge the responses of the colours; alpha, which is no response, is the largest of its values."""
    if rule == "none":
        yield from results
        return
    total: Array | None = None
    count = 0
    for result in results:
        colour = result[:-1] if alpha else result
        if rule in ("magnitude", "mean") and result.dtype.kind != "f":
            result = colour = result.astype(np.float64)
        if rule == "magnitude":
            np.square(colour, out=colour)
        count += 1
        if total is None:
            total = result
            continue
        if total.shape != result.shape:
            raise UsageError(
                f"outputs of different sizes ({shape_text(total.shape)}, {shape_text(result.shape)}) "
                "cannot be combined; use --mode same"
            )
        total = total.astype(np.promote_types(total.dtype, result.dtype), copy=False)
        if alpha:
            np.maximum(total[-1:], result[-1:], out=total[-1:])
        _add(total[:-1] if alpha else total, colour, rule)
    assert total is not None
    colour = total[:-1] if alpha else total
    if rule == "magnitude":
        np.sqrt(colour, out=colour)
    if rule == "mean":
        colour /= count
    yield total


def _add(total: Array, more: Array, rule: str) -> None:
    if rule == "max":
        np.maximum(total, more, out=total)
        return
    if total.dtype.kind == "i" and total.size:
        largest = sum(max(abs(int(a.min())), abs(int(a.max()))) for a in (total, more))
        if largest >= 2**63:
            raise UsageError(f"the sum may reach {largest}, beyond 64-bit integers; use --precision float64")
    total += more


def _target(
    dtype: np.dtype[Any], source_type: np.dtype[Any], options: Filter, photo: bool
) -> tuple[np.dtype[Any], str]:
    """Type of the output, of results of type `dtype`, and what happens to samples outside its range."""
    if options.dtype != "keep":
        dtype = np.dtype(options.dtype)
    elif photo or (options.range in ("clamp", "minmax") and source_type.kind in "ui"):
        dtype = source_type
    if options.range == "clamp" and dtype.kind == "f":
        raise UsageError(f"range clamp has no limits for {dtype}; use --range minmax, or --dtype uint8")
    return dtype, options.range or ("clamp" if photo or options.dtype != "keep" else "none")
