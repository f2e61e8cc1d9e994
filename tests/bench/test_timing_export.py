"""Benchmarks are written so that they can be read again, compared and looked at."""

import csv
import io
import json
import math
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from PIL import Image

from convcli.bench.compare import Rule, compare, different_machine, failures, parse_rule
from convcli.bench.curves import Line, Point, crossovers, panels, ticks
from convcli.bench.export import FORMATS, SORTS, to_csv, to_json, to_markdown
from convcli.bench.import_json import from_json
from convcli.bench.plot import check_plot, plot
from convcli.bench.results import Case, Report, Result, relative
from convcli.errors import BackendError, InputError, UsageError
from convcli.text import time_unit

CASE = Case("random", 1, (512, 512), "random", (7, 7), "float32", 2)
ODD = Case('a|b, "c"\n*.png', 3, (480, 640), "0 -1 0; -1 5 -1; 0 -1 0", (3, 5), "uint8", 1)
MACHINE = {"cpu": "one", "threads": 2, "numpy": "2.0"}


def noisy(typical, seed=0, count=10, spread=0.02):
    return tuple(np.random.default_rng(seed).normal(typical, spread * typical, count).tolist())


def example():
    return Report(
        machine=dict(MACHINE),
        settings={"runs": 10, "backends": ["direct", "fft"], "min_time": 0.5, "reference": None},
        results=[
            Result(CASE, "direct", "backend", noisy(2.4e-3, 1), max_error=1.2e-7, allocated_bytes=2_500_000),
            Result(
                CASE, "fft", "backend", noisy(1.2e-3, 2), plan="fft, tiles of 256×256", resident_bytes=10**6
            ),
            Result(CASE, "cuda", "backend", skipped="CuPy is not installed; pip install cupy | none"),
            Result(ODD, "direct", "backend", noisy(3.0, 3)),
            Result(ODD, "a_b*|`c`<i>", "process", (0.1 + 0.2,), allocated_bytes=5, resident_bytes=7),
        ],
        started="2024-05-06T07:08:09",
    )


def strict(text):
    """Parse JSON as its standard has it, without NaN."""

    def refuse(word):
        raise AssertionError(word)

    return json.loads(text, parse_constant=refuse)


# JSON


def test_json_has_every_run_and_every_figure_under_names_with_units():
    report = example()
    document = strict(to_json(report))
    assert list(document) == ["convcli", "started", "machine", "settings", "results"]
    found, first = document["results"][0], report.results[0]
    assert found["case"] == {
        "image": "random",
        "planes": 1,
        "height": 512,
        "width": 512,
        "kernel": "random",
        "kernel_height": 7,
        "kernel_width": 7,
        "dtype": "float32",
        "threads": 2,
    }
    assert tuple(found["times_seconds"]) == first.times
    assert found["median_seconds"] == np.median(first.times)
    assert found["standard_deviation_seconds"] == pytest.approx(np.std(first.times, ddof=1))
    assert found["lower_quartile_seconds"] <= found["median_seconds"] <= found["upper_quartile_seconds"]
    assert found["megapixels_per_second"] == pytest.approx(512 * 512 / found["median_seconds"] / 1e6)
    assert found["gflops"] == pytest.approx(2 * 49 * found["megapixels_per_second"] / 1e3)
    assert (found["runs"], found["allocated_bytes"], found["resident_bytes"]) == (10, 2_500_000, None)


def test_json_says_null_where_nothing_is_known():
    report = example()
    broken = replace(report.results[0], max_error=math.inf)
    document = strict(
        to_json(replace(report, results=[broken, *report.results[1:]], machine={"x": math.nan}))
    )
    skipped = document["results"][2]
    assert skipped["skipped"].startswith("CuPy")
    assert skipped["times_seconds"] == []
    assert {skipped[k] for k in ("median_seconds", "outliers", "gflops", "relative", "relative_error")} == {
        None
    }
    assert document["results"][0]["max_error"] is None
    assert document["machine"] == {"x": None}
    single = document["results"][4]  # of one run nobody knows the error
    assert (single["relative"], single["runs"]) == (1.0, 1)
    assert document["results"][3]["relative_error"] is None


def test_relative_relates_to_the_fastest_or_to_the_reference():
    def column(reference):
        rows = strict(to_json(example(), reference))["results"]
        return [(row["relative"], row["relative_error"]) for row in rows[:3]]

    (direct, error), fft, cuda = column(None)
    assert direct == pytest.approx(2, rel=0.05)
    assert 0 < error < 0.1
    assert (fft, cuda) == ((1, 0), (None, None))
    assert column("direct")[0] == (1, 0)
    assert column("cuda") == column(None)


def test_what_is_written_is_read_back_exactly():
    report = example()
    assert from_json(to_json(report), "old.json") == report
    assert from_json(b"\xef\xbb\xbf" + to_json(report).encode(), "old.json") == report
    assert to_json(from_json(to_json(report), "old.json")) == to_json(report)


WORDS = st.text(max_size=8) | st.just("caf\udce9\x1b[31m.png")
SIDES = st.tuples(st.integers(1, 2**60), st.integers(1, 2**60))
CASES = st.builds(Case, WORDS, st.integers(1, 4), SIDES, WORDS, SIDES, WORDS, st.integers(1, 64))
TIMES = st.lists(st.floats(1e-12, 1e12), min_size=1, max_size=6).map(tuple)
FACTS = st.none() | st.integers(0, 2**60)
RESULTS = st.builds(
    Result, CASES, WORDS, WORDS, TIMES, st.none(), WORDS, st.none() | st.floats(0, 1e200), FACTS, FACTS
)
ANYTHING = st.dictionaries(WORDS, WORDS | st.integers() | st.floats(allow_nan=False, allow_infinity=False))
REPORTS = st.builds(Report, ANYTHING, ANYTHING, st.lists(RESULTS, max_size=4), WORDS)


@given(REPORTS)
def test_any_report_is_read_back_exactly_and_written_without_surprise(report):
    report = replace(report, results=[r for rows in report.cases().values() for r in rows])
    assert from_json(to_json(report), "old.json") == report
    assert len(list(csv.reader(io.StringIO(to_csv(report), newline=""), strict=True))) == 1 + len(
        report.results
    )
    (to_csv(report) + to_markdown(report)).encode()


def changed(path, value):
    """Write the example with one value replaced, or taken out by ``...``."""
    document = json.loads(to_json(example()))
    *parents, last = path
    holder = document
    for key in parents:
        holder = holder[key]
    if value is ...:
        del holder[last]
    else:
        holder[last] = value
    return json.dumps(document)


FIRST = ("results", 0)
HYPERFINE = '{"results": [{"command": "sleep 1", "mean": 1.0, "times": [1.0, 1.1]}]}'
MALFORMED = [
    ("", "line 1, column 1 is not JSON"),
    (to_json(example())[:-40], r"line \d+, column \d+ is not JSON"),
    ("nothing", "line 1, column 1 is not JSON"),
    (b"\xff\xfe{}", "not UTF-8 text from byte 0"),
    ("[1, 2]", "not a benchmark of convcli; write one with convcli bench --export-json"),
    ("null", "not a benchmark of convcli"),
    (HYPERFINE, "not a benchmark of convcli"),
    ("[" * 10**5, "nested too deeply"),
    ('{"a":' * 10**5, "nested too deeply"),
    ('{"convcli": "1", "x": ' + "9" * 5000 + "}", "too many digits"),
    ('{"convcli": "1", "convcli": "1"}', 'the key "convcli" is written twice'),
    (
        to_json(example()).replace('"planes": 1', '"planes": NaN', 1),
        "NaN is not JSON; what is not known is null",
    ),
    (changed(("results",), ...), "results is missing; it must be a list"),
    (changed(("results",), {}), "results is an object; it must be a list"),
    (changed(("machine",), ...), "machine is missing; it must be an object"),
    (changed(("settings",), [1]), "settings is a list; it must be an object"),
    (changed(("started",), 5), "started is 5; it must be text"),
    (changed(FIRST, "x\n\x1b"), r'results\[0\] is "x\\n\\u001b"; it must be an object'),
    (changed((*FIRST, "case"), ...), r"results\[0\].case is missing; it must be an object"),
    (
        changed((*FIRST, "case", "width"), 0),
        r"results\[0\].case.width is 0; it must be a whole number from 1",
    ),
    (changed((*FIRST, "case", "width"), 10**30), r"results\[0\].case.width is 1000000000"),
    (changed((*FIRST, "case", "width"), True), r"results\[0\].case.width is true"),
    (changed((*FIRST, "case", "threads"), 1.5), r"results\[0\].case.threads is 1.5"),
    (changed((*FIRST, "case", "dtype"), None), r"results\[0\].case.dtype is null; it must be text"),
    (changed((*FIRST, "name"), ["a"]), r"results\[0\].name is a list; it must be text"),
    (changed((*FIRST, "skipped"), 0), r"results\[0\].skipped is 0; it must be text or null"),
    (changed((*FIRST, "max_error"), -1), r"results\[0\].max_error is -1; it must be a number from 0"),
    (
        changed((*FIRST, "resident_bytes"), 1.5),
        r"results\[0\].resident_bytes is 1.5; it must be a whole number",
    ),
    (changed((*FIRST, "times_seconds"), "1"), r'results\[0\].times_seconds is "1"; it must be a list'),
    (
        changed((*FIRST, "times_seconds"), []),
        r"results\[0\].times_seconds is empty; .* say why under skipped",
    ),
    (
        changed((*FIRST, "times_seconds", 3), -1.0),
        r"times_seconds\[3\] is -1.0; it must be a time in seconds",
    ),
    (changed((*FIRST, "times_seconds", 3), 0), r"times_seconds\[3\] is 0; it must be a time"),
    (changed((*FIRST, "times_seconds", 3), 10**400), r"times_seconds\[3\] is 1000.*; it must be a time"),
    (changed((*FIRST, "times_seconds", 3), False), r"times_seconds\[3\] is false; it must be a time"),
    (changed((*FIRST, "times_seconds", 3), None), r"times_seconds\[3\] is null; it must be a time"),
    (
        to_json(example()).replace('"times_seconds": [0', '"times_seconds": [1e999, 0', 1),
        r"times_seconds\[0\] is Infinity; it must be",
    ),
]


@pytest.mark.parametrize(("text", "words"), MALFORMED, ids=range(len(MALFORMED)))
def test_what_is_no_benchmark_is_named_with_file_place_and_rule(text, words):
    with pytest.raises(InputError, match=words) as caught:
        from_json(text, "my\nold.json")
    message = str(caught.value)
    assert message.startswith(r"my\nold.json: ")
    assert len(message) < 250
    assert message.isprintable()


@given(st.data())
def test_no_damage_to_a_file_gives_anything_but_a_report_or_a_clear_line(data):
    text = to_json(example())
    place = data.draw(st.integers(0, len(text) - 1))
    with_damage = text[:place] + data.draw(st.text(max_size=3)) + text[place + data.draw(st.integers(0, 9)) :]
    try:
        assert isinstance(from_json(with_damage, "old.json"), Report)
    except InputError as error:
        assert str(error).startswith("old.json: ")  # noqa: PT017 - most damage is seen, not all


def test_a_benchmark_of_a_later_version_with_more_in_it_is_read():
    document = {**json.loads(to_json(example())), "convcli": "99.0", "weather": "fine"}
    assert from_json(json.dumps(document), "new.json") == example()


# CSV


def test_csv_has_a_row_for_each_result_and_loses_no_digit():
    report = example()
    text = to_csv(report)
    assert text.endswith("\r\n")
    rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    assert [row["name"] for row in rows] == [r.name for r in report.results]
    assert all(None not in row and None not in row.values() for row in rows)  # as many cells as names
    flat = [{**r.pop("case"), **r} for r in strict(to_json(report))["results"]]
    for row, expected in zip(rows, flat, strict=True):
        for key in row.keys() - {"image"}:
            assert row[key] == ("" if expected[key] is None else str(expected[key])), key
    assert rows[0].keys() == flat[0].keys() - {"times_seconds"}
    assert float(rows[4]["median_seconds"]) == 0.1 + 0.2
    assert rows[2]["skipped"] == report.results[2].skipped
    assert rows[3]["image"] == 'a|b, "c"\\n*.png'  # on one line


# Markdown


def tables(text):
    """Read Markdown as others do: the heading and the cells of every table."""
    found = []
    tokens = MarkdownIt().enable("table").parse(text)
    for number, token in enumerate(tokens):
        if token.type == "heading_open":
            found.append((plain(tokens[number + 1]), []))
        elif token.type == "tr_open":
            found[-1][1].append([])
        elif token.type in ("th_open", "td_open"):
            found[-1][1][-1].append(plain(tokens[number + 1]))
    return found


def plain(inline):
    assert {child.type for child in inline.children} <= {"text", "text_special"}, inline.content
    return "".join(child.content for child in inline.children)


def test_markdown_has_a_table_for_each_case_in_a_unit_that_suits_it():
    (heading, first), (_, second) = tables(to_markdown(example()))
    assert heading == CASE.label
    assert first[0] == [
        "backend",
        "median [ms]",
        "IQR [ms]",
        "min [ms]",
        "relative",
        "MP/s",
        "GFLOP/s",
        "memory [MB]",
        "max error",
    ]
    direct, fft, cuda = first[1:]
    summary = example().results[0].summary
    assert direct[:4] == [
        "direct",
        *(f"{1e3 * t:.3f}" for t in (summary.median, summary.spread, summary.min)),
    ]
    ratio = relative(example().results[:3])["direct"]
    assert direct[4:] == [f"{ratio.value:.2f} ± {ratio.error:.2f}", *direct[5:7], "2.5", "1.2e-07"]
    assert fft[4] == "1.00"
    assert cuda == ["cuda", "skipped: CuPy is not installed; pip install cupy | none", *[""] * 7]
    assert second[0][1] == "median [ms]"  # 0.3 s is the fastest


def test_markdown_shows_any_name_as_it_is():
    (_, _), (heading, rows) = tables(to_markdown(example()))
    assert heading.startswith('a|b, "c"\\n*.png, 480×640×3')
    assert rows[2][0] == "a_b*|`c`<i>"
    assert {len(row) for row in rows} == {9}


def test_markdown_is_sorted_and_related_as_asked():
    assert [row[0] for row in tables(to_markdown(example(), sort="median"))[0][1][1:]] == [
        "fft",
        "direct",
        "cuda",
    ]
    assert [row[0] for row in tables(to_markdown(example(), sort="name"))[0][1][1:]] == [
        "direct",
        "fft",
        "cuda",
    ]
    assert tables(to_markdown(example(), "direct"))[0][1][1][4] == "1.00"


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_takes_the_same_arguments_and_writes_whole_lines(name, sort):
    assert FORMATS[name](example(), "direct", sort).endswith("\n")
    assert FORMATS[name](Report({}, {}), None, sort).strip() in ("", to_json(Report({}, {})).strip())


def test_units_change_where_a_number_would_begin_with_zero():
    assert [time_unit(t)[0] for t in (1.0, 0.999, 1e-3, 0.9e-3, 1e-9)] == ["s", "ms", "ms", "µs", "µs"]


# Comparison


def report(machine=None, **times):
    results = [Result(CASE, name, "backend", runs) for name, runs in times.items()]
    return Report(MACHINE if machine is None else machine, {}, results)


def test_equal_times_never_fail():
    old = report(direct=noisy(1.0), fft=noisy(2.0, 1), one=(1.0,), steady=(1.0,) * 9)
    new = from_json(to_json(old), "old.json")
    changes = compare(new, old)
    assert [change.verdict for change in changes] == ["same"] * 4
    assert [change.ratio.value for change in changes] == [1] * 4
    assert failures(changes, Rule("median", 0.0)) == []


@pytest.mark.parametrize("statistic", ["median", "mean", "min"])
def test_what_is_slower_beyond_noise_and_limit_fails(statistic):
    old, new = report(direct=noisy(1.0, 1)), report(direct=noisy(1.3, 2))
    (change,) = changes = compare(new, old, statistic)
    assert change.verdict == "slower"
    assert change.ratio.value == pytest.approx(change.new / change.old)
    assert 1.2 < change.ratio.low < change.ratio.value < change.ratio.high < 1.4
    assert failures(changes, Rule(statistic, 0.1)) == changes
    assert failures(changes, Rule(statistic, 0.5)) == []
    (reverse,) = compare(old, new, statistic)
    assert reverse.verdict == "faster"
    assert failures([reverse], Rule(statistic, 0.0)) == []


def test_what_may_be_noise_does_not_fail():
    old = report(direct=(1.0, 1.1, 0.9, 1.6, 0.8, 1.2), one=(1.0,), few=(1.0, 1.4))
    new = report(direct=(1.3, 1.0, 1.4, 0.95, 1.5, 1.2), one=(9.0,), few=(1.5, 1.39))
    changes = compare(new, old)
    assert changes[0].ratio.value > 1.1
    assert [change.verdict for change in changes] == ["same"] * 3
    assert failures(changes, Rule("median", 0.1)) == []


def test_what_only_one_report_has_is_listed_as_such():
    old = report(direct=noisy(1.0), gone=noisy(1.0), cuda=noisy(1.0))
    new = report(new=noisy(1.0), direct=noisy(1.0))
    new.results.append(Result(CASE, "cuda", "backend", skipped="no GPU"))
    new.results.append(Result(ODD, "direct", "backend", noisy(1.0)))
    new.results.append(Result(ODD, "cuda", "backend", skipped="no GPU"))
    found = [(c.case, c.name, c.verdict, c.old is None, c.new is None, c.why) for c in compare(new, old)]
    assert found == [
        (CASE, "new", "new", True, False, None),
        (CASE, "direct", "same", False, False, None),
        (ODD, "direct", "new", True, False, None),
        (CASE, "gone", "gone", False, True, None),
        (CASE, "cuda", "gone", False, True, "no GPU"),
    ]
    failing = failures(compare(new, old), Rule("median", 0.5))
    assert [(c.name, c.why) for c in failing] == [("cuda", "no GPU")]  # it took part; "gone" did not


def test_reports_with_nothing_in_common_are_refused():
    other = Report({}, {}, [Result(ODD, "direct", "backend", (1.0,))])
    with pytest.raises(InputError, match="no contestant was timed on the same case in both reports"):
        compare(report(direct=(1.0,)), other)
    with pytest.raises(
        InputError, match=r'the new one has "direct" on 512×512 float32.*the old one no times'
    ):
        compare(report(direct=(1.0,)), Report({}, {}))


def test_a_rule_about_another_statistic_is_a_mistake():
    changes = compare(report(direct=(1.0,)), report(direct=(1.0,)))
    with pytest.raises(ValueError, match="median was compared, and the rule is about the min"):
        failures(changes, Rule("min", 0.1))


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("median:10%", ("median", 0.1)),
        (" mean:7.5 % ", ("mean", 0.075)),
        ("min:.05", ("min", 0.05)),
        ("median:0", ("median", 0)),
        ("median:150%", ("median", 1.5)),
    ],
)
def test_rules_are_percent_or_a_fraction(text, rule):
    found = parse_rule(text)
    assert (found.statistic, found.limit) == (rule[0], pytest.approx(rule[1]))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("10%", '"10%" is not a statistic and a limit; write it as median:10%'),
        ("", '"" is not a statistic'),
        ("median", "is not a statistic and a limit"),
        ("median:-5%", "is not a statistic and a limit"),
        ("median:nan", "is not a statistic and a limit"),
        ("median:1e3%", "is not a statistic and a limit"),
        ("median:١٠%", "is not a statistic and a limit"),
        ("median:" + "9" * 999, "is not a statistic and a limit"),
        ("p95:10%", 'unknown statistic "p95"; use one of median, mean, min'),
        ("median:10", "limit 10 is not below 1, as a fraction must be; for percent, write 10%"),
    ],
)
def test_rules_that_make_no_sense_are_refused(text, words):
    with pytest.raises(UsageError) as caught:
        parse_rule(text)
    assert words in str(caught.value)
    assert len(str(caught.value)) < 200


def test_another_machine_is_noted_where_both_are_known():
    old = report(direct=(1.0,))
    assert different_machine(report({**MACHINE, "numpy": "3.0"}, direct=(1.0,)), old) is None
    assert different_machine(report({}, direct=(1.0,)), old) is None
    text = different_machine(report({"cpu": "two\n", "threads": [1]}, direct=(1.0,)), old)
    assert text.startswith("the old report is from another machine (cpu: one, now two; threads: 2, now ?);")


# Pictures


def scan(sizes=(256, 512, 1024), kernels=(3, 7, 11, 15, 19, 23, 27, 31), threads=(1,), noise=0.02):
    """Return a report in which direct, toeplitz and fft are each the fastest somewhere."""
    found = []
    for size in sizes:
        for kernel in kernels:
            for count in threads:
                case = Case("random", 1, (size, size), "random", (kernel, kernel), "float32", count)
                per_pixel = {"direct": 0.04 * kernel**2, "toeplitz": 2 + 0.2 * kernel, "fft": 6.9}
                per_pixel["auto"] = min(per_pixel.values())
                found += [
                    Result(case, name, "backend", noisy(t * size**2 * 1e-9 / count, spread=noise))
                    for name, t in per_pixel.items()
                ]
                found.append(Result(case, "cuda", "backend", skipped="no GPU"))
    return Report(MACHINE, {}, found)


def line(name, *times, variant="", sides=(1, 2, 4, 8, 16)):
    points = zip(sides, times, strict=False)
    return Line(name, variant, tuple(Point(x, t, t, t) for x, t in points if t is not None))


def test_crossovers_are_where_lines_meet_in_logarithmic_axes():
    flat, square = line("fft", 9, 9, 9, 9), line("direct", 1, 4, 16, 64)
    (found,) = crossovers([flat, square])
    assert (found.side, found.nanoseconds) == (pytest.approx(3), pytest.approx(9))
    assert found.text == "fft beats direct from 3×3"


def test_each_change_of_the_fastest_is_a_crossover_and_no_other_meeting_is():
    lines = [
        line("a", 1, 2, 4, 8, 16),
        line("b", 3, 3, 3, 3, 3),
        line("c", 40, 20, 10, 5, 2.5),
        line("slow", *[9] * 5),
    ]
    assert [c.text for c in crossovers(lines)] == ["b beats a from 3×3", "c beats b from 14×14"]


def test_auto_wins_no_race_and_variants_race_among_themselves():
    auto = line("auto", 0.5, 0.5, 0.5, 0.5)
    a, b = line("a", 1, 2, 4, 8, variant="1 thread"), line("b", 3, 3, 3, 3, variant="2 threads")
    assert crossovers([auto, a, b]) == []
    (found,) = crossovers([auto, a, replace(b, variant="1 thread")])
    assert found.text == "b beats a from 3×3 (1 thread)"


def test_a_line_with_gaps_crosses_only_where_it_was_measured():
    assert crossovers([line("a", 1, 2, 4, 8), line("b", None, None, 3, 3)]) == []
    assert crossovers([line("a", 1), line("b", None, 2)]) == crossovers([]) == []
    (tie,) = crossovers([line("a", 1, 2, 4), line("b", 9, 2, 2)])
    assert (tie.side, tie.nanoseconds) == (2, 2)


@given(st.lists(st.lists(st.floats(0.1, 1e5), min_size=4, max_size=4), min_size=2, max_size=5))
def test_at_a_crossover_both_lines_are_there_between_two_sizes(times):
    sides = (1, 2, 4, 8)
    for found in crossovers(line(str(number), *values) for number, values in enumerate(times)):
        new, old = (times[int(name)] for name in found.text.split(" from ")[0].split(" beats "))
        at = np.log(found.side), np.log(sides)
        assert np.exp(np.interp(*at, np.log(old))) == pytest.approx(found.nanoseconds)
        assert np.exp(np.interp(*at, np.log(new))) == pytest.approx(found.nanoseconds)


def test_panels_hold_the_largest_image_and_the_middle_kernel():
    by_kernel, by_image = panels([r for r in scan().results if r.times])
    assert by_kernel.title == "by kernel size, 1024×1024 image (the largest)"
    assert by_image.title == "by image size, 19×19 kernel (the middle one)"
    assert [entry.label for entry in by_kernel.lines] == ["direct", "toeplitz", "fft", "auto"]
    assert [point.side for point in by_image.lines[0].points] == [256, 512, 1024]
    point = by_kernel.lines[0].points[2]
    summary = next(
        r.summary for r in scan().results if r.case.kernel_shape == (11, 11) and r.case.shape[0] == 1024
    )
    assert (point.lower, point.median, point.upper) == pytest.approx(
        [t * 1e9 / 1024**2 for t in (summary.lower, summary.median, summary.upper)]
    )


def test_what_was_not_scanned_has_no_panel():
    assert panels([r for r in scan(sizes=(64,), kernels=(3,)).results if r.times]) == []
    (panel,) = panels([r for r in scan(sizes=(64,)).results if r.times])
    assert panel.title == "by kernel size, 64×64 image"


def test_lines_of_several_thread_counts_are_told_apart():
    (panel,) = panels([r for r in scan(sizes=(64,), threads=(1, 2)).results if r.times])
    labels = [entry.label for entry in panel.lines]
    assert len(labels) == len(set(labels)) == 8
    assert "fft, 2 threads" in labels


@given(st.sets(st.integers(1, 5000), min_size=1, max_size=40))
def test_ticks_have_the_ends_and_room_between(sides):
    found = ticks(sides)
    assert {min(sides), max(sides)} <= set(found) <= sides
    if len(found) > 2:
        closest = min(math.log(b / a) for a, b in pairwise(found))
        assert closest >= 0.045 * math.log(found[-1] / found[0])


def drawn(report, form):
    pytest.importorskip("matplotlib", reason="matplotlib, an extra, is not installed")
    file = io.BytesIO()
    plot(report, file, form)
    return file.getvalue()


def texts(svg):
    root = ET.fromstring(svg)
    assert root.tag.endswith("svg")
    return ["".join(node.itertext()).strip() for node in root.iter("{http://www.w3.org/2000/svg}text")]


def test_a_picture_of_two_scans_is_wide_and_says_what_it_shows():
    with Image.open(io.BytesIO(drawn(scan(), "png"))) as image:
        image.load()
        assert (image.format, image.width) == ("PNG", 1200)
        assert 500 <= image.height <= 700
    found = texts(drawn(scan(), "svg"))
    for text in (
        "by kernel size, 1024×1024 image (the largest)",
        "by image size, 19×19 kernel (the middle one)",
        "time per pixel [ns]",
        "toeplitz beats direct from 11×11",
        "fft beats toeplitz from 25×25",
        "float32, 1 thread, one",
        "auto",
        "31",
        "1024",
    ):
        assert text in found
    assert "cuda" not in found


def test_of_many_crossovers_four_are_named():
    cases = [replace(CASE, kernel_shape=(n, n)) for n in range(3, 17, 2)]
    results = [
        Result(case, name, "backend", (1.0 + (number % 2 == flip),))
        for number, case in enumerate(cases)
        for flip, name in enumerate(("a", "b"))
    ]
    assert len(crossovers(panels(results)[0].lines)) == 6
    assert sum("beats" in text for text in texts(drawn(Report({}, {}, results), "svg"))) == 4


def test_bars_are_drawn_where_nothing_was_scanned():
    report = scan(sizes=(1000,), kernels=(7,))
    report.results.append(replace(report.results[0], name="scipy.$x$_日本", kind="peer"))
    found = texts(drawn(report, "svg"))
    assert {"direct", "auto", "scipy.$x$_日本", "median time [ms], and quartiles", "backend", "peer"} <= {
        *found
    }
    assert "1000×1000, 7×7 kernel, float32, 1 thread, one" in found
    assert drawn(report, "png").startswith(b"\x89PNG")


@pytest.mark.parametrize("form", ["png", "svg"])
def test_the_same_report_gives_the_same_picture(form):
    report = scan(sizes=(256, 512), kernels=(3, 31))
    assert drawn(report, form) == drawn(report, form)


def overlapping(boxes):
    """Return pairs of texts that touch each other."""
    return [(a, b) for (a, one), (b, other) in combinations(boxes, 2) if one.overlaps(other)]


@pytest.mark.parametrize(
    "report",
    [
        scan(),
        scan(threads=(1, 2), noise=0.3),
        scan(sizes=(64,), kernels=range(3, 64)),
        scan((64,), (3,), range(1, 9)),
    ],
    ids=["two", "noisy", "one", "bars"],
)
def test_no_text_covers_another_or_leaves_the_picture(report, monkeypatch):
    pytest.importorskip("matplotlib", reason="matplotlib, an extra, is not installed")
    from matplotlib.figure import Figure

    kept = []
    save = Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda self, *args, **kw: (save(self, *args, **kw), kept.append(self))
    )
    drawn(report, "png")
    (figure,) = kept
    shown = [figure._suptitle, *(text for legend in figure.legends for text in legend.get_texts())]
    for axes in figure.axes:
        shown += [*axes.texts, axes.title, axes.xaxis.label, axes.yaxis.label]
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            shown += [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
        lines = [artist.get_window_extent().y0 for artist in axes.lines if len(artist.get_xdata()) > 2]
        notes = [text.get_window_extent().y1 for text in axes.texts if "beats" in text.get_text()]
        assert max(notes, default=0) < min(lines, default=math.inf)
    boxes = [(text.get_text(), text.get_window_extent()) for text in shown if text.get_text()]
    assert len(boxes) > 8
    outside = [
        text for text, box in boxes if not (figure.bbox.containsx(box.x0) and figure.bbox.containsx(box.x1))
    ]
    outside += [
        text for text, box in boxes if not (figure.bbox.containsy(box.y0) and figure.bbox.containsy(box.y1))
    ]
    assert outside == []
    assert overlapping(boxes) == []
    assert overlapping([*boxes, ("again", boxes[0][1])]) != []


def test_a_report_in_which_all_were_skipped_cannot_be_drawn():
    with pytest.raises(BackendError, match="nothing to plot: every contestant was skipped"):
        drawn(Report({}, {}, [Result(CASE, "cuda", "backend", skipped="no GPU")]), "png")


def test_pictures_are_checked_before_anything_is_timed(monkeypatch):
    pytest.importorskip("matplotlib", reason="matplotlib, an extra, is not installed")
    assert [check_plot(Path(name)) for name in ("a.png", "b.SVG")] == ["png", "svg"]
    for name in ("a.pdf", "png", "-", ".png"):
        with pytest.raises(UsageError, match=r"name a \.png or \.svg file"):
            check_plot(Path(name))
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(
        BackendError, match=r'--plot needs matplotlib: pip install "convcli\[plot\]"'
    ) as caught:
        check_plot(Path("a.png"))
    assert caught.value.exit_status == 4
