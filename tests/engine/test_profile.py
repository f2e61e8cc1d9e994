"""Rates that were measured on a machine decide there, and a profile that is no use is ignored aloud."""

from __future__ import annotations

import errno
import json
import os
import re
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from convcli import backends
from convcli.engine import rates as profile
from convcli.engine.planner import plan
from convcli.errors import ConvcliWarning, FileError
from convcli.spec import ConvSpec
from convcli.system import files as atomic

READY = [name for name in backends.listed() if backends.load(name).unavailable() is None]
SPEC = ConvSpec((256, 256), (7, 7))
WAY_OUT = "run `convcli bench --calibrate` again"


def measured(rates=None, **changes):
    """Return a profile as a calibration here would make it."""
    rates = {"direct": {"call": 1e-6}} if rates is None else rates
    made = profile.Profile(rates, profile.cpu_name(), 2, "2.0", "2026-01-02T03:04:05")
    return replace(made, **changes)


def text_of(made, **changes):
    return json.dumps(asdict(made) | changes)


@pytest.fixture
def file(tmp_path, monkeypatch):
    """Keep settings in a folder of the test's own; return where a profile would be."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    profile.stored.cache_clear()
    yield tmp_path / "convcli" / "profile.json"
    profile.stored.cache_clear()


@pytest.fixture
def written(file):
    """Write a profile, whatever it is made of."""

    def write(data):
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(data if isinstance(data, bytes) else data.encode())
        profile.stored.cache_clear()

    return write


# Where


def test_tests_keep_out_of_the_settings_of_whoever_runs_them():
    assert "convcli-settings-" in os.environ["XDG_CONFIG_HOME"]
    assert profile.current() is None


@pytest.mark.parametrize(
    ("system", "environment", "folder"),
    [
        ("linux", {"XDG_CONFIG_HOME": "/set/tings"}, "/set/tings"),
        ("linux", {"HOME": "/home/ada"}, "/home/ada/.config"),
        ("linux", {"HOME": "/home/ada", "XDG_CONFIG_HOME": ""}, "/home/ada/.config"),
        ("freebsd14", {"HOME": "/home/ada"}, "/home/ada/.config"),
        ("darwin", {"HOME": "/Users/ada", "XDG_CONFIG_HOME": "/x"}, "/Users/ada/Library/Application Support"),
        ("win32", {"APPDATA": "/Users/ada/Roaming"}, "/Users/ada/Roaming"),
        ("win32", {"HOME": "/Users/ada"}, "/Users/ada"),
    ],
)
def test_a_profile_is_kept_where_the_system_keeps_settings(monkeypatch, system, environment, folder):
    for name in ("XDG_CONFIG_HOME", "HOME", "APPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", system)
    assert profile.path() == Path(folder) / "convcli" / "profile.json"


@pytest.mark.usefixtures("file")
def test_who_has_no_home_can_still_work(monkeypatch):
    """As in a container that runs under a number without a name."""

    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setattr(Path, "home", homeless)
    assert profile.current() is None
    assert profile.describe() == profile.SHIPPED
    assert plan(SPEC).backend in READY


# What it does


def test_a_profile_that_was_saved_is_the_current_one(file):
    assert profile.current() is None
    made = measured({"direct": {"call": 1.5e-6, "multiply_add": 0}, "shared": {"tile": 1}})
    assert profile.save(made) == file
    assert asdict(profile.current()) == asdict(made)
    assert profile.current() is profile.current()
    assert profile.describe() == f"measured here on 2026-01-02, 2 threads ({file})"
    assert [p.name for p in file.parent.iterdir()] == ["profile.json"]


def test_measured_rates_take_the_place_of_shipped_ones_and_no_others(file):
    shipped = {name: profile.rates(name) for name in READY}
    profile.save(measured({"direct": {"call": 7}, "shared": {"tile": 8}, "abacus": {"bead": 9}}))
    for name in READY:
        changed = {"tile": 8} | ({"call": 7} if name == "direct" else {})
        assert profile.rates(name) == shipped[name] | changed
    file.unlink()
    profile.stored.cache_clear()
    assert {name: profile.rates(name) for name in READY} == shipped


@pytest.mark.usefixtures("file")
@pytest.mark.parametrize("name", READY)
def test_auto_obeys_the_profile(name):
    """Everything else is absurdly dear, or this one alone."""
    before = plan(SPEC)
    others = {other: dict.fromkeys(backends.load(other).RATES, 900) for other in READY if other != name}
    profile.save(measured(others))
    assert plan(SPEC).backend == name
    profile.save(measured({name: dict.fromkeys(backends.load(name).RATES, 900)}))
    assert plan(SPEC).backend != name
    Path(profile.path()).unlink()
    profile.stored.cache_clear()
    assert plan(SPEC).chosen == before.chosen


@pytest.mark.usefixtures("file")
def test_estimates_are_those_of_the_profile():
    before = plan(SPEC, "direct").cost
    doubled = {what: 2 * rate for what, rate in backends.load("direct").RATES.items()}
    shared = {what: 2 * rate for what, rate in profile.SHARED.items()}
    profile.save(measured({"direct": doubled, "shared": shared}))
    after = plan(SPEC, "direct").cost
    assert after.seconds == pytest.approx(2 * before.seconds)
    assert after.work == before.work


# What is no use


def is_ignored(file, reason):
    """Require that nothing is in force, for that reason, which is said once."""
    with pytest.warns(ConvcliWarning) as seen:
        found = [profile.current(), profile.current(), profile.describe(), profile.rates("direct")]
    assert found == [None, None, profile.SHIPPED, profile.SHARED | backends.load("direct").RATES]
    assert len(seen) == 1
    message = str(seen[0].message)
    assert message.startswith(f"profile {file} is ignored: ")
    assert reason in message
    assert message.endswith(f"; {WAY_OUT}")
    assert "\n" not in message
    assert len(message) - len(str(file)) < 300
    return True


GOOD = text_of(measured())
BROKEN = {
    "empty": ("", "it is not valid JSON"),
    "truncated": (GOOD[:-20], "it is not valid JSON"),
    "two": (GOOD * 2, "it is not valid JSON"),
    "not text": (b"\xff\xfe\x00\xd8", "it is not valid JSON"),
    "nested deeply": ("[" * 60000, "it is not valid JSON"),
    "a number without end": (f'{{"rates": {"9" * 5000}}}', "it is not valid JSON"),
    "no object": ("[1, 2]", "it is not a profile of this version"),
    "null": ("null", "it is not a profile of this version"),
    "a key too few": (json.dumps({"rates": {}}), "it is not a profile of this version"),
    "a key too many": (text_of(measured(), more=1), "it is not a profile of this version"),
    "threads in words": (text_of(measured(), threads="two"), "it is not a profile of this version"),
    "true threads": (text_of(measured(), threads=True), "it is not a profile of this version"),
    "a date in numbers": (text_of(measured(), date=2026), "it is not a profile of this version"),
    "rates in a list": (text_of(measured(), rates=[1]), "its rates are not given by backend"),
    "a rate of no backend": (text_of(measured(), rates={"direct": 1}), "its rates are not given by backend"),
    "NaN": (
        text_of(measured({"direct": {"call": float("nan")}})),
        "rate direct.call is nan, not a number of",
    ),
    "infinite": (
        text_of(measured({"direct": {"call": float("inf")}})),
        "rate direct.call is inf, not a number",
    ),
    "negative": (
        text_of(measured({"fft": {"call": -1e-9}})),
        "rate fft.call is -1e-09, not a number of seconds",
    ),
    "huge": (text_of(measured({"fft": {"call": 1e3}})), "rate fft.call is 1000.0, not a number of seconds"),
    "huge and whole": (text_of(measured({"fft": {"call": 10**4000}})), "rate fft.call is 1"),
    "text": (
        text_of(measured({"fft": {"call": "1e-6"}})),
        "rate fft.call is '1e-6', not a number of seconds",
    ),
    "true": (text_of(measured({"fft": {"call": True}})), "rate fft.call is True, not a number of seconds"),
    "nothing": (text_of(measured({"fft": {"call": None}})), "rate fft.call is None, not a number of seconds"),
    "large": (GOOD + " " * profile.LARGEST_FILE, "it is too large to be one"),
    "old": (text_of(measured(convcli="0.0.1")), "convcli 0.0.1 made it, and this is "),
    "of another format": (text_of(measured(format=2)), f"convcli {profile.__version__} made it, and this is"),
    "foreign": (text_of(measured(cpu="Z80")), 'it was measured on another processor, "Z80"'),
    "foreign at length": (text_of(measured(cpu="Z" * 60000)), 'it was measured on another processor, "ZZZ'),
}


@pytest.mark.parametrize(("data", "reason"), BROKEN.values(), ids=BROKEN)
def test_what_is_no_profile_of_this_machine_is_ignored_with_one_warning(file, written, data, reason):
    written(data)
    assert is_ignored(file, reason)


@pytest.mark.parametrize("data", [GOOD, text_of(measured({})), text_of(measured({"fft": {"call": 0}}))])
def test_a_good_profile_is_not_warned_of(written, data):
    written(data)
    assert asdict(profile.current()) == json.loads(data)


def test_a_folder_in_place_of_a_profile_is_ignored_with_one_warning(file):
    file.mkdir(parents=True)
    assert is_ignored(file, "")


def test_a_profile_that_must_not_be_read_is_ignored_with_one_warning(file, written):
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    written(GOOD)
    file.chmod(0)
    assert is_ignored(file, os.strerror(errno.EACCES))


def test_a_profile_that_cannot_be_read_is_ignored_with_one_warning(file, written, monkeypatch):
    written(GOOD)

    def failing(name, *_, **__):
        assert Path(name) == file
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("builtins.open", failing)
    assert is_ignored(file, os.strerror(errno.EIO))


# Writing it


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_profile_that_cannot_be_written_leaves_the_old_one(file, monkeypatch, step):
    profile.save(measured())
    before = file.read_bytes()

    def failing(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(atomic.os, step, failing)
    message = f"cannot write {file}: {os.strerror(errno.ENOSPC)}; the old file is unchanged"
    with pytest.raises(FileError, match=re.escape(message)):
        profile.save(measured({"fft": {"call": 9}}))
    assert file.read_bytes() == before
    assert [p.name for p in file.parent.iterdir()] == ["profile.json"]
    assert profile.current().rates == {"direct": {"call": 1e-6}}


def test_a_folder_that_cannot_be_made_is_found_out_before_anything_is_measured(tmp_path, monkeypatch):
    (tmp_path / "settings").write_bytes(b"mine")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    message = re.escape(
        f"cannot write {tmp_path}/settings/convcli/profile.json: {os.strerror(errno.ENOTDIR)}"
    )
    with pytest.raises(FileError, match=message):
        profile.check_writable()
    assert (tmp_path / "settings").read_bytes() == b"mine"


def test_a_folder_that_must_not_be_written_is_found_out_before_anything_is_measured(file, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(FileError, match=re.escape(f"cannot write {file}: {os.strerror(errno.EACCES)}")):
        profile.check_writable()


def test_a_folder_in_place_of_a_profile_is_found_out_before_anything_is_measured(file):
    file.mkdir(parents=True)
    with pytest.raises(FileError, match=re.escape(f"cannot write {file}: ")):
        profile.check_writable()
