"""``convcli shape``: convolution arithmetic, with the formulas."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, Any

from convcli.cli.command import command
from convcli.cli.options import OneJson
from convcli.options import Argument, Option

if TYPE_CHECKING:
    from convcli.arithmetic import LayerAxis, State

WIDEST_FORMULA = 59  # columns
AXIS_NAMES: dict[int, tuple[str, ...]] = {1: ("",), 2: ("height", "width"), 3: ("depth", "height", "width")}
HEADER = ("", "layer", "output", "field", "jump", "parameters", "mult-adds")
LAYER_KEYS = ("type", "kernel", "stride", "padding", "dilation", "output_padding", "groups", "bias", "ceil")
COSTS = ("parameters", "multiply_adds")
SOURCE = "R1 to R15: the relationships of Dumoulin and Visin, arXiv:1603.07285"


@dataclass(eq=False, repr=False)
class ShapeOptions:
    """An input, and the layers that it passes."""

    size: Annotated[str, Argument("SHAPE", "Of the input: 100, 480x640 or 16x112x112.")]
    layers: Annotated[
        list[str], Option("Input", "A layer, as above; may be repeated.", "--layer", "-l", "LAYER")
    ] = field(default_factory=list)
    channels: Annotated[int, Option("Input", "Channels of the input.", "N")] = 1
    as_json: OneJson = False


@command()
def shape(options: ShapeOptions) -> None:
    """Follow the size of an image through layers, with the formula for each.

    A LAYER is [TYPE:]KEY=VALUE,... of type conv (the default), pool or transposed.

    \b
      k  kernel           s  stride; by default 1, and of a pool its kernel
      d  dilation         p  padding: N, ahead:behind, same, full or valid
      c  output channels; by default those of the input
      g  groups           b  bias: 1 (the default) or 0
      o  output padding of a transposed convolution
      ceil=1 for a pool that rounds up

    One value per axis is written 3x5. Keys may be long, as in kernel=3,groups=2.

    \b
    Printed of each output sample:
      field  receptive field: how many samples of the input the kernels span
      jump   distance to the next output, in samples of the input

    \b
    Examples:
      convcli shape 32x32 -l k=3,s=2,p=1
      convcli shape 224x224 --channels 3 -l k=7,s=2,p=3,c=64 -l pool:k=3,s=2,p=1
      convcli shape 7x7 -l transposed:k=4,s=2,p=1 -l k=3x5,p=same
    """
    from convcli.arithmetic import follow, parse_shape
    from convcli.cli import report
    from convcli.errors import UsageError

    if not options.layers:
        example = f"convcli shape {options.size} -l k=3,s=2,p=1"
        raise UsageError(f"no layer; give at least one, for example: {example}")
    states = follow(parse_shape(options.size), options.layers, options.channels)
    if options.as_json:
        print(json.dumps(_document(states)))
        return
    report.table(HEADER, _rows(states))
    print()
    report.table(("layer", "by", "formula"), _formulas(states), title=SOURCE)


def _rows(states: "list[State]") -> list[tuple[str, ...]]:
    """Return rows for the input, the layers, and what they come to."""
    from convcli.text import count_text

    show_channels = any(state.channels > 1 for state in states)
    rows: list[tuple[str, ...]] = [("", "input", *_facts(states[0], show_channels), "", "")]
    for number, state in enumerate(states[1:], 1):
        costs = count_text(state.parameters), count_text(state.multiply_adds)
        # blanks, so that a terminal breaks the line between two settings
        rows.append((str(number), str(state.layer).replace(",", " "), *_facts(state, show_channels), *costs))
    if len(states) > 2:
        rows.append(("", "total", *rows[-1][2:5], *map(count_text, _totals(states))))
    return rows


def _facts(state: "State", show_channels: bool) -> tuple[str, str, str]:
    """Return the size, the receptive field and the jump."""
    from convcli.arithmetic import per_axis_text
    from convcli.text import shape_text

    size = shape_text((state.channels, *state.shape) if show_channels else state.shape)
    return size, per_axis_text(state.field), per_axis_text(state.jump)


def _totals(states: "list[State]") -> list[int]:
    return [sum(getattr(state, key) for state in states) for key in COSTS]


def _formulas(states: "list[State]") -> list[tuple[str, ...]]:
    """Return the rows of every layer, or of every axis where these differ: relationship and formula."""
    rows: list[tuple[str, ...]] = []
    for number, state in enumerate(states[1:], 1):
        assert state.layer is not None
        axes, labels = state.axes, AXIS_NAMES[len(state.axes)]
        if len(set(axes)) == 1:
            axes, labels = axes[:1], ("",)
        for axis, label in zip(axes, labels, strict=True):
            name = axis.name if axis.relationship else f"general formula: {axis.name}"
            if state.layer.word:
                name += f"; p={state.layer.word} is {axis.p}" + f":{axis.q}" * (axis.p != axis.q)
            rule = f"R{axis.relationship}" if axis.relationship else "–"
            rows.append((f"{number} {label}".rstrip(), rule, name))
            rows.extend(("", "", line) for line in _lines(_formula(axis)))
    return rows


def _formula(axis: "LayerAxis") -> str:
    """Write the formula, the numbers in it, and the result.

    >>> from convcli.arithmetic import LayerAxis
    >>> print(_formula(LayerAxis("conv", i=4, k=3)))
    o = (i − k) + 1 = (4 − 3) + 1 = 2
    """
    steps = [axis.letter, axis.formula, axis.numbers, str(axis.o)]
    return " = ".join(steps[:3] if axis.numbers == str(axis.o) else steps)


def _lines(formula: str) -> list[str]:
    """Break a formula that 80 columns have no room for where the numbers begin."""
    if len(formula) <= WIDEST_FORMULA:
        return [formula]
    letter, general, *numbers = formula.split(" = ")
    return [f"{letter} = {general}", " " * len(letter) + f" = {' = '.join(numbers)}"]


def _document(states: "list[State]") -> dict[str, Any]:
    totals = dict(zip(COSTS, _totals(states), strict=True))
    first, last = ({"channels": state.channels, "shape": state.shape} for state in (states[0], states[-1]))
    layers = [_entry(number, state) for number, state in enumerate(states[1:], 1)]
    return {"input": first, "layers": layers, "output": last, **_reach(states[-1]), **totals}


def _entry(number: int, state: "State") -> dict[str, Any]:
    layer = state.layer
    assert layer is not None
    return {
        "number": number,
        "layer": str(layer),
        **{key: getattr(layer, key) for key in LAYER_KEYS},
        "relationship": [axis.relationship for axis in state.axes],
        "formula": [_formula(axis) for axis in state.axes],
        "channels": state.channels,
        "shape": state.shape,
        **_reach(state),
        **{key: getattr(state, key) for key in COSTS},
    }


def _reach(state: "State") -> dict[str, Any]:
    return {"receptive_field": state.field, "jump": _plain(state.jump), "start": _plain(state.start)}


def _plain(values: Sequence[Fraction]) -> list[float]:
    """Return whole numbers as such; JSON has no fractions."""
    return [int(value) if value.denominator == 1 else float(value) for value in values]
