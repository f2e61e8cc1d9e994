"""Filter the planes of an image with one or several kernels."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from convcli.arrays.library import Array
from convcli.arrays.samples import samples_of
from convcli.engine.planner import Plan, plan
from convcli.engine.problem import PRECISIONS, Convolution, gap_rule
from convcli.errors import UsageError
from convcli.filtering.options import Filter
from convcli.filtering.response import Response
from convcli.images.colour import finish, from_linear, luma, refuse_clipped, to_linear, top
from convcli.kernels import Kernel
from convcli.spec import ConvSpec, choose
from convcli.system.resources import available_memory, check_memory
from convcli.text import shape_text


@dataclass
class Filtered:
    """What filtering gave.

    Attributes
    ----------
    outputs : list of (channels, height, width) arrays
        One per kernel, or a single one if they were combined; empty after a dry run.
    plan : Plan
        Of the first kernel's first pass over the colours.
    clipped : int
        Samples cut off at the ends of the range.
    plan_seconds, compute_seconds : float
    shape : tuple of int
        Of an output, where `plan` does not tell.
    notes : list of str
        What the user should know.
    """

    outputs: list[Array]
    plan: Plan
    clipped: int = 0
    plan_seconds: float = 0.0
    compute_seconds: float = 0.0
    shape: tuple[int, ...] = ()
    notes: list[str] = field(default_factory=list)


def filter_planes(
    planes: Array,
    kernels: Sequence[Kernel],
    how: Filter,
    *,
    alpha: bool = False,
    photo: bool = True,
    dry_run: bool = False,
) -> Filtered:
    """Filter an image, or an array, with every kernel.

    Parameters
    ----------
    planes : (channels, height, width) array; any array of 1 or more axes if not `photo`
        Leading axes are independent of each other.
    kernels : sequence of Kernel
    how : Filter
    alpha : bool
        The last plane is alpha.
    photo : bool
        Samples are brightness: results return to the type they came in.
    dry_run : bool
        Stop at the plan.

    Returns
    -------
    Filtered

    Examples
    --------
    >>> from convcli.kernels import parse_kernel
    >>> chart = np.full((1, 4, 4), 7, dtype=np.uint8)
    >>> filter_planes(chart, [parse_kernel("box:3")], Filter()).outputs[0].tolist()[0][0]
    [7, 7, 7, 7]
    """
    began = time.perf_counter()
    how = how.for_kernels(kernels)
    planes = samples_of(planes, "image")
    source_type = planes.dtype
    colours = len(planes) - alpha
    if how.linear:
        planes = np.concatenate([to_linear(planes[:colours]), planes[colours:]])
    if how.gray and colours == 3:
        planes = np.concatenate([luma(planes[:3]), planes[3:]])
    notes: list[str] = []
    responses = [
        Response(_scaled(fitted(kernel, planes, photo), how, notes), how, source_type, photo)
        for kernel in kernels
    ]
    problems = [r.prepare(planes[:-1] if alpha else planes) for r in responses]
    problem = problems[0]
    apart = _apart(responses, planes, alpha)
    _check_memory(problems, planes, how, source_type, alpha=alpha, photo=photo, apart=apart)
    filtered = Filtered([], problem.plan, plan_seconds=time.perf_counter() - began, notes=notes)
    if dry_run:
        return filtered
    began = time.perf_counter()
    whole = how.precision == "auto" and all(r.kernel.values.dtype.kind == "i" for r in responses)
    snap = photo and not whole
    with np.errstate(all="ignore"):  # what overflows is infinite, and clipped or shown as such
        if apart:
            made = (_streamed(r, p, how, snap) for r, p in zip(responses, problems, strict=True))
        else:
            results = _combined((r.respond(planes, alpha) for r in responses), how.combine, alpha)
            made = (finished(r, source_type, how, alpha=alpha, photo=photo, snap=snap) for r in results)
        for output, clipped in made:
            filtered.outputs.append(output)
            filtered.clipped += clipped
    filtered.compute_seconds = time.perf_counter() - began
    return filtered


def _apart(responses: list[Response], planes: Array, alpha: bool) -> bool:
    """Whether every sample of every output follows from one sample of one response."""
    return responses[0].how.combine == "none" and all(r.in_one_go(planes, alpha) for r in responses)


def _streamed(response: Response, problem: Convolution, how: Filter, snap: bool) -> tuple[Array, int]:
    dtype, rule = _target(np.dtype(problem.result_type), response.source_type, how, True)
    output, clipped = response.respond_into(problem, dtype, rule, snap=snap)
    if dtype.kind != "f":
        refuse_clipped(clipped, dtype, rule)
    return output, clipped


def _check_memory(
    problems: list[Convolution],
    planes: Array,
    how: Filter,
    source_type: np.dtype[Any],
    *,
    alpha: bool,
    photo: bool,
    apart: bool,
) -> None:
    """Refuse what would not fit, before it is begun: an estimate of all that is held at a time."""
    limit = how.max_memory if how.max_memory is not None else available_memory()
    if limit is None:
        return
    results = 2 if how.combine != "none" else 1
    copies = 0  # of 8 bytes a sample
    if alpha and how.alpha == "premultiply":
        results += 3  # products, their quotient and the opacity
    if (how.linear and not apart) or how.repeat > 1:
        copies += 3  # light or intermediate results, the same in whole steps
    if problems[0].result_type == "int64" or how.range == "minmax":
        copies += 1
    written = 0
    for problem in problems:
        spec = problem.plan.spec
        result = np.dtype(problem.result_type).itemsize
        output = _target(np.dtype(problem.result_type), source_type, how, photo)[0].itemsize
        # A result that is finished tile by tile is never there as a whole, unless there are gaps in it.
        gaps = result + planes.itemsize + 3 if planes.dtype.kind == "f" and not how.linear else 0
        size: float = (output + gaps if apart else results * result) * spec.samples
        size += planes.nbytes + written + 8 * copies * max(planes.size, spec.samples)
        size += 24 * sum(spec.padded_shape)  # where each sample of the border comes from
        size += problem.plan.cost.memory_bytes
        check_memory(size, limit, f"the result {shape_text(spec.output_shape)}", "--stride or --mode valid")
        written += output * spec.samples if how.combine == "none" else 0


def check_options(kernels: Sequence[Kernel], how: Filter) -> None:
    """Raise what is wrong with the options whatever the image, before any is read."""
    how = how.for_kernels(kernels)
    choose(how.precision, PRECISIONS, "precision")
    gap_rule(how.nan)
    for kernel in kernels:
        spec = ConvSpec(
            kernel.taps,
            kernel.taps,
            mode="full" if how.mode == "valid" else how.mode,
            border=how.border,
            op=how.op,
            stride=how.stride if isinstance(how.stride, int) else 1,
            dilation=how.dilation if isinstance(how.dilation, int) else 1,
        )
        plan(replace(spec, stride=1, dilation=1), how.backend, threads=how.threads)


def finished(
    result: Array, source_type: np.dtype[Any], how: Filter, *, alpha: bool, photo: bool, snap: bool
) -> tuple[Array, int]:
    """Bring one result into the type and range that are asked for.

    Parameters
    ----------
    result : (channels, height, width) array of a photo; any array
    source_type : data-type
        Of the image's samples.
    how : Filter
    alpha, photo : bool
        As in `filter_planes`.
    snap : bool
        As in `convcli.images.colour.finish`.

    Returns
    -------
    (array, int)
        The result, and how many samples were clipped.
    """
    if how.linear:
        for plane in result[:-1] if alpha else result:
            plane[...] = from_linear(plane, top(source_type))
    dtype, rule = _target(result.dtype, source_type, how, photo)
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


def _scaled(kernel: Kernel, how: Filter, notes: list[str]) -> Kernel:
    """Put the divisor that the options ask for into the kernel."""
    if how.divisor is not None:
        return replace(kernel, divisor=how.divisor * kernel.scale)
    if how.normalize == "none":
        return kernel
    total, weight = float(kernel.values.sum()), float(np.abs(kernel.values).sum())
    zero_sum = abs(total) <= 1e-12 * weight
    divisor = weight if how.normalize == "abs" or (how.normalize == "auto" and zero_sum) else total
    if weight == 0:
        notes.append(f"kernel {kernel.name} is all zeros and was not divided")
        return kernel
    if how.normalize == "sum" and zero_sum:
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
    dtype: np.dtype[Any], source_type: np.dtype[Any], how: Filter, photo: bool
) -> tuple[np.dtype[Any], str]:
    """Type of the output, of results of type `dtype`, and what happens to samples outside its range."""
    if how.dtype != "keep":
        dtype = np.dtype(how.dtype)
    elif photo or (how.range in ("clamp", "minmax") and source_type.kind in "ui"):
        dtype = source_type
    if how.range == "clamp" and dtype.kind == "f":
        raise UsageError(f"range clamp has no limits for {dtype}; use --range minmax, or --dtype uint8")
    return dtype, how.range or ("clamp" if photo or how.dtype != "keep" else "none")
