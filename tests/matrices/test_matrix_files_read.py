"""Matrices come back from files as they were; damage and lies are named, and cost nothing."""

import io
import os
import struct
import threading
import time
import tracemalloc
import zipfile
from contextlib import suppress

import numpy as np
import pytest
import scipy.io
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from convcli.errors import ConvcliError, InputError, LimitError
from convcli.matrices.files import read_matrix, readers

MUCH = 10**8
MARKET = b"%%MatrixMarket matrix "
INT64 = st.integers(-(2**63), 2**63 - 1)
SIDES = arrays.array_shapes(min_dims=2, max_dims=2, max_side=5)


def read(data, extension, *, max_bytes=MUCH, **options):
    return read_matrix(io.BytesIO(data), extension=extension, max_bytes=max_bytes, **options)


def equal(result, expected):
    """Fail unless values, type and kind of matrix are the same."""
    assert sp.issparse(result) == sp.issparse(expected)
    if sp.issparse(result):
        assert isinstance(result, sp.csr_array)
        assert result.has_canonical_format
        result, expected = result.toarray(), expected.toarray()
    np.testing.assert_array_equal(result, expected, strict=True)


def text(matrix, separator=",", end="\n"):
    return "".join(separator.join(map(repr, row)) + end for row in matrix.tolist()).encode()


def npz(**members):
    """Write the parts of a small CSR matrix, some of them replaced or, by None, left out."""
    parts = {"format": b"csr", "shape": (2, 2), "data": [5.0], "indices": [1], "indptr": [0, 1, 1]}
    file = io.BytesIO()
    np.savez(file, **{k: np.asarray(v) for k, v in {**parts, **members}.items() if v is not None})
    return file.getvalue()


def saved(matrix, **options):
    file = io.BytesIO()
    sp.save_npz(file, matrix, **options)
    return file.getvalue()


def market(matrix, **options):
    file = io.BytesIO()
    scipy.io.mmwrite(file, matrix, **options)
    return file.getvalue()


SMALL = np.array([[0, 3, 0], [-2, 0, 0]])
TRIPLES = b"row,col,value\n0,1,3\n1,0,-2\n"


def test_the_helper_tells_values_types_and_kinds_apart():
    for other in (SMALL + 1, SMALL.astype(float), sp.csr_array(SMALL)):
        with pytest.raises(AssertionError):
            equal(SMALL, other)


# what was written is read


@pytest.mark.parametrize("end", ["\n", "\r\n", " \n\n"])
@pytest.mark.parametrize(("extension", "separator"), [(".csv", ","), (".tsv", "\t")])
@given(arrays.arrays(np.int64, SIDES, elements=INT64))
def test_integers_in_text_stay_what_they_are(extension, separator, end, matrix):
    equal(read(text(matrix, separator, end), extension), matrix)


@pytest.mark.parametrize(("extension", "separator"), [(".csv", ","), (".tsv", "\t")])
@given(arrays.arrays(np.float64, SIDES))
def test_floats_in_text_come_back_to_the_last_bit(extension, separator, matrix):
    equal(read(text(matrix, separator), extension), matrix)


@given(arrays.arrays(np.float64, SIDES, elements=st.floats(width=32)))
def test_what_numpy_writes_as_text_is_read(matrix):
    file = io.BytesIO()
    np.savetxt(file, matrix, delimiter=",", fmt="%.17g", header="by NumPy")
    np.testing.assert_array_equal(read(file.getvalue(), ".csv"), matrix)


@pytest.mark.parametrize(
    ("line", "values"),
    [
        (b"1,2", np.array([[1, 2]])),
        (b"\xef\xbb\xbf 1 , +2 # comment", np.array([[1, 2]])),
        (b"1,2.0", np.array([[1.0, 2.0]])),
        (b"1,1e3", np.array([[1.0, 1000.0]])),
        (b"9223372036854775807", np.array([[2**63 - 1]])),
        (b"9223372036854775808,1", np.array([[2.0**63, 1.0]])),
        (b"inf,-Infinity,NaN", np.array([[np.inf, -np.inf, np.nan]])),
        (b"-0.0", np.array([[-0.0]])),
    ],
)
def test_numbers_are_read_as_written(line, values):
    equal(read(line, "csv"), values)


def test_one_float_at_the_end_makes_all_of_them_floats():
    matrix = np.arange(200_000).reshape(-1, 2)
    equal(read(text(matrix) + b"1,0.5\n", "csv"), np.vstack((matrix, [1, 0.5])))


def test_a_line_of_many_cells_is_read():
    matrix = np.random.default_rng(0).standard_normal((2, 50_000))
    equal(read(text(matrix), "csv"), matrix)


def test_entries_in_text_make_a_sparse_matrix():
    equal(read(TRIPLES, "csv"), sp.csr_array(SMALL[:, :2]))
    equal(read(TRIPLES.replace(b",", b"\t"), "tsv"), sp.csr_array(SMALL[:, :2]))
    equal(read(TRIPLES, "csv", shape=(2, 3)), sp.csr_array(SMALL))
    equal(read(b"row,col,value\n1,0,-2\n0,1,2.5\n0,1,0.5", "csv", shape=(2, 3)), sp.csr_array(SMALL * 1.0))
    equal(read(b"row,col,value\n", "csv", shape=(2, 3)), sp.csr_array((2, 3), dtype=np.int64))


@pytest.mark.parametrize("dtype", ["?", "u1", ">i4", "i8", "f4", ">f8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npy_is_read(dtype, order):
    file = io.BytesIO()
    np.save(file, np.asarray(SMALL.astype(dtype), order=order))
    equal(read(file.getvalue(), "npy"), SMALL.astype(np.dtype(dtype).newbyteorder("=")))


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("form", ["csr", "csc", "coo"])
@pytest.mark.parametrize("make", [sp.csr_array, sp.csr_matrix])
@pytest.mark.parametrize("dtype", ["i2", "i8", "f4", "f8"])
def test_npz_of_scipy_is_read(dtype, make, form, compressed):
    matrix = make(SMALL.astype(dtype)).asformat(form)
    equal(read(saved(matrix, compressed=compressed), "npz"), sp.csr_array(SMALL.astype(dtype)))


@pytest.mark.parametrize(("given_type", "read_type"), [("?", "u1"), ("f2", "f4"), (">f8", "f8"), ("g", "f8")])
def test_npz_with_unusual_numbers_is_read(given_type, read_type):
    expected = sp.csr_array(np.array([[0, 1], [0, 0]], read_type))
    equal(read(npz(data=np.ones(1, given_type)), "npz"), expected)


@pytest.mark.parametrize("index", ["u1", "i4", ">i8", "u8"])
def test_npz_with_any_whole_indices_is_read(index):
    data = npz(indices=np.array([1], index), indptr=np.array([0, 1, 1], index), format="csr")
    equal(read(data, "npz"), sp.csr_array([[0, 5.0], [0, 0]]))


def test_entries_of_an_npz_at_one_place_add_up_in_order():
    data = npz(data=[1, 2, 3], indices=[1, 0, 1], indptr=[0, 3, 3])
    equal(read(data, "npz"), sp.csr_array([[2, 4], [0, 0]]))


@given(arrays.arrays(np.float64, SIDES, elements=st.floats(allow_nan=False)), st.booleans())
def test_matrix_market_of_scipy_is_read(matrix, sparse):
    data = sp.coo_array(matrix) if sparse else matrix
    equal(read(market(data, precision=17), "mtx"), sp.csr_array(matrix) if sparse else matrix)


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ("dense", "integer"),
        ("dense", "real"),
        ("sparse", "integer"),
        ("sparse", "real"),
        ("sparse", "pattern"),
    ],
)
@pytest.mark.parametrize("symmetry", ["general", "symmetric", "skew-symmetric"])
def test_half_of_a_symmetric_matrix_is_enough_for_matrix_market(symmetry, form, field):
    if field == "pattern" and symmetry == "skew-symmetric":
        field = "real"  # a pattern has no sign
    lower = np.array([[4, 0, 0], [1, 0, 0], [0, 7, 5]]) * (symmetry != "skew-symmetric")
    lower += np.array([[0, 0, 0], [2, 0, 0], [3, 0, 0]])
    matrix = lower + np.tril(lower, -1).T * {"general": 0, "symmetric": 1, "skew-symmetric": -1}[symmetry]
    matrix = {"integer": matrix, "real": matrix / 2, "pattern": (matrix != 0).astype(int)}[field]
    data = market(sp.coo_array(matrix) if form == "sparse" else matrix, field=field, symmetry=symmetry)
    assert symmetry.encode() in data.splitlines()[0]
    equal(read(data, "mtx"), sp.csr_array(matrix) if form == "sparse" else matrix)


def test_matrix_market_is_read_however_it_is_spaced():
    data = MARKET + b"COORDINATE Real General\n% a comment\n\n 2 3   2\n\n1\t2 3.0\r\n % more\n2 1   -2\n\n"
    equal(read(data, "mtx"), sp.csr_array(SMALL * 1.0))


@pytest.mark.parametrize("data", [b"coordinate real general\n0 0 0\n", b"coordinate integer general\n4 0 0"])
def test_matrix_market_of_nothing_is_read(data):
    assert read(MARKET + data, "mtx").nnz == 0
    assert read(MARKET + b"array real general\n0 5\n", "mtx").shape == (0, 5)


FILES = {
    ".csv": text(SMALL),
    ".tsv": text(SMALL, "\t"),
    ".npz": saved(sp.csr_array(SMALL)),
    ".mtx": market(sp.coo_array(SMALL)),
}


def npy():
    file = io.BytesIO()
    np.save(file, SMALL)
    return file.getvalue()


FILES[".npy"] = npy()


@pytest.mark.parametrize("extension", readers())
def test_file_stream_and_pipe_read_alike(tmp_path, extension):
    path = tmp_path / f"m{extension.upper()}"
    path.write_bytes(FILES[extension])
    expected = read(FILES[extension], extension.removeprefix("."))
    equal(read_matrix(path, max_bytes=MUCH), expected)
    with open(path, "rb") as file:
        equal(read_matrix(file, extension=extension, max_bytes=MUCH), expected)
    reading, writing = os.pipe()
    thread = threading.Thread(target=lambda: [os.write(writing, FILES[extension]), os.close(writing)])
    thread.start()
    with open(reading, "rb") as file:
        equal(read_matrix(file, extension=extension, max_bytes=MUCH), expected)
    thread.join()
    dense = expected.toarray() if sp.issparse(expected) else expected
    np.testing.assert_array_equal(dense, SMALL)


def test_result_may_be_written_to():
    for extension in (".csv", ".npy"):
        read(FILES[extension], extension)[0, 0] = 1


def test_a_matrix_of_145161_cells_takes_a_fraction_of_a_second():
    matrix = np.random.default_rng(0).standard_normal((16129, 9))
    data = text(matrix)
    start = time.process_time()
    equal(read(data, "csv"), matrix)
    assert time.process_time() - start < 1


# what is wrong is named


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty; a matrix has at least one row"),
        (b"\n # nothing\n", "is empty"),
        (b"1,2\n3\n", "is ragged: line 2 has 1 cells, 2 are expected"),
        (b"# first\n\n1,2\n3,4,5", "is ragged: line 4 has 3 cells, 2 are expected"),
        (b"1,2\n3,", "has nothing in line 2, cell 2; cells are numbers, separated by commas"),
        (b"1,,2", "has nothing in line 1, cell 2"),
        (b"1,2\n3,abc", r'has "abc", which is not a number, in line 2, cell 2; cells are'),
        (
            b"1;2",
            'has "1;2", which is not a number, in line 1, cell 1; cells are numbers, separated by commas',
        ),
        (b"1\t2", 'has "1 2", which is not a number, in .* separated by commas'),
        (b"x11,0", 'has "x11", which is not a number'),
        (b"1_000", 'has "1_000", which is not a number'),
        (b"1,0.5,1_0", 'has "1_0", which is not a number, in line 1, cell 3'),
        (b"1,1e999", 'has "1e999", which is not a number'),
        (b"9" * 5000, r'has "9+…", which is not a number'),
        (b"1,1/9", 'has "1/9", which is not a number'),
        (b"1,0x10", 'has "0x10", which is not a number'),
        (b"\xff\xfe1,2", r'has "\\xff\\xfe1", which is not a number'),
        ("1,٣".encode(), 'has "٣", which is not a number'),
        (b"1,\x1b[31m", r'has "\\x1b\[31m", which is not a number'),
        (b"1," * 50_000 + b"x", 'has "x", which is not a number, in line 1, cell 50001'),
        (b"1,2\n" * 50_000 + b"x,1", 'has "x", which is not a number, in line 50001, cell 1'),
        (b"row,col,value\n", "has no entries, so its shape is unknown; write it as .npz or .mtx"),
        (b"row,col,value\n0,1", "is ragged: line 2 has 2 cells, 3 are expected"),
        (b"row,col,value\n0,1,x", 'has "x", which is not a number, in line 2, cell 3'),
        (b"row,col,value\n0,0,1\n0,-1,1", "has entry 2 at row 0, column -1; both are whole numbers from 0"),
        (b"row,col,value\n0.5,1,1", "has entry 1 at row 0.5, column 1.0; both are whole"),
        (b"row,col,value\nnan,1,1", "has entry 1 at row nan"),
        (b"row,col,value\n1e300,1,1", r"has entry 1 at row 1e\+300"),
        (b"row,col,value\nrow,col,value", 'has "row", which is not a number, in line 2'),
    ],
)
def test_text_that_is_no_matrix_is_explained(tmp_path, data, words):
    path = tmp_path / "bad.csv"
    path.write_bytes(data)
    with pytest.raises(InputError, match=rf"bad\.csv {words}") as caught:
        read_matrix(path, max_bytes=MUCH)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=r"^standard input "):
        read(data, "csv")


def test_an_entry_outside_the_expected_shape_is_named():
    with pytest.raises(InputError, match="entry 2 at row 1, column 0 in a matrix of 1×3; both are whole"):
        read(TRIPLES, "csv", shape=(1, 3))


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"format": "bsr"}, 'has the sparse format "bsr"; use one of csr, csc, coo'),
        ({"format": 3}, r'has the sparse format "\\x03"'),
        ({"format": np.zeros(500)}, "does not name its sparse format"),
        ({"format": None}, r"holds shape, data, indices, indptr, which is not what scipy\.sparse\.save_npz"),
        ({"format": None, "shape": None, "data": None}, "holds indices, .*; save a dense matrix as .npy"),
        ({"indptr": None}, "has no member indptr.npy"),
        ({"format": "coo"}, "has no member row.npy"),
        ({"shape": (2,)}, r"has the shape \[2\]; a matrix has rows and columns"),
        ({"shape": (2, 2, 2)}, r"has the shape \[2, 2, 2\]"),
        ({"shape": (-2, 2)}, r"has the shape \[-2, 2\]"),
        ({"shape": (2.0, 2.0)}, "has the shape"),
        ({"shape": (3, 2)}, "is damaged: index pointer size 3 should be 4"),
        ({"indices": [2]}, "is damaged: "),
        ({"indices": [-1]}, "is damaged: "),
        ({"indices": np.array([2**64 - 1], "u8")}, "is damaged: "),
        ({"indices": [0.0]}, "has indices that are not whole numbers"),
        ({"indices": [0, 1]}, "is damaged: "),
        ({"indptr": [0, 2, 1]}, "is damaged: "),
        ({"indptr": [0, 1, 9]}, "is damaged: "),
        ({"indptr": [1, 1, 1]}, "is damaged: "),
        ({"data": [[5.0]]}, "is damaged: "),
        ({"format": "coo", "row": [0], "col": [7]}, "is damaged: "),
        ({"format": "coo", "row": [-3], "col": [0]}, "is damaged: "),
        ({"format": "coo", "row": [0, 1], "col": [0]}, "is damaged: "),
        ({"data": ["a"]}, r": data\.npy holds <U1; only bool, integers and floats are read"),
        ({"data": [1j]}, r": data\.npy holds complex128"),
        ({"data": np.array([{}], object)}, ": data.npy holds pickled Python objects, which could"),
        ({"indices": np.array([{}], object)}, ": indices.npy holds pickled Python objects"),
    ],
)
def test_an_archive_that_is_no_matrix_is_explained(tmp_path, members, words):
    path = tmp_path / "bad.npz"
    path.write_bytes(npz(**members))
    with pytest.raises(InputError, match=rf"bad\.npz ?{words}") as caught:
        read_matrix(path, max_bytes=MUCH)
    assert "\n" not in str(caught.value)


def test_what_is_no_archive_is_named():
    for data in (b"", b"hello", npz()[:-30]):
        with pytest.raises(InputError, match=r"is not a \.npz archive, or is cut off"):
            read(data, "npz")
    for method in (zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", method) as archive:
            for name in ("format", "shape", "data"):
                archive.writestr(f"{name}.npy", b"")
        with pytest.raises(InputError, match=r"is packed in an unusual way; use scipy\.sparse\.save_npz"):
            read(file.getvalue(), "npz")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", 'is not a Matrix Market file: it does not begin with "%%MatrixMarket matrix"'),
        (b"1,2\n3,4\n", "is not a Matrix Market file"),
        (b"%%MatrixMarket vector array real general\n", "is not a Matrix Market file"),
        (MARKET + b"coordinate\n", "is not a Matrix Market file"),
        (MARKET + b"x" * 10**6, "is not a Matrix Market file"),
        (MARKET + b"sparse real general\n", 'has "sparse" in line 1; read are coordinate, array'),
        (MARKET + b"coordinate complex general\n", 'has "complex" in line 1; read are integer,'),
        (MARKET + b"coordinate real hermitian\n", 'has "hermitian" in line 1; read are general,'),
        (MARKET + b"coordinate real general\n", 'has "" for its sizes in line 2'),
        (MARKET + b"coordinate real general\n%\n2 2\n", 'has "2 2" for its sizes in line 3'),
        (MARKET + b"array real general\n2 2 4\n", 'has "2 2 4" for its sizes'),
        (MARKET + b"coordinate real general\n2 2 -1\n", 'has "2 2 -1" for its sizes'),
        (MARKET + b"coordinate real general\n2 2 x\n", 'has "2 2 x" for its sizes'),
        (MARKET + b"coordinate real general\n2 2 2\n1 1 1\n", "2 entries are promised, and 1 follow"),
        (MARKET + b"coordinate real general\n2 2 1\n1 1 1\n2 2 1\n", "1 entries are promised, and 2 follow"),
        (MARKET + b"coordinate real general\n2 2 9999999999999\n1 1 1\n", "and 1 follow"),
        (
            MARKET + b"coordinate real general\n2 2 1\n3 1 1\n",
            "entry 1 at row 3, column 1 in a matrix of 2×2",
        ),
        (MARKET + b"coordinate real general\n2 2 1\n1 0 1\n", "column 0 in .* whole numbers from 1"),
        (MARKET + b"coordinate real general\n2 2 1\n1 1.5 1\n", r"column 1\.5 in a matrix"),
        (MARKET + b"coordinate real general\n2 2 1\n1 1\n", "line 3 has 2 cells, 3 are expected"),
        (
            MARKET + b"coordinate real general\n2 2 1\n1 1 1e999\n",
            '"1e999", which is not a number, in line 3',
        ),
        (MARKET + b"coordinate pattern general\n2 2 1\n1 1 1\n", "line 3 has 3 cells, 2 are expected"),
        (MARKET + b"array real general\n2 2\n1\n2\n3\n", "4 entries are promised, and 3 follow"),
        (
            MARKET + b"array real symmetric\n2 3\n1\n2\n3\n4\n5\n6\n",
            "has 2×3 cells, but a symmetric matrix is",
        ),
        (MARKET + b"array real skew-symmetric\n2 2\n1\n2\n3\n", "1 entries are promised, and 3 follow"),
        (MARKET + b"array real general\n1 1\n" + b"1" * 2000, "has 2,000 bytes in line 3; 1,024 are allowed"),
    ],
)
def test_a_matrix_market_file_that_is_no_matrix_is_explained(tmp_path, data, words):
    path = tmp_path / "bad.mtx"
    path.write_bytes(data)
    with pytest.raises(InputError, match=rf"bad\.mtx .*{words}") as caught:
        read_matrix(path, max_bytes=MUCH)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("shape", [(), (3,), (2, 2, 2)])
def test_an_array_that_is_no_matrix_is_refused(shape):
    file = io.BytesIO()
    np.save(file, np.ones(shape))
    with pytest.raises(InputError, match=r"holds an array of shape .*; a matrix has rows and columns"):
        read(file.getvalue(), "npy")


def test_pickles_are_not_opened():
    file = io.BytesIO()
    np.save(file, np.array([[{}]], object), allow_pickle=True)
    with pytest.raises(InputError, match="pickled Python objects, which could run code"):
        read(file.getvalue(), "npy")


@pytest.mark.parametrize("name", ["m.txt", "m", "m.png"])
def test_an_unknown_type_is_refused_with_those_that_are_read(tmp_path, name):
    with pytest.raises(
        InputError, match=r"unknown type .*; matrices are read from .csv, .tsv, .npy, .npz, .m"
    ):
        read_matrix(tmp_path / name, max_bytes=MUCH)


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.csv does not exist"):
        read_matrix(tmp_path / "none.csv", max_bytes=MUCH)
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InputError, match=r"folder\.csv is a folder"):
        read_matrix(tmp_path / "folder.csv", max_bytes=MUCH)


class Broken(io.RawIOBase):
    def readable(self):
        return True

    def readinto(self, buffer):  # noqa: ARG002
        raise OSError(5, "Input/output error")


@pytest.mark.parametrize("extension", readers())
def test_what_the_system_refuses_is_said(extension):
    for file in (Broken(), io.BufferedReader(Broken())):
        with pytest.raises(InputError, match="disk cannot be read: Input/output error"):
            read_matrix(file, extension=extension, max_bytes=MUCH, name="disk")


# nothing costs more than was allowed


def peak_of(action):
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("extension", readers())
def test_a_file_over_the_limit_is_refused_before_it_is_read(tmp_path, extension):
    path = tmp_path / f"m{extension}"
    path.write_bytes(b"")
    os.truncate(path, 10**12)  # takes no room on the disk
    with pytest.raises(
        LimitError, match=r"the file takes 1,000,000,000,000 bytes, over the limit of 100,000,0"
    ):
        read_matrix(path, max_bytes=MUCH)


@pytest.mark.parametrize("extension", [".csv", ".mtx", ".npz", ".npy"])
def test_an_endless_stream_is_cut_at_the_limit(extension):
    start = {".mtx": MARKET + b"array real general\n9 9\n", ".npy": FILES[".npy"]}.get(extension, b"")

    def feed(descriptor):
        with suppress(BrokenPipeError), open(descriptor, "wb") as file:
            file.write(start)
            for _ in range(1000):
                file.write(b"1" * 10_000)

    reading, writing = os.pipe()
    thread = threading.Thread(target=feed, args=(writing,))
    thread.start()
    with open(reading, "rb") as file:
        if extension == ".npy":  # knows where it ends
            read_matrix(file, extension=extension, max_bytes=10**6)
        else:
            with pytest.raises(LimitError, match="raise --max-memory"):
                read_matrix(file, extension=extension, max_bytes=10**6)
    thread.join()


@pytest.mark.parametrize(
    ("data", "extension"),
    [
        (b"1,2\n", "csv"),
        (b"row,col,value\n1000000000000,0,1\n", "csv"),
        (b"row,col,value\n0,9223372036854775807,1\n", "csv"),
        (MARKET + b"coordinate real general\n1000000000000 1 0\n", "mtx"),
        (MARKET + b"coordinate real general\n1 1000000000000 0\n", "mtx"),
        (MARKET + b"array real general\n1000000 1000000\n1\n", "mtx"),
        (npz(shape=(10**12, 2)), "npz"),
        (npz(shape=(2, 10**12)), "npz"),
        (npz(shape=(10**12, 2), format="coo", row=[0], col=[0]), "npz"),
    ],
)
def test_a_matrix_over_the_limit_is_refused(data, extension):
    limit = max(len(data), 10)

    def attempt():
        with pytest.raises(LimitError, match=r"over the limit of .*; raise --max-memory"):
            read(data, extension, max_bytes=limit)

    attempt()
    assert peak_of(attempt) < 10**6


@pytest.mark.parametrize("packed", [True, False])
def test_a_header_that_lies_takes_no_memory(packed):
    lie = b"\x93NUMPY\x01\x00" + struct.pack("<H", 118)
    lie += b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000, 1000), }".ljust(117) + b"\n" + bytes(80)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in ("format", "shape", "data"):
            archive.writestr(f"{name}.npy", lie if name != "format" else b"csr")

    def attempt():
        with pytest.raises(InputError, match="is truncated: its header promises 8,000,000 bytes"):
            read(file.getvalue() if packed else lie, "npz" if packed else "npy", max_bytes=10**7)

    attempt()
    if not packed:
        assert peak_of(attempt) < 10**5


def test_a_bomb_is_not_unpacked():
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("format", "shape", "data"):
            archive.writestr(f"{name}.npy", bytes(2 * 10**7))

    def attempt():
        with pytest.raises(
            LimitError, match="the unpacked matrix takes 60,000,000 bytes, over the limit of 1,"
        ):
            read(bomb.getvalue(), "npz", max_bytes=10**6)

    assert len(bomb.getvalue()) < 10**5
    assert peak_of(attempt) < 10**6


def test_a_bomb_that_lies_about_its_size_is_not_unpacked():
    size = 2 * 10**7
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("format", "shape", "data"):
            archive.writestr(f"{name}.npy", bytes(size))
    data = bomb.getvalue().replace(struct.pack("<I", size), struct.pack("<I", 300))

    def attempt():
        with pytest.raises(InputError, match="bomb"):
            read(data, "npz", max_bytes=10**6, name="bomb")

    assert peak_of(attempt) < 10**6


def test_text_is_never_held_as_objects():
    data = b",".join([b"%d.5" % n for n in range(200_000)])
    peak = peak_of(lambda: read(data, "csv"))
    assert peak < 3 * len(data) + 8 * 200_000


@pytest.mark.parametrize("extension", readers())
def test_every_cut_and_every_changed_byte_is_a_matrix_or_a_refusal(extension):
    whole = FILES[extension]
    random = np.random.default_rng(0)
    for cut in range(0, len(whole), 1 + len(whole) // 300):
        with suppress(ConvcliError):
            read(whole[:cut], extension, max_bytes=10**5)
    for at in range(len(whole)):
        changed = bytearray(whole)
        changed[at] ^= random.integers(1, 256)
        with suppress(ConvcliError):
            read(bytes(changed), extension, max_bytes=10**5)


@pytest.mark.parametrize("extension", readers())
@given(st.binary(max_size=60))
def test_any_bytes_are_a_matrix_or_a_refusal(extension, data):
    with suppress(ConvcliError):
        read(FILES[extension][:40] + data, extension, max_bytes=10**5)
    with suppress(ConvcliError):
        read(data, extension, max_bytes=10**5)
