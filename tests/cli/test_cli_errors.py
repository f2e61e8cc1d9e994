"""Whatever is wrong is said in one line or two, with its exit status, and leaves every file alone."""

import os
import re
import struct
import subprocess
import zlib

import numpy as np
import pytest
from shell import contents, convcli, environment, load, save, succeed

SMOOTH = np.add.outer(np.arange(40), np.arange(50)).astype(np.uint8)
RGB = np.dstack([SMOOTH, SMOOTH // 2, 255 - SMOOTH])
ROOT = os.geteuid() == 0
PNG_HEAD = b"\x89PNG\r\n\x1a\n"


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, depth, colour, row):
    """Return a PNG of equal rows, whatever its header promises."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    data = zlib.compress((b"\0" + row) * min(height, 50))
    return PNG_HEAD + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def npy_header(shape, dtype="<f8"):
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(text)) + text.encode()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One bad file of each kind, and some good ones; no test may change anything in it."""
    where = tmp_path_factory.mktemp("files")
    save(where / "good.png", SMOOTH)
    save(where / "rgba.png", np.dstack([RGB, SMOOTH]))
    save(where / "rgb.png", RGB)
    (where / "hard.png").hardlink_to(where / "good.png")
    (where / "soft.png").symlink_to("good.png")
    (where / "old.png").write_bytes(b"precious")
    (where / "folder").mkdir()
    (where / "empty.png").write_bytes(b"")
    (where / "text.png").write_bytes(b"Dear all, this is no image.\n")
    whole = (where / "good.png").read_bytes()
    for name, cut in (("magic", 8), ("head", 20), ("half", len(whole) // 2), ("tail", len(whole) - 40)):
        (where / f"{name}.png").write_bytes(whole[:cut])
    (where / "lying.png").write_bytes(png(500, 400, 8, 0, bytes(50)))
    (where / "bomb.png").write_bytes(png(60_000, 60_000, 8, 2, bytes(10)))
    (where / "deep.png").write_bytes(png(4, 3, 16, 2, bytes(24)))
    save(where / "print.jpg", RGB, "CMYK")
    pages = [np.full((5, 6), n, np.uint8) for n in (10, 20, 30)]
    first, *others = [_picture(page) for page in pages]
    first.save(where / "film.gif", save_all=True, append_images=others)
    (where / "ragged.csv").write_text("1,2,3\n4,5\n")
    (where / "empty.csv").write_text("\n")
    (where / "nan.csv").write_text("1,2\n3,nan\n")
    np.save(where / "pickle.npy", np.array([{}], object), allow_pickle=True)
    (where / "huge.npy").write_bytes(npy_header((65536, 65536)))
    (where / "cut.npy").write_bytes(npy_header((10, 10)) + bytes(99))
    np.save(where / "x.npy", np.linspace(0, 1, 30).reshape(5, 6))
    np.save(where / "complex.npy", np.ones((3, 3), complex))
    np.save(where / "empty.npy", np.ones((0, 3)))
    return where


def _picture(page):
    from PIL import Image

    return Image.fromarray(page)


GOOD = "good.png -k box:3"
CASES = [
    # inputs
    ("none.png -k box:3 -o out.png", 3, r"none\.png does not exist"),
    ("folder -k box:3 -o out.png", 3, r"folder is a folder; name a file in it"),
    ("empty.png -k box:3 -o out.png", 3, r"empty\.png is empty; an image was expected"),
    (
        "text.png -k box:3 -o out.png",
        3,
        r"text\.png is not an image that convcli reads: it starts with b'Dear",
    ),
    ("magic.png -k box:3 -o out.png", 3, r"magic\.png .*(truncated|cannot be read)"),
    ("head.png -k box:3 -o out.png", 3, r"head\.png is truncated; --allow-truncated reads what is there"),
    ("half.png -k box:3 -o out.png", 3, r"half\.png is truncated; --allow-truncated reads what is there"),
    ("tail.png -k box:3 -o out.png", 3, r"tail\.png is truncated; --allow-truncated reads what is there"),
    ("lying.png -k box:3 -o out.png", 3, r"lying\.png is truncated"),
    (
        "bomb.png -k box:3 -o out.png",
        5,
        r"bomb\.png has 3,600,000,000 pixels, over the limit of 89,478,485; raise",
    ),
    ("deep.png -k box:3 -o out.png", 3, r"deep\.png has 16-bit colour or alpha.*--allow-8bit"),
    ("print.jpg -k box:3 -o out.png", 3, r"print\.jpg is CMYK.*--to-rgb"),
    ("film.gif -k box:3 -o out.png --page 3", 3, r"film\.gif has 3 pages, 0 to 2; there is no page 3"),
    ("film.gif -k box:3 -o out.png --page -1", 3, r"film\.gif has 3 pages, 0 to 2; there is no page -1"),
    ("cut.npy -k box:3 -o out.npy", 3, r"cut\.npy is truncated: its header promises 800 bytes"),
    ("huge.npy -k box:3 -o out.npy", 3, r"huge\.npy is truncated: its header promises 34,359,738,368 bytes"),
    ("pickle.npy -k box:3 -o out.npy", 3, r"pickle\.npy holds pickled Python objects, which could run code"),
    ("complex.npy -k box:3 -o out.npy", 3, r"complex\.npy holds complex128; only bool, integers and floats"),
    ("empty.npy -k box:3 -o out.npy", (2, 3), r"0×3 is empty"),
    ("good.png none.png -k box:3 -o -", 2, r"several results cannot go to standard output"),
    ("- -k box:3 -o out.png", 3, r"standard input is empty; an image was expected"),
    # kernels
    (
        "good.png -k ragged.csv -o out.png",
        3,
        r"kernel file ragged\.csv: line 2 has 2 cells where the first row has 3",
    ),
    ("good.png -k empty.csv -o out.png", 3, r"kernel file empty\.csv: "),
    ("good.png -k nan.csv -o out.png", 3, r"kernel file nan\.csv: line 2"),
    ("good.png -k pickle.npy -o out.png", 3, r"kernel file pickle\.npy holds pickled Python objects"),
    ("good.png -k huge.npy -o out.png", 3, r"kernel file huge\.npy"),
    ("good.png -k empty.npy -o out.png", 3, r"kernel file empty\.npy: .*empty"),
    ("good.png -k text.png -o out.png", 3, r"kernel file text\.png is not an image"),
    ("good.png -k none.csv -o out.png", 3, r"kernel file none\.csv: no such file"),
    ("good.png -k gausian:3 -o out.png", 2, r'unknown kernel "gausian"; did you mean "gaussian"\?'),
    ("good.png -k gaussian:-3 -o out.png", 2, r"gaussian:SIGMA"),
    ("good.png -k gaussian:1e9 -o out.png", 2, r"the limit is 4096 cells per axis"),
    ("good.png -k box:0 -o out.png", 2, r"box"),
    (
        "good.png -k box:51 --mode valid -o out.png",
        2,
        r'kernel 51×51 is larger than image 40×50 in mode "valid"; use',
    ),
    # outputs
    (f"{GOOD} -o good.png", 2, r"good\.png is the input good\.png itself; use -f"),
    (f"{GOOD} -o hard.png", 2, r"hard\.png is the input good\.png itself; use -f"),
    (f"{GOOD} -o soft.png", 2, r"soft\.png is the input good\.png itself; use -f"),
    (f"{GOOD} -o old.png", 2, r"old\.png exists; use -f to overwrite it"),
    (f"{GOOD} -o missing/out.png", 2, r"missing does not exist; make it first"),
    (f"{GOOD} -o old.png/", 2, r"old\.png"),
    (f"{GOOD} -o out.xyz", 2, r'"out\.xyz" has no extension of an image format; use one of \.png'),
    (f"{GOOD} -o out", 2, r'"out" has no extension of an image format'),
    (f"{GOOD} -o out/ --format xyz", 2, r"xyz"),
    (f"{GOOD} -o", 2, r"-o"),
    (
        f"{GOOD} -o out{{oops}}.png",
        2,
        r'output field "\{oops\}" is unknown; use one of \{stem\}, \{ext\}, \{kernel\}',
    ),
    (f"{GOOD} -o out{{.png", 2, r"unpaired brace"),
    (f"{GOOD} -o {{stem:d}}.png", 2, r"\{stem"),
    (f"{GOOD} -o {{stem:>99999999999}}.png", 2, r"\{stem"),
    (f"{GOOD} -o {{stem!z}}.png", 2, r"\{stem"),
    ("good.png rgb.png -k box:3 -o one.png", 2, r"several inputs cannot all become one\.png; use a folder"),
    (
        "good.png -k box:3 -k box:5 -o one.png",
        2,
        r"several kernels cannot all become one\.png; use --combine",
    ),
    ("rgba.png -k box:3 -o out.jpg", 2, r"JPEG cannot hold alpha"),
    ("rgb.png -k box:3 -o out.pgm", 2, r"PGM cannot hold colour; use .*--gray"),
    (f"{GOOD} --dtype float32 -o out.png", 2, r"PNG cannot hold float32; use \.tif or \.npy"),
    (f"{GOOD} --json -o -", 2, r"--json and -o - would both write to standard output"),
    # options
    (f"{GOOD} --nonsense", 2, r"No such option: --nonsense"),
    ("good.png -o out.png", 2, r"--kernel"),
    (f"{GOOD} --op multiply -o out.png", 2, r'unknown op "multiply"; use one of convolve, correlate'),
    (f"{GOOD} --mode wide -o out.png", 2, r'unknown mode "wide"; use one of same, full, valid'),
    (f"{GOOD} --border wall -o out.png", 2, r'unknown border "wall"; use one of zero, '),
    (f"{GOOD} --border reflect -o out.png", 2, r'"reflect" means two things; use "symmetric".* or "mirror"'),
    (f"{GOOD} --dilation 0 -o out.png", 2, r"dilation 0\b.* below 1"),
    (f"{GOOD} --stride 0 -o out.png", 2, r"stride 0\b.* below 1"),
    (f"{GOOD} --stride 2x2x2 -o out.png", 2, r"stride .* has 3 numbers for 2 axes"),
    (f"{GOOD} --stride two -o out.png", 2, r'stride "two" is not a whole number'),
    (f"{GOOD} --dilation 99999999999999999999999 -o out.png", (2, 5), r"dilat|memory"),
    (f"{GOOD} --origin 3,0 -o out.png", 2, r"origin .* is outside the kernel 3×3"),
    (f"{GOOD} --origin=-1,0 -o out.png", 2, r"origin .* is below 0"),
    (f"{GOOD} --normalize sum --divisor 2 -o out.png", 2, r"both divide; use one"),
    (f"{GOOD} --divisor 0 -o out.png", 2, r"divisor 0 divides by zero"),
    (
        f"{GOOD} --nan omit -o out.png",
        2,
        r'unknown nan rule "omit"; use one of propagate, interpolate, fill:V',
    ),
    (f"{GOOD} --threads 0 -o out.png", 2, r"(threads 0|0 threads).*at least 1"),
    (f"{GOOD} -b gpu -o out.png", 2, r'unknown backend "gpu"; use one of auto, '),
    (f"{GOOD} -b cuda -o out.png", 4, r'backend "cuda" cannot be used: .*; or use -b auto'),
    (f"{GOOD} --max-memory lots -o out.png", 2, r'memory "lots" is not an amount; write for example 512MB'),
    (
        f"{GOOD} --max-memory 10kB -b direct -o out.png",
        5,
        r"of memory, more than the 10 kB allowed; raise --max-memory",
    ),
    (f"{GOOD} --mode full --dilation 400000 -o out.png", (2, 5), r"memory|dilat"),
    (f"{GOOD} --compress 10 -o out.png", 2, r"--compress 10 is not between 0 \(none\) and 9 \(smallest\)"),
    (f"{GOOD} --quality 0 -o out.jpg", 2, r"--quality 0 is not between 1 \(smallest\) and 100 \(best\)"),
    ("x.npy -k box:3 --gray -o out.npy", 2, r"--gray is about images and x\.npy is an array"),
    ("x.npy -k box:3 --linear -o out.npy", 2, r"--linear is about images and x\.npy is an array"),
    ("x.npy -k sobel-x --nan interpolate -o out.npy", 2, r"kernel sums to 0.*use propagate or fill:V"),
]


def assert_one_clear_message(done, status, text):
    assert done.status in (status if isinstance(status, tuple) else (status,)), done.err
    assert done.out == b""
    lines = done.err.splitlines()
    assert 1 <= len(lines) <= 2
    assert all(line.isprintable() for line in lines)
    assert lines[0].startswith("convcli: ")
    for bug in ("Traceback", "internal error", "Warning:"):
        assert bug not in done.err
    assert re.search(text, done.err), done.err


@pytest.mark.parametrize(("command", "status", "text"), CASES, ids=[case[0] for case in CASES])
def test_error_is_named_and_no_file_changes(folder, command, status, text):
    before = contents(folder)
    done = convcli("convolve", *command.split(), cwd=folder)
    after = contents(folder)
    for name in after.keys() - before.keys():  # which would be in the way of the next test
        (folder / name).unlink()
    assert after == before
    assert_one_clear_message(done, status, text)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--border", "constant", "--border-value", "\x1b[31mred\nx"],
        ["--nan", "\x1b[31mred\nx"],
        ["--origin", "\x1b[31mred\nx"],
        ["--max-memory", "\x1b[31mred\nx"],
        ["--mode", "\x1b[31mred\nx"],
        ["-k", "\x1b[31mred\nx"],
        ["--format", "\x1b[31mred\nx"],
    ],
    ids=lambda arguments: arguments[-2],
)
def test_message_with_a_strange_value_is_still_one_printable_line(folder, arguments):
    done = convcli("convolve", "good.png", "-k", "box:3", "-o", "strange.png", *arguments, cwd=folder)
    assert_one_clear_message(done, 2, "red")


@pytest.mark.parametrize(
    ("options", "status", "text"),
    [
        ("--mode wide", 2, 'unknown mode "wide"'),
        ("--threads 0", 2, "at least 1"),
        ("-b cuda", 4, 'backend "cuda" cannot be used: '),
        ("--format xyz", 2, "xyz"),
        ("--compress 10", 2, "--compress 10"),
    ],
)
def test_wrong_option_ends_a_batch_before_it_begins(folder, options, status, text):
    """It is no fault of the files, so it is said once, and with its own exit status."""
    done = convcli(
        "convolve", "good.png", "rgb.png", "-k", "box:3", "-o", "out/", *options.split(), cwd=folder
    )
    assert_one_clear_message(done, status, text)
    assert not (folder / "out").exists()


@pytest.mark.parametrize(
    ("source", "options", "output"),
    [
        ("good.png", "--border-value 9", "out.png"),
        ("good.png", "--quality 50", "out.png"),
        ("good.png", "--compress 5", "out.jpg"),
        ("good.png", "--compress 99", "out.npy"),
        ("good.png", "--format png", None),
        ("x.npy", "--page 1", "out.npy"),
        ("x.npy", "--max-pixels 3", "out.npy"),
        ("x.npy", "--alpha ignore", "out.npy"),
    ],
)
def test_option_without_effect_is_refused_or_noted(folder, tmp_path, source, options, output):
    target = ("-o", tmp_path / output) if output else ()
    done = convcli("convolve", source, "-k", "box:3", *options.split(), *target, cwd=folder)
    assert done.status in (0, 2, 5)
    assert any(
        options.split()[0].removeprefix("--") in line
        for line in done.err.splitlines()
        if line.startswith("convcli: ")
    )


def test_first_page_of_several_is_read_with_a_warning(folder, tmp_path):
    done = succeed("convolve", "film.gif", "-k", "identity", "-o", tmp_path / "0.png", cwd=folder)
    assert "convcli: film.gif has 3 pages; page 0 was read, --page N picks another" in done.err
    done = succeed(
        "convolve", "film.gif", "-k", "identity", "-o", tmp_path / "2.png", "--page", "2", cwd=folder
    )
    assert "pages" not in done.err
    assert [load(tmp_path / name)[0, 0].min() for name in ("0.png", "2.png")] == [10, 30]


def test_remedies_that_messages_name_do_work(folder, tmp_path):
    for source, options, name in (
        ("half.png", ["--allow-truncated"], "1.png"),
        ("deep.png", ["--allow-8bit"], "2.png"),
        ("print.jpg", ["--to-rgb"], "3.png"),
        ("rgb.png", ["--gray"], "4.pgm"),
        ("x.npy", ["--dtype", "uint8"], "5.png"),
    ):
        succeed("convolve", source, "-k", "box:3", *options, "-o", tmp_path / name, cwd=folder)
        assert load(tmp_path / name).size > 0


def test_remedy_for_alpha_does_work(folder, tmp_path):
    command = ("convolve", "rgba.png", "-k", "box:3", "-o", tmp_path / "out.jpg")
    message = convcli(*command, cwd=folder).err
    remedy = re.search(r"or (--.*)$", message)
    assert remedy is None or convcli(*command, *remedy[1].split(), cwd=folder).status == 0, message


@pytest.mark.parametrize("output", ["out.png", "out.npy", "out.tif", "out.jpg", "old.png"])
def test_full_disk_leaves_what_was_there(tmp_path, output):
    """A limit on the size of files stands in for the full disk: it strikes in the middle of a write."""
    noise = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    save(tmp_path / "noise.png", noise)
    (tmp_path / "old.png").write_bytes(b"precious")
    before = contents(tmp_path)
    # Without the hook that measures coverage: its file would be too large as well.
    limit = ["sh", "-c", 'unset COVERAGE_PROCESS_CONFIG; ulimit -f 16 && exec "$0" "$@"']
    done = convcli(
        "convolve", "noise.png", "-k", "identity", "-o", output, "-f", "-q", cwd=tmp_path, wrapper=limit
    )
    assert contents(tmp_path) == before
    assert_one_clear_message(done, 1, f"cannot write {output}: File too large")
    assert done.err.endswith("; the old file is unchanged\n") == (output == "old.png")


def test_full_file_system_leaves_what_was_there(tmp_path):
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", tmp_path]
    if not ROOT or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        noise = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)
        source = save(tmp_path.parent / f"{tmp_path.name}.png", noise)
        (tmp_path / "old.png").write_bytes(b"precious")
        for name in ("old.png", "new.png", "new.npy"):
            done = convcli("convolve", source, "-k", "identity", "-o", name, "-f", "-q", cwd=tmp_path)
            assert contents(tmp_path) == {"old.png": b"precious"}
            assert_one_clear_message(done, 1, f"cannot write {name}: No space left on device")
    finally:
        subprocess.run(["umount", tmp_path], check=True)


@pytest.mark.parametrize(
    ("command", "unbuffered"),
    [
        ("convolve good.png -k box:3 -o - -q", ""),
        ("convolve good.png -k box:3 -o - -q", "1"),
        ("convolve good.png -k box:3 --json", ""),
        ("convolve good.png -k box:3 --json", "1"),
        ("kernels", ""),
        ("--version", ""),
    ],
)
def test_full_standard_output_is_said(folder, command, unbuffered):
    with open("/dev/full", "wb") as full:
        done = convcli(*command.split(), cwd=folder, stdout=full, env={"PYTHONUNBUFFERED": unbuffered})
    assert_one_clear_message(done, 1, "cannot write standard output: No space left on device")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_end_without_a_traceback(folder, tmp_path, closed):
    shell = ["sh", "-c", f'exec "$0" "$@" {closed}']
    done = convcli(
        "convolve", "good.png", "-k", "box:3", "-o", tmp_path / "out.png", cwd=folder, wrapper=shell
    )
    assert done.status == 0
    assert "Traceback" not in done.err
    assert load(tmp_path / "out.png").shape == SMOOTH.shape
    done = convcli("convolve", "-", "-k", "box:3", "-o", "-", cwd=folder, wrapper=shell)
    assert done.status in (1, 2, 3)
    assert "Traceback" not in done.err
    assert "internal error" not in done.err


def test_name_that_is_not_utf_8_is_read_and_written(folder, tmp_path):
    strange = os.fsdecode(b"caf\xe9.png")
    (tmp_path / strange).write_bytes((folder / "good.png").read_bytes())
    for encoding in ("utf-8", "ascii"):
        env = {"LC_ALL": "C", "PYTHONIOENCODING": encoding}
        done = succeed(
            "convolve", strange, "-k", "box:3", "-o", "out-" + strange, "-f", cwd=tmp_path, env=env
        )
        assert r"caf\xe9.png" in done.err
        assert load(tmp_path / ("out-" + strange)).shape == SMOOTH.shape
        done = convcli("convolve", strange, "-k", "box:3", "-o", strange, cwd=tmp_path, env=env)
        assert_one_clear_message(done, 2, r"caf\\xe9\.png is the input caf\\xe9\.png itself")


@pytest.mark.skipif(ROOT, reason="root may read and write everything")
def test_permissions_are_respected_and_named(tmp_path):
    save(tmp_path / "good.png", SMOOTH)
    save(tmp_path / "secret.png", SMOOTH).chmod(0)
    (tmp_path / "fixed").mkdir(mode=0o555)
    done = convcli("convolve", "secret.png", "-k", "box:3", "-o", "out.png", cwd=tmp_path)
    assert_one_clear_message(done, 3, r"secret\.png cannot be read: Permission denied")
    done = convcli("convolve", "good.png", "-k", "box:3", "-o", "fixed/out.png", cwd=tmp_path)
    assert_one_clear_message(done, 1, r"cannot write fixed/out\.png: Permission denied")


def test_hostile_numbers_take_neither_time_nor_memory(folder, tmp_path):
    """Under limits on address space and CPU time: a result or a refusal, never a crash."""
    limited = ["sh", "-c", 'ulimit -v 4000000; ulimit -t 20; exec "$0" "$@"']
    for number, options in enumerate(
        (
            "--stride 999999999",
            "--dilation 999999999",
            "--dilation 999999999 --mode full",
            "--threads 100000",
            "-k gaussian:500",
            "-k box:301 --mode full --border mirror",
            "--bias 1e300",
            "--divisor 1e-300 --range minmax",
            "-k 1e308,1e308",
            "-k 9223372036854775807",
        )
    ):
        done = convcli(
            "convolve", "good.png", "-k", "box:3", "--combine", "max", *options.split(), "-q",
            "-o", tmp_path / f"{number}.png", cwd=folder, wrapper=limited,
        )  # fmt: skip
        assert done.status in (0, 2, 5), (options, done)
        if done.status:
            assert_one_clear_message(done, (2, 5), "")
        else:
            assert done.err == "", options
            assert load(tmp_path / f"{number}.png").size > 0


def test_the_environment_of_the_tests_is_clean():
    assert "PYTHONUNBUFFERED" not in environment()
    assert environment(A="b")["A"] == "b"


def test_things_that_are_no_image_are_refused_in_a_sentence(folder, tmp_path):
    np.save(tmp_path / "number.npy", np.float64(7))
    for arguments, status, text in (
        ((tmp_path / "number.npy",), 3, "is a single number; it needs at least one axis"),
        (("-", "-"), 2, "standard input can be read once"),
        (("",), 3, "has no name"),
        (("/proc/self/mem",), 3, "cannot be read"),
    ):
        done = convcli("convolve", *arguments, "-k", "1", cwd=folder)
        assert done.status == status
        assert text in done.err
        assert done.err.count("\n") == 1


def test_escape_codes_in_a_kernel_file_name_stay_out_of_the_terminal(folder, tmp_path):
    path = tmp_path / "k\x1b[31mred.txt"
    path.write_text("0 0\n")
    done = convcli("convolve", "good.png", "-k", path, "--normalize", "sum", cwd=folder)
    assert done.status == 0
    assert "\x1b" not in done.err
    assert "\x1b" not in convcli("kernels", path).text


def test_a_batch_takes_whatever_each_of_its_files_takes(tmp_path):
    for name in ("a.npy", "b.npy"):
        np.save(tmp_path / name, np.arange(5.0))
    done = convcli("convolve", "a.npy", "b.npy", "-k", "1 2 3", "--origin", "2", "-o", "out/", cwd=tmp_path)
    assert done.status == 0, done.err


def test_one_existing_output_does_not_stop_the_others(folder, tmp_path):
    (tmp_path / "good.png").write_bytes(b"precious")
    (tmp_path / "notes.md").write_text("no picture")
    other = save(tmp_path / "other.png", SMOOTH)
    done = convcli(
        "convolve",
        "good.png",
        tmp_path / "notes.md",
        other,
        "-k",
        "box:3",
        "-o",
        tmp_path / "{stem}.png",
        cwd=folder,
    )
    assert done.status == 1
    assert (tmp_path / "good.png").read_bytes() == b"precious"
    assert "good.png exists; use -f" in done.err
    done = convcli("convolve", "good.png", other, "-k", "box:3", "-o", tmp_path / "{stem}.tif", cwd=folder)
    assert done.status == 0
    assert {p.name for p in tmp_path.glob("*.tif")} == {"good.tif", "other.tif"}


def test_the_json_of_a_single_failure_says_what_failed(folder):
    done = convcli("convolve", "nothing.png", "-k", "box:3", "--json", cwd=folder)
    assert done.status == 3
    assert done.json["files"][0]["error"] == "nothing.png does not exist"
