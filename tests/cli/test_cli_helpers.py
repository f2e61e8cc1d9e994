"""Help, version, ``kernels``, ``backends``, JSON documents, and how it all looks on a terminal."""

import json
import os
import re
import sys
import unicodedata
from importlib.metadata import version

import numpy as np
import pytest
from shell import convcli, on_terminal, save, succeed

import convcli as package
from convcli import backends as all_backends
from convcli.kernels import named_kernels, parse_kernel

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
COMMANDS = ("convolve", "toeplitz", "unroll", "bench", "deconvolve", "shape", "kernels", "backends")


@pytest.fixture
def folder(tmp_path):
    save(tmp_path / "one.png", np.arange(63, dtype=np.uint8).reshape(7, 9))
    save(tmp_path / "two.png", np.zeros((5, 6, 3), np.uint8))
    return tmp_path


def widest(text):
    """Columns of the longest line, as a terminal counts them."""
    plain = ESCAPE.sub("", text)
    wide = {"W": 2, "F": 2}
    return max(
        sum(wide.get(unicodedata.east_asian_width(c), 1) for c in line) for line in re.split(r"[\r\n]", plain)
    )


@pytest.mark.parametrize(
    "command", [[], *([name] for name in COMMANDS)], ids=lambda c: " ".join(c) or "convcli"
)
def test_help_of_every_command_has_worked_examples(command):
    done = succeed(*command, "--help" if command else "-h")
    assert done.err == ""
    assert re.match(rf"Usage: (python -m )?{' '.join(['convcli', *command])} ", done.text)
    examples = re.findall(r"(?m)^ +(?:cat \S+ \| )?convcli .+$", done.text)
    assert len(examples) >= (1 if command == ["backends"] else 3)
    assert "\x1b" not in done.text
    if not command:
        assert all(f"\n  {name} " in done.text for name in COMMANDS)
        assert "--install-completion" in done.text
    if command == ["convolve"]:
        assert "--border" in done.text
        assert "zero (the default in Python)" in " ".join(done.text.split())


def test_help_speaks_of_kinds_of_values_as_people_do():
    """Not as the type hints do."""
    for command in COMMANDS:
        text = succeed(command, "-h").text
        assert "list[str]" not in text
        assert "<str>" not in text


def test_every_example_of_the_help_is_understood(folder):
    """They run with other files in place of theirs; quotes and globs are the shell's."""
    for name in ("photo.jpg", "in.png", "photo.png", "blurred.jpg", "blurred.png", "soft.png", "a.png"):
        save(folder / name, np.zeros((256, 256), np.uint8))
    save(folder / "star.png", np.eye(3, dtype=np.uint8))
    np.save(folder / "sky.npy", np.ones((9, 9)))
    np.save(folder / "x.npy", np.ones((9, 9)))
    np.save(folder / "k.npy", np.ones((3, 3)))
    np.save(folder / "maps.npy", np.ones((2, 9, 9)))
    np.save(folder / "bank.npy", np.ones((3, 2, 3, 3)))
    (folder / "out").mkdir()
    for command in ((), *((name,) for name in COMMANDS)):
        for line in re.findall(r"(?m)^ +((?:cat \S+ \| )?convcli .+)$", succeed(*command, "-h").text):
            for option in ("-o soft.jpg", "-o edges.png", "-o sharp.png", "-o out.png", "-o b.png"):
                (folder / option.split()[1]).unlink(missing_ok=True)
            script = f'convcli() {{ "$0" -m convcli "$@"; }}; {line}'
            done = convcli(wrapper=["bash", "-c", script], cwd=folder, env={"COVERAGE_PROCESS_CONFIG": ""})
            assert done.status == 0, (line, done.err)


def test_version_is_the_installed_one():
    done = succeed("--version")
    assert (done.text, done.err) == (f"convcli {version('convcli')}\n", "")
    assert package.__version__ == version("convcli")


def test_without_arguments_help_is_shown_and_the_status_is_2():
    for arguments in ([], ["convolve"]):
        done = convcli(*arguments)
        assert done.status == 2
        assert "Examples:" in done.err + done.text
    done = convcli("convolv")
    assert (done.status, done.out) == (2, b"")
    assert "convolve" in done.err


def test_kernels_lists_every_named_kernel():
    listed = succeed("kernels")
    assert listed.err == ""
    lines = listed.text.splitlines()
    assert [line.split()[0] for line in lines[1:]] == [kernel.syntax for kernel in named_kernels()]
    document = succeed("kernels", "--json").json
    assert [entry["syntax"] for entry in document] == [kernel.syntax for kernel in named_kernels()]
    for entry in document:
        assert parse_kernel(entry["example"]).values.size > 0
        assert entry["summary"]


def test_one_kernel_is_shown_with_its_properties():
    text = succeed("kernels", "3x2+2+1: 1,2,3 4,5,7").text
    facts = dict(line.split(maxsplit=1) for line in text.split("\n\n")[0].splitlines())
    assert facts == {
        "kernel": "inline",
        "size": "2×3",
        "sum": "22",
        "rank": "2",
        "separable": facts["separable"],
        "origin": "2,1 (x,y)",
    }
    assert facts["separable"].startswith("no")
    assert [line.split() for line in text.split("\n\n")[1].splitlines()] == [["1", "2", "3"], ["4", "5", "7"]]
    document = succeed("kernels", "binomial:3", "--json").json
    assert document["kernel"] == [[1, 2, 1], [2, 4, 2], [1, 2, 1]]
    assert (document["divisor"], document["sum"], document["rank"], document["separable"]) == (16, 1, 1, True)
    assert document["origin"] == [1, 1]


def test_large_kernel_is_shown_as_a_picture():
    picture = succeed("kernels", "gaussian:20").text.partition("\n\n")[2]
    legend, *lines = picture.splitlines()
    assert legend == "one cell of 4×4, by magnitude:"
    assert len(lines) > 10
    assert max(len(line) for line in lines) <= 80
    assert lines == lines[::-1]


def test_the_json_of_a_kernel_is_a_kernel_file(tmp_path):
    for spec in ("sobel-x", "roberts-y", "gaussian:1", "3x1+2+0: 1 2 3"):
        (tmp_path / "k.json").write_bytes(succeed("kernels", spec, "--json").out)
        read, meant = parse_kernel(str(tmp_path / "k.json")), parse_kernel(spec)
        assert read.values.tolist() == meant.values.tolist()
        assert (read.divisor, read.bias) == (meant.divisor, meant.bias)
        assert read.origin == (meant.origin or tuple((n - 1) // 2 for n in meant.values.shape))


def test_kernel_too_wide_for_the_terminal_is_a_picture_and_never_cut():
    for env in ({}, {"NO_COLOR": "1"}, {"TERM": "dumb"}):
        status, text = on_terminal("kernels", "log:1.5", env=env)
        assert status == 0
        assert widest(text) <= 80
        assert "every cell, " in text
        assert len([line for line in text.splitlines() if line.strip()]) > 13


def test_wrong_kernel_is_refused_by_kernels_as_by_convolve(folder):
    for spec, status in (("gausian:2", 2), ("none.csv", 3), ("1 2; 3", 2)):
        shown = convcli("kernels", spec, cwd=folder)
        used = convcli("convolve", "one.png", "-k", spec, cwd=folder)
        assert (shown.status, shown.out, shown.err) == (status, b"", used.err)
        assert used.status == status


def test_backends_says_what_can_run_and_why_not():
    done = succeed("backends")
    assert done.err == ""
    ready = [name for name in all_backends.listed() if name != "cuda"]
    for name in ready:
        assert re.search(rf"(?m)^{re.escape(name)} +ready  +\S", done.text), name
    reason = str(all_backends.load("cuda").unavailable())
    assert re.search(rf"(?m)^cuda +missing  {re.escape(reason)}$", done.text)
    assert re.search(rf"(?m)^gpu +not used: {re.escape(reason)}", done.text)
    document = succeed("backends", "--json").json
    states = {entry["name"]: entry["unavailable"] for entry in document["backends"]}
    assert states == dict.fromkeys(ready) | {"cuda": reason}
    machine = document["machine"]
    assert (machine["numpy"], machine["convcli"]) == (np.__version__, version("convcli"))
    assert machine["threads"] == len(os.sched_getaffinity(0)) or machine["threads"] < os.cpu_count()
    assert {"python", "scipy", "blas", "direct", "simd", "gpu", "calibration"} <= machine.keys()


def test_json_is_one_document_and_all_of_stdout(folder):
    done = convcli(
        "convolve", "one.png", "none.png", "two.png", "-k", "gaussian:1", "-o", "out/", "--json", cwd=folder
    )
    assert done.status == 1
    records = done.json["files"]
    assert [record["input"] for record in records] == ["one.png", "none.png", "two.png"]
    good, bad, _ = records
    assert bad["error"] == "none.png does not exist"
    assert done.err == "convcli: none.png does not exist\n"
    assert good["outputs"] == ["out/one.png"]
    for key in ("read_seconds", "plan_seconds", "compute_seconds", "write_seconds", "megapixels_per_second"):
        assert good[key] > 0, key
    assert {entry["candidate"] for entry in good["plan"]} >= set(all_backends.listed())
    assert json.loads(json.dumps(records)) == records


def test_80_columns_are_enough_for_a_terminal(folder):
    for arguments in (
        ("convolve", "one.png", "-k", "gaussian:1", "--explain", "-o", "one-result.png"),
        (
            "convolve",
            "one.png",
            "two.png",
            "none.png",
            "-k",
            "box:3",
            "-o",
            "out/{stem}-with-a-longer-name{ext}",
        ),
        ("kernels",),
        ("kernels", "gaussian:1"),
        ("kernels", "gaussian:9"),
        ("kernels", "gaussian:2.3"),
        ("backends",),
        ("convolve", "-h"),
    ):
        status, text = on_terminal(*arguments, cwd=folder)
        assert status == ("none.png" in arguments), text
        assert widest(text) <= 80, arguments
        if arguments[-1] != "-h":
            assert COLOUR.search(text), arguments
    assert "…" not in text


def test_no_color_is_obeyed_on_a_terminal(folder):
    for arguments in (
        ("kernels", "sobel-x"),
        ("kernels", "gaussian:9"),
        ("convolve", "one.png", "-k", "box:3"),
    ):
        status, text = on_terminal(*arguments, cwd=folder, env={"NO_COLOR": "1"})
        assert status == 0
        colours = [code for code in COLOUR.findall(text) if re.search(r"\b(3\d|4\d|9\d|10\d|38|48)\b", code)]
        assert colours == []
        assert "3×3" in text or "55" in text or "box:3" in text


def test_progress_is_shown_on_a_terminal_alone(folder):
    inputs = []
    for number in range(3):
        (folder / f"{number}.png").write_bytes((folder / "one.png").read_bytes())
        inputs.append(f"{number}.png")
    status, text = on_terminal("convolve", *inputs, "-k", "box:3", "-o", "out/", cwd=folder)
    assert status == 0
    assert "3/3" in text
    _, quiet = on_terminal("convolve", *inputs, "-k", "box:3", "-o", "quiet/", "-q", cwd=folder)
    assert quiet == ""
    piped = succeed("convolve", *inputs, "-k", "box:3", "-o", "piped/", cwd=folder)
    assert "3/3" not in piped.err
    assert "\x1b" not in piped.err
    assert len(piped.err.splitlines()) == 4


def test_binary_data_are_not_printed_on_a_terminal(folder):
    status, text = on_terminal("convolve", "one.png", "-k", "box:3", "-o", "-", cwd=folder)
    assert status == 2
    assert "standard output is a terminal; pipe it, or give -o a file" in text.replace("\r\n", " ")


def test_pipes_get_plain_text_that_is_never_cut(folder):
    name = "a" * 120
    (folder / f"{name}.png").write_bytes((folder / "one.png").read_bytes())
    done = succeed(
        "convolve",
        f"{name}.png",
        "one.png",
        "-k",
        "box:3",
        "-o",
        "out/",
        "--explain",
        cwd=folder,
        env={"COLUMNS": "40"},
    )
    assert f"out/{name}.png" in done.err
    assert "\x1b" not in done.err
    assert "\x1b" not in succeed("kernels", env={"COLUMNS": "40", "FORCE_COLOR": "1"}).text
    assert all(
        kernel.summary in succeed("kernels", env={"COLUMNS": "40"}).text for kernel in named_kernels()[:3]
    )


@pytest.mark.parametrize(
    "env", [{"LC_ALL": "C"}, {"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0"}]
)
def test_locales_without_unicode_are_no_reason_to_crash(folder, env):
    for arguments in (
        ("kernels",),
        ("kernels", "box:3"),
        ("convolve", "one.png", "-k", "box:3", "--mode", "full", "-o", "ünï.png", "-f"),
    ):
        done = succeed(*arguments, cwd=folder, env=env)
        assert "Traceback" not in done.err
    assert (folder / "ünï.png").exists()


def test_completion_is_offered_for_shells():
    done = succeed("--show-completion", "bash")
    assert "complete" in done.text
    assert "convcli" in done.text


def test_completion_completes_commands():
    env = {"_CONVCLI_COMPLETE": "complete_bash", "COMP_WORDS": "convcli ker", "COMP_CWORD": "1"}
    program = os.path.join(os.path.dirname(sys.executable), "convcli")
    if not os.path.exists(program):
        pytest.skip("the program is not installed beside the interpreter")
    done = convcli(wrapper=["sh", "-c", f'exec "{program}"'], env=env)
    assert done.text.split() == ["kernels"]
