"""``convcli shape``: what is printed for people, for pipes and as JSON, and what is refused."""

import re
import subprocess
import sys

import pytest
from shell import convcli, environment, on_terminal, succeed

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
ONE = ("shape", "32x32", "-l", "k=3,s=2,p=1")
STEM = ("shape", "224x224", "--channels", "3", "-l", "k=7,s=2,p=3,c=64,b=0", "-l", "pool:k=3,s=2,p=1")


def network(*layers):
    return [argument for layer in layers for argument in ("-l", layer)]


def test_a_layer_is_followed_with_its_formula():
    done = succeed(*ONE)
    assert done.err == ""
    assert done.text == (
        "   layer        output  field  jump  parameters  mult-adds\n"
        "   input        32×32   1      1\n"
        "1  k=3 s=2 p=1  16×16   3      2     10          2,304\n"
        "\n"
        "R1 to R15: the relationships of Dumoulin and Visin, arXiv:1603.07285\n"
        "layer  by  formula\n"
        "1      R6  padding, non-unit stride\n"
        "           o = ⌊(i + 2p − k)/s⌋ + 1 = ⌊(32 + 2·1 − 3)/2⌋ + 1 = 16\n"
    )


def test_several_layers_are_totalled():
    text = succeed(*STEM).text
    assert "\n   input                 3×224×224   1      1\n" in text
    assert re.search(r"(?m)^1  k=7 s=2 p=3 c=64 b=0  64×112×112  7 +2 +9,408 +118,013,952$", text)
    assert re.search(r"(?m)^2  pool:k=3 s=2 p=1      64×56×56    11 +4 +0 +0$", text)
    assert re.search(r"(?m)^   total                 64×56×56    11 +4 +9,408 +118,013,952$", text)
    assert "2      –   general formula: R7 for the padded input\n" in text


def test_axes_that_differ_have_a_formula_each():
    text = succeed("shape", "20x30x30", *network("k=3x5x5,p=same", "k=2,p=same")).text
    assert "1 depth   R3  half (same) padding, unit stride; p=same is 1\n" in text
    assert "1 height  R3  half (same) padding, unit stride; p=same is 2\n" in text
    assert "1 width   R3  half (same) padding, unit stride; p=same is 2\n" in text
    assert "2 depth   –   general formula: R6 for padding p ahead and q behind; p=same is 0:1\n" in text
    assert "            o = i = 20\n" in text


def test_fractions_of_a_sample_are_written_as_such():
    assert re.search(
        r"(?m)^1  transposed:k=4 s=2 +18 +2 +1/2 ", succeed("shape", "8", "-l", "tconv:k=4,s=2").text
    )


def test_a_long_formula_is_broken_where_its_numbers_begin():
    text = succeed("shape", "56x56", "-l", "k=3,p=2,d=2").text
    assert text.endswith(
        "1      R15  dilated\n"
        "            o = ⌊(i + 2p − k − (k − 1)(d − 1))/s⌋ + 1\n"
        "              = ⌊(56 + 2·2 − 3 − (3 − 1)(2 − 1))/1⌋ + 1 = 56\n"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ONE,
        STEM,
        (*STEM, *network("k=3,p=1,c=512", "k=3x5,p=same,d=2", "tconv:k=4,s=2,p=1,o=1,c=8,b=0", "k=5,c=2048")),
        (
            "shape",
            "480x640",
            *network("pool:k=3,s=2,p=1,ceil=1", "transposed:k=3,s=2,d=2,p=0:1", "k=2,p=1:0,d=2"),
        ),
        ("shape", "100", "-l", "k=9"),
    ],
)
def test_80_columns_are_enough_for_a_terminal(arguments):
    status, text = on_terminal(*arguments)
    assert status == 0
    assert "\x1b[" in text
    lines = ESCAPE.sub("", text).split("\r\n")
    assert max(map(len, lines)) <= 80
    words = " ".join(" ".join(lines).split())
    for line in succeed(*arguments).text.splitlines():
        if "=" in line and line.startswith(" "):
            assert " ".join(line.split()) in words, "a formula is on one line"
        else:
            assert all(word in words.split() for word in line.split()), "no word is broken"


def test_pipes_get_the_same_whatever_the_width():
    narrow = succeed(*STEM, env={"COLUMNS": "40", "FORCE_COLOR": "1"})
    assert narrow.out == succeed(*STEM).out
    assert "\x1b" not in narrow.text


def test_json_is_one_document_with_everything():
    document = succeed(*STEM, "-l", "tconv:k=3,s=2,c=8", "--json").json
    assert document["input"] == {"channels": 3, "shape": [224, 224]}
    first, second, third = document["layers"]
    assert first == {
        "number": 1,
        "layer": "k=7,s=2,p=3,c=64,b=0",
        "type": "conv",
        "kernel": [7, 7],
        "stride": [2, 2],
        "padding": [[3, 3], [3, 3]],
        "dilation": [1, 1],
        "output_padding": [0, 0],
        "groups": 1,
        "bias": False,
        "ceil": False,
        "relationship": [6, 6],
        "formula": ["o = ⌊(i + 2p − k)/s⌋ + 1 = ⌊(224 + 2·3 − 7)/2⌋ + 1 = 112"] * 2,
        "channels": 64,
        "shape": [112, 112],
        "receptive_field": [7, 7],
        "jump": [2, 2],
        "start": [0, 0],
        "parameters": 9408,
        "multiply_adds": 118013952,
    }
    assert (second["relationship"], second["bias"]) == ([None, None], False)
    assert (third["type"], third["relationship"], third["jump"]) == ("transposed", [12, 12], [2, 2])
    assert (third["channels"], third["shape"], third["receptive_field"]) == (8, [113, 113], [15, 15])
    last = ("shape", "channels"), ("receptive_field", "jump", "start")
    assert document["output"] == {key: third[key] for key in last[0]}
    assert {key: document[key] for key in last[1]} == {key: third[key] for key in last[1]}
    for key in ("parameters", "multiply_adds"):
        assert document[key] == sum(layer[key] for layer in document["layers"])
    assert succeed("shape", "8", "-l", "tconv:k=4,s=4", "--json").json["jump"] == [0.25]


def test_the_layers_of_a_document_can_be_given_again():
    layers = ["kernel=3x5,padding=half", "pool:k=2,p=1:0,ceil=1", "deconv:k=4,s=2,o=1,c=6,g=3,b=0"]
    document = succeed("shape", "32x32", "--channels", "3", *network(*layers), "--json").json
    again = [layer["layer"] for layer in document["layers"]]
    assert succeed("shape", "32x32", "--channels", "3", *network(*again), "--json").json == document


def test_what_is_wrong_is_one_line_with_status_2():
    for arguments, line in {
        ("32x32",): "no layer; give at least one, for example: convcli shape 32x32 -l k=3,s=2,p=1",
        (
            "32by32",
            "-l",
            "k=3",
        ): 'shape "32by32" is not a whole number below 10^18, or one per axis such as 3x5',
        ("32x32", "-l", "k=3", "-l", "k=3,stide=2"): 'layer 2 "k=3,stide=2": unknown key "stide"; '
        'did you mean "stride"?',
        ("4x4", "-l", "k=7,s=2"): 'layer 1 "k=7,s=2": kernel 7×7 is larger than the input 4×4; '
        "use more padding, or a smaller kernel",
        ("4", "--channels", "0", "-l", "k=1"): "channels 0 is not a whole number from 1, and below 10^18",
        (
            "4",
            "-l",
            "k=\x1b[2J",
        ): 'layer 1 "k=\\x1b[2J": kernel "\\x1b[2j" is not a whole number below 10^18, '
        "or one per axis such as 3x5",
    }.items():
        done = convcli("shape", *arguments)
        assert (done.status, done.out, done.err) == (2, b"", f"convcli: {line}\n")


def test_without_arguments_help_is_shown():
    done = convcli("shape")
    assert done.status == 2
    assert "Examples:" in done.err + done.text


def test_huge_sizes_are_followed_in_full():
    document = succeed("shape", f"{10**17}", "-l", "k=3,s=2,p=1,c=1000", "--json").json
    assert document["output"] == {"channels": 1000, "shape": [5 * 10**16]}
    assert "1.500e+20\n" in succeed("shape", f"{10**17}", "-l", "k=3,s=2,p=1,c=1000").text


def test_nothing_heavy_is_imported():
    code = (
        "import sys; from convcli.cli import run; run(); "
        "print(*sorted({'numpy', 'scipy', 'PIL', 'rich'} & {*sys.modules}), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *ONE], capture_output=True, text=True, env=environment(), check=True
    )
    assert done.stderr == "\n"


def test_a_locale_without_unicode_is_no_reason_to_crash():
    assert "16" in succeed(*ONE, env={"PYTHONIOENCODING": "ascii"}).text
