"""Stopped in the middle, the program says so in a line, ends with the right status and tidies up."""

import io
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from shell import contents, convcli, save, start, succeed, unobserved

DEADLINE = 30  # seconds; only a hang comes near it
NOISE = np.random.default_rng(2).integers(0, 256, (300, 400, 3), dtype=np.uint8)
ENDLESS = ("convolve", "photo.png", "-k", "box:3", "--repeat", "1000000", "-b", "direct")


@pytest.fixture
def folder(tmp_path):
    save(tmp_path / "photo.png", NOISE)
    (tmp_path / "old.png").write_bytes(b"precious")
    return tmp_path


def wait_until(condition, child):
    """Wait for something to happen in the child; fail if it ends before."""
    end = time.monotonic() + DEADLINE
    while not condition():
        assert child.poll() is None, child.stderr.read()
        assert time.monotonic() < end
        time.sleep(0.01)


def busy(child):
    """Whether the child has computed for a while: its imports take a fifth of that."""
    with open(f"/proc/{child.pid}/stat") as file:
        user, system = file.read().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK") > 0.7


def end(child):
    out, err = child.communicate(timeout=DEADLINE)
    return child.returncode, out, err.decode()


@pytest.mark.parametrize(
    ("number", "status", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
@pytest.mark.parametrize("output", ["old.png", "-"])
def test_signal_amid_the_computation_ends_it_in_one_line(folder, number, status, word, output):
    before = contents(folder)
    child = start(*ENDLESS, "-o", output, "-f", cwd=folder)
    wait_until(lambda: busy(child), child)
    child.send_signal(number)
    assert end(child) == (status, b"", f"convcli: {word}; no file was left half written\n")
    assert contents(folder) == before


def test_signal_between_the_files_of_a_batch_keeps_the_finished_ones(folder):
    names = [f"{n:02}.png" for n in range(40)]
    for name in names:
        (folder / name).write_bytes((folder / "photo.png").read_bytes())
    child = start("convolve", *names, "-k", "gaussian:4", "-o", "out/", cwd=folder)
    out = folder / "out"
    wait_until(lambda: out.exists() and len(list(out.glob("*.png"))) > 2, child)
    child.send_signal(signal.SIGINT)
    status, _, err = end(child)
    assert (status, err) == (130, "convcli: interrupted; no file was left half written\n")
    made = sorted(p.name for p in out.iterdir())
    assert 2 < len(made) < len(names)
    assert made == names[: len(made)]
    succeed("convolve", names[0], "-k", "gaussian:4", "-o", "whole.png", cwd=folder)
    assert {p.read_bytes() for p in out.iterdir()} == {(folder / "whole.png").read_bytes()}


def test_signal_while_waiting_for_input_ends_at_once(folder):
    child = start("convolve", "-", "-k", "box:3", "-o", "out.png", cwd=folder, stdin=subprocess.PIPE)
    wait_until(lambda: b"PIL" in _maps(child) or b"numpy" in _maps(child), child)
    time.sleep(0.2)
    child.send_signal(signal.SIGINT)
    child.wait(DEADLINE)  # with its standard input still open
    assert end(child) == (130, b"", "convcli: interrupted; no file was left half written\n")
    assert "out.png" not in contents(folder)


def _maps(child):
    with open(f"/proc/{child.pid}/maps", "rb") as file:
        return file.read()


@pytest.mark.parametrize("force", [True, False])
def test_kill_9_at_any_time_leaves_old_bytes_or_new_ones(folder, force):
    """Each round dies a little later, from amid the start to after the end."""
    succeed("convolve", "photo.png", "-k", "identity", "-o", "new.png", cwd=folder)
    new, old = (folder / "new.png").read_bytes(), b"precious" if force else None
    target = folder / "target.png"
    seen = set()
    for delay in (0.05, 0.16, 0.2, 0.24, 0.3, None):
        target.unlink(missing_ok=True)
        if old is not None:
            target.write_bytes(old)
        child = start(
            "convolve", "photo.png", "-k", "identity", "-o", target, *(["-f"] if force else []), cwd=folder
        )
        try:
            child.wait(delay)
        except subprocess.TimeoutExpired:
            child.kill()
        child.communicate(timeout=DEADLINE)
        found = target.read_bytes() if target.exists() else None
        assert found in (old, new)
        seen.add(found)
    assert seen == {old, new}
    leftovers = contents(folder).keys() - {"photo.png", "old.png", "new.png", "target.png"}
    assert all(name.startswith(".convcli-") and name.endswith(".tmp") for name in leftovers)


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    "command",
    [
        "convolve photo.png -k identity -o - -q",
        "convolve photo.png -k identity -o - --format npy -q",
        "kernels",
        "convolve photo.png -k identity --json",
    ],
)
def test_closed_pipe_ends_the_run_quietly(folder, command, unbuffered):
    """The reader has gone before the first byte, or after the tenth."""
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb") as pipe:
        done = convcli(*command.split(), cwd=folder, stdout=pipe, env={"PYTHONUNBUFFERED": unbuffered})
    assert (done.status, done.err) == (141, "")
    if " -o -" not in command:
        return
    script = '{ "$0" "$@"; echo $? >&2; } | head -c 10'
    done = convcli(
        *command.split(), cwd=folder, wrapper=["sh", "-c", script], env={"PYTHONUNBUFFERED": unbuffered}
    )
    assert (len(done.out), done.err) == (10, "141\n")


def test_closed_stderr_does_not_stop_the_work(folder):
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb") as pipe:
        child = start("convolve", "photo.png", "-k", "identity", "-o", "-", cwd=folder, stderr=pipe)
        out, _ = child.communicate(timeout=DEADLINE)
    assert child.returncode in (0, 141)
    assert io.BytesIO(out).read(4) == b"\x89PNG"


def python(script):
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=DEADLINE, env=unobserved()
    )


def test_no_signal_is_lost_between_one_computation_and_the_next():
    """Whatever Python does when it may be, such as tidying up after threads."""
    sender = """
import os, random, signal, time
for _ in range(300):
    time.sleep(0.002 * random.random())
    os.kill(os.getppid(), signal.SIGINT)
    os.read(0, 1)  # until it has been caught
"""
    script = f"""
import subprocess, sys
from convcli.system import threads
child = subprocess.Popen([sys.executable, "-c", {sender!r}], stdin=subprocess.PIPE)
answers, caught, answered = child.stdin.fileno(), 0, 0
while caught < 300:
    try:
        if answered < caught:
            answered = caught
            os.write(answers, b"x")
        while True:
            threads.run([lambda: sum(range(500))] * 4, 2)
    except KeyboardInterrupt:
        caught += 1
os.write(answers, b"x")
child.wait()
"""
    done = python("import os" + script)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_signal_that_is_lost_in_a_callback_comes_again():
    script = """
import signal, sys, time
from convcli import cli
class Dropped:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)
cli._prepare()
try:
    Dropped()
    time.sleep(20)
except KeyboardInterrupt:
    print("caught")
"""
    done = python(script)
    assert (done.stdout, done.stderr) == ("caught\n", "")
