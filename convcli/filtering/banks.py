"""Apply a bank of kernels to an image or an array: a layer of a neural network, from the shell."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from convcli.arrays.library import Array
from convcli.arrays.samples import samples_of
from convcli.engine.problem import Convolution, prepare
from convcli.errors import UsageError
from convcli.filtering.filter import Filtered, Prepared, finished
from convcli.filtering.options import BankOptions, Filter
from convcli.filtering.response import engine_options
from convcli.kernels import Kernel
from convcli.layers import conv_transpose
from convcli.layers.checks import add_bias, bias_of, refuse_groups
from convcli.layers.geometry import geometry, transposed_geometry
from convcli.layers.transposed_polyphase import transposed_bank
from convcli.system.resources import check_memory
from convcli.text import counted, shape_text


def prepare_bank(
    planes: Array, kernel: Kernel, options: Filter, layer: BankOptions, *, photo: bool = False
) -> Prepared:
    """Plan the application of a bank of kernels: one output with as many leading axes as `planes`.

    `planes` are (C, *spatial) or (N, C, *spatial), or (*spatial) for one channel. The bank is
    (outputs, C / groups, *taps), or (C, outputs / groups, *taps) if transposed. If `photo`, samples are
    brightness: the result returns to the type they came in.

    >>> bank, planes = Kernel(np.ones((1, 2, 1, 1)), "sum"), np.arange(4).reshape(2, 1, 2)
    >>> prepare_bank(planes, bank, Filter(op="correlate"), BankOptions()).run().outputs[0].tolist()
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
    if layer.padding is None and options.mode is None:
        layer = replace(layer, padding=0)
    options = options.for_kernels([kernel])
    if options.origin is None:
        options = replace(options, origin=kernel.origin)
    _check_channels(bank, images, options, layer)
    outputs = layer.outputs(bank)
    bias = bias_of(layer.bias_values, outputs)
    if layer.transposed:
        problem, spatial = _transposed_part(images, bank, options, layer)
    else:
        problem = _planned(images, bank, options, layer)
        spatial = problem.plan.spec.output_shape
    samples = len(images) * outputs * math.prod(spatial)
    needed = images.nbytes + 2 * samples * 8 + problem.plan.cost.memory_bytes
    way = "a smaller stride or dilation" if layer.transposed else "--stride or less padding"
    check_memory(needed, options.max_memory, f"the result {shape_text(spatial)}", way)
    leading = image.shape[: image.ndim - axes - 1]
    found = Filtered([], problem.plan, shape=(*leading, outputs, *spatial))

    def work() -> Iterable[tuple[Array, int]]:
        if layer.transposed:
            result = _transposed(images, bank, options, layer)
        else:
            result = problem.compute(_in_groups(images, layer))
        result = add_bias(result.reshape(len(images), outputs, *spatial), bias).reshape(found.shape)
        snap = photo and bank.dtype.kind == "f"
        yield finished(result, image.dtype, options, alpha=False, photo=photo, snap=snap)

    found.plan_seconds = time.perf_counter() - began
    return Prepared(found, work)


def _in_groups(images: Array, layer: BankOptions) -> Array:
    """View the channels of each group as an image of its own."""
    return images.reshape(len(images) * layer.groups, -1, *images.shape[2:])


def _check_channels(bank: Array, images: Array, options: Filter, layer: BankOptions) -> None:
    channels = images.shape[1]
    refuse_groups(layer.groups, len(bank), "kernels" if not layer.transposed else "channels of the bank")
    refuse_groups(layer.groups, channels, "channels of the image")
    needed = layer.channels(bank)
    if channels != needed:
        raise UsageError(
            f"the bank {shape_text(bank.shape)} is for {counted(needed, 'channel')}"
            + (f" in {layer.groups} groups" if layer.groups > 1 else "")
            + f", and the image {shape_text(images.shape[1:])} has {channels}; "
            "the bank is (out, in / groups, *taps)"
            + (", or (in, out / groups, *taps) with --transposed" if layer.transposed else "")
        )
    if layer.groups > 1 and options.nan == "interpolate":
        raise UsageError(
            f"nan interpolate renormalises all channels together, and there are {layer.groups} groups; "
            "use propagate or fill:V"
        )


def _planned(images: Array, bank: Array, options: Filter, layer: BankOptions) -> Convolution:
    asked = engine_options(options)
    if layer.padding is not None:
        shape = geometry(images.shape[2:], bank.shape[2:], options.stride, layer.padding, options.dilation)
        asked |= {"origin": None, "padding": shape.padding}
    return prepare(_in_groups(images, layer), bank, groups=layer.groups, **asked)


def _transposed_part(
    images: Array, bank: Array, options: Filter, layer: BankOptions
) -> tuple[Convolution, tuple[int, ...]]:
    """Plan the first convolution of a transposed one, which has one per residue of the stride.

    Return it and the spatial shape of the whole result.
    """
    sizes, taps = images.shape[2:], bank.shape[2:]
    padding = 0 if layer.padding is None else layer.padding
    strides, dilations, _, shape = transposed_geometry(
        sizes, taps, options.stride, padding, layer.output_padding, options.dilation
    )
    common = [math.gcd(s, d) for s, d in zip(strides, dilations, strict=True)]
    kernels = transposed_bank(bank, layer.groups)
    kernels = kernels.reshape(-1, *kernels.shape[2:])
    steps = [slice(None, None, min(s // g, k)) for s, g, k in zip(strides, common, taps, strict=True)]
    problem = prepare(
        _in_groups(images, layer),
        kernels[(slice(None), slice(None), *steps)],
        groups=layer.groups,
        mode="full",
        dilation=tuple(d // g for d, g in zip(dilations, common, strict=True)),
        precision=options.precision,
        backend=options.backend,
        threads=options.threads,
        max_memory=options.max_memory,
    )
    return problem, shape


def _transposed(images: Array, bank: Array, options: Filter, layer: BankOptions) -> Array:
    return conv_transpose(
        images,
        np.flip(bank, tuple(range(2, bank.ndim))) if options.op == "convolve" else bank,
        stride=options.stride,
        padding=0 if layer.padding is None else layer.padding,
        output_padding=layer.output_padding,
        dilation=options.dilation,
        groups=layer.groups,
        precision=options.precision,
        backend=options.backend,
        threads=options.threads,
    )
