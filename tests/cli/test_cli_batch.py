"""Files that are worked on together are told apart by nothing from files done one after the other."""

import json
import os
import signal
import subprocess
import time

import numpy as np
import pytest
from shell import contents, load, save, start, within

from convcli.cli.convolve import run as batch
from convcli.images import write

RANDOM = np.random.default_rng(3)
GAUSS = ("-k", "gaussian:1.5")
MEASURED = ("threads", "read_seconds", "plan_seconds", "compute_seconds", "write_seconds", "plan")
MEASURED += ("megapixels_per_second",)


@pytest.fixture
def folder(tmp_path):
    """Inputs of all kinds, two of them bad."""
    for number in range(6):
        save(tmp_path / f"{number}-gray.png", RANDOM.integers(0, 256, (60, 50 + number), np.uint8))
        save(tmp_path / f"{number}-rgb.png", RANDOM.integers(0, 256, (40 + number, 50, 3), np.uint8))
    save(tmp_path / "alpha.png", RANDOM.integers(0, 256, (30, 30, 4), np.uint8))
    save(tmp_path / "photo.jpg", RANDOM.integers(0, 256, (30, 30, 3), np.uint8))
    save(tmp_path / "deep.tif", RANDOM.integers(0, 65536, (30, 30), np.uint16))
    save(tmp_path / "pages.gif", RANDOM.integers(0, 256, (9, 9), np.uint8), save_all=True, append_images=[])
    save(tmp_path / "palette.png", RANDOM.integers(0, 4, (20, 20), np.uint8) * 80, mode="P")
    np.save(tmp_path / "array.npy", RANDOM.normal(size=(12, 13)))
    (tmp_path / "1-bad.png").write_bytes(b"\x89PNG\r\n\x1a\n but no more")
    (tmp_path / "3-text.png").write_text("no image")
    return tmp_path


def inputs(folder):
    return sorted(p.name for p in folder.iterdir() if p.is_file())


def together(folder, *options, threads=3):
    """Filter everything, several files at a time, whatever this machine has."""
    return within("convolve", *inputs(folder), *options, "--threads", threads, cwd=folder)


def records(done):
    """Return what a run says of every file, but for what was measured."""
    found = json.loads(done.out)["files"]
    return [{name: value for name, value in record.items() if name not in MEASURED} for record in found]


@pytest.mark.parametrize(
    "options",
    [
        GAUSS,
        ("-k", "3x3: 1 2 1 2 4 2 1 2 1", "--mode", "full", "--stride", "2"),
        ("-k", "sobel-x", "-k", "sobel-y", "--combine", "magnitude"),
        ("-k", "box:3", "-k", "motion:7,30"),
        (*GAUSS, "--repeat", "2", "--dtype", "uint8", "--range", "minmax"),
    ],
    ids=" ".join,
)
def test_files_and_records_are_those_of_one_after_the_other(folder, options):
    one = together(folder, *options, "-o", "one/", "--json", threads=1)
    several = together(folder, *options, "-o", "two/", "--json")
    assert (several.status, one.status) == (1, 1)
    said = [text.replace("one/", "two/") for text in (json.dumps(records(one)), one.err)]
    assert [json.dumps(records(several)), several.err] == said
    written = contents(folder / "two")
    assert written == contents(folder / "one")
    assert len(written) >= len(inputs(folder)) - 3


def test_what_is_said_of_files_is_in_their_order(folder):
    done = together(folder, *GAUSS, "-o", "out/")
    notes = [line.split()[1].rstrip(":") for line in done.err.splitlines() if line.startswith("convcli: ")]
    assert [name for name in notes if name in inputs(folder)] == ["1-bad.png", "3-text.png"]
    rows = [line.split()[0] for line in done.err.splitlines() if not line.startswith("convcli: ")]
    assert rows == ["input", *inputs(folder)]
    assert [line.split()[1] for line in done.err.splitlines() if "failed" in line] == ["failed"] * 2


@pytest.mark.parametrize("threads", [1, 3])
def test_fail_fast_writes_and_reports_nothing_beyond_the_first_bad_file(folder, threads):
    done = together(folder, *GAUSS, "-o", "out/", "--fail-fast", "--json", threads=threads)
    assert done.status == 1
    assert [record["input"] for record in records(done)] == ["0-gray.png", "0-rgb.png", "1-bad.png"]
    assert list(contents(folder / "out")) == ["0-gray.png", "0-rgb.png"]


def test_file_that_was_there_before_is_refused_in_its_turn(folder):
    (folder / "out").mkdir()
    (folder / "out" / "2-rgb.png").write_bytes(b"old")
    done = together(folder, *GAUSS, "-o", "out/", "--json")
    errors = {record["input"]: record["error"] for record in records(done) if record["error"]}
    assert list(errors) == ["1-bad.png", "2-rgb.png", "3-text.png"]
    assert errors["2-rgb.png"] == "out/2-rgb.png exists; use -f to overwrite it, or another name"
    assert (folder / "out" / "2-rgb.png").read_bytes() == b"old"


def test_memory_for_all_together_is_what_one_may_take(folder, monkeypatch):
    begun = []
    begin = batch.Prefetch._begin

    def watched(ahead, task):
        early = begin(ahead, task)
        under_way = [ahead.held, *(other.size for other in ahead.queue if other.wait)]
        begun.append((early, sum(under_way)))
        return early

    monkeypatch.setattr(batch.Prefetch, "_begin", watched)
    whole = together(folder, *GAUSS, "-o", "one/", "--json")
    assert all(early for early, _ in begun)
    begun.clear()
    together(folder, *GAUSS, "-o", "out/", "--max-memory", "300kB")
    assert {early for early, _ in begun} == {True, False}
    assert max(size for _, size in begun) <= 300_000
    monkeypatch.setattr(batch, "TOGETHER", 300_000)
    tight = together(folder, *GAUSS, "-o", "two/", "--json")
    assert json.dumps(records(tight)) == json.dumps(records(whole)).replace("one/", "two/")
    assert contents(folder / "two") == contents(folder / "one")


@pytest.mark.parametrize("threads", [1, 3])
def test_error_of_an_encoder_names_the_file(folder, threads, monkeypatch):
    def fail(*_):
        raise ValueError("no room for colours")

    monkeypatch.setattr(write, "_save_by_pillow", fail)
    done = together(folder, *GAUSS, "-o", "out/{stem}.bmp", "--json", "--gray", threads=threads)
    errors = {record["input"]: record["error"] for record in records(done)}
    assert errors["photo.jpg"] == "cannot write out/photo.bmp as BMP: no room for colours"


def test_files_may_replace_themselves(folder):
    expected = together(folder, *GAUSS, "-o", "out/")
    done = together(folder, *GAUSS, "-o", "./", "-f")
    assert done.status == expected.status == 1
    for name, content in contents(folder / "out").items():
        assert (folder / name).read_bytes() == content


def test_results_before_a_stream_are_there_before_it_is_read(tmp_path):
    """Whoever writes to the pipe may be waiting for them."""
    pixels = RANDOM.integers(0, 256, (20, 20), np.uint8)
    names = [str(save(tmp_path / f"{n}.png", pixels)) for n in range(3)]
    child = start(
        "convolve", *names, "-", "-k", "identity", "--format", "png", "-o", "out/", "--threads", "2",
        cwd=tmp_path, stdin=subprocess.PIPE,
    )  # fmt: skip
    wanted = [tmp_path / "out" / f"{n}.png" for n in range(3)]
    end = time.monotonic() + 30
    while not all(path.exists() for path in wanted):
        assert child.poll() is None
        assert time.monotonic() < end
        time.sleep(0.01)
    _, err = child.communicate((tmp_path / "0.png").read_bytes(), timeout=30)
    assert child.returncode == 0, err
    np.testing.assert_array_equal(load(tmp_path / "out" / "stdin.png"), pixels)


def test_interruption_ends_what_was_begun_early_and_leaves_nothing(tmp_path):
    names = [
        str(save(tmp_path / f"{n}.png", RANDOM.integers(0, 256, (300, 400), np.uint8))) for n in range(4)
    ]
    before = contents(tmp_path)
    child = start(
        "convolve", *names, "-k", "box:3", "--repeat", "1000000", "-o", "out/", "--threads", "2", cwd=tmp_path
    )
    end = time.monotonic() + 30
    while _cpu_seconds(child) < 1:
        assert child.poll() is None
        assert time.monotonic() < end
        time.sleep(0.01)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=10)
    assert (child.returncode, out) == (130, b"")
    assert err == b"convcli: interrupted; no file was left half written\n"
    assert contents(tmp_path) == before


def _cpu_seconds(child):
    with open(f"/proc/{child.pid}/stat") as file:
        user, system = file.read().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
