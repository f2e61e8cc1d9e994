"""The table of formats: one file each, from which everything follows."""

import numpy as np
import pytest
from shell import load, save, within

from convcli.errors import UsageError
from convcli.images import Image, check_holds, formats, read_image, write_image

XYZ = '''
"""A made-up format: height and width in one byte each, then samples."""
import numpy as np
from convcli.images.formats import Format
from convcli.images.image import Image

def read(file, max_pixels):
    height, width = file.read()[3:5]
    file.seek(5)
    return Image(np.frombuffer(file.read(), np.uint8).reshape(height, width))

def write(file, pixels, **options):
    file.write(b"XYZ" + bytes(pixels.shape) + pixels.tobytes())

FORMAT = Format("XYZ", (".xyz",), magic=b"XYZ", modes="L", level="quality", read=read, write=write)
'''
GRAY = np.random.default_rng(0).integers(0, 256, (7, 9), np.uint8)


@pytest.fixture
def made_up(tmp_path, monkeypatch):
    """Add a file to the folder of formats."""
    (tmp_path / "formats").mkdir()
    (tmp_path / "formats" / "xyz.py").write_text(XYZ)
    monkeypatch.setattr(formats, "__path__", [*formats.__path__, str(tmp_path / "formats")])
    formats.table.cache_clear()
    yield tmp_path
    formats.table.cache_clear()


def test_a_new_format_is_one_file(made_up):
    save(made_up / "a.png", GRAY)
    for source, target in (("a.png", "b.xyz"), ("b.xyz", "c.xyz"), ("b.xyz", "c.png")):
        assert within("convolve", source, "-k", "box:3", "-o", target, cwd=made_up).status == 0
    np.testing.assert_array_equal(read_image(made_up / "c.xyz").pixels, load(made_up / "c.png"))
    assert (made_up / "c.xyz").read_bytes()[:5] == b"XYZ\x07\x09"


def test_what_a_new_format_declares_is_what_holds(made_up):
    save(made_up / "a.png", np.stack([GRAY] * 3, axis=-1))
    done = within("convolve", "a.png", "-k", "box:3", "-o", "b.xyz", cwd=made_up)
    assert (done.status, "XYZ cannot hold colour; use .png" in done.err) == (2, True)
    for option, status in (("--quality", 0), ("--compress", 2)):
        done = within("convolve", "a.png", "-k", "1", "--gray", "-o", "c.xyz", option, "3", cwd=made_up)
        assert done.status == status
    done = within("convolve", "a.png", "-k", "box:3", "--format", "nope", "-o", "b", cwd=made_up)
    assert 'unknown format "nope"; use one of png, jpeg, tiff, webp, bmp, gif, ppm, pgm, npy, xyz' in done.err


def test_every_format_is_found_by_its_name_and_extensions():
    for name, made in formats.table().items():
        assert {formats.format_named(text).name for text in (name, *made.extensions)} == {name}
        assert {formats.format_for(f"a{extension.upper()}") for extension in made.extensions} == {name}


def test_arrays_fit_npy_alone(tmp_path):
    assert check_holds("npy", (0, 3, 7, 2), np.complex128) == ""
    write_image(tmp_path / "a.npy", Image(GRAY))
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), GRAY)


@pytest.mark.parametrize(
    ("count", "dtype", "message"),
    [
        (3, "uint8", "PGM cannot hold 3 outputs of uint8; use .png or .jpg or .tif or .webp or .bmp or .gif"),
        (1, "float32", "PGM cannot hold 1 output of float32; use .tif or .npy, or --dtype uint8"),
        (5, "int64", "PGM cannot hold 5 outputs of int64; use .npy"),
    ],
)
def test_planes_that_are_no_colours_are_called_what_they_are(count, dtype, message):
    with pytest.raises(UsageError) as caught:
        check_holds("pgm", (4, 4, count), dtype, planes="output")
    assert str(caught.value).startswith(message)
