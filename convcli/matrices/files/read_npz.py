"""Sparse matrices in archives, as SciPy writes them."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from convcli.arrays import npz
from convcli.arrays.library import Array
from convcli.arrays.npy import read_npy
from convcli.arrays.samples import samples_of
from convcli.errors import ConvcliError, UsageError
from convcli.kernels.kernel import brief
from convcli.matrices.files.read_request import Request
from convcli.system.files import read_bounded

if TYPE_CHECKING:
    from scipy.sparse import csr_array

PLAIN = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # other methods may ask for gigabytes to unpack
INDICES = {"csr": ("indices", "indptr"), "csc": ("indices", "indptr"), "coo": ("row", "col")}
LONGEST_FORMAT = 1024  # bytes of the member that holds three letters


def read_npz(request: Request) -> csr_array:
    """Read what `scipy.sparse.save_npz` writes in the formats csr, csc and coo."""
    file = request.file
    if request.size() is None:
        file = io.BytesIO(read_bounded(file, request.name, request.max_bytes))
    try:
        npz.check_directory(file)
        with zipfile.ZipFile(file) as archive:
            return _unpacked(request, archive)
    except UsageError as error:
        raise request.refusal(str(error)) from None
    except (ConvcliError, MemoryError):
        raise
    # Damage shows up as almost any exception of zipfile, of its decompressors and of SciPy.
    except Exception as error:
        raise request.refusal(f"is damaged: {brief(str(error) or type(error).__name__)}") from None


def _unpacked(request: Request, archive: zipfile.ZipFile) -> csr_array:
    import scipy.sparse

    members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
    if not {"format", "shape", "data"} <= members.keys():
        raise request.refusal(
            f"holds {brief(', '.join(members)) or 'nothing'}, which is not what scipy.sparse.save_npz "
            "writes; save a dense matrix as .npy"
        )
    request.limit(sum(info.file_size for info in members.values()), "the unpacked matrix")
    if any(info.compress_type not in PLAIN for info in members.values()):
        raise request.refusal("is packed in an unusual way; use scipy.sparse.save_npz")
    form = _format(request, archive, members["format"])
    rows, columns = _shape(request, _numbers(request, archive, members["shape"]))
    missing = [name for name in INDICES[form] if name not in members]
    if missing:
        raise request.refusal(f"has no member {missing[0]}.npy; use scipy.sparse.save_npz")
    data = samples_of(_numbers(request, archive, members["data"]), "matrix")
    indices = [_numbers(request, archive, members[name]) for name in INDICES[form]]
    if any(index.dtype.kind not in "iu" for index in indices):
        raise request.refusal("has indices that are not whole numbers")
    # A cast that overflows makes negative numbers, which SciPy refuses.
    places: Any = tuple(index.astype(np.int64) if index.dtype.kind == "u" else index for index in indices)
    if form == "coo":
        return scipy.sparse.coo_array((data, places), shape=(rows, columns)).tocsr()
    make: Any = scipy.sparse.csr_array if form == "csr" else scipy.sparse.csc_array
    matrix = make((data, *places), shape=(rows, columns))
    matrix.check_format(full_check=True)
    result: csr_array = matrix.tocsr()
    result.sum_duplicates()
    return result


def _format(request: Request, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> str:
    """Return the three letters that a member ends with, be they bytes or UTF-32."""
    if member.file_size > LONGEST_FORMAT:
        raise request.refusal("does not name its sparse format; use scipy.sparse.save_npz")
    with archive.open(member) as file:
        text = file.read(LONGEST_FORMAT)  # archive.read() unpacks all there is, whatever size was promised
    form = text.replace(b"\0", b"")[-3:].decode("ascii")
    if form not in INDICES:
        raise request.refusal(f'has the sparse format "{brief(form)}"; use one of {", ".join(INDICES)}')
    return form


def _shape(request: Request, shape: Array) -> tuple[int, int]:
    if shape.shape != (2,) or shape.dtype.kind not in "iu" or min(shape) < 0:
        raise request.refusal(f"has the shape {brief(str(shape.tolist()))}; a matrix has rows and columns")
    rows, columns = map(int, shape)
    request.limit_sparse(rows, columns)
    return rows, columns


def _numbers(request: Request, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Array:
    with archive.open(member) as file:
        name = f"{request.name}: {brief(member.filename)}"
        return read_npy(cast("io.BufferedReader", file), max_bytes=request.max_bytes, name=name)
