"""Kernels written out in the command line, and how a text is told apart."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from convcli.errors import ConvcliError, InputError, UsageError
from convcli.kernels import parse_kernel

NUMBERS = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.fractions(max_denominator=99).filter(lambda f: abs(f) < 2**40),
)


def tables(cells):
    shapes = st.tuples(st.integers(1, 5), st.integers(1, 5))
    return shapes.flatmap(
        lambda s: st.lists(st.lists(cells, min_size=s[1], max_size=s[1]), min_size=s[0], max_size=s[0])
    )


def write(rows, cell=" ", row="; "):
    return row.join(cell.join(str(n) for n in line) for line in rows)


@pytest.mark.parametrize(
    "text",
    [
        "0 -1 0; -1 5 -1; 0 -1 0",
        "0,-1,0;-1,5,-1;0,-1,0",
        " 0, -1 ,0 ;-1\t5\t-1;  0   -1 0 ; ",
        "0 -1 0\n-1 5 -1\n0 -1 0\n",
        "0 -1 +0; -1.0 5e0 -1; 0 -1/1 .0",
        "3x3: 0,-1,0 -1,5,-1 0,-1,0",
        "3: 0,-1,0, -1,5,-1, 0,-1,0",
        "3x3:\n0,-1,0,\n-1,5,-1,\n0,-1,0\n",
    ],
)
def test_ways_to_write_the_same_kernel(text):
    kernel = parse_kernel(text)
    np.testing.assert_array_equal(kernel.values, [[0, -1, 0], [-1, 5, -1], [0, -1, 0]])
    assert kernel.values.dtype == np.int64
    assert (kernel.name, kernel.divisor, kernel.bias, kernel.origin) == ("inline", 1, 0, None)


@pytest.mark.parametrize(
    ("text", "shape"), [("5", (1, 1)), ("1 2 1", (1, 3)), ("1;2;1", (3, 1)), ("-1/3", (1, 1))]
)
def test_inline_kernels_have_two_axes(text, shape):
    assert parse_kernel(text).values.shape == shape


def test_imagemagick_geometry_is_width_by_height_and_its_origin_x_y():
    kernel = parse_kernel("3x2+2+0: 1,2,3 4,5,6")
    assert kernel.values.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert kernel.origin == (0, 2)
    assert parse_kernel("3x3+0+1: 1 2 3 4 5 6 7 8 9").origin == (1, 0)


@pytest.mark.parametrize(
    ("text", "values", "divisor"),
    [
        ("1/9 1/9 1/9; 1/9 1/9 1/9; 1/9 1/9 1/9", np.ones((3, 3)), 9),
        ("1/4 1/2 1/4", [[1, 2, 1]], 4),
        ("1/2 -1/3 1", [[3, -2, 6]], 6),
        ("2/4 6/4", [[1, 3]], 2),
        ("4/2 -8/-4", [[2, 2]], 1),
        ("9223372036854775807/1 -9223372036854775808", [[2**63 - 1, -(2**63)]], 1),
        ("0/7 0/5", [[0, 0]], 1),
        ("1/16777216", [[1]], 2**24),
    ],
)
def test_fractions_become_whole_numbers_over_a_divisor(text, values, divisor):
    kernel = parse_kernel(text)
    assert kernel.values.dtype == np.int64
    np.testing.assert_array_equal(kernel.values, values)
    assert kernel.divisor == divisor


@pytest.mark.parametrize(
    "text",
    [
        "-9223372036854775808/-1 0.5",
        "0.1 0.2",
        "1/3 0.1",
        "1/16777217",
        "1/16777213 1/16777199",
        "1.5/4",
        "1/2.5",
    ],
)
def test_what_has_no_small_common_denominator_keeps_its_value(text):
    kernel = parse_kernel(text)
    expected = [float(Fraction(above) / Fraction(below or 1)) for above, _, below in
                (cell.partition("/") for cell in text.split())]  # fmt: skip
    assert kernel.weights[0].tolist() == expected


@given(tables(NUMBERS))
@example([[2**63 - 1, -(2**63)], [1, 0]])
@example([[2**53 + 1, 2]])
def test_what_is_written_is_what_is_read(rows):
    kernel = parse_kernel(write(rows))
    assert kernel.values.shape == (len(rows), len(rows[0]))
    for cell, value in zip(
        np.ravel(np.array(rows, dtype=object)), kernel.values.ravel().tolist(), strict=True
    ):
        if kernel.values.dtype == np.int64:
            assert Fraction(value) / Fraction(kernel.divisor) == Fraction(cell)
        else:
            assert value == pytest.approx(float(cell), rel=1e-15, abs=0)


@given(tables(st.floats(allow_nan=False, allow_infinity=False)), st.sampled_from([" ", ",", ", ", "\t"]))
def test_floats_round_trip_to_the_last_bit(rows, separator):
    assert parse_kernel(write(rows, separator, ";")).values.tolist() == rows


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 2 x; 3 4 5", 'row 1, cell 3 "x" is not a number; write 3, -0.5, 1e-3 or 1/9'),
        ("1 2; 3 4_0", 'row 2, cell 2 "4_0" is not a number'),
        ("1 2; 3 \N{ARABIC-INDIC DIGIT ONE}", "row 2, cell 2 "),
        ("1 0x10", 'row 1, cell 2 "0x10" is not a number'),
        ("1 1/2/3", 'row 1, cell 2 "1/2/3" is not a number'),
        ("1 --2", 'row 1, cell 2 "--2" is not a number'),
        ("1 2; 3", "row 2 has 1 cells where the first row has 2; rows must be equally long"),
        ("1/0", 'row 1, cell 1 "1/0" divides by zero'),
        ("1 1/0.0", 'row 1, cell 2 "1/0.0" divides by zero'),
        ("1 inf", 'row 1, cell 2 "inf" is not a finite number; write 0 where the kernel has no cell'),
        ("nan 1", 'row 1, cell 1 "nan" is not a finite number'),
        ("1 1e999", 'row 1, cell 2 "1e999" is too large'),
        ("1 1e300/1e-300", "row 1, cell 2 "),
        ("1 1e99999999999999999999", "is too large"),
        ("1,,2", "row 1, cell 2 is empty; write 0, or remove the separator"),
        ("1 2;;3 4", "row 2, cell 1 is empty"),
        (";", "row 1, cell 1 is empty"),
        ("x 1; 2 3", 'row 1, cell 1 "x" is not a number'),
        ("3x3: 1 2 3", "3x3 (width × height) needs 9 cells, not 3"),
        ("3x3:", "needs 9 cells, not 1"),
        ("0x3: 1", "needs 0 cells"),
        ("3x1: 1 nan 1", 'row 1, cell 2 "nan" is not a finite number; write 0'),
        ("2x2: 1 - 1 1", 'row 1, cell 2 "-" is not a finite number; write 0'),
        ("2x2: 1 1 1,,1", "needs 4 cells, not 5"),
        ("3x1+3+0: 1 2 3", "origin (0, 3) is outside the kernel 1×3"),
        ("99999x99999: 1", "a kernel of 99999×99999 cells is too large; the limits are 4096 per axis"),
        (" ".join("1" * 4097), "row 1 has more than 4096 cells"),
        (";".join("1" * 4097), "a kernel of 4097×1 cells is too large"),
        ("1 " + "9" * 5000, "is not a number"),
    ],
)
def test_a_cell_that_is_no_number_is_named(text, message):
    with pytest.raises(UsageError) as caught:
        parse_kernel(text)
    assert message in str(caught.value)
    assert str(caught.value).startswith('kernel "')
    assert len(str(caught.value)) < 300
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "nan", "-", "3x3", "hello", "2cells", ":", "@@"])
def test_what_is_nothing_of_all_this_is_refused(text):
    with pytest.raises((UsageError, InputError), match=r"unknown kernel|no such file"):
        parse_kernel(text)


def test_a_name_wins_over_numbers_and_files_and_at_means_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("box", "edge", "5", "5.csv"):
        (tmp_path / name).write_text("7 7\n")
    assert parse_kernel("edge").name == "edge"
    assert parse_kernel("5").values.tolist() == [[5]]
    assert parse_kernel("5.csv").values.tolist() == [[7, 7]]
    assert parse_kernel("@5.csv").values.tolist() == [[7, 7]]
    with pytest.raises(
        InputError, match=r"^kernel file edge: the type is unknown; the name must end in \.csv, "
    ):
        parse_kernel("@edge")


def test_control_characters_of_a_text_do_not_reach_the_terminal():
    with pytest.raises(UsageError) as caught:
        parse_kernel("\x1b[31mred\x07")
    assert str(caught.value).isprintable()


@given(
    st.one_of(st.text(), st.text("0123456789+-*/.,;:exnaf \t\n@"), st.from_regex(r"[a-z0-9-]+:[0-9a-z.,x-]*"))
)
def test_no_text_gives_anything_but_a_kernel_or_a_reason(text):
    with suppress(ConvcliError):
        assert np.isfinite(parse_kernel(text).weights).all()


@pytest.mark.parametrize(
    ("text", "values", "divisor"),
    [
        ("0.25 0.5 0.25", [1, 2, 1], 4),
        ("0.1 0.2 0.4", [1, 2, 4], 10),
        ("0.0625 0.125", [1, 2], 16),
        ("1.5 -2", [3, -4], 2),
    ],
)
def test_short_decimals_are_whole_numbers_over_a_divisor_as_fractions_are(text, values, divisor):
    kernel = parse_kernel(text)
    assert (kernel.values[0].tolist(), kernel.divisor) == (values, divisor)
