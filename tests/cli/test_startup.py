"""What a run does not need it does not import: start-up is most of the time of a small job."""

import subprocess
import sys

import numpy as np
import pytest
from shell import COMPILED, environment, save

from convcli.cli.app import COMMANDS

HEAVY = ("numpy", "scipy", "PIL", "rich", "cupy")

CODE = """
import sys
sys.argv = ["convcli", *sys.argv[1:]]
from convcli.cli import run
status = run()
sys.stdout.flush()
print(status, *(name for name in {heavy} if name in sys.modules), file=sys.stderr)
"""


def loaded(*arguments, cwd=None):
    """Run ``convcli`` in a fresh process; return its status and the heavy packages it imported."""
    done = subprocess.run(
        [sys.executable, "-c", CODE.format(heavy=HEAVY), *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=environment(),
        check=True,
        timeout=60,
    )
    status, *names = done.stderr.splitlines()[-1].split()
    return int(status), names


def test_import_loads_nothing_heavy():
    code = (
        f"import sys, convcli; print(*(name for name in {HEAVY} if name in sys.modules), dir(convcli) and '')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == []


@pytest.mark.parametrize("arguments", [["--version"], ["-h"], ["convolve", "-h"], ["nonsense"]])
def test_version_and_help_load_nothing_heavy(arguments):
    status, names = loaded(*arguments)
    assert (status, names) == (2 if arguments == ["nonsense"] else 0, [])


def test_small_filter_of_a_jpeg_loads_numpy_and_pillow_alone(tmp_path):
    save(tmp_path / "in.jpg", np.zeros((8, 9), np.uint8))
    assert loaded("convolve", "in.jpg", "-k", "box:3", "-o", "out.jpg", cwd=tmp_path) == (0, ["numpy", "PIL"])


@COMPILED
def test_small_filter_of_a_png_loads_numpy_alone(tmp_path):
    save(tmp_path / "in.png", np.zeros((8, 9), np.uint8))
    assert loaded("convolve", "in.png", "-k", "box:3", "-o", "out.png", cwd=tmp_path) == (0, ["numpy"])


def test_filter_of_an_array_loads_numpy_alone(tmp_path):
    np.save(tmp_path / "in.npy", np.zeros((8, 9)))
    assert loaded("convolve", "in.npy", "-k", "1 2 1", "-o", "out.npy", cwd=tmp_path) == (0, ["numpy"])


def test_list_of_kernels_loads_no_images():
    status, names = loaded("kernels", "--json")
    assert status == 0
    assert not {"scipy", "PIL", "rich"}.intersection(names)


def test_command_loads_no_other():
    code = CODE.format(heavy=[f"convcli.cli.{name}.command" for name in COMMANDS])
    done = subprocess.run(
        [sys.executable, "-c", code, "shape", "-h"], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stderr.split() == ["0", "convcli.cli.shape.command"]
