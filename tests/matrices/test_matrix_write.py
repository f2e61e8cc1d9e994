"""What is written reads back as the same matrix, in every format; and costs what was announced."""

import csv
import io
import json
import os
import threading
import time
import tracemalloc
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pytest
import scipy.io
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from convcli.errors import UsageError
from convcli.matrices import files
from convcli.matrices.build import cell_names, convolution_matrix
from convcli.matrices.files import file_size, format_for, memory_needed, write_matrix
from convcli.matrices.files.shared import cell_text as entries_module
from convcli.matrices.files.shared import dense_text as text_module
from convcli.matrices.matrix import Dense, Symbolic
from convcli.matrices.unroll import sample_names, unrolled

RNG = np.random.default_rng(5)
KERNEL = np.array([[1, -2, 0], [30, 4, -5]])
AWKWARD = np.array([5e-324, 1e308, 0.1, -0.0, 1 / 3, 0.0, 2.0, -1e22, 123456789.125, 1e16, -1.7e-308, 0.0])
BANK = RNG.integers(-9, 9, (4, 2, 2, 3))
IMAGE = RNG.integers(0, 256, (7, 9))

MATRICES = {
    "1-D": convolution_matrix([1, 0.5, -3], 9),
    "1-D of one sample": convolution_matrix([1, 2, 3], 1),
    "1x1": convolution_matrix([7], 1),
    "2-D full": convolution_matrix(KERNEL, (5, 6)),
    "2-D valid": convolution_matrix(KERNEL / 3, (5, 6), mode="valid"),
    "wrap": convolution_matrix(KERNEL, (5, 6), mode="same", border="wrap"),
    "symmetric": convolution_matrix(KERNEL / 7, (5, 6), mode="same", border="symmetric"),
    "nearest": convolution_matrix(KERNEL, (5, 6), border="nearest"),
    "mirror": convolution_matrix(KERNEL, (5, 6), mode="same", border="mirror", op="correlate"),
    "kernel larger than the image": convolution_matrix(
        RNG.random((9, 8)), (3, 2), mode="same", border="wrap"
    ),
    "3-D": convolution_matrix(RNG.integers(-9, 9, (2, 2, 2)), (3, 4, 2)),
    "transposed": convolution_matrix(KERNEL / 7, (5, 6), border="symmetric").T,
    "empty rows": convolution_matrix(KERNEL, (5, 6), mode="valid", stride=3).T,
    "zeros only": convolution_matrix([[0, 0], [0, 0]], (3, 3)),
    "bank": convolution_matrix(BANK, (3, 4)),
    "groups": convolution_matrix(BANK / 3, (3, 4), groups=2),
    "order F": convolution_matrix(KERNEL, (5, 6), order="F"),
    "wide": convolution_matrix([1, 2, 3], 5000, stride=2500),
    "awkward": Dense(AWKWARD.reshape(3, 4)),
    "integers": Dense(np.array([[2**63 - 1, -(2**63)], [0, 1]])),
    "many values": Dense(RNG.random((700, 100))),
    "uint8": unrolled(IMAGE.astype(np.uint8), (2, 3)),
    "int16": unrolled(IMAGE.astype(np.int16) - 100, (2, 3), padding=1, layout="columns"),
    "float32": unrolled((IMAGE / 255).astype(np.float32), (2, 3), mode="same", border="mirror"),
    "float16": unrolled((IMAGE / 255).astype(np.float16), (2, 3)),
    "bool": unrolled(IMAGE > 128, (2, 3)),
}
NAMED = {
    "names": Symbolic(convolution_matrix(KERNEL, (5, 6)), cell_names(KERNEL[None, None])),
    "cells that meet": Symbolic(
        convolution_matrix(KERNEL, (3, 4), mode="same", border="symmetric"), cell_names(KERNEL[None, None])
    ),
    "long sums": Symbolic(
        convolution_matrix(np.ones((9, 8)), (3, 2), mode="same", border="wrap"),
        cell_names(np.ones((1, 1, 9, 8))),
    ),
    "names transposed": Symbolic(convolution_matrix(BANK, (3, 4)).T, cell_names(BANK)),
    "image": Symbolic(unrolled(IMAGE, (2, 3), padding=1), sample_names((1, *IMAGE.shape))),
}
every_matrix = pytest.mark.parametrize("matrix", MATRICES.values(), ids=MATRICES)
every_named = pytest.mark.parametrize("matrix", NAMED.values(), ids=NAMED)
FORMATS = {name: files.load(name) for name in files.names()}
every_format = pytest.mark.parametrize("kind", FORMATS)


def written_in(kinds, matrices):
    """Every matrix in every format that can hold it."""
    params = [
        pytest.param(matrix, kind, id=f"{name}-{kind}")
        for name, matrix in matrices.items()
        for kind in kinds
        if FORMATS[kind].HOLDS_NAMES or not isinstance(matrix, Symbolic)
    ]
    return pytest.mark.parametrize(("matrix", "kind"), params)


@dataclass(frozen=True)
class Sparse:
    """A sparse matrix that no convolution made."""

    array: scipy.sparse.csr_array
    block_shape = (1, 1)

    @property
    def shape(self):
        return self.array.shape

    @property
    def dtype(self):
        return self.array.dtype

    @property
    def row_entries(self):
        return max(1, int(np.diff(self.array.indptr).max()))

    def rows(self, start, stop):
        return self.array[start:stop]

    def cells(self, *_):
        raise AssertionError("numbers are enough")


class Drain:
    """Count bytes and drop them; raise at the end of the patience."""

    def __init__(self, patience=float("inf"), error=BrokenPipeError):
        self.bytes, self.patience, self.error = 0, patience, error

    def write(self, data):
        self.bytes += memoryview(data).nbytes
        if self.bytes > self.patience:
            raise self.error(28, "No space left on device")
        return len(data)

    def flush(self):
        pass


def dense(matrix):
    rows = matrix.rows(0, matrix.shape[0])
    return rows if isinstance(rows, np.ndarray) else rows.toarray()


def written(matrix, kind, **options):
    file = io.BytesIO()
    write_matrix(file, matrix, kind, **options)
    return file.getvalue()


def same_bits(found, expected):
    """Compare such that −0.0 is not 0.0."""
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)
    if expected.dtype.kind == "f":
        np.testing.assert_array_equal(np.signbit(found), np.signbit(expected))


def from_text(data, expected, separator):
    """Parse with Python's own numbers, which read text exactly."""
    parse = float if expected.dtype.kind == "f" else int
    lines = csv.reader(io.StringIO(data.decode(), newline=""), delimiter=separator)
    return np.array([[parse(cell) for cell in line] for line in lines]).astype(expected.dtype)


@every_matrix
@pytest.mark.parametrize(("kind", "separator"), [("csv", ","), ("tsv", "\t")])
def test_dense_text_reads_back_exactly(matrix, kind, separator):
    expected = dense(matrix)
    data = written(matrix, kind)
    same_bits(from_text(data, expected, separator), expected)
    assert b"\r" not in data
    assert data.endswith(b"\n")
    if expected.dtype != np.int64:  # loadtxt goes through floats
        found = np.loadtxt(io.BytesIO(data), delimiter=separator, ndmin=2)
        np.testing.assert_array_equal(found.astype(expected.dtype), expected)


@every_matrix
def test_json_reads_back_exactly(matrix):
    expected = dense(matrix)
    document = json.loads(written(matrix, "json"))
    assert document["shape"] == list(matrix.shape)
    found = np.array(document["rows"])
    np.testing.assert_array_equal(found.astype(expected.dtype), expected)


@every_matrix
def test_npy_has_the_bytes_that_numpy_saves(matrix):
    file = io.BytesIO()
    np.save(file, dense(matrix))
    assert written(matrix, "npy") == file.getvalue()


@every_matrix
def test_npz_is_a_csr_array_to_scipy(matrix):
    array = dense(matrix)
    expected = scipy.sparse.csr_array(array.astype(np.float32) if array.dtype == np.float16 else array)
    found = scipy.sparse.load_npz(io.BytesIO(written(matrix, "npz")))
    assert isinstance(found, scipy.sparse.csr_array)
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    for part in ("indptr", "indices", "data"):
        np.testing.assert_array_equal(getattr(found, part), getattr(expected, part), strict=True)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # 5e-324 underflows in SciPy's reader, to the same
@every_matrix
def test_matrix_market_file_reads_back_exactly(matrix):
    expected = dense(matrix)
    data = written(matrix, "mtx")
    found = scipy.io.mmread(io.BytesIO(data)).toarray()
    np.testing.assert_array_equal(found.astype(expected.dtype), expected)
    assert found.dtype == (np.float64 if expected.dtype.kind == "f" else np.int64)
    assert int(data.splitlines()[1].split()[2]) == np.count_nonzero(expected) == data.count(b"\n") - 2


@every_matrix
def test_sparse_csv_lists_the_entries_in_order(matrix):
    expected = dense(matrix)
    header, *lines = csv.reader(io.StringIO(written(matrix, "sparse-csv").decode(), newline=""))
    assert header == ["row", "col", "value"]
    places = [(int(row), int(column)) for row, column, _ in lines]
    assert places == list(zip(*(n.tolist() for n in np.nonzero(expected)), strict=True))
    parse = float if expected.dtype.kind == "f" else int
    found = np.array([parse(value) for *_, value in lines], expected.dtype)
    np.testing.assert_array_equal(found, expected[expected != 0])


def test_numbers_are_written_in_the_fewest_characters():
    matrix = Dense(np.array([[1.0, -0.0, 0.1, 1e22], [100.0, 1 / 3, 5e-324, -2.5]]))
    assert written(matrix, "csv") == b"1,-0,0.1,1e+22\n100,0.3333333333333333,5e-324,-2.5\n"
    assert written(Dense(np.array([[0.1]], np.float32)), "csv") == b"0.1\n"


def test_nan_and_infinity_are_what_the_readers_of_each_format_understand():
    matrix = Dense(np.array([[np.nan, np.inf, -np.inf, 1.5]]))
    for kind in ("csv", "json", "mtx"):
        data = written(matrix, kind)
        if kind == "csv":
            found = np.loadtxt(io.BytesIO(data), delimiter=",", ndmin=2)
        elif kind == "json":
            found = np.array([[np.nan, np.inf, -np.inf, 1.5]])
            assert json.loads(data)["rows"] == [[None, None, None, 1.5]]
        else:
            found = scipy.io.mmread(io.BytesIO(data)).toarray()
        np.testing.assert_array_equal(found, matrix.array)


@every_named
def test_names_read_back_from_text(matrix):
    expected = matrix.rows(0, matrix.shape[0])
    for kind, separator in (("csv", ","), ("tsv", "\t")):
        text = written(matrix, kind).decode()
        lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
        assert lines == expected.tolist()
        assert '"' not in text
    assert json.loads(written(matrix, "json"))["rows"] == expected.tolist()
    _, *lines = csv.reader(io.StringIO(written(matrix, "sparse-csv").decode(), newline=""))
    found = np.full(matrix.shape, "0", expected.dtype)
    for row, column, name in lines:
        found[int(row), int(column)] = name
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", ["a,b", 'say "a"', "a\tb", "ä", "x" * 60, "two\nlines"])
def test_awkward_names_read_back(name):
    matrix = Symbolic(convolution_matrix([1, 2], 3), [name, "b"])
    expected = matrix.rows(0, 4).tolist()
    for kind, separator in (("csv", ","), ("tsv", "\t")):
        text = io.StringIO(written(matrix, kind).decode(), newline="")
        assert list(csv.reader(text, delimiter=separator)) == expected
    assert json.loads(written(matrix, "json"))["rows"] == expected


def test_formats_of_numbers_refuse_names():
    for kind in ("npy", "npz", "mtx"):
        for attempt in (
            lambda f: write_matrix(io.BytesIO(), NAMED["names"], f),
            lambda f: file_size(NAMED["names"], f),
        ):
            with pytest.raises(UsageError, match=f"{kind} holds numbers, not names; use one of csv, tsv,"):
                attempt(kind)


sparse_matrices = st.tuples(
    arrays.arrays(
        st.sampled_from([np.dtype(np.int64), np.dtype(np.float64)]),
        arrays.array_shapes(min_dims=2, max_dims=2, max_side=6),
        elements=st.sampled_from([0, 0, 0, 0, 1, -12, 3]),
        fill=st.just(0),
    ),
    st.booleans(),
)


@given(
    sparse_matrices, st.integers(1, 12), st.integers(1, 4), st.sampled_from([0, 1, 10**9]), st.integers(0, 3)
)
def test_where_rows_are_cut_does_not_show(case, cells, run, crowded, known):
    array, sparse = case
    matrix = Sparse(scipy.sparse.csr_array(array)) if sparse else Dense(array)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("convcli.matrices.files.npz.compression", lambda _: 1)
        expected = {kind: written(matrix, kind) for kind in FORMATS if kind != "png"}
        same_bits(from_text(expected["csv"], array, ","), array)
        patch.setattr(entries_module, "CELLS", cells)
        patch.setattr("convcli.matrices.matrix.BLOCK_ENTRIES", cells)
        patch.setattr(entries_module, "KNOWN", known)
        patch.setattr(text_module, "RUN", run)
        patch.setattr(text_module, "CROWDED", crowded)
        patch.setattr("convcli.matrices.files.shared.coo_text.LINES", cells)
        for kind, data in expected.items():
            assert written(matrix, kind) == data


def test_comparison_notices_a_wrong_sign_and_a_wrong_type():
    for wrong in (np.array([0.0]), np.array([0], np.float32)):
        with pytest.raises(AssertionError):
            same_bits(wrong, np.array([-0.0]))


@every_format
@every_matrix
def test_announced_size_of_a_small_matrix_is_exact(matrix, kind):
    size, exact = file_size(matrix, kind)
    if exact:
        assert size == len(written(matrix, kind))
    assert exact or kind == "png"


@written_in(["csv", "tsv", "json", "npy"], MATRICES | NAMED)
def test_sizes_of_dense_files_are_computed_not_tried(monkeypatch, matrix, kind):
    monkeypatch.setattr(files, "SMALL", 0)
    assert file_size(matrix, kind) == (len(written(matrix, kind)), True)


@written_in(
    ["sparse-csv", "npz", "mtx", "png", "csv"],
    {
        "operator": convolution_matrix(RNG.random((5, 5)), (64, 64)),
        "wrap": convolution_matrix(KERNEL, (90, 80), mode="same", border="wrap"),
        "uint8": unrolled(RNG.integers(0, 99, (300, 300)).astype(np.uint8), (3, 3)),
        "float": unrolled(RNG.random((2, 90, 100)), (5, 5), layout="columns"),
    },
)
def test_other_sizes_are_about_right(matrix, kind):
    size, _ = file_size(matrix, kind)
    actual = len(written(matrix, kind))
    within = {"png": 8, "npz": 1.3}.get(kind, 1.01)
    assert actual / within < size < actual * within


def test_size_of_an_astronomic_matrix_is_known_at_once():
    began = time.perf_counter()
    size, exact = file_size(convolution_matrix(np.ones((3, 3)), (10**5, 10**5)), "csv")
    assert (size, exact) == (2 * (10**5 + 2) ** 2 * 10**10, True)
    assert time.perf_counter() - began < 2


@written_in(FORMATS, MATRICES | NAMED)
def test_progress_adds_up_to_the_rows(matrix, kind):
    told = []
    write_matrix(io.BytesIO(), matrix, kind, advance=told.append)
    assert sum(told) == matrix.shape[0]
    assert min(told) >= 0


def test_progress_is_told_more_than_once_where_it_takes_long():
    told = []
    write_matrix(Drain(), convolution_matrix(np.ones((3, 3)), (64, 64)), "csv", advance=told.append)
    assert len(told) > 20


@every_format
def test_a_pipe_gets_the_bytes_of_a_file(kind):
    matrix = MATRICES["2-D full"]
    reading, writing = os.pipe()

    def feed():
        with open(writing, "wb") as file:
            write_matrix(file, matrix, kind)

    thread = threading.Thread(target=feed)
    thread.start()
    with open(reading, "rb") as file:
        data = file.read()
    thread.join()
    assert data == written(matrix, kind)


@every_format
@pytest.mark.parametrize("patience", [0, 100, 20_000])
def test_what_the_system_says_is_passed_on(kind, patience):
    with pytest.raises(OSError, match="No space left") as caught:
        write_matrix(Drain(patience, OSError), convolution_matrix(RNG.random((5, 5)), (64, 64)), kind)
    assert type(caught.value) is OSError


@written_in(
    ["csv", "tsv", "json", "npy"],
    {
        "20 GB": convolution_matrix(RNG.random((5, 5)), (316, 316)),
        "rows of 10**8": convolution_matrix([1.5, 2, 3], 10**8, stride=10**7),
        "names": Symbolic(convolution_matrix(np.ones((3, 3)), (300, 300)), cell_names(np.ones((1, 1, 3, 3)))),
    },
)
def test_streams_hold_nothing(matrix, kind):
    size, _ = file_size(matrix, kind)
    drain = Drain(100e6)
    with traced() as peak, pytest.raises(BrokenPipeError):
        write_matrix(drain, matrix, kind)
    assert size > drain.bytes
    assert sum(peak) < 25e6


@contextmanager
def traced():
    """Put the most bytes that were held into a list, once the block ends."""
    peak = []
    tracemalloc.start()
    try:
        yield peak
    finally:
        peak.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()


def test_memory_is_measured_at_all():
    with traced() as peak:
        bytearray(10**7)
    assert peak[0] >= 10**7


@written_in(
    FORMATS,
    {
        "operator": convolution_matrix(RNG.random((5, 5)), (80, 80)),
        "wrap": convolution_matrix(RNG.random((20, 20)), (25, 25), mode="same", border="wrap"),
        "float": unrolled(RNG.random((60, 300)), (5, 5), layout="columns"),
        "names": Symbolic(unrolled(np.zeros((100, 300)), (3, 3)), sample_names((1, 100, 300))),
    },
)
def test_writing_takes_no_more_memory_than_announced(matrix, kind):
    with traced() as peak:
        write_matrix(Drain(), matrix, kind)
    assert peak[0] < memory_needed(matrix, kind)


def test_dense_text_is_twenty_times_as_fast_as_savetxt():
    matrix = convolution_matrix([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], (64, 64))
    some = matrix.rows(0, 200).toarray()
    began = time.perf_counter()
    np.savetxt(io.BytesIO(), some, fmt="%.17g", delimiter=",")
    theirs = (time.perf_counter() - began) * matrix.shape[0] / len(some)
    ours = []
    for _ in range(5):
        began = time.perf_counter()
        write_matrix(Drain(), matrix, "csv")
        ours.append(time.perf_counter() - began)
    assert theirs > 20 * min(ours)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("T.csv", "csv"),
        ("a/b.TSV", "tsv"),
        (".npz", "npz"),
        ("mtx", "mtx"),
        ("x.y.png", "png"),
        ("sparse-csv",) * 2,
    ],
)
def test_formats_are_found_by_path_extension_or_name(name, expected):
    assert format_for(name) == expected


@pytest.mark.parametrize("name", ["T.xlsx", "T", "csv.d/T", ""])
def test_unknown_formats_are_refused_with_those_there_are(name):
    with pytest.raises(
        UsageError, match=r'^"[^"]*" has no extension .* use one of \.csv \.tsv \.npy \.npz \.mtx'
    ):
        format_for(name)


def test_no_two_formats_share_an_extension():
    extensions = [extension for made in FORMATS.values() for extension in made.EXTENSIONS]
    assert len(extensions) == len({*extensions})
