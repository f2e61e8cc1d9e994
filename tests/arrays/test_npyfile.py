"""Arrays come back as they were; headers that lie cost nothing."""

import io
import os
import threading
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from convcli.arrays.npy import read_npy, write_npy
from convcli.errors import ConvcliError, FileError, InputError, LimitError


def saved(array, **options):
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def with_header(text, data=b"", version=(1, 0)):
    header = text.encode("latin1") + b"\n"
    size = len(header).to_bytes(2 if version == (1, 0) else 4, "little")
    return b"\x93NUMPY" + bytes(version) + size + header + data


def header(shape, descr="'<f8'", fortran="False"):
    return f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}}}"


numbers = st.one_of(
    arrays.boolean_dtypes(),
    arrays.integer_dtypes(),
    arrays.unsigned_integer_dtypes(),
    arrays.floating_dtypes(sizes=(16, 32, 64)),
)


@given(
    arrays.arrays(numbers, arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)), st.booleans()
)
def test_what_numpy_saves_is_read_unchanged(array, fortran):
    array = np.asfortranarray(array) if fortran else array
    result = read_npy(io.BytesIO(saved(array)))
    np.testing.assert_array_equal(result, array.astype(array.dtype.newbyteorder("=")), strict=True)


@given(
    arrays.arrays(numbers, arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)), st.booleans()
)
def test_what_is_written_numpy_loads_unchanged(array, transposed):
    array = array.T if transposed else array
    file = io.BytesIO()
    write_npy(file, array)
    file.seek(0)
    np.testing.assert_array_equal(np.load(file), array, strict=True)


def test_strided_array_is_written_as_it_reads(tmp_path):
    array = np.arange(60).reshape(5, 12)[::2, ::-3]
    with open(tmp_path / "a.npy", "wb") as file:
        write_npy(file, array)
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), array)


def test_file_stream_and_pipe_read_alike(tmp_path):
    array = np.arange(100_000.0).reshape(100, -1)
    path = tmp_path / "a.npy"
    np.save(path, array)
    np.testing.assert_array_equal(read_npy(path), array)
    with open(path, "rb") as file:
        np.testing.assert_array_equal(read_npy(file), array)
    reading, writing = os.pipe()

    def feed():
        with open(writing, "wb") as file:
            file.write(path.read_bytes())

    thread = threading.Thread(target=feed)
    thread.start()
    with open(reading, "rb") as file:
        np.testing.assert_array_equal(read_npy(file), array)
    thread.join()


def test_result_may_be_written_to():
    read_npy(io.BytesIO(saved(np.zeros(3))))[0] = 1


def test_bytes_that_are_no_bool_become_true():
    data = with_header(header("(3,)", "'|b1'"), b"\x00\x01\x02")
    result = read_npy(io.BytesIO(data))
    assert (result == [False, True, True]).all()
    assert result.view(np.uint8).tolist() == [0, 1, 1]


def test_header_of_python_2_is_read():
    assert read_npy(io.BytesIO(with_header(header("(1L,)"), bytes(8)))).shape == (1,)


def test_version_2_header_is_read():
    assert read_npy(io.BytesIO(with_header(header("(1,)"), bytes(8), (2, 0)))).shape == (1,)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "does not start with"),
        (b"hello", "does not start with"),
        (b"\x93NUMPY", "does not start with"),
        (b"\x93NUMPY\x01\x00", "damaged .npy header"),
        (b"\x93NUMPY\x01\x00\xff\xff{", "damaged .npy header"),
        (b"\x93NUMPY\x09\x00", "version 9.0; 1.0 and 2.0 hold numbers"),
        (b"PK\x03\x04 an archive", "does not start with"),
        (saved(np.array([{}], object), allow_pickle=True), "pickled Python objects, which could run code"),
        (saved(np.zeros(2, complex)), "holds complex128; only bool, integers and floats"),
        (saved(np.array(["a"])), "holds <U1; only"),
        (saved(np.zeros(2, "f4,i4")), "only bool, integers and floats"),
        (saved(np.zeros(2, "M8[s]")), "only bool, integers and floats"),
        (with_header("not python"), "damaged .npy header"),
        (with_header("{}"), "damaged .npy header"),
        (with_header("(" * 9000), "damaged .npy header"),
        (with_header(" " * 20_000), "damaged .npy header"),
        (with_header(header("(2**9,)")), "damaged .npy header"),
        (with_header(header("[2]")), "damaged .npy header"),
        (with_header(header("(2,)", "'no'")), "damaged .npy header"),
        (with_header(header("(-2,)"), bytes(80)), "shape .* is negative"),
        (with_header(header("(-2, -2)"), bytes(80)), "shape .* is negative"),
        (with_header(header(f"({2**40}, {2**40})"), bytes(80)), "is truncated"),
        (with_header(header(f"(0, {2**70})"), bytes(80)), "cannot be held"),
        (with_header(header((1,) * 70), bytes(8)), "cannot be held"),
        (saved(np.zeros(10))[:-1], r"promises 80 bytes, shape \(10,\) of float64, and 79 follow"),
    ],
)
def test_bad_file_is_named_and_explained(tmp_path, data, text):
    path = tmp_path / "bad.npy"
    path.write_bytes(data)
    with pytest.raises(InputError, match=rf"bad\.npy .*{text}"):
        read_npy(path)
    with pytest.raises(ConvcliError, match=r"^standard input "):
        read_npy(io.BytesIO(data))


def test_every_cut_and_every_changed_byte_is_an_array_or_a_refusal():
    whole = saved(np.arange(12, dtype=">i4").reshape(3, 4))
    random = np.random.default_rng(0)
    for cut in range(len(whole)):
        with pytest.raises(InputError):
            read_npy(io.BytesIO(whole[:cut]))
    for at in range(len(whole)):
        changed = bytearray(whole)
        changed[at] ^= random.integers(1, 256)
        with suppress(ConvcliError):
            read_npy(io.BytesIO(changed), max_bytes=10**6)


def test_lying_header_takes_no_memory_from_a_pipe():
    reading, writing = os.pipe()
    os.write(writing, with_header(header(f"({10**13},)"), bytes(80)))
    os.close(writing)
    with (
        open(reading, "rb") as file,
        pytest.raises(LimitError, match=r"holds 80,000,000,000,000 bytes, over the limit"),
    ):
        read_npy(file, max_bytes=10**9)


def test_array_over_the_limit_is_refused_with_its_size(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros(1000))
    with pytest.raises(
        LimitError, match=r"a\.npy holds 8,000 bytes, over the limit of 7,999; raise --max-memory"
    ):
        read_npy(tmp_path / "a.npy", max_bytes=7999)
    assert read_npy(tmp_path / "a.npy", max_bytes=8000).size == 1000


def test_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.npy does not exist"):
        read_npy(tmp_path / "none.npy")


def test_full_disk_keeps_its_reason():
    with (
        open("/dev/full", "wb", buffering=0) as file,
        pytest.raises(OSError, match="No space left on device") as caught,
    ):
        write_npy(file, np.zeros(10))
    assert not isinstance(caught.value, FileError)
