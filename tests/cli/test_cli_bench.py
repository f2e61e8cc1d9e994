"""``convcli bench`` as its users see it: tables, documents, refusals, comparisons."""

from __future__ import annotations

import csv
import io
import json
import re
import signal
import time
from dataclasses import asdict

import numpy as np
import pytest
from shell import contents, convcli, on_terminal, save, start, succeed, within
from test_cli_helpers import ESCAPE, widest
from test_cli_signals import busy, end, wait_until

from convcli import backends
from convcli.bench.import_json import from_json
from convcli.engine import rates as profile

HEADER = ["backend", "median", "IQR", "min", "relative", "MP/s", "GFLOP/s", "MB", "error"]
READY = [name for name in backends.listed() if backends.load(name).unavailable() is None]
NAMES = ["auto", *backends.listed()]
QUICK = ("-r", "2", "-w", "0")
TINY = ("--size", "16", *QUICK)
NUMBER = r"\d+(\.\d+)?(e[-+]\d+)?"


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(1)
    save(tmp_path / "rgb.png", rng.integers(0, 256, (20, 30, 3), dtype=np.uint8))
    save(tmp_path / "gray.png", rng.integers(0, 256, (20, 30), dtype=np.uint8))
    np.save(tmp_path / "sky.npy", rng.standard_normal((24, 16)))
    np.save(tmp_path / "line.npy", np.ones(30))
    np.save(tmp_path / "cube.npy", np.ones((3, 3, 3)))
    (tmp_path / "foreign.json").write_text('{"some": "thing"}')
    (tmp_path / "cut.json").write_text('{"convcli": "1", "results": [')
    return tmp_path


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """One run in a pipe that writes every kind of file; return it and their folder."""
    folder = tmp_path_factory.mktemp("plain")
    files = ("--export-json", "old.json", "--export-csv", "all.csv", "--export-markdown", "all.md")
    return succeed("bench", "--size", "24x32", "-r", "3", *files, cwd=folder), folder


def tables(text):
    """Split what is printed into tables: per title, the cells of each row by name."""
    found, rows = {}, None
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if line.split() == HEADER:
            rows = found.setdefault(lines[number - 1], {})
        elif not line or line.startswith("auto chose"):
            rows = None
        elif rows is not None:
            name, *cells = line.split()
            assert name not in rows
            rows[name] = cells
    return found


def refused(done, status, message):
    """Require one line on stderr, and nothing else."""
    assert (done.status, done.out) == (status, b""), done.err
    assert re.fullmatch(r"convcli: [^\n]+\n", done.err), done.err
    assert message in done.err
    assert "Traceback" not in done.err
    assert "internal error" not in done.err
    return True


# Tables


def test_every_backend_has_a_line_with_all_figures_or_the_reason_why_not(plain):
    done, _ = plain
    ((title, rows),) = tables(done.text).items()
    assert re.fullmatch(r"24×32 float32, random 5×5 kernel, \d+ threads?; times in (µs|ms)", title)
    assert list(rows) == NAMES
    assert " ".join(rows["cuda"]) == backends.load("cuda").unavailable()
    for name in ("auto", *READY):
        median, spread, least, relative, *others = rows[name]
        assert all(re.fullmatch(NUMBER, cell) for cell in (median, spread, least, *others)), name
        assert re.fullmatch(rf"1|{NUMBER}±{NUMBER}", relative)
        assert float(least) <= float(median)
        assert float(others[-1]) < 1e-5
    assert "1" in [rows[name][3] for name in READY] or rows["auto"][3] == "1"


def test_auto_says_what_it_chose_and_nothing_but_warnings_is_on_stderr(plain):
    done, _ = plain
    assert re.search(rf"(?m)^auto chose ({'|'.join(READY)})(, 1-D passes)?$", done.text)
    assert all(line.startswith("convcli: warning: ") for line in done.err.splitlines())


def test_what_is_piped_is_plain_and_aligned(plain):
    done, _ = plain
    assert "\x1b" not in done.text
    assert not any(line.endswith(" ") for line in done.text.splitlines())
    rows = [line for line in done.text.splitlines() if re.match(rf"({'|'.join(READY)}) ", line)]
    assert len(rows) == len(READY)
    assert len({len(line) for line in rows}) == 1


def test_a_scan_ends_with_a_table_of_all_cases(folder):
    sizes = ("--sizes", "16,8x24", "--kernel-sizes", "3:5:2", "--dtype", "float32,uint8", "--threads", "1,2")
    done = succeed("bench", *sizes, *QUICK, "-b", "auto,direct", cwd=folder)
    assert done.err == ""
    found = tables(done.text)
    labels = [title.partition(";")[0] for title in found]
    assert len(labels) == 16
    assert labels[:3] == [
        "16×16 float32, random 3×3 kernel, 1 thread",
        "16×16 float32, random 3×3 kernel, 2 threads",
        "16×16 float32, random 5×5 kernel, 1 thread",
    ]
    assert labels[-1] == "8×24 uint8, random 5×5 kernel, 2 threads"
    header, *rows = [re.split(" {2,}", line) for line in done.text.rpartition("\n\n")[2].splitlines()]
    assert header == ["case", "fastest", "ns/pixel", "auto chose", "auto/fastest"]
    assert len({row[0] for row in rows}) == len(rows)
    for row, label in zip(rows, labels, strict=True):  # what differs between them is enough to tell
        assert set(re.findall(r"[\w×]+", row[0])) <= set(re.findall(r"[\w×]+", label))
    for _, fastest, nanoseconds, chosen, regret in rows:
        assert fastest in ("auto", "direct")
        assert float(nanoseconds) > 0
        assert chosen.partition(",")[0] in READY
        assert float(regret) >= 1


def test_a_kernel_that_is_named_twice_is_timed_once(folder):
    kernels = ("-k", "box:3", "-k", "1 2 3 4; 5 6 7 8", "-k", "box:3")
    done = within("bench", *kernels, "--sizes", "8,16", *QUICK, "-b", "direct", cwd=folder)
    assert (done.status, done.err) == (0, "")
    assert "wrong" not in done.text
    assert len(tables(done.text)) == 4


@pytest.mark.parametrize(
    ("image", "label", "largest_error"),
    [
        ("rgb.png", "rgb.png, 20×30×3 uint8, ", 1e-5),
        ("gray.png", "gray.png, 20×30 uint8, ", 1e-5),
        ("sky.npy", "sky.npy, 24×16 float64, ", 1e-13),
    ],
)
def test_an_image_is_timed_in_its_own_size_and_type(folder, image, label, largest_error):
    done = within("bench", image, "-k", "sobel-x", *QUICK, "-b", "direct,fft", cwd=folder)
    assert (done.status, done.err) == (0, "")
    ((title, rows),) = tables(done.text).items()
    assert title.startswith(label + "sobel-x 3×3 kernel, ")
    assert all(float(row[-1]) < largest_error for row in rows.values())


def test_an_image_that_is_not_finite_is_refused_in_words(folder):
    image = np.ones((9, 9))
    image[3, 4] = np.nan
    np.save(folder / "gap.npy", image)
    done = within("bench", "gap.npy", *QUICK, "-b", "direct", cwd=folder)
    assert (done.status, done.out) == (3, b"")
    assert "gap.npy" in done.err


def test_the_name_of_a_file_cannot_reach_the_terminal(folder):
    name = "a\x1b[31mb\nc.png"
    (folder / name).write_bytes((folder / "gray.png").read_bytes())
    done = within("bench", name, *QUICK, "-b", "direct", cwd=folder)
    assert done.status == 0
    assert "\x1b" not in done.text
    assert r"a\x1b[31mb\nc.png, 20×30 uint8" in done.text


def test_reference_is_what_speed_is_relative_to(folder):
    done = within(
        "bench", *TINY, "--reference", "toeplitz:sparse", "-b", "direct,toeplitz:sparse", cwd=folder
    )
    ((_, rows),) = tables(done.text).items()
    assert rows["toeplitz:sparse"][3] == "1"
    assert rows["direct"][3] != "1"


def test_rows_are_sorted_as_they_run_by_name_or_by_median(folder):
    def order(sort):
        done = within("bench", *TINY, "-b", "im2col,cuda,direct,auto", "--sort", sort, cwd=folder)
        assert done.status == 0
        ((_, rows),) = tables(done.text).items()
        return rows

    assert list(order("order")) == ["im2col", "cuda", "direct", "auto"]
    assert list(order("name")) == ["auto", "direct", "im2col", "cuda"]
    *timed, last = order("median").items()
    assert last[0] == "cuda"
    assert [float(row[0]) for _, row in timed] == sorted(float(row[0]) for _, row in timed)


def test_what_needs_too_much_memory_stays_in_the_table_with_the_reason(folder):
    arguments = (
        "bench",
        "--size",
        "64",
        *QUICK,
        "-b",
        "direct,toeplitz:sparse",
        "--max-memory",
        "1MB",
        "--threads",
        "1",
    )
    done = within(*arguments, cwd=folder)
    assert done.status == 0
    ((_, rows),) = tables(done.text).items()
    assert re.fullmatch(NUMBER, rows["direct"][0])
    reason = " ".join(rows["toeplitz:sparse"])
    assert re.match(r"backend toeplitz:sparse needs \S+ MB of memory, more than the 1 MB allowed", reason)


def test_when_nobody_can_run_the_status_says_so(folder):
    done = within("bench", *TINY, "-b", "cuda", cwd=folder)
    reason = backends.load("cuda").unavailable()
    assert done.status == 4
    assert done.err == f"convcli: nothing could be timed (cuda: {reason}); see convcli backends\n"
    assert " ".join(tables(done.text).popitem()[1]["cuda"]) == reason


@pytest.mark.parametrize(("quiet", "columns"), [(True, 80), (True, 200), (False, 80)])
def test_no_line_is_wider_than_the_terminal_and_bars_are_drawn(folder, quiet, columns):
    status, text = on_terminal("bench", *TINY, *(["-q"] if quiet else []), columns=columns, cwd=folder)
    assert status == 0
    assert widest(text) <= columns
    lines = [ESCAPE.sub("", line) for line in text.replace("\r", "\n").splitlines()]
    bars = [line for line in lines if re.match(rf"({'|'.join(READY)}) +█", line)]
    assert len(bars) == len(READY)
    assert max(len(line) for line in bars) > columns - 3
    assert any(re.match("16×16 float32", line) for line in lines)
    assert "…" not in text


def test_a_scan_fits_a_terminal(folder):
    kernels = ("-k", "gaussian:1", "-k", "0 -1 0; -1 5 -1; 0 -1 0")
    status, text = on_terminal("bench", *kernels, *TINY, "-q", "-b", "auto,direct", columns=80, cwd=folder)
    assert (status, "…" in text) == (0, False)
    assert widest(text) <= 80
    for name in ("fastest", "ns/pixel", "auto chose", "auto/fastest"):
        assert name in text


# Documents


def test_json_on_stdout_is_one_document_and_the_tables_go_to_stderr(folder):
    done = succeed("bench", *TINY, "--export-json", "-", "--reference", "fft", cwd=folder)
    document = json.loads(done.text)
    assert [row["name"] for row in document["results"]] == NAMES
    for row in document["results"]:
        assert len(row["times_seconds"]) == (0 if row["skipped"] else 2)
        assert row["relative"] == (1 if row["name"] == "fft" else row["relative"])
    settings = document["settings"]
    assert (settings["min_runs"], settings["max_runs"], settings["warmup"]) == (2, 2, 0)
    assert settings["backends"] == NAMES
    assert {"cpu", "threads", "numpy", "calibration"} <= document["machine"].keys()
    assert list(next(iter(tables(done.err).values()))) == NAMES
    assert "auto chose" in done.err


def test_json_alone_prints_no_tables(folder):
    done = succeed("bench", *TINY, "-b", "direct,cuda", "--json", cwd=folder)
    direct, cuda = json.loads(done.text)["results"]
    assert len(direct["times_seconds"]) == 2
    assert cuda["skipped"] == backends.load("cuda").unavailable()
    assert done.err == ""


def test_files_hold_what_the_table_shows(plain):
    _, folder = plain
    report = from_json((folder / "old.json").read_bytes(), "old.json")
    assert [(r.name, len(r.times)) for r in report.results] == [(n, 3 * (n != "cuda")) for n in NAMES]
    rows = list(csv.DictReader(io.StringIO((folder / "all.csv").read_text())))
    assert [(row["name"], row["runs"]) for row in rows] == [(n, "0" if n == "cuda" else "3") for n in NAMES]
    for row, result in zip(rows, report.results, strict=True):
        assert row["median_seconds"] == (str(result.summary.median) if result.times else "")
    lines = (folder / "all.md").read_text().splitlines()
    assert lines[0].startswith("### 24×32 float32, random 5×5 kernel")
    assert [line.split()[1] for line in lines[4:]] == NAMES
    assert contents(folder).keys() == {"old.json", "all.csv", "all.md"}


TARGETS = (
    ("--export-json", "x.json"),
    ("--export-csv", "x.csv"),
    ("--export-markdown", "x.md"),
    ("--plot", "x.svg"),
)


@pytest.mark.parametrize(("option", "name"), TARGETS)
def test_a_file_that_exists_is_refused_before_anything_is_timed(folder, option, name):
    if option == "--plot":
        pytest.importorskip("matplotlib")
    (folder / name).write_bytes(b"precious")
    began = time.monotonic()
    done = within("bench", "--size", "8192", "-r", "1000", option, name, cwd=folder)
    assert refused(done, 2, f"{name} exists; use -f to overwrite it, or another name")
    assert time.monotonic() - began < 5
    assert (folder / name).read_bytes() == b"precious"


def test_force_overwrites(folder):
    (folder / "x.csv").write_bytes(b"old")
    done = within("bench", *TINY, "-b", "direct", "--export-csv", "x.csv", "-f", cwd=folder)
    assert done.status == 0
    assert (folder / "x.csv").read_text().startswith("image,planes,")


@pytest.mark.parametrize(("name", "beginning"), [("x.svg", b"<?xml"), ("x.png", b"\x89PNG\r\n")])
def test_a_plot_is_a_picture(folder, name, beginning):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    before = contents(folder)
    done = within("bench", "--sizes", "8,16", *QUICK, "-b", "direct,fft", "--plot", name, cwd=folder)
    assert (done.status, done.err) == (0, "")
    assert (folder / name).read_bytes().startswith(beginning)
    assert contents(folder).keys() - before.keys() == {name}


# Comparisons


def doctored(plain, folder, **factors):
    """Write the report of the plain run with other times, by contestant."""
    document = json.loads((plain[1] / "old.json").read_text())
    for row in document["results"]:
        factor = factors.get(row["name"], factors["others"])
        row["times_seconds"] = [factor * seconds for seconds in row["times_seconds"]]
    (folder / "old.json").write_text(json.dumps(document))


def verdicts(text):
    """Return what is said of each contestant in the table that compares."""
    lines = text.partition(", against the older times\n")[2].splitlines()
    return {line.split()[0]: line.split()[-1] for line in lines[1:] if line}


AGAIN = ("bench", "--size", "24x32", "-r", "3", "--compare", "old.json", "--fail-if")


def test_what_is_as_fast_as_it_was_passes(plain):
    done, folder = plain
    again = within(*AGAIN, "median:900%", cwd=folder)
    assert again.status == 0, again.err
    title, header, *rows = [re.split(" {2,}", line) for line in again.text.split("\n\n")[-2].splitlines()]
    assert title == [next(iter(tables(done.text))).partition(";")[0] + ", against the older times"]
    assert header == ["backend", "old", "new", "new/old", "95 % interval", "verdict"]
    assert [row[0] for row in rows] == ["auto", *READY]
    assert {row[-1] for row in rows} <= {"same", "slower", "faster"}
    assert all(re.fullmatch(rf"{NUMBER} (µs|ms)", time) for row in rows for time in row[1:3])


def test_what_became_slower_fails_in_one_line_and_the_new_report_is_written(plain, folder):
    doctored(plain, folder, direct=0.01, others=100)
    done = convcli(*AGAIN, "median:10%", "-b", "direct,fft", "--export-json", "new.json", cwd=folder)
    assert done.status == 6
    *warnings, line = done.err.splitlines()
    assert all(text.startswith("convcli: warning: ") for text in warnings)
    found = re.fullmatch(
        r"convcli: direct \(24×32 float32, .*\) took (\S+) times as long "
        r"\(95 % interval (\S+) to (\S+)\); allowed: median 1\.10; .*",
        line,
    )
    ratio, low, high = map(float, found.groups())
    assert 1.1 < low <= ratio <= high
    assert ratio > 10
    assert verdicts(done.text) == {"direct": "slower", "fft": "faster"} | dict.fromkeys(
        {"auto", *READY} - {"direct", "fft"}, "gone"
    )
    assert len(from_json((folder / "new.json").read_bytes(), "new.json").results) == 2


def test_without_a_rule_nothing_fails(plain, folder):
    doctored(plain, folder, others=0.01)
    done = within(*AGAIN[:-1], "-b", "direct", cwd=folder)
    assert done.status == 0
    assert verdicts(done.text)["direct"] == "slower"


def test_reports_that_share_no_case_cannot_be_compared(plain, folder):
    doctored(plain, folder, others=1)
    done = within("bench", *TINY, "-b", "direct", "--compare", "old.json", cwd=folder)
    assert done.status == 3
    assert (
        "old.json holds no time of any of these cases; time what it holds, such as 24×32 float32" in done.err
    )
    assert done.err.count("\n") == 1


# Refusals


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (
            ["gray.png", "--size", "32"],
            2,
            "an image has its own size; leave out IMAGE, or --size and --sizes",
        ),
        (["gray.png", "--sizes", "32"], 2, "an image has its own size"),
        (["--size", "8", "--sizes", "8,9"], 2, "--size and --sizes both say what to time; leave one out"),
        (["-k", "box:3", "--kernel-size", "3"], 2, "-k and --kernel-size both say what the kernel is"),
        (["--kernel-size", "3", "--kernel-sizes", "3"], 2, "--kernel-size and --kernel-sizes both say"),
        (["-r", "3", "-m", "3"], 2, "--runs is exact; leave out --min-runs, --max-runs and --min-time"),
        (["-r", "3", "--min-time", "1"], 2, "--runs is exact"),
        (["-m", "5", "-M", "3"], 2, "--min-runs 5 is above --max-runs 3"),
        (["-r", "0"], 2, "--runs 0 is below 1; at least one run is timed"),
        (["-m", "0"], 2, "--min-runs 0 is below 1"),
        (["-M", "-1"], 2, "--max-runs -1 is below 1"),
        (["-w", "-1"], 2, "--warmup -1 is below 0"),
        (["--min-time", "-1"], 2, '--min-time "-1" is not a number of seconds from 0'),
        (["--min-time", "soon"], 2, '--min-time "soon" is not a'),
        (["--min-time", "nan"], 2, '--min-time "nan" is not a number of seconds'),
        (["-b", "direct,abacus"], 2, 'unknown backend "abacus"; use one of auto, cuda, cuda:direct'),
        (
            ["--dtype", "int8"],
            2,
            'unknown dtype "int8"; did you mean "uint8"? use one of float32, float64, uint8',
        ),
        (["--sort", "speed"], 2, 'unknown order "speed"; use one of order, median, name'),
        (["--reference", "abacus"], 2, 'unknown reference "abacus"; use one of auto, cuda'),
        (["-b", "fft", "--reference", "direct"], 2, 'unknown reference "direct"; use one of fft'),
        (["--threads", "0"], 2, "threads 0 is not between 1 and"),
        (["--threads", "two"], 2, 'threads "two" is not'),
        (["--size", "0"], 2, "size 0 is not between 1 and"),
        (["--size", "3:1"], 2, "size 3:1 is empty: write first:last:step, with a step of at least 1"),
        (["--size", "8,9"], 2, "size 8,9 is several; use --sizes"),
        (["--kernel-sizes", "3,big"], 2, 'kernel sizes "big" is not a size'),
        (["--sizes", "1:2000"], 5, "sizes 1:2000 are 2000 sizes, more than 1000; use a larger step"),
        (
            ["--size", "1048576"],
            5,
            "an image of 1048576×1048576 and a random kernel of 5×5 needs 44 TB of memory, more than the ",
        ),
        (["--max-memory", "much"], 2, 'memory "much" is not an amount; write for example 512MB'),
        (["--max-pixels", "9", "gray.png"], 5, "gray.png"),
        (["-k", "cube.npy"], 2, 'kernel "cube.npy" has 3 axes (3×3×3); bench takes kernels of 2'),
        (["-k", "none.npy"], 3, "none.npy: no such file"),
        (["-k", "gausian:2"], 2, "gausian"),
        (["none.png"], 3, "none.png does not exist"),
        (["foreign.json"], 3, "foreign.json"),
        (["line.npy"], 2, "line.npy has one axis (30); bench takes images"),
        (["--export-json", "-", "--export-csv", "-"], 2, "two documents would go to standard output"),
        (["--json", "--export-markdown", "-"], 2, "two documents would go to standard output"),
        (["--export-json", "x", "--export-csv", "./x"], 2, "two outputs would go to the same file"),
        (["--export-json", "none/x.json"], 2, "none does not exist; make it first, or name another"),
        (["--export-csv", "."], 2, ". is a folder; name a file in it"),
        (["--plot", "x.pdf"], 2, "x.pdf is no picture that can be drawn; name a .png or .svg file"),
        (["--plot", "-"], 2, "name a .png or .svg file"),
        (["--fail-if", "median:10%"], 2, "needs something to compare with; add --compare OLD.json"),
        (["--compare", "none.json"], 3, "none.json does not exist"),
        (["--compare", "foreign.json"], 3, "foreign.json: it is not a benchmark of convcli; write one with"),
        (["--compare", "cut.json"], 3, "cut.json: line 1, column 30 is not JSON"),
        (["--compare", "gray.png"], 3, "gray.png: it is not UTF-8 text from byte 0 on"),
        (["--compare", "foreign.json", "--fail-if", "median"], 2, '"median" is not a statistic and a limit'),
        (
            ["--compare", "foreign.json", "--fail-if", "mode:9%"],
            2,
            'unknown statistic "mode"; use one of median',
        ),
        (["--calibrate", "--size", "8"], 2, "--calibrate chooses what to run by itself; leave out the rest"),
        (["--calibrate", "gray.png"], 2, "--calibrate chooses what to run by itself"),
        (
            ["--calibrate", "--threads", "1,2"],
            2,
            "--threads 1,2 is several; calibrate for one number of threads",
        ),
        (["-r", "1.5"], 2, "'1.5' is not a valid int"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_makes_no_sense_is_refused_in_one_line(folder, arguments, status, message):
    before = contents(folder)
    began = time.monotonic()
    assert refused(within("bench", *arguments, cwd=folder), status, message)
    assert time.monotonic() - began < 5
    assert contents(folder) == before


@pytest.mark.parametrize("size", ["50000", "1048576"])
def test_a_kernel_beyond_memory_is_refused_by_its_size(folder, size):
    """The limit keeps a failure of this test from taking the machine with it."""
    limited = ["bash", "-c", 'ulimit -v 8000000; exec "$0" "$@"']
    done = convcli("bench", "--kernel-size", size, "-r", "1", cwd=folder, wrapper=limited)
    assert refused(done, 5, f"{size}×{size}")
    assert "kernel" in done.err


def test_ctrl_c_amid_a_benchmark_ends_it_in_one_line_and_leaves_no_file(folder):
    before = contents(folder)
    arguments = (
        "--size",
        "64",
        "-b",
        "direct",
        "--min-time",
        "60",
        "-M",
        "1000000",
        "--export-json",
        "x.json",
    )
    child = start("bench", *arguments, cwd=folder)
    wait_until(lambda: busy(child), child)
    child.send_signal(signal.SIGINT)
    assert end(child) == (130, b"", "convcli: interrupted; no file was left half written\n")
    assert contents(folder) == before


# Calibration


@pytest.fixture
def calibrated(tmp_path, monkeypatch):
    """Put a profile into a folder for settings that is this test's alone."""

    def write(**changes):
        made = profile.Profile({}, profile.cpu_name(), 2, "2.0", "2026-01-02T03:04:05")
        (tmp_path / "convcli").mkdir(exist_ok=True)
        (tmp_path / "convcli" / "profile.json").write_text(json.dumps(asdict(made) | changes))

    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return write


def test_calibration_is_refused_at_once_where_it_could_not_be_kept(folder, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "gray.png"))
    before, began = contents(folder), time.monotonic()
    done = within("bench", "--calibrate", cwd=folder)
    assert refused(done, 1, f"cannot write {folder}/gray.png/convcli/profile.json: Not a directory")
    assert time.monotonic() - began < 5
    assert contents(folder) == before


def test_a_profile_is_in_force_and_said_to_be(calibrated, tmp_path):
    calibrated()
    done = succeed("backends")
    where = tmp_path / "convcli" / "profile.json"
    assert re.search(rf"(?m)^calibration +measured here on 2026-01-02, 2 threads \({where}\)$", done.text)
    assert done.err == ""


def test_a_profile_cannot_write_to_the_terminal(calibrated):
    calibrated(date="\x1b[31m\nx", rates={"\x1b[32m": {}})
    assert "\x1b" not in succeed("backends").text


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"rates": {"fft": {"call": -1}}}, "rate fft.call is -1, not a number of seconds"),
        ({"cpu": "\x1b[31mZ80\n"}, r'it was measured on another processor, "\x1b[31mZ80"'),
    ],
)
def test_a_profile_that_is_no_use_costs_one_line_and_nothing_else(calibrated, tmp_path, changes, reason):
    calibrated(**changes)
    done = succeed("backends")
    assert re.search("(?m)^calibration +shipped, measured on ", done.text)
    where = tmp_path / "convcli" / "profile.json"
    way_out = "run `convcli bench --calibrate` again"
    assert done.err == f"convcli: profile {where} is ignored: {reason}; {way_out}\n"


def test_a_benchmark_says_which_profile_was_in_force(calibrated):
    calibrated(rates={"direct": dict.fromkeys(backends.load("direct").RATES, 900)})
    document = json.loads(succeed("bench", *TINY, "-b", "auto", "--json").text)
    assert document["machine"]["calibration"].startswith("measured here on 2026-01-02")
    assert document["results"][0]["plan"].partition(",")[0] != "direct"


def test_comparing_asks_for_runs_enough_and_beside_a_document_speaks_on_stderr(plain, folder):
    doctored(plain, folder, others=1)
    done = convcli(*AGAIN, "median:10%", "-r", "1", "-b", "direct", cwd=folder)
    assert done.status == 2
    assert "--fail-if goes by the noise, which 1 runs do not show; allow at least 3" in done.err
    done = convcli(*AGAIN[:-1], "-b", "direct", "--json", cwd=folder)
    assert done.json["results"][0]["name"] == "direct"
    assert ", against the older times\n" in done.err


def test_a_target_that_fails_stops_no_other(folder):
    done = convcli(
        "bench", *TINY, "-b", "direct", "--export-csv", "/dev/full", "--export-json", "b.json", cwd=folder
    )
    assert done.status == 1
    assert "cannot write /dev/full: No space left on device" in done.err
    assert json.loads((folder / "b.json").read_text())["results"]
