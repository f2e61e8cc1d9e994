"""An option is declared once: name, help, panel, value and conflicts stand beside the field that it sets."""

import re
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pytest
from shell import convcli, save

from convcli.cli.app import COMMANDS, Commands
from convcli.cli.command import command
from convcli.cli.options import FileOptions
from convcli.errors import UsageError
from convcli.filtering.options import BankOptions, Filter, Percent
from convcli.options import PANELS, Option, amount, declared, given, refuse


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_declared_in_one_place_and_has_a_panel(name):
    made = Commands()[name]
    found, flags = {}, {}
    for group in made.groups.values():
        for field, option in declared(group).items():
            assert found.setdefault(field, option) is option  # one that two groups have is one object
            assert option.panel in ("Arguments", *PANELS)
            assert option.help
            for flag in () if option.is_argument else option.flags(field):
                assert flags.setdefault(flag, field) == field
    assert set(found) == {parameter.name for parameter in made.params}


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_help_has_80_columns_and_an_option_only_once(name):
    text = convcli(*filter(None, [name]), "--help").out.decode()
    assert max(map(len, text.splitlines())) <= 80
    flags = re.findall(r"^  (?:-\w, )?(--[\w-]+)", text, re.MULTILINE)
    assert len(flags) == len(set(flags)) > 1
    headings = re.findall(r"^(\w[\w ]*):$", text, re.MULTILINE)
    if name:
        assert [h for h in headings if h in PANELS] == [p for p in PANELS if p in headings]
        assert "Options" not in headings


@dataclass
class Tint:
    """An option is one field."""

    tint: Annotated[int, Option("Samples", "Colour of the result.", "N", parse=amount)] = 0
    seen: Annotated[bool, Option("Samples", "See it.", not_with=("night",))] = False


def test_an_option_is_one_field(capsys):
    seen = []

    @command()
    def paint(tint: Tint) -> None:
        """Paint."""
        seen.append(tint)

    paint(["--tint", "2k", "--seen"], standalone_mode=False)
    assert (seen[0].tint, seen[0].seen) == (2000, True)
    paint(["--help"], standalone_mode=False)
    text = capsys.readouterr().out
    assert "Samples:\n  --tint N  Colour of the result.  [default: 0]\n  --seen    See it.\n" in text


def test_a_conflict_is_declared_beside_its_option_and_enforced_when_it_is_given():
    refuse("night", "needs light", Tint(tint=3))
    with pytest.raises(UsageError, match="--seen needs light"):
        refuse("night", "needs light", Tint(seen=True))


@pytest.mark.parametrize("group", [Filter, BankOptions, FileOptions])
def test_defaults_are_not_given(group):
    assert [*given(group())] == []


def test_what_is_given_is_what_differs_from_the_defaults():
    options = Filter(bias=Percent(50), stride=(1, 1), mode="same", alpha="premultiply")
    assert [name for name, _ in given(options)] == ["mode", "stride", "bias"]
    assert [name for name, _ in given(BankOptions(bias_values=np.zeros(2)))] == ["bias-file"]


@pytest.mark.parametrize("circumstance", ["array", "bank", "transposed bank", "single kernel", "fold"])
def test_every_circumstance_concerns_an_option(circumstance):
    groups = [group for name in COMMANDS for group in Commands()[name].groups.values()]
    assert any(circumstance in option.not_with for group in groups for option in declared(group).values())


SUGGESTED = [
    ("convlve in.png", r"No such command 'convlve'\. Did you mean .*'convolve'"),
    ("convolve in.png -k box:3 --bordr wrap", r"No such option: --bordr .*--border"),
    ("convolve in.png -k gausian:3", r'unknown kernel "gausian"; did you mean "gaussian"\?'),
    ("convolve in.png -k box:3 --border nearst", r'unknown border "nearst"; did you mean "nearest"\? use'),
    ("convolve in.png -k box:3 --border replicat", r'"replicat"; did you mean "replicate"\? use one of zero'),
    ("convolve in.png -k box:3 --mode vaild", r'unknown mode "vaild"; did you mean "valid"\? use one of'),
    ("convolve in.png -k box:3 --op corelate", r'unknown op "corelate"; did you mean "correlate"\?'),
    ("convolve in.png -k box:3 --nan propagat", r'unknown nan rule "propagat"; did you mean "propagate"\?'),
    ("convolve in.png -k box:3 --range clmp", r'unknown range "clmp"; did you mean "clamp"\?'),
    ("convolve in.png -k box:3 --normalize sm", r'unknown normalize rule "sm"; did you mean "sum"\?'),
    ("convolve in.png -k box:3 --alpha filtr", r'unknown alpha rule "filtr"; did you mean "filter"\?'),
    ("convolve in.png -k box:3 --combine men", r'unknown combination "men"; did you mean "mean"\?'),
    ("convolve in.png -k box:3 --dtype unit8", r'unknown dtype "unit8"; did you mean "uint8"\?'),
    ("convolve in.png -k box:3 -b dirct", r'unknown backend "dirct"; did you mean "direct"\?'),
    ("convolve in.png -k box:3 --format jgp -o out", r'unknown format "jgp"; did you mean "\w+"\? use'),
    ("deconvolve in.png -k box:3 --method weiner", r'unknown method "weiner"; did you mean "wiener"\?'),
    ("deconvolve in.png -k box:3 --border tapr", r'unknown border "tapr"; did you mean "taper"\?'),
    ("bench --size 8 -b dirct", r'unknown backend "dirct"; did you mean "direct"\?'),
]


@pytest.mark.parametrize(("line", "text"), SUGGESTED)
def test_a_mistyped_word_gets_the_nearest_right_one_in_one_line(line, text, tmp_path):
    save(tmp_path / "in.png", np.zeros((8, 9), np.uint8))
    done = convcli(*line.split(), cwd=tmp_path)
    assert done.status == 2
    assert re.search(text, done.err), done.err
    assert done.err.count("\n") == 1


def test_a_word_that_resembles_nothing_gets_the_list(tmp_path):
    save(tmp_path / "in.png", np.zeros((8, 9), np.uint8))
    done = convcli("convolve", "in.png", "-k", "box:3", "--border", "xyz", cwd=tmp_path)
    assert 'unknown border "xyz"; use one of zero, constant' in done.err


def test_the_shell_completes_values(tmp_path):
    asked = [("_CONVCLI_COMPLETE", "complete_bash"), ("COMP_CWORD", "4")]
    asked += [("COMP_WORDS", "convcli convolve in.png --border n")]
    done = convcli(cwd=tmp_path, env=dict(asked))
    assert done.text.split() == ["nearest"]


@pytest.mark.parametrize(
    "words",
    ["convolve x.npy -k box:3 --border zero", "unroll x.npy --size 2x2", "toeplitz x.npy -k box:3"],
)
def test_a_border_value_of_0_is_noticed_where_the_border_does_not_use_it(words, tmp_path):
    np.save(tmp_path / "x.npy", np.ones((4, 4)))
    done = convcli(*words.split(), "--border-value", "0", cwd=tmp_path)
    assert done.status == 2
    assert "--border-value 0 is for --border constant; add that, or leave the value out" in done.err
    assert convcli(*words.split(), "--border", "constant", "--border-value", "0", cwd=tmp_path).status == 0
