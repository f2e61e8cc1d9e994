"""Layers one after the other: what becomes of sizes, receptive fields and costs."""

import functools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from convcli.arithmetic.axis import LayerAxis
from convcli.arithmetic.layer import Layer, parse_layer
from convcli.errors import UsageError

LARGEST = 10**100  # far above any use; Python refuses to print numbers that are far above this


@dataclass(frozen=True)
class State:
    """The state after a layer, or before the first.

    `field` is the receptive field of one sample: the samples of the network's input from the first to the
    last under the kernels that lead to it; those between the cells of a dilated kernel count, and the input
    has no end. Outputs of a transposed convolution differ in this: the most that any can have. (Where a
    stride follows one, it may leave none of these.)
    """

    layer: Layer | None  # None for the input
    axes: tuple[LayerAxis, ...]  # its sizes, and the formulas for them
    channels: int
    shape: tuple[int, ...]  # spatial
    field: tuple[int, ...]
    jump: tuple[Fraction, ...]  # distance of the fields of neighbouring samples, in samples of the input
    start: tuple[Fraction, ...]  # centre of the field of the first sample; the input's first is at 0
    parameters: int = 0  # weights and biases of this layer
    multiply_adds: int = 0  # products with the weights, those of padding included


def follow(shape: Sequence[int], layers: Iterable[str], channels: int = 1) -> list[State]:
    """Follow an input of 1 to 3 spatial axes through layers; the first state is the input's own.

    Layers are written as `parse_layer` reads them; an error names the layer.

    >>> states = follow((224, 224), ["k=7,s=2,p=3,c=64", "pool:k=3,s=2,p=1"], channels=3)
    >>> states[-1].shape, states[-1].field, states[1].parameters
    ((56, 56), (11, 11), 9472)
    """
    if not 1 <= channels < 10**18:
        raise UsageError(f"channels {channels} is not a whole number from 1, and below 10^18")
    ones, zeros = (Fraction(1),) * len(shape), (Fraction(0),) * len(shape)
    states = [State(None, (), channels, tuple(shape), (1,) * len(shape), ones, zeros)]
    for number, text in enumerate(layers, 1):
        try:
            states.append(_next(states, parse_layer(text, len(shape))))
        except UsageError as error:
            raise UsageError(f'layer {number} "{text}": {error}') from None
    return states


def _next(states: list[State], layer: Layer) -> State:
    before = states[-1]
    axes = layer.on(before.shape)
    passed = [state.axes for state in states[1:]] + [axes]
    shape = tuple(axis.o for axis in axes)
    # the field: one sample, traced back through one axis of all layers
    lines = zip(*reversed(passed), strict=True)
    field = tuple(functools.reduce(lambda width, axis: axis.reach(width), line, 1) for line in lines)
    jump, start = zip(*map(_moved, axes, before.jump, before.start), strict=True)
    if max(*shape, *field, *(max(j.numerator, j.denominator) for j in jump)) > LARGEST:
        raise UsageError("its sizes, or the receptive field's, are beyond 10^100; use smaller numbers")
    channels, parameters, multiply_adds = _cost(layer, before, shape)
    return State(layer, axes, channels, shape, field, jump, start, parameters, multiply_adds)


def _moved(axis: LayerAxis, jump: Fraction, start: Fraction) -> tuple[Fraction, Fraction]:
    """Return the jump and the centre of the first sample's field after a layer."""
    ahead = Fraction(axis.extent - 1, 2) - axis.p
    if axis.type == "transposed":
        return jump / axis.s, start - ahead * jump / axis.s
    return jump * axis.s, start + ahead * jump


def _cost(layer: Layer, before: State, shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Return the channels of the output, the parameters and the multiply-adds."""
    if layer.type == "pool":
        return before.channels, 0, 0
    outputs = layer.channels or before.channels
    for count, side in ((before.channels, "input"), (outputs, "output")):
        if count % layer.groups:
            raise UsageError(
                f"groups {layer.groups} does not divide the {count} channels of the {side}; use a divisor"
            )
    weights = before.channels * outputs // layer.groups * math.prod(layer.kernel)
    positions = math.prod(before.shape if layer.type == "transposed" else shape)
    return outputs, weights + layer.bias * outputs, weights * positions
