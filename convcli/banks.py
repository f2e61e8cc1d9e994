"""Apply a bank of kernels to an image or an array: a layer of a neural network, from the shell."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np

from convcli.arrays import Array, samples_of
from convcli.errors import LimitError, UsageError
from convcli.filtering import Filtered, finished
from convcli.kernels import Kernel
from convcli.layers import conv_transpose
from convcli.layers.arguments import add_bias, bias_of, refuse_groups
from convcli.layers.geometry import Padding, geometry
from convcli.machine import available_memory
from convcli.options import Filter
from convcli.planner import plan
from convcli.problem import Problem, pose
from convcli.spec import ConvSpec, PerAxis, bytes_text, per_axis, shape_text


@dataclass(frozen=True)
class Layer:
    """What a bank needs beyond a `Filter`: the options of the same names.

    Attributes
    ----------
    padding : int, tuple of int, str or None
        As in `convcli.layers.conv`; None where `Filter.mode` says how much there is.
    groups : int
    bias : (outputs,) array, optional
    transposed : bool
    output_padding : int or tuple of int
        Of a transposed one.
    """

    padding: Padding | None = 0
    groups: int = 1
    bias: Array | None = None
    transposed: bool = False
    output_padding: PerAxis = 0


def apply_bank(
    planes: Array, kernel: Kernel, how: Filter, layer: Layer, *, photo: bool = False, dry_run: bool = False
) -> Filtered:
    """Apply a bank of kernels.

    Parameters
    ----------
    planes : (C, *spatial) or (N, C, *spatial) array
    kernel : Kernel
        A bank: (outputs, C / groups, *taps), or (C, outputs / groups, *taps) if transposed.
    how : Filter
    layer : Layer
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
    >>> apply_bank(np.arange(4).reshape(2, 1, 2), bank, Filter(op="correlate"), Layer()).outputs[0].tolist()
    [[[2, 4]]]
    """
    began = time.perf_counter()
    image = samples_of(planes, "image")
    axes = len(kernel.taps)
    if image.ndim not in (axes + 1, axes + 2):
        raise UsageError(
            f"an array {shape_text(image.shape)} has {image.ndim} axes for the bank "
            f"{shape_text(kernel.values.shape)}; it takes (C, *spatial) or (N, C, *spatial)"
        )
    images = image if image.ndim == axes + 2 else image[None]
    bank = kernel.values if kernel.divisor == 1 else kernel.weights
    layer = replace(layer, groups=per_axis(layer.groups, 1, "groups", 1)[0])
    _check_channels(bank, images, layer)
    if layer.transposed:
        filtered = Filtered([], plan(_part(bank, images, how, layer), how.backend, threads=how.threads))
        result = None if dry_run else _transposed(images, bank, how, layer)
    else:
        problem = _posed(images, bank, how, layer)
        filtered = Filtered([], problem.plan, plan_seconds=time.perf_counter() - began)
        began = time.perf_counter()
        result = None if dry_run else problem.solve()
    if result is None:
        return filtered
    result = result.reshape(len(images), -1, *result.shape[2:])
    result = add_bias(result, bias_of(layer.bias, result.shape[1]))
    output, filtered.clipped = finished(
        result if image.ndim == axes + 2 else result[0],
        image.dtype,
        how,
        alpha=False,
        photo=photo,
        snap=photo and bank.dtype.kind == "f",
    )
    filtered.outputs.append(output)
    filtered.compute_seconds = time.perf_counter() - began
    return filtered


def _check_channels(bank: Array, images: Array, layer: Layer) -> None:
    channels = images.shape[1]
    refuse_groups(layer.groups, len(bank), "kernels" if not layer.transposed else "channels of the bank")
    refuse_groups(layer.groups, channels, "channels of the image")
    needed = len(bank) if layer.transposed else bank.shape[1] * layer.groups
    if channels != needed:
        raise UsageError(
            f"the bank {shape_text(bank.shape)} is for {needed} channels"
            + (f" in {layer.groups} groups" if layer.groups > 1 else "")
            + f", and the image {shape_text(images.shape[1:])} has {channels}; "
            "the bank is (out, in / groups, *taps)"
            + (", or (in, out / groups, *taps) with --transposed" if layer.transposed else "")
        )


def _posed(images: Array, bank: Array, how: Filter, layer: Layer) -> Problem:
    """Plan a convolution, and refuse it if its arrays would not fit."""
    spatial = images.shape[2:]
    padding = None
    if layer.padding is not None:
        padding = geometry(spatial, bank.shape[2:], how.stride, layer.padding, how.dilation).padding
    problem = pose(
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
    needed = images.nbytes + 2 * problem.plan.spec.samples * 8 + problem.plan.cost.memory_bytes
    _check_memory(needed, problem.plan.spec.output_shape, how)
    return problem


def _part(bank: Array, images: Array, how: Filter, layer: Layer) -> ConvSpec:
    """Describe what a transposed convolution consists of: one convolution for every residue of the stride."""
    stride = per_axis(how.stride, images.ndim - 2, "stride", 1)
    return ConvSpec(
        image_shape=images.shape[2:],
        kernel_shape=tuple(-(-n // s) for n, s in zip(bank.shape[2:], stride, strict=True)),
        batch=len(images) * layer.groups,
        channels=len(bank) // layer.groups,
        outputs=bank.shape[1] * int(np.prod(stride)),
        mode="full",
        dtype="float64" if bank.dtype.kind == "i" or images.dtype.itemsize > 4 else "float32",
    )


def _transposed(images: Array, bank: Array, how: Filter, layer: Layer) -> Array:
    spec = _part(bank, images, how, layer)
    _check_memory(images.nbytes + 3 * spec.samples * 8, spec.output_shape, how)
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


def _check_memory(needed: float, shape: tuple[int, ...], how: Filter) -> None:
    limit = how.max_memory if how.max_memory is not None else available_memory()
    if limit is not None and needed > limit:
        raise LimitError(
            f"the result {shape_text(shape)} needs {bytes_text(needed)} of memory, more than the "
            f"{bytes_text(limit)} allowed; raise --max-memory, or use --stride or less padding"
        )
