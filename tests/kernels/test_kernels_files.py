"""Kernel files: what they mean, and what is wrong with the ones that are refused."""

from __future__ import annotations

import io
import json
import os
import struct
import tracemalloc
import zipfile
from contextlib import suppress

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from convcli.arrays import npz
from convcli.errors import InputError
from convcli.kernels import files, parse_kernel

SHARPEN = [[0, -1, 0], [-1, 5, -1], [0, -1, 0]]


def read(folder, name, content):
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return parse_kernel(str(path))


def npy(array, **options):
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def zipped(method=zipfile.ZIP_DEFLATED, **members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("k.csv", "0,-1,0\n-1,5,-1\n0,-1,0\n"),
        ("k.csv", "\ufeff0;-1;0\r\n-1;5;-1\r\n0;-1;0"),
        ("k.tsv", "0\t-1\t0\n-1\t5\t-1\n0\t-1\t0\n"),
        ("k.txt", "# sharpen\n\n  0 -1  0\n -1  5 -1  # the middle\n  0 -1  0\n"),
        ("K.CSV", "0.0,-1e0,0\n-1,5/1,-1\n0,-1,0\n"),
        ("k.mat", "3 3\n0 -1 0\n-1 5 -1\n0 -1 0\n"),
        ("k.json", "[[0, -1, 0], [-1, 5, -1], [0, -1.0, 0]]"),
        ("k.json", '\ufeff{"kernel": [[0, -1, 0], [-1, 5, -1], [0, -1, 0]], "origin": null}'),
        ("k.npy", npy(np.array(SHARPEN, dtype=np.float32))),
        ("k.npy", npy(np.asfortranarray(np.array(SHARPEN, dtype=">i2")))),
        ("k.npz", zipped(anything=npy(SHARPEN))),
        ("k.npz", zipped(zipfile.ZIP_STORED, kernel=npy(SHARPEN), other=npy(3))),
    ],
)
def test_every_format_holds_the_same_kernel(tmp_path, name, content):
    kernel = read(tmp_path, name, content)
    assert kernel.values.tolist() == SHARPEN
    assert kernel.values.dtype == np.int64
    assert (kernel.name, kernel.divisor, kernel.bias, kernel.origin) == (name[0], 1, 0, None)


def test_vips_matrices_carry_a_divisor_and_a_bias(tmp_path):
    kernel = read(tmp_path, "blur.mat", "2 1 16 128\n1 2\n")
    assert (kernel.values.tolist(), kernel.divisor, kernel.bias) == ([[1, 2]], 16, 128)
    assert read(tmp_path, "blur.mat", "2 1 16\n1 2\n").divisor == 16
    assert read(tmp_path, "blur.mat", "2 1 16\n1/2 1\n").weights.tolist() == [[1 / 32, 1 / 16]]


def test_json_carries_everything_with_the_origin_in_image_order(tmp_path):
    document = {"kernel": [[1, 2, 1], [0, 0, 0]], "divisor": 4, "bias": 0.5, "origin": [2, 1]}
    kernel = read(tmp_path, "k.json", json.dumps(document))
    assert (kernel.divisor, kernel.bias, kernel.origin) == (4, 0.5, (1, 2))


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_arrays_and_json_may_have_one_to_three_axes(tmp_path, axes):
    values = np.arange(2.0**axes).reshape((2,) * axes) / 8
    for name, content in [
        ("k.npy", npy(values)),
        ("k.npz", zipped(k=npy(values))),
        ("k.json", json.dumps(values.tolist())),
    ]:
        np.testing.assert_array_equal(read(tmp_path, name, content).weights, values)


def test_fractions_in_a_file_become_whole_numbers_over_a_divisor(tmp_path):
    kernel = read(tmp_path, "k.csv", "1/9,1/9\n1/3,2\n")
    assert (kernel.values.tolist(), kernel.divisor) == ([[1, 1], [3, 18]], 9)


@pytest.mark.parametrize("extension", ["png", "tif", "pgm"])
def test_a_picture_is_a_point_spread_function_of_sum_1(tmp_path, extension):
    pixels = np.array([[0, 10, 0], [10, 200, 30]], dtype=np.uint8)
    cv2.imwrite(str(tmp_path / f"star.{extension}"), pixels)
    kernel = parse_kernel(str(tmp_path / f"star.{extension}"))
    np.testing.assert_array_equal(kernel.values, pixels)
    assert (kernel.name, kernel.divisor) == ("star", 250)


def test_colours_of_a_picture_count_by_their_luma(tmp_path):
    cv2.imwrite(str(tmp_path / "k.png"), np.array([[[0, 0, 100], [0, 100, 0], [100, 0, 0]]], np.uint8))  # BGR
    np.testing.assert_allclose(parse_kernel(str(tmp_path / "k.png")).weights, [[0.2126, 0.7152, 0.0722]])


LONG = "1" + ",1" * 4096
BAD_TEXT = [
    ("k.csv", "1,2\n3,x\n", 'line 2, cell 2 "x" is not a number; write 3, -0.5, 1e-3 or 1/9'),
    ("k.csv", "# a\n\n1,2\n3\n", "line 4 has 1 cells where the first row has 2; rows must be equally long"),
    ("k.csv", "1,nan\n", 'line 1, cell 2 "nan" is not a finite number'),
    ("k.csv", "1,-Infinity\n", 'line 1, cell 2 "-Infinity" is not a finite number'),
    ("k.csv", "1,,2\n", "line 1, cell 2 is empty"),
    ("k.csv", "1,2,\n", "line 1, cell 3 is empty"),
    ("k.tsv", "\t1\n", "line 1, cell 1 is empty"),
    ("k.csv", "1/0\n", "divides by zero"),
    ("k.csv", "", "there is no number in it"),
    ("k.txt", "# nothing\n\n", "there is no number in it"),
    ("k.csv", b"1,2\n\xff\xfe,3\n", "line 2 is not UTF-8 text"),
    ("k.csv", b"\x00\x01\x02", "line 1, cell 1 "),
    ("k.csv", LONG, "line 1 has more than 4096 cells"),
    ("k.csv", "1\n" * 4097, "a kernel of 4097×1 cells is too large"),
    ("k.csv", "1" * (files.MAX_LINE_BYTES + 1), "line 1 has more than 4194304 bytes"),
    ("k.csv", "\n" * (files.MAX_LINES + 1), "there are more than 1048576 lines"),
    ("k.mat", "", 'line 1 "" is not "width height [scale [offset]]"'),
    ("k.mat", "3\n1 2 3\n", "is not"),
    ("k.mat", "3 1 1 0 7\n1 2 3\n", "is not"),
    ("k.mat", "2.5 1\n1 2\n", "is not"),
    ("k.mat", "0 0\n", "is not"),
    ("k.mat", "-1 2\n", "is not"),
    ("k.mat", "a b\n", 'line 1 "a b" is not'),
    ("k.mat", "3 2\n1 2 3\n", "line 1 promises 2 rows of 3 cells, but there are 1 of 3"),
    ("k.mat", "2 2\n1 2\n3 4 5\n", "line 3 has 3 cells where the first row has 2"),
    ("k.mat", "2 1 0\n1 2\n", "divisor 0 cannot divide the kernel"),
    ("k.mat", "99999 2\n", "a kernel of 2×99999 cells is too large"),
    ("k.mat", b"MATLAB 5.0 MAT-file", "is a MATLAB file"),
]
BAD_JSON = [
    ("", "line 1, column 1 is not JSON: Expecting value"),
    ("[[1, 2],\n [3, 4]", "line 2, column 8 is not JSON"),
    ("5", "nested 0 deep; a kernel has 1, 2 or 3 axes"),
    ("null", "nested 0 deep"),
    ("[]", "a kernel of 0 cells is empty"),
    ("[[], []]", "a kernel of 2×0 cells is empty"),
    ("[[1, 2], [3]]", "row 2 is not a list of 2 like the first; all must be equally long"),
    ("[[1, 2], 3]", "row 2 is not a list of 2"),
    ("[[[1], [2]], [[3], 4]]", "plane 2, row 2 is not a list of 1"),
    ("[1, [2]]", "cell 2 is a list, not a number"),
    ('[[1, "2"]]', "row 1, cell 2 is text, not a number"),
    ("[[1, null]]", "row 1, cell 2 is null, not a number"),
    ("[true]", "cell 1 is true or false, not a number"),
    ("[[[[[[1]]]]]]", "nested 6 deep"),
    ("[NaN]", '"NaN" is not a finite number'),
    ("[-Infinity]", '"-Infinity" is not a finite number'),
    ("[[1, 1e999]]", "row 1, cell 2 is inf; every cell must be finite"),
    ("[1" + "0" * 400 + "]", "a number in it is too large"),
    ("[1" + "0" * 5000 + "]", "a number in it has too many digits"),
    ("[" * 100_000, "nested too deeply"),
    ('{"a":' * 100_000, "nested too deeply"),
    ("{}", 'the key "kernel" is missing'),
    ('{"kernel": [1], "Divisor": 2}', 'unknown key "Divisor"; the keys are kernel, divisor, bias, origin'),
    ('{"kernel": [1], "kernel": [2]}', "a key is written twice"),
    ('{"kernel": {"kernel": [1]}}', "nested 0 deep"),
    ('{"kernel": [1], "divisor": 0}', "divisor 0 cannot divide"),
    ('{"kernel": [1], "divisor": "2"}', "divisor is text, not a number"),
    ('{"kernel": [1], "bias": [[]]}', "bias is a list, not a number"),
    ('{"kernel": [1], "origin": 0}', "origin is not a list of whole numbers; write it as [x, y]"),
    ('{"kernel": [[1]], "origin": [0.5, 0]}', "origin is not a list of whole numbers"),
    ('{"kernel": [[1]], "origin": [0]}', "has 1 numbers for 2 axes"),
    ('{"kernel": [[1, 2]], "origin": [0, 1]}', "origin (1, 0) is outside the kernel 1×2"),
    ("[" + "1," * 4096 + "1]", "a kernel of 4097 cells is too large"),
    ("[" + "[]," * 2**20 + "[]]", "it has more than 16777216 values or 1048576 lists"),
    (b"[1,\n\xff]", "line 2 is not UTF-8 text"),
]
HEADER = b"{'descr': '<f8', 'fortran_order': False, 'shape': (%s), }"


def lying_npy(shape, dtype=b"<f8"):
    header = (HEADER.replace(b"<f8", dtype) % shape).ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(8)


BAD_ARRAYS = [
    ("k.npy", b"", "is not a .npy file"),
    ("k.npy", npy(SHARPEN)[:-5], "is truncated"),
    ("k.npy", npy(np.array([{}]), allow_pickle=True), "holds pickled Python objects"),
    ("k.npy", lying_npy(b"99999, 99999"), "is truncated"),
    ("k.npy", npy(np.ones((1,) * 6)), "a kernel with 6 axes"),
    ("k.npy", npy(np.ones(4097)), "a kernel of 4097 cells is too large"),
    ("k.npy", npy(np.array([1, np.nan])), "cell 2 is nan"),
    ("k.npy", npy(np.array([1j])), "complex128"),
    ("k.npy", npy(np.ones((0, 2))), "0×2 cells is empty"),
    ("k.npz", b"", "is not a .npz archive, or is cut off"),
    ("k.npz", zipped(k=npy(SHARPEN))[:-30], "is not a .npz archive, or is cut off"),
    ("k.npz", zipped(), 'it must hold one array, or one called "kernel"; found: none'),
    ("k.npz", zipped(a=npy(1), b=npy(2)), "found: a, b"),
    ("k.npz", zipped(k=npy(SHARPEN)[:-5]), "is truncated"),
    ("k.npz", zipped(k=lying_npy(b"99999, 99999")), "is truncated"),
    ("k.npz", zipped(k=lying_npy(b"", b"O")), "holds pickled Python objects"),
    ("k.npz", zipped(k=npy(np.ones((1, 5000)))), "a kernel of 1×5000 cells is too large"),
    ("k.npz", zipped(k=npy(SHARPEN)).replace(b"k.npy", b"q.npy", 1), "damaged archive: "),
    ("k.npz", b"PK\x06\x07" + bytes(16) + b"PK\x05\x06" + bytes(18), "too many members"),
    ("k.npz", b"PK\x05\x06" + bytes(8) + b"\xff" * 4 + bytes(6), "too many members"),
]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [*BAD_TEXT, *[("k.json", content, message) for content, message in BAD_JSON], *BAD_ARRAYS],
)
def test_a_bad_file_is_refused_with_its_name_and_the_place(tmp_path, monkeypatch, name, content, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(InputError) as caught:
        parse_kernel(name)
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"kernel file {name}")
    assert len(str(caught.value)) < 300
    assert str(caught.value).isprintable()


def test_an_archive_is_measured_before_it_is_unpacked(tmp_path, monkeypatch):
    path = tmp_path / "bomb.npz"
    path.write_bytes(zipped(k=npy(np.zeros((64, 64)))))
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_: pytest.fail("unpacked"))
    with pytest.raises(Exception, match=r"k\.npy unpacks to 32896 bytes; the limit is 1000"):
        npz.read_npz(str(path), member="kernel", max_bytes=1000, name="bomb")


def test_an_archive_that_lies_about_its_size_is_not_unpacked_whole(tmp_path):
    path = tmp_path / "liar.npz"
    size = 2**26
    packed = zipped(k=npy(np.zeros(size, np.uint8))).replace(
        struct.pack("<L", size + 128), struct.pack("<L", 200)
    )
    path.write_bytes(packed)
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"truncated|damaged"):
        npz.read_npz(str(path), member="kernel", max_bytes=1000, name="liar")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**23


def test_a_black_picture_is_refused(tmp_path):
    cv2.imwrite(str(tmp_path / "k.png"), np.zeros((3, 3), np.uint8))
    with pytest.raises(InputError, match=r"k\.png: the pixels sum to 0; a picture of a kernel needs light"):
        parse_kernel(str(tmp_path / "k.png"))


def test_a_picture_is_refused_for_its_size_from_the_header(tmp_path):
    for header in ("P5 60000 60000 255 ", "P5 4097 1 255 " + 4097 * "a"):
        with pytest.raises(
            InputError, match=r"k\.pgm: .* too large; the limits are 4096 per axis and 16777216 in all"
        ):
            read(tmp_path, "k.pgm", header)


def test_a_broken_picture_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"k\.png"):
        read(tmp_path, "k.png", b"not a picture")


def test_a_file_that_is_not_there_or_not_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.csv").mkdir()
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "notes.doc").write_text("1 2")
    (tmp_path / "big.csv").touch()
    os.truncate(tmp_path / "big.csv", files.MAX_FILE_BYTES + 1)
    for text, message in [
        ("x.csv", "kernel file x.csv: no such file"),
        ("@x", "kernel file x: no such file"),
        ("a/b", "kernel file a/b: no such file"),
        ("x\0.csv", "no such file"),
        ("\ud800.csv", "no such file"),
        ("notes.doc/x.csv", "no such file"),
        ("a" * 300 + ".csv", "File name too long"),
        ("folder.csv", "kernel file folder.csv: is a folder"),
        ("pipe.csv", "is not a regular file"),
        (
            "notes.doc",
            "the type is unknown; the name must end in .csv, .tsv, .txt, .mat, .json, .npy, .npz, .png",
        ),
        ("big.csv", "268435457 bytes are too many; the limit is 256 MiB"),
    ]:
        with pytest.raises(InputError) as caught:
            parse_kernel(text)
        assert message in str(caught.value)


@pytest.mark.parametrize("extension", files.READERS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.one_of(st.binary(max_size=200), st.text('[]{}0123456789.,;:-"enul \n\t/#').map(str.encode)))
def test_no_content_gives_anything_but_a_kernel_or_a_reason(tmp_path, extension, content):
    with suppress(InputError):
        assert np.isfinite(read(tmp_path, f"k{extension}", content).weights).all()


@pytest.mark.parametrize("name", ["k.npy", "k.npz"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(at=st.integers(0, 400), byte=st.integers(0, 255), cut=st.integers(0, 400))
def test_a_flipped_byte_gives_a_kernel_or_a_reason(tmp_path, name, at, byte, cut):
    whole = npy(np.array(SHARPEN)) if name == "k.npy" else zipped(kernel=npy(np.array(SHARPEN)))
    content = bytearray(whole)
    content[at % len(content)] = byte
    with suppress(InputError):
        read(tmp_path, name, bytes(content[: len(content) - max(cut - 200, 0)]))
