"""Apply a bank of kernels to an image or an array: a layer of a neural network, from the shell."""

from __future__ import annotations

import math
import time
from dataclasses import replace

import numpy as np

from convcli.arrays.library import Array
from convcli.arrays.samples import samples_of
from convcli.engine.problem import Convolution, prepare
from convcli.errors import UsageError
from convcli.filtering.filter import Filtered, finished
from convcli.filtering.options import BankOptions, Filter
from convcli.kernels import Kernel
from convcli.layers import conv_transpose
from convcli.layers.checks import add_bias, bias_of, refuse_groups
from convcli.layers.geometry import geometry, transposed_geometry
from convcli.layers.transposed_polyphase import transposed_bank
from convcli.system.resources import check_memory
from convcli.text import shape_text


def apply_bank(
    planes: Array,
    kernel: Kernel,
    how: Filter,
    layer: BankOptions,
    *,
    photo: bool = False,
    dry_run: bool = False,
) -> Filtered:
    """Apply a bank of kernels.

    Parameters
    ----------
    planes : (C, *spatial) or (N, C, *spatial) array; (*spatial) for one channel
    kernel : Kernel
        A bank: (outputs, C / groups, *taps), or (C, outputs / groups, *taps) if transposed.
    how : Filter
    layer : BankOptions
    photo : bool
        Samples are brightness: the result returns to the type they came in.
    dry_run : bool
        Stop at the plan.

    Returns
    -------
    Filtered
        One output with as many leading axes as `planes`.

    Examples
    --------
    >>> bank = Kernel(np.ones((1, 2, 1, 1)), "sum")
    >>> planes = np.arange(4).reshape(2, 1, 2)
    >>> apply_bank(planes, bank, Filter(op="correlate"), BankOptions()).outputs[0].tolist()
    [[[2, 4]]]
    """
    began = time.perf_counter()
    image = samples_of(planes, "image")
    axes = len(kernel.taps)
    if image.ndim == axes:
        image = image[None]
    if image.ndim not in (axes + 1, axes + 2):
        raise UsageError(
            f"an array {shape_text(image.shape)} has {image.ndim} axes for the bank "
            f"{shape_text(kernel.values.shape)}; it takes (C, *spatial) or (N, C, *spatial)"
        )
    images = image if image.ndim == axes + 2 else image[None]
    bank = kernel.values if kernel.divisor == 1 else kernel.weights
    if layer.padding is None and how.mode is None:
        layer = replace(layer, padding=0)
    how = how.for_kernels([kernel])
    if how.origin is None:
        how = replace(how, origin=kernel.origin)
    _check_channels(bank, images, how, layer)
    outputs = layer.outputs(bank)
    bias = bias_of(layer.bias_values, outputs)
    if layer.transposed:
        problem, spatial = _transposed_part(images, bank, how, layer)
    else:
        problem = _posed(images, bank, how, layer)
        spatial = problem.plan.spec.output_shape
    leading = image.shape[: image.ndim - axes - 1]
    _check_memory(images, len(images) * outputs, spatial, problem, how, layer)
    filtered = Filtered([], problem.plan, shape=(*leading, outputs, *spatial))
    filtered.plan_seconds = time.perf_counter() - began
    if dry_run:
        return filtered
    began = time.perf_counter()
    with np.errstate(all="ignore"):  # what overflows is infinite, and clipped or shown as such
        result = _transposed(images, bank, how, layer) if layer.transposed else problem.compute()
        result = add_bias(result.reshape(len(images), outputs, *spatial), bias)
        output, filtered.clipped = finished(
            result.reshape(filtered.shape),
            image.dtype,
            how,
            alpha=False,
            photo=photo,
            snap=photo and bank.dtype.kind == "f",
        )
    filtered.outputs.append(output)
    filtered.compute_seconds = time.perf_counter() - began
    return filtered


def _check_channels(bank: Array, images: Array, how: Filter, layer: BankOptions) -> None:
    channels = images.shape[1]
    refuse_groups(layer.groups, len(bank), "kernels" if not layer.transposed else "channels of the bank")
    refuse_groups(layer.groups, channels, "channels of the image")
    needed = layer.channels(bank)
    if channels != needed:
        raise UsageError(
            f"the bank {shape_text(bank.shape)} is for {needed} channel{'s' if needed > 1 else ''}"
            + (f" in {layer.groups} groups" if layer.groups > 1 else "")
            + f", and the image {shape_text(images.shape[1:])} has {channels}; "
            "the bank is (out, in / groups, *taps)"
            + (", or (in, out / groups, *taps) with --transposed" if layer.transposed else "")
        )
    if layer.groups > 1 and how.nan == "interpolate":
        raise UsageError(
            f"nan interpolate renormalises all channels together, and there are {layer.groups} groups; "
            "use propagate or fill:V"
        )


def _posed(images: Array, bank: Array, how: Filter, layer: BankOptions) -> Convolution:
    """Plan a convolution."""
    spatial = images.shape[2:]
    padding = None
    if layer.padding is not None:
        padding = geometry(spatial, bank.shape[2:], how.stride, layer.padding, how.dilation).padding
    return prepare(
        images.reshape(len(images) * layer.groups, -1, *spatial),
        bank,
        groups=layer.groups,
        mode=how.mode,
        padding=padding,
        border=how.border,
        border_value=how.border_value,
        op=how.op,
        origin=how.origin if padding is None else None,
        stride=how.stride,
        dilation=how.dilation,
        nan=how.nan,
        precision=how.precision,
        backend=how.backend,
        threads=how.threads,
        max_memory=how.max_memory,
    )


def _transposed_part(
    images: Array, bank: Array, how: Filter, layer: BankOptions
) -> tuple[Convolution, tuple[int, ...]]:
    """Plan the first convolution of a transposed one, which has one per residue of the stride.

    Returns
    -------
    (problem, shape)
        The shape is that of the whole result, spatial.
    """
    sizes, taps = images.shape[2:], bank.shape[2:]
    padding = 0 if layer.padding is None else layer.padding
    strides, dilations, _, shape = transposed_geometry(
        sizes, taps, how.stride, padding, layer.output_padding, how.dilation
    )
    common = [math.gcd(s, d) for s, d in zip(strides, dilations, strict=True)]
    kernels = transposed_bank(bank, layer.groups)
    kernels = kernels.reshape(-1, *kernels.shape[2:])
    steps = [slice(None, None, min(s // g, k)) for s, g, k in zip(strides, common, taps, strict=True)]
    problem = prepare(
        images.reshape(len(images) * layer.groups, -1, *sizes),
        kernels[(slice(None), slice(None), *steps)],
        groups=layer.groups,
        mode="full",
        dilation=tuple(d // g for d, g in zip(dilations, common, strict=True)),
        precision=how.precision,
        backend=how.backend,
        threads=how.threads,
        max_memory=how.max_memory,
    )
    return problem, shape


def _transposed(images: Array, bank: Array, how: Filter, layer: BankOptions) -> Array:
    return conv_transpose(
        images,
        np.flip(bank, tuple(range(2, bank.ndim))) if how.op == "convolve" else bank,
        stride=how.stride,
        padding=0 if layer.padding is None else layer.padding,
        output_padding=layer.output_padding,
        dilation=how.dilation,
        groups=layer.groups,
        precision=how.precision,
        backend=how.backend,
        threads=how.threads,
    )


def _check_memory(
    images: Array, planes: int, shape: tuple[int, ...], problem: Convolution, how: Filter, layer: BankOptions
) -> None:
    """Refuse what would not fit, before it is begun."""
    samples = planes * math.prod(shape)
    needed = images.nbytes + 2 * samples * 8 + problem.plan.cost.memory_bytes
    way = "a smaller stride or dilation" if layer.transposed else "--stride or less padding"
    check_memory(needed, how.max_memory, f"the result {shape_text(shape)}", way)
