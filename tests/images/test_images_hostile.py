"""Whatever bytes come in: an image or one clear line, in bounded time and memory."""

import io
import os
import resource
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import BmpImagePlugin, PngImagePlugin
from PIL import Image as Pillow
from test_images_read import chunk, png

from convcli.errors import InputError, LimitError
from convcli.images import read_image

RANDOM = np.random.default_rng(1)
SMOOTH = np.add.outer(np.arange(40), np.arange(50)).astype(np.uint8)


def encoded(pillow_format, mode="RGB", **options):
    file = io.BytesIO()
    picture = Pillow.fromarray(np.dstack([SMOOTH, SMOOTH // 2, 3 * SMOOTH]))
    (picture.quantize(32) if mode == "P" else picture.convert(mode)).save(file, pillow_format, **options)
    return file.getvalue()


VICTIMS = {
    "png": encoded("PNG"),
    "png-palette": encoded("PNG", "P", transparency=3),
    "jpeg": encoded(
        "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\6\0\0\0\0\0\0\0", dpi=(300, 300)
    ),
    "jpeg-progressive": encoded("JPEG", progressive=True),
    "tiff": encoded("TIFF"),
    "tiff-lzw": encoded("TIFF", compression="tiff_lzw"),
    "tiff-jpeg": encoded("TIFF", compression="jpeg"),
    "gif": encoded("GIF", save_all=True, append_images=[Pillow.new("RGB", (50, 40), "red")]),
    "webp": encoded("WEBP", lossless=True),
    "webp-lossy": encoded("WEBP", exif=b"Exif\0\0II*\0\x08\0\0\0\0\0"),
    "bmp": encoded("BMP"),
    "bmp-palette": encoded("BMP", "P"),
    "ppm": encoded("PPM"),
    "ppm-text": b"P3 # text\n4 3 99\n" + b"1 2 3 " * 12,
    "pgm16": b"P5 4 3 1000 " + bytes(24),
    "pbm": encoded("PPM", "1"),
}
MAGICS = (
    b"\x89PNG\r\n\x1a\n",
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    b"\xff\xd8\xff\xe0",
    b"\xff\xd8\xff\xe1",
    b"II*\0\x08\0\0\0",
    b"MM\0*\0\0\0\x08",
    b"II+\0\x08\0\0\0",
    b"RIFF\x40\0\0\0WEBPVP8 ",
    b"RIFF\x40\0\0\0WEBPVP8L",
    b"RIFF\x40\0\0\0WEBPVP8X\x0a\0\0\0",
    b"BM....\0\0\0\0\x36\0\0\0\x28\0\0\0",
    b"GIF87a",
    b"GIF89a",
    b"P1 ",
    b"P2\n",
    b"P3 9 9 ",
    b"P4 9 9 ",
    b"P5 9 9 255 ",
    b"P6 9 9 77 ",
    b"Pf 3 3 1 ",
)


def attempt(data, **options):
    """Read, expecting an image or a refusal on one printable line; return which."""
    start, refusal = time.perf_counter(), None
    try:
        read_image(data, name="hostile", max_pixels=10**6, **options)
    except (InputError, LimitError) as error:
        refusal = str(error)
    assert time.perf_counter() - start < 5
    if refusal is None:
        return "read"
    assert refusal.startswith("hostile ")
    assert refusal.isprintable()
    return "refused"


@pytest.mark.parametrize("tolerant", [False, True])
@pytest.mark.parametrize("victim", VICTIMS)
def test_cut_anywhere_is_refused_or_read(victim, tolerant):
    data = VICTIMS[victim]
    assert attempt(data) == "read"
    for cut in [*range(1, 40), *range(37, len(data), 37)]:
        attempt(data[:cut], allow_truncated=tolerant)


@pytest.mark.parametrize(
    "victim", ["png", "jpeg", "tiff", "tiff-lzw", "gif", "webp", "bmp", "ppm", "ppm-text"]
)
def test_half_a_file_is_not_taken_for_a_whole_one(victim):
    assert attempt(VICTIMS[victim][: len(VICTIMS[victim]) // 2]) == "refused"


@pytest.mark.parametrize("victim", VICTIMS)
def test_changed_bytes_are_refused_or_read(victim):
    original = np.frombuffer(VICTIMS[victim], np.uint8)
    for _ in range(60):
        data = original.copy()
        early = RANDOM.integers(0, 2)  # half of the damage in the header
        at = RANDOM.integers(0, min(len(data), 100) if early else len(data), RANDOM.integers(1, 6))
        data[at] = RANDOM.integers(0, 256, len(at))
        attempt(data.tobytes(), page=None if early else 0)


@pytest.mark.parametrize("magic", MAGICS)
def test_noise_behind_a_magic_number_is_refused_or_read(magic):
    for size in (0, 1, 10, 100, 3000):
        for _ in range(5):
            attempt(magic + RANDOM.bytes(size))


@pytest.mark.parametrize(
    ("name", "data", "text"),
    [
        ("empty.png", b"", "is empty; an image was expected"),
        (
            "notes.png",
            b"Dear all,",
            r"is not an image that convcli reads: it starts with b'Dear all'; PNG JPEG ",
        ),
        ("page.eps", b"%!PS-Adobe-3.0 EPSF", "is not an image that convcli reads"),
        ("page.pdf", b"%PDF-1.7", "is not an image that convcli reads"),
        ("icon.ico", b"\0\0\1\0\1\0", "is not an image that convcli reads"),
        ("film.avif", b"\0\0\0\x20ftypavif", "is not an image that convcli reads"),
        ("picture.svg", b"<svg xmlns=", "is not an image that convcli reads"),
        ("cut.png", encoded("PNG")[:100], "is truncated; --allow-truncated reads what is there"),
        ("cut.jpg", encoded("JPEG")[:-300], "is truncated; --allow-truncated reads what is there"),
        (
            "cut.tif",
            encoded("TIFF")[:20],
            "(starts like a TIFF file but cannot be read as one|is damaged: Invalid dimensions)",
        ),
        ("cut.gif", VICTIMS["gif"][:900], "is truncated; --allow-truncated reads what is there"),
        ("cut.bmp", VICTIMS["bmp"][:-50], "is truncated; --allow-truncated reads what is there"),
        ("cut.ppm", VICTIMS["ppm"][:-50], "is truncated; --allow-truncated reads what is there"),
        ("cut.pgm", VICTIMS["pgm16"][:-2], "is truncated; --allow-truncated reads what is there"),
        ("head.png", encoded("PNG")[:20], "is truncated; --allow-truncated reads what is there"),
        ("none.pgm", b"P5 3 3 0 ", "is damaged: maxval must be greater than 0"),
        ("big.pgm", b"P5 3 3 99999 ", "is damaged: maxval must be greater than 0 and less than 65536"),
        ("neg.ppm", b"P6 -3 3 255 ", "starts like a PPM file but cannot be read as one"),
        ("word.ppm", b"P6 three 3 255 ", "is damaged: invalid literal"),
        ("deep.ppm", b"P3 1 1 255 1 2 999", "is damaged: Channel value too large"),
        (
            "crc.png",
            encoded("PNG")[:29] + b"\0" + encoded("PNG")[30:],
            "starts like a PNG file but cannot be read",
        ),
        ("zero.png", png(0, 5, 8, 0, []), "starts like a PNG file but cannot be read as one"),
        ("bits.png", png(5, 5, 7, 0, []), "starts like a PNG file but cannot be read as one"),
    ],
)
def test_bad_file_is_named_and_explained_and_left_alone(tmp_path, name, data, text):
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(InputError, match=rf"{name} {text}") as caught:
        read_image(path)
    assert caught.value.exit_status == 3
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [(name, data)]


def test_missing_file_and_folder_are_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.png does not exist"):
        read_image(tmp_path / "none.png")
    with pytest.raises(InputError, match="is a folder; name a file in it"):
        read_image(tmp_path)


def test_endless_device_is_refused_by_its_first_bytes():
    with pytest.raises(InputError, match="/dev/zero is not an image"):
        read_image(Path("/dev/zero"))


@pytest.mark.parametrize(
    "data", [VICTIMS["png"], encoded("JPEG", quality=100), VICTIMS["ppm"], VICTIMS["gif"], VICTIMS["bmp"]]
)
def test_truncated_file_gives_its_beginning_on_request(data):
    whole = read_image(data, page=0).pixels
    half = read_image(data[: len(data) * 3 // 4], page=0, allow_truncated=True).pixels
    assert half.shape == whole.shape
    rows = slice(-1, -9, -1) if data[:2] == b"BM" else slice(0, 8)  # BMP starts at the bottom
    assert (half[rows] == whole[rows]).mean() > 0.9


def bomb(kind):
    side = 60_000
    if kind == "png":
        return png(side, side, 8, 2, [bytes(10)])
    if kind == "ppm":
        return b"P6 60000 60000 255 "
    if kind == "bmp":
        return VICTIMS["bmp"][:18] + struct.pack("<ii", side, side) + VICTIMS["bmp"][26:]
    if kind == "gif":
        return VICTIMS["gif"][:6] + struct.pack("<HH", side, side) + VICTIMS["gif"][10:]
    if kind == "jpeg":
        at = VICTIMS["jpeg"].index(b"\xff\xc0") + 5
        return VICTIMS["jpeg"][:at] + struct.pack(">HH", side, side) + VICTIMS["jpeg"][at + 4 :]
    if kind == "webp":
        canvas = b"VP8X" + struct.pack("<I", 10) + bytes(4) + b"\xff\x3f\0" * 2
        return (
            b"RIFF" + struct.pack("<I", len(VICTIMS["webp"]) + 10) + b"WEBP" + canvas + VICTIMS["webp"][12:]
        )
    data = VICTIMS["tiff"]
    for tag, old in ((256, 50), (257, 40)):
        for width in ("<HHIHH", "<HHII"):
            entry = struct.pack(width, *((tag, 3, 1, old, 0) if width == "<HHIHH" else (tag, 4, 1, old)))
            data = data.replace(entry, struct.pack("<HHII", tag, 4, 1, side))
    return data


@pytest.mark.parametrize("kind", ["png", "ppm", "bmp", "gif", "jpeg", "webp", "tiff"])
def test_header_of_billions_of_pixels_is_refused_before_decoding(kind):
    code = """
import re, resource, sys
from convcli.images import read_image
from convcli.errors import ConvcliError
resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
data = sys.stdin.buffer.read()
try:
    read_image(data, name="bomb")
except ConvcliError as error:
    print(error.exit_status, error)
print(int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) >> 10)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], input=bomb(kind), capture_output=True, timeout=60, check=True
    )
    line, peak_mebibytes = done.stdout.decode().splitlines()
    pixels = "268,435,456" if kind == "webp" else "3,600,000,000"
    limit = f"5 bomb has {pixels} pixels, over the limit of 89,478,485; raise --max-pixels if you trust it"
    # Older Pillow lets libwebp look first, which finds that the frame does not fill the canvas.
    assert line == limit or (kind == "webp" and line == "3 bomb is damaged: could not create decoder object")
    assert int(peak_mebibytes) < 300


def test_text_and_profile_bombs_in_png_are_refused_or_dropped():
    zeros = zlib.compress(bytes(200_000_000), 9)
    text = chunk(b"zTXt", b"Comment\0\0" + zeros)
    profile = chunk(b"iCCP", b"icc\0\0" + zeros)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for extra in (text, profile):
        with pytest.raises(InputError, match="hostile is damaged: Decompressed data too large"):
            read_image(png(1, 1, 8, 0, [b"a"], extra), name="hostile")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


def test_many_small_text_chunks_are_refused():
    data = zlib.compress(bytes(PngImagePlugin.MAX_TEXT_CHUNK - 1), 9)
    chunks = [chunk(b"zTXt", b"k%d\0\0" % n + data) for n in range(70)]
    assert attempt(png(1, 1, 8, 0, [b"a"], *chunks)) == "refused"


def test_tiff_whose_pages_form_a_loop_ends():
    data = bytearray(VICTIMS["tiff"])
    (first,) = struct.unpack_from("<I", data, 4)
    (entries,) = struct.unpack_from("<H", data, first)
    struct.pack_into("<I", data, first + 2 + 12 * entries, first)
    assert attempt(bytes(data)) == "read"


SAMPLES = struct.pack("<HHI", 277, 3, 1)  # samples per pixel, the tag that Pillow logs about


@pytest.mark.parametrize("stderr_open", [True, False])
@pytest.mark.parametrize(
    "data",
    [VICTIMS["tiff-lzw"], VICTIMS["tiff"].replace(SAMPLES + b"\3\0", SAMPLES + b"\0\xb4")],
    ids=["libtiff", "logged"],
)
def test_nothing_is_said_behind_the_back_of_python(data, stderr_open):
    code = """
import os, sys
from convcli.images import read_image
from convcli.errors import InputError
if sys.argv[1] == "False":
    os.close(2)
data = sys.stdin.buffer.read()
for at in range(8, 300, 7):
    try:
        read_image(data[:at] + b"\\xff\\x00\\xff" + data[at + 3:])
    except InputError:
        pass
if sys.argv[1] == "True":
    os.write(2, b"still open")
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(stderr_open)],
        input=data,
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert done.stderr == (b"still open" if stderr_open else b"")


def test_damaged_exif_is_left_out_with_a_warning(monkeypatch):
    def fail(_):
        raise ValueError("no EXIF")

    monkeypatch.setattr(Pillow.Image, "getexif", fail)
    image = read_image(VICTIMS["bmp"], name="photo.bmp")
    assert image.metadata.exif is None
    assert image.warnings == ["photo.bmp: damaged EXIF data were left out"]


@pytest.mark.parametrize(
    "error", [MemoryError(), RecursionError("deep"), TypeError("odd\nline"), SystemError("x")]
)
def test_any_failure_of_a_decoder_is_one_line(monkeypatch, error):
    def fail(*_):
        raise error

    monkeypatch.setattr(BmpImagePlugin.BmpImageFile, "load", fail)
    with pytest.raises(InputError, match=r"^photo\.bmp is damaged: \S.*$"):
        read_image(VICTIMS["bmp"], name="photo.bmp")


def test_interruption_is_not_swallowed(monkeypatch):
    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(BmpImagePlugin.BmpImageFile, "load", fail)
    with pytest.raises(KeyboardInterrupt):
        read_image(VICTIMS["bmp"])


def test_error_about_a_name_that_is_not_utf_8_prints_in_any_locale(tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9.png")
    path.write_bytes(b"")
    code = """
import sys
from pathlib import Path
from convcli.images import read_image
try:
    read_image(Path(sys.argv[1]))
except Exception as error:
    print(error)
"""
    for encoding in ("ascii", "utf-8"):
        done = subprocess.run(
            [sys.executable, "-c", code, path],
            capture_output=True,
            env={"LC_ALL": "C", "PATH": os.environ["PATH"], "PYTHONIOENCODING": encoding},
            check=True,
            timeout=60,
        )
        assert rb"caf\xe9.png is empty" in done.stdout
