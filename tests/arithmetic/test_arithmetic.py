"""Convolution arithmetic agrees with counting, with the paper it cites, and with well-known networks."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convcli import layers
from convcli.arithmetic import RELATIONSHIPS, LayerAxis, follow, parse_layer, parse_shape
from convcli.errors import UsageError
from convcli.spec import ConvSpec

GEOMETRIES = list(product((1, 2, 5, 8), (1, 2, 3, 4), (1, 2, 3), (0, 1, 2, 3), (0, 1, 2, 3), (1, 2, 3)))


def axes_of(type_, **options):
    """Every geometry as an axis."""
    return [LayerAxis(type_, i, k, s, p, q, d, **options) for i, k, s, p, q, d in GEOMETRIES]


def windows(axis):
    """First samples, counted in the padded input, of the windows that fit; found by trying."""
    padded = axis.i + axis.p + axis.q
    cells = [m * axis.d for m in range(axis.k)]
    return [t for t in range(0, padded, axis.s) if t + cells[-1] < padded]


def every_axis():
    """All that can be built: also pools that round up, and output padding."""
    pools = [a for a in axes_of("pool", ceil=True) if max(a.p, a.q) < a.extent]
    spread = [a for extra in (0, 1, 2) for a in axes_of("transposed", a=extra) if extra < max(a.s, a.d)]
    return [a for a in (*axes_of("conv"), *axes_of("pool"), *pools, *spread) if a.o > 0]


def test_sizes_are_those_found_by_counting_windows():
    for axis in (*axes_of("conv"), *axes_of("pool")):
        assert max(axis.o, 0) == len(windows(axis)), axis


def test_rounding_up_adds_the_window_that_the_end_cuts_unless_it_begins_there():
    for axis in axes_of("pool", ceil=True):
        if max(axis.p, axis.q) >= axis.extent or not windows(axis):
            continue
        starts = windows(axis)
        if starts[-1] + axis.extent < axis.i + axis.p + axis.q:
            starts.append(starts[-1] + axis.s)
        assert axis.o == len([t for t in starts if t < axis.i + axis.p]), axis


def test_a_window_that_only_rounding_up_admits_is_that_of_max_pool():
    assert follow((2,), ["pool:k=7,s=5,p=1,ceil=1"])[-1].shape == (1,)
    for axis in axes_of("pool", ceil=True):
        if max(axis.p, axis.q) >= axis.extent:
            continue
        options = {"stride": axis.s, "padding": (axis.p, axis.q), "dilation": axis.d, "ceil_mode": True}
        try:
            size = layers.max_pool(np.ones((1, 1, axis.i)), axis.k, **options).shape[-1]
        except UsageError:
            size = 0
        assert max(axis.o, 0) == size, axis


def test_transposed_sizes_are_those_whose_convolution_gives_the_input():
    for i, k, s, p, q, d in GEOMETRIES:
        longest = s * i + (k - 1) * d + s
        found = [n for n in range(1, longest) if LayerAxis("conv", n, k, s, p, q, d).o == i]
        sizes = [LayerAxis("transposed", i, k, s, p, q, d, a).o for a in range(s)]
        assert found == [n for n in sizes if n > 0]


@pytest.mark.parametrize(
    ("number", "axis", "size"),
    [  # the figures of the paper; that of 7 has unit strides
        (1, LayerAxis("conv", 4, 3), 2),
        (2, LayerAxis("conv", 5, 4, p=2, q=2), 6),
        (3, LayerAxis("conv", 5, 3, p=1, q=1), 5),
        (4, LayerAxis("conv", 5, 3, p=2, q=2), 7),
        (5, LayerAxis("conv", 5, 3, s=2), 2),
        (6, LayerAxis("conv", 5, 3, s=2, p=1, q=1), 3),
        (6, LayerAxis("conv", 6, 3, s=2, p=1, q=1), 3),
        (7, LayerAxis("pool", 5, 3), 3),
        (8, LayerAxis("transposed", 2, 3), 4),
        (9, LayerAxis("transposed", 6, 4, p=2, q=2), 5),
        (10, LayerAxis("transposed", 5, 3, p=1, q=1), 5),
        (11, LayerAxis("transposed", 7, 3, p=2, q=2), 5),
        (12, LayerAxis("transposed", 2, 3, s=2), 5),
        (13, LayerAxis("transposed", 3, 3, s=2, p=1, q=1), 5),
        (14, LayerAxis("transposed", 3, 3, s=2, p=1, q=1, a=1), 6),
        (15, LayerAxis("conv", 7, 3, d=2), 3),
    ],
)
def test_every_figure_of_the_paper_is_known_by_its_relationship(number, axis, size):
    assert (axis.relationship, axis.o) == (number, size)
    assert (axis.name, axis.formula) == RELATIONSHIPS[number]


CONDITIONS = {
    1: lambda a: a.s == 1 and a.p == 0,
    2: lambda a: a.s == 1,
    3: lambda a: a.s == 1 and a.k % 2 == 1 and a.p == a.k // 2,
    4: lambda a: a.s == 1 and a.p == a.k - 1,
    5: lambda a: a.p == 0,
    6: lambda a: a.s >= 1,
}
CONDITIONS |= {n + 7: CONDITIONS[n] for n in (1, 2, 3, 4, 5, 6)}


def test_relationships_are_named_where_their_conditions_hold_alone():
    named = set()
    for axis in every_axis():
        number = axis.relationship
        named.add(number)
        if number is None:
            continue
        assert axis.p == axis.q, axis
        assert axis.type == ("transposed" if 8 <= number <= 14 else "pool" if number == 7 else "conv")
        assert (axis.d > 1) == (number == 15), axis
        assert (axis.a > 0) == (number == 14), axis
        assert not axis.ceil
        if number in CONDITIONS:
            assert CONDITIONS[number](axis), axis
        if number in (2, 6, 9, 13):  # the general ones, when no special one holds
            special = {2: (1, 3, 4), 6: (1, 2, 5), 9: (8, 10, 11), 13: (8, 9, 12)}[number]
            assert not any(CONDITIONS[n](axis) for n in special), axis
    assert named == {None, *RELATIONSHIPS}


def value_of(numbers):
    """Work out a formula that has its numbers put in."""
    text = re.sub(r"⌊(.+)/(\d+)⌋", r"((\1)//\2)", numbers)
    text = re.sub(r"⌈(.+)/(\d+)⌉", r"(-(-(\1)//\2))", text)
    return eval(text.replace("·", "*").replace(")(", ")*(").replace("−", "-"))


def test_numbers_in_every_formula_come_to_the_size():
    for axis in every_axis():
        assert value_of(axis.numbers) == axis.o, axis


def test_general_formulas_say_what_they_generalise():
    assert LayerAxis("conv", 9, 3, p=1, q=2).name == "R6 for padding p ahead and q behind"
    assert LayerAxis("conv", 9, 3, p=1, q=2, d=2).formula == "⌊(i + p + q − k − (k − 1)(d − 1))/s⌋ + 1"
    assert LayerAxis("pool", 9, 3, 2, 1, 1).name == "R7 for the padded input"
    assert LayerAxis("pool", 8, 3, 2, ceil=True).name == "R7 rounded up"
    kept = LayerAxis("pool", 8, 3, 2, 1, 1, ceil=True)
    assert (kept.o, kept.dropped) == (5, False)
    dropped = LayerAxis("pool", 5, 2, 3, 1, 1, ceil=True)
    assert (dropped.o, dropped.dropped) == (2, True)
    assert dropped.name == "R7 for the padded input, rounded up, less the window that begins behind the input"
    dilated = LayerAxis("transposed", 9, 3, 2, 1, 1, 2, 1)
    assert dilated.name == "R14 for the span of the dilated kernel"
    assert dilated.formula == "s(i' − 1) + a + k + (k − 1)(d − 1) − 2p"


def test_words_for_padding_mean_the_modes_of_a_filter():
    for i, k, s, _, _, d in GEOMETRIES:
        for word in ("same", "full", "valid"):
            layer = f"k={k},s={s},d={d},p={word}"
            if word == "valid" and (k - 1) * d >= i:
                with pytest.raises(UsageError, match="larger than the input"):
                    follow((i,), [layer])
                continue
            spec = ConvSpec((i,), (k,), mode=word, stride=s, dilation=d, op="correlate")
            _, state = follow((i,), [layer])
            assert state.shape == spec.output_shape
            if d == 1 or k % 2:  # otherwise half a sample is left over, as in no filter
                assert state.axes[0].p == spec.axes[0].before
    assert parse_layer("k=5,p=half", 1).padding == ((2, 2),)
    assert parse_layer("k=4x1,p=same", 2).padding == ((1, 2), (0, 0))


LAYERS = st.builds(
    lambda kind, k, s, p, q, d: f"{kind}:k={k},s={s},p={min(p, k - 1)}:{min(q, k - 1)},d={d}",
    st.sampled_from(("conv", "pool", "transposed")),
    *(st.integers(1, 5), st.integers(1, 3), st.integers(0, 2), st.integers(0, 2), st.integers(1, 2)),
)
STACKS = st.lists(LAYERS, min_size=1, max_size=5)


def reached(axes, output):
    """Return the samples of an endless input that one output is made from."""
    samples = {output}
    for axis in reversed(axes):
        cells = [m * axis.d - axis.p for m in range(axis.k)]
        if axis.type == "transposed":
            hits = {t - cell for t in samples for cell in cells}
            samples = {n // axis.s for n in hits if n % axis.s == 0}
        else:
            samples = {t * axis.s + cell for t in samples for cell in cells}
    return samples


def widths(axes):
    """Return the receptive field of every kind of output there is."""
    period = math.prod(axis.s for axis in axes if axis.type == "transposed")
    fields = [reached(axes, output) for output in range(period)]
    return [max(field) - min(field) + 1 for field in fields if field]


@given(STACKS)
def test_receptive_field_is_the_widest_that_any_output_has(layers):
    states = follow((10**6,), layers)
    axes = [state.axes[0] for state in states[1:]]
    (field,) = states[-1].field
    first = next((n for n, axis in enumerate(axes) if axis.type == "transposed"), len(axes))
    strided = any(axis.s > 1 and axis.type != "transposed" for axis in axes[first:])
    dilated = any(axis.d > 1 for axis in axes[first:])
    if strided or dilated:  # then a bound
        assert max(widths(axes), default=0) <= field
    else:
        assert max(widths(axes)) == field


@given(STACKS)
def test_jump_is_the_distance_of_neighbouring_fields(layers):
    states = follow((10**6,), layers)
    axes = [state.axes[0] for state in states[1:]]
    last = states[-1]
    period = math.prod(axis.s for axis in axes if axis.type == "transposed")
    one, other = reached(axes, 5), reached(axes, 5 + period)
    assert other == {sample + last.jump[0] * period for sample in one}
    if period == 1:
        assert last.start[0] + 5 * last.jump[0] == Fraction(min(one) + max(one), 2)


def test_transposed_layers_divide_the_jump():
    states = follow((8,), ["k=3,s=2,p=1", "transposed:k=2,s=2", "transposed:k=3,s=3", "k=2"])
    assert [state.jump[0] for state in states] == [1, 2, 1, Fraction(1, 3), Fraction(1, 3)]
    assert [state.field[0] for state in states] == [1, 3, 3, 3, 5]


def test_a_stride_after_a_transposed_layer_may_leave_no_output_with_the_widest_field():
    states = follow((8,), ["transposed:k=3,s=2,p=1", "k=1,s=2"])
    assert states[-1].field == (2,)
    assert widths([state.axes[0] for state in states[1:]]) == [1, 1]


def test_parameters_and_multiply_adds_are_those_found_by_counting():
    for kind, channels, outputs, groups in product(("conv", "transposed"), (2, 6), (4, 6), (1, 2)):
        before, after = follow((4, 5), [f"{kind}:k=3x2,s=2,c={outputs},g={groups}"], channels)
        weights = [
            (source, target, cell)
            for source, target in product(range(channels), range(outputs))
            for cell in product(range(3), range(2))
            if source * groups // channels == target * groups // outputs
        ]
        assert after.parameters == len(weights) + outputs
        used = (after if kind == "conv" else before).shape
        assert after.multiply_adds == len(weights) * len(list(product(*map(range, used))))
        without = follow((4, 5), [f"{kind}:k=3x2,s=2,c={outputs},g={groups},b=0"], channels)[1]
        assert after.parameters - without.parameters == outputs
    assert [(s.channels, s.parameters, s.multiply_adds) for s in follow((9,), ["pool:k=3"], 5)][1] == (
        5,
        0,
        0,
    )


def totals(states):
    return sum(s.parameters for s in states), sum(s.multiply_adds for s in states)


def test_alexnet():
    layers = ["k=11,s=4,p=2,c=64", "pool:k=3,s=2", "k=5,p=2,c=192", "pool:k=3,s=2"]
    layers += ["k=3,p=1,c=384", "k=3,p=1,c=256", "k=3,p=1,c=256", "pool:k=3,s=2"]
    states = follow((224, 224), layers, 3)
    assert [s.shape[0] for s in states[1:]] == [55, 27, 27, 13, 13, 13, 13, 6]
    assert states[1].parameters == 23_296
    assert totals(states)[0] == 2_469_696
    assert (states[-1].field, states[-1].jump) == ((195, 195), (32, 32))


def test_vgg16():
    layers = []
    for channels, depth in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        layers += [f"k=3,p=same,c={channels}"] * depth + ["pool:k=2"]
    states = follow((224, 224), layers, 3)
    assert (states[-1].channels, *states[-1].shape) == (512, 7, 7)
    assert totals(states) == (14_714_688, 15_346_630_656)
    assert (states[-1].field, states[-1].jump) == ((212, 212), (32, 32))


def test_stem_of_resnet():
    states = follow((224, 224), ["k=7,s=2,p=3,c=64,b=0", "pool:k=3,s=2,p=1"], 3)
    assert (states[1].parameters, states[1].multiply_adds) == (9_408, 118_013_952)
    assert (states[-1].shape, states[-1].field, states[-1].jump) == ((56, 56), (11, 11), (4, 4))


@pytest.mark.parametrize(
    ("depths", "field"), [((3, 4, 6, 3), 483), ((3, 4, 23, 3), 1027), ((3, 8, 36, 3), 1507)]
)
def test_receptive_fields_of_resnets_that_stride_at_the_end_of_a_block(depths, field):
    layers = ["k=7,s=2,p=3", "pool:k=3,s=2,p=1"]
    for number, depth in enumerate(depths):
        layers += ["k=3,p=1"] * (depth - 1) + [f"k=3,s={2 if number < 3 else 1},p=1"]
    assert follow((224, 224), layers)[-1].field == (field, field)


def test_mobilenet():
    layers = ["k=3,s=2,p=1,c=32,b=0"]
    channels = 32
    for outputs, stride in zip(
        (64, 128, 128, 256, 256, *[512] * 6, 1024, 1024), (1, 2, 1, 2, 1, 2, *[1] * 5, 2, 1), strict=True
    ):
        layers += [f"k=3,s={stride},p=1,g={channels},b=0", f"k=1,c={outputs},b=0"]
        channels = outputs
    states = follow((224, 224), layers, 3)
    assert totals(states)[1] + 1024 * 1000 == 568_740_352
    assert states[-1].field == (315, 315)


def test_u_net():
    down = ["k=3", "k=3", "pool:k=2"] * 4 + ["k=3", "k=3"]
    states = follow((572, 572), [*down, *["tconv:k=2,s=2", "k=3", "k=3"] * 4])
    sizes = [state.shape[0] for state in states]
    assert sizes[:15] == [572, 570, 568, 284, 282, 280, 140, 138, 136, 68, 66, 64, 32, 30, 28]
    assert sizes[15:] == [56, 54, 52, 104, 102, 100, 200, 198, 196, 392, 390, 388]
    assert states[-1].jump == (1, 1)


def test_layers_are_written_as_they_are_read():
    for text, plain in {
        "k=3": "k=3",
        "kernel=3x5, stride=2X1 ,padding=1:2x0": "k=3x5,s=2x1,p=1:2x0",
        "conv:K=3,p=1:1,d=1x1,g=1,b=1": "k=3,p=1",
        "k=3×3,p=half,channels=8,groups=2,bias=0": "k=3,p=same,c=8,g=2,b=0",
        "pool:k=2": "pool:k=2,s=2",
        "pool:k=2x3,s=1,ceil=1": "pool:k=2x3,s=1,ceil=1",
        "deconv:k=4,s=2,p=1,output_padding=1": "transposed:k=4,s=2,p=1,o=1",
        "tconv:k=4,s=2,output-padding=1x0,p=full": "transposed:k=4,s=2,p=full,o=1x0",
    }.items():
        layer = parse_layer(text, 2)
        assert str(layer) == plain
        assert parse_layer(plain, 2) == layer


POOL_KEYS = "k (kernel), s (stride), p (padding), d (dilation), ceil"
WRONG = {
    "": '"" is not key=value; a layer is [TYPE:]key=value,... such as k=3x5,s=2,p=1',
    "3x3": '"3x3" is not key=value; a layer is [TYPE:]key=value,... such as k=3x5,s=2,p=1',
    "k=3,5": '"5" is not key=value; a layer is [TYPE:]key=value,... such as k=3x5,s=2,p=1',
    "s=2": "has no kernel; add its size, for example k=3",
    "pol:k=3": 'unknown type "pol"; did you mean "pool"?',
    "dense:k=3": 'unknown type "dense"; use one of conv, pool, transposed',
    "k=3,stirde=2": 'unknown key "stirde"; did you mean "stride"?',
    "pool:k=3,w=2": f'unknown key "w"; use one of {POOL_KEYS}',
    "pool:k=3,c=2": f"pool has no channels; use one of {POOL_KEYS}",
    "k=3,k=5": "kernel is given twice; give it once, as k=5 or as k=3",
    "k=three": 'kernel "three" is not a whole number below 10^18, or one per axis such as 3x5',
    "k=": 'kernel "" is not a whole number below 10^18, or one per axis such as 3x5',
    "k=1" + "0" * 18: f'kernel "1{"0" * 18}" is not a whole number below 10^18, or one per axis such as 3x5',
    "k=3,p=1:": 'padding "" is not a whole number below 10^18, or one per axis such as 3x5',
    "k=3,p=smae": 'unknown padding "smae"; did you mean "same"?',
    "k=3x3x3": "kernel (3, 3, 3) has 3 numbers for 2 axes; give one, or one per axis",
    "k=3,p=1:2x1:2x0": "padding (1, 1, 0) has 3 numbers for 2 axes; give one, or one per axis",
    "k=0": "kernel 0×0 is below 1; every number must be at least 1",
    "k=3,s=2x-1": "stride 2×-1 is below 1; every number must be at least 1",
    "k=3,p=-1": "padding -1×-1 is below 0; every number must be at least 0",
    "k=3,c=0": 'channels "0" is not a whole number from 1, and below 10^18',
    "k=3,b=yes": 'bias "yes" is neither 0 (no) nor 1 (yes)',
    "k=3,g=4": "groups 4 does not divide the 6 channels of the input; use a divisor",
    "k=3,g=3,c=8": "groups 3 does not divide the 8 channels of the output; use a divisor",
    "k=9": "kernel 9×9 is larger than the input 7×8; use more padding, or a smaller kernel",
    "k=11,p=1": "kernel 11×11 is larger than the input 7×8 with its padding, 9×10; "
    "use more padding, or a smaller kernel",
    "k=5,d=2": "kernel 5×5 (dilated: 9×9) is larger than the input 7×8; "
    "use more padding, or a smaller kernel",
    "pool:k=3,p=3": "padding 3 makes windows of padding alone, which have no maximum; use at most 2",
    "transposed:k=3,o=1": "output padding 1 is not below the stride 1; use at most 0",
    "transposed:k=3,s=2,d=3,o=3": "output padding 3 is not below the stride 2 or the dilation 3; "
    "use at most 2",
    "transposed:k=3,p=9": "padding 9 cuts off the whole output of an input 7×8; use less",
}


@pytest.mark.parametrize("text", WRONG)
def test_wrong_layers_are_named_with_value_rule_and_way_out(text):
    with pytest.raises(UsageError) as caught:
        follow((9, 10), ["k=3", text], channels=6)
    assert str(caught.value) == f'layer 2 "{text}": {WRONG[text]}'


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("32y32", 'shape "32y32" is not a whole number below 10^18, or one per axis such as 3x5'),
        ("", 'shape "" is not a whole number below 10^18, or one per axis such as 3x5'),
        ("32x0", "shape 32×0 is below 1; every number must be at least 1"),
        (
            "1x3x32x32",
            "shape 1×3×32×32 has 4 axes; give the 1, 2 or 3 spatial ones, and --channels for the channels",
        ),
    ],
)
def test_wrong_shapes_are_refused(text, reason):
    with pytest.raises(UsageError) as caught:
        parse_shape(text)
    assert str(caught.value) == reason


def test_channels_are_counted_from_1():
    for channels in (0, -3, 10**18):
        with pytest.raises(UsageError, match=f"channels {channels} is not a whole number from 1"):
            follow((9,), ["k=3"], channels)


def test_huge_numbers_are_exact_and_absurd_ones_refused():
    size = 10**18 - 1
    states = follow((size,) * 3, [f"k=3,s=2,p=1,c={size}"], channels=size)
    assert states[-1].shape == (size // 2 + 1,) * 3
    assert states[-1].multiply_adds == size * size * 27 * (size // 2 + 1) ** 3
    with pytest.raises(UsageError, match=r"layer 5 .*beyond 10\^100; use smaller numbers"):
        follow((size,), [f"transposed:k=1,s={size}"] * 9)
