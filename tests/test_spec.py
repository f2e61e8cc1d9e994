"""Shape arithmetic agrees with counting, and every refusal names value, rule and way out."""

from __future__ import annotations

import dataclasses
import itertools
import subprocess
import sys

import pytest
from oracle import offsets, output_positions

from convcli.errors import ConvcliError, UsageError
from convcli.spec import BORDERS, MODES, OPS, ConvSpec, border_name, per_axis
from convcli.text import shape_text

GEOMETRIES = [
    (size, taps, origin, stride, dilation)
    for size, taps in itertools.product((1, 2, 5, 8), (1, 2, 3, 4, 9))
    for origin in sorted({0, (taps - 1) // 2, taps - 1})
    for stride, dilation in ((1, 1), (2, 1), (3, 2), (1, 3), (11, 4))
]


def line(size, taps, origin, stride, dilation, **options):
    """Return the only axis of a one-dimensional spec."""
    spec = ConvSpec((size,), (taps,), origin=origin, stride=stride, dilation=dilation, **options)
    (axis,) = spec.axes
    return spec, axis


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("op", OPS)
def test_outputs_are_those_found_by_trying_every_position(mode, op):
    for size, taps, origin, stride, dilation in GEOMETRIES:
        positions = output_positions(size, taps, origin, dilation, op, mode)
        if not positions:
            with pytest.raises(UsageError, match="larger than image"):
                line(size, taps, origin, stride, dilation, mode=mode, op=op)
            continue
        spec, axis = line(size, taps, origin, stride, dilation, mode=mode, op=op)
        assert (axis.start, axis.stop) == (positions[0], positions[-1] + 1)
        assert spec.output_shape == (len(positions[::stride]),)
        assert axis.output == len(positions[::stride])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("op", OPS)
def test_padding_reaches_the_outermost_samples_that_are_needed(mode, op):
    for size, taps, origin, stride, dilation in GEOMETRIES:
        positions = output_positions(size, taps, origin, dilation, op, mode, stride)
        if not positions:
            continue
        spec, axis = line(size, taps, origin, stride, dilation, mode=mode, op=op)
        needed = [i + shift for i in positions for shift in offsets(taps, origin, dilation, op)]
        assert axis.before == -min(needed)
        assert axis.after == max(needed) - (size - 1)
        assert spec.padded_shape == (max(needed) - min(needed) + 1,)
        assert axis.extent == len(range((taps - 1) * dilation + 1))


@pytest.mark.parametrize(("mode", "shape"), [("same", (7, 9)), ("full", (10, 10)), ("valid", (4, 8))])
def test_mode_sizes_are_those_of_the_manual(mode, shape):
    assert ConvSpec((7, 9), (4, 2), mode=mode).output_shape == shape


@pytest.mark.parametrize("op", OPS)
def test_valid_needs_no_border(op):
    for size, taps, origin, stride, dilation in GEOMETRIES:
        if (taps - 1) * dilation < size:
            _, axis = line(size, taps, origin, stride, dilation, mode="valid", op=op)
            assert axis.before == 0
            assert axis.after <= 0


@pytest.mark.parametrize(("taps", "origin"), [(1, 0), (2, 0), (3, 1), (4, 1), (5, 2)])
def test_the_default_origin_is_the_cell_before_the_middle(taps, origin):
    assert ConvSpec((9,), (taps,)).origin == (origin,)


def test_axes_are_treated_alone():
    spec = ConvSpec((5, 8, 9), (2, 3, 4), mode="full", origin=(1, 0, 2), stride=(1, 2, 3), dilation=(3, 1, 2))
    for a in range(3):
        per = {name: getattr(spec, name)[a] for name in ("origin", "stride", "dilation")}
        single = ConvSpec((spec.image_shape[a],), (spec.kernel_shape[a],), mode="full", **per)
        assert single.axes == (spec.axes[a],)
        assert single.output_shape == (spec.output_shape[a],)


def test_one_number_stands_for_every_axis():
    spec = ConvSpec((9, 9), (3, 3), stride=2, dilation=3, origin=1)
    assert (spec.stride, spec.dilation, spec.origin) == ((2, 2), (3, 3), (1, 1))
    assert per_axis(4, 3, "stride", 1) == (4, 4, 4)
    assert per_axis([1, 2], 2, "stride", 1) == (1, 2)


def test_numpy_integers_count_as_integers():
    np = pytest.importorskip("numpy")
    assert per_axis(np.int16(3), 2, "stride", 1) == (3, 3)
    assert per_axis((np.uint8(3), 4), 2, "stride", 1) == (3, 4)
    assert per_axis(np.array([3, 4]), 2, "stride", 1) == (3, 4)


@pytest.mark.parametrize(
    ("alias", "border"),
    [
        ("edge", "nearest"),
        ("replicate", "nearest"),
        ("clamp", "nearest"),
        ("circular", "wrap"),
        ("periodic", "wrap"),
        ("reflect-101", "mirror"),
        ("fill", "constant"),
        *((name, name) for name in BORDERS),
    ],
)
def test_aliases_mean_one_border(alias, border):
    assert border_name(alias) == border
    assert ConvSpec((4,), (3,), border=alias).border == border


def test_reflect_alone_is_refused_with_both_meanings():
    with pytest.raises(
        UsageError, match=r'"reflect" means two things.*"symmetric" \(SciPy.*"mirror" \(NumPy'
    ):
        ConvSpec((4,), (3,), border="reflect")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"mode": "sane"}, r'unknown mode "sane"; did you mean "same"\? use one of same, full, valid'),
        ({"border": "black"}, r'unknown border "black"; use one of zero, constant, nearest, symmetric'),
        ({"op": "multiply"}, r'unknown op "multiply"; use one of convolve, correlate'),
        ({"stride": 0}, r"stride 0×0 is below 1"),
        ({"stride": (1, 2, 3)}, r"stride \(1, 2, 3\) has 3 numbers for 2 axes"),
        ({"dilation": -1}, r"dilation -1×-1 is below 1"),
        ({"dilation": (1, 1.5)}, r"dilation \(1, 1.5\) is not made of whole numbers"),
        ({"origin": (0, 3)}, r"origin \(0, 3\) is outside the kernel 3×3; cells are counted from 0"),
        ({"origin": -1}, r"origin -1×-1 is below 0"),
        ({"kernel_shape": (0, 3)}, r"kernel 0×3 is empty"),
        ({"image_shape": (5, 0)}, r"image 5×0 is empty"),
        ({"image_shape": (5,)}, r"image 5 has 1 spatial axes for a kernel with 2"),
        ({"kernel_shape": ()}, r"kernel has 0 axes; convolution here has 1, 2 or 3"),
        ({"kernel_shape": (1, 1, 1, 1)}, r"kernel has 4 axes"),
    ],
)
def test_a_refusal_names_the_value_and_the_rule(change, text):
    arguments = {"image_shape": (5, 5), "kernel_shape": (3, 3)} | change
    with pytest.raises(UsageError, match=text):
        ConvSpec(**arguments)


def test_a_kernel_larger_than_the_image_is_refused_in_valid_only():
    message = 'kernel 9×9 is larger than image 5×5 in mode "valid"; use --mode full, or a smaller kernel'
    with pytest.raises(UsageError) as caught:
        ConvSpec((5, 5), (9, 9), mode="valid")
    assert str(caught.value) == message
    with pytest.raises(UsageError, match=r"kernel 3×3 \(dilated: 7×3\) is larger than image 5×5"):
        ConvSpec((5, 5), (3, 3), mode="valid", dilation=(3, 1))
    assert ConvSpec((5, 5), (9, 9), mode="same").output_shape == (5, 5)
    assert ConvSpec((5, 5), (9, 9), mode="full").output_shape == (13, 13)


@pytest.mark.parametrize("bad", [1.5, 2.0, None, "2", "ab", b"1", [1.0, 2.0], [[1, 2]], object()])
def test_what_is_not_a_whole_number_is_a_usage_error(bad):
    with pytest.raises(UsageError, match="stride"):
        per_axis(bad, 2, "stride", 1)


def test_errors_are_caught_as_what_they_are():
    with pytest.raises(ValueError, match="unknown mode") as caught:
        ConvSpec((4,), (3,), mode="half")
    assert isinstance(caught.value, ConvcliError)
    assert caught.value.exit_status == 2


def test_a_spec_is_a_value():
    one, two = ConvSpec((4, 4), (3, 3), border="edge"), ConvSpec([4, 4], [3, 3], border="nearest")
    assert hash(one) == hash(ConvSpec((4, 4), (3, 3), border="nearest"))
    assert (two.output_shape, two.padded_shape) == (one.output_shape, one.padded_shape)
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.mode = "full"


def test_a_spec_can_be_derived_from_another():
    spec = ConvSpec((4, 4), (3, 3), border="edge", origin=(0, 2), stride=2)
    assert dataclasses.replace(spec, stride=1).output_shape == (4, 4)
    assert dataclasses.replace(spec) == spec


def test_samples_count_batch_and_outputs():
    assert ConvSpec((4, 6), (3, 3), batch=5, channels=3, outputs=2, stride=2).samples == 5 * 2 * 2 * 3


def test_shapes_are_written_as_people_do():
    assert shape_text((480, 640)) == "480×640"


@pytest.mark.parametrize("module", ["convcli", "convcli.spec"])
def test_importing_loads_nothing_heavy(module):
    program = f"import sys, {module}; print(*({{'scipy', 'PIL', 'rich', 'cupy'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


BORDER = """

import convcli.spec as spec
spec.BORDERS["odd"] = spec.Border("-b -a|a b c d|-d -c", "{toeplitz}", ("antisymmetric",))
spec.BORDER_ALIASES["antisymmetric"] = "odd"
try:
    import convcli.arrays.borders
except ImportError as error:
    print(error)
"""


def test_a_border_without_a_rule_fails_at_import():
    done = subprocess.run(
        [sys.executable, "-c", BORDER], capture_output=True, text=True, check=True, timeout=60
    )
    assert (
        done.stdout == "border odd has no rule in convcli.arrays.borders, or convcli.spec does not know it\n"
    )
