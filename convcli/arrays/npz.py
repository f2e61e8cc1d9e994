"""Arrays in ``.npz`` archives, which may be damaged or lie about their sizes."""

import io
import os
import struct
import zipfile
from typing import BinaryIO

from convcli.arrays.library import Array
from convcli.arrays.npy import read_npy
from convcli.errors import ConvcliError, UsageError
from convcli.text import brief

MAX_DIRECTORY_BYTES = 2**20
END_RECORD = struct.Struct("<4s4H2LH")  # PKWARE's APPNOTE.TXT, section 4.3.16
END_SIGNATURE, ZIP64_LOCATOR = b"PK\x05\x06", b"PK\x06\x07"


def read_npz(path: str, *, member: str, max_bytes: int, name: str) -> Array:
    """Read the only array of a ``.npz`` archive, or the one called `member`, of up to `max_bytes`."""
    with open(path, "rb") as file:
        check_directory(file)
        try:
            with zipfile.ZipFile(file) as archive:
                chosen = _choose(archive.namelist(), member)
                size = archive.getinfo(chosen).file_size
                if size > max_bytes:
                    raise UsageError(f"{chosen} unpacks to {size} bytes; the limit is {max_bytes}")
                with archive.open(chosen) as content:  # archive.read would unpack more than is promised
                    data = content.read(size)
                return read_npy(io.BytesIO(data), name=f"{name}: {chosen}")
        except ConvcliError:
            raise
        # Damage shows up as almost any exception of zipfile and of its decompressors.
        except Exception as error:
            raise UsageError(f"damaged archive: {brief(str(error) or type(error).__name__)}") from None


def check_directory(file: BinaryIO) -> None:
    """Refuse a directory that zipfile would need gigabytes to hold."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(size - 2**16 - END_RECORD.size, 0))
    tail = file.read()
    at_end = len(tail) - END_RECORD.size
    at = at_end if tail[max(at_end, 0) :].startswith(END_SIGNATURE) else tail.rfind(END_SIGNATURE)
    if at < 0 or at > at_end:
        raise UsageError("is not a .npz archive, or is cut off")
    directory_bytes = END_RECORD.unpack_from(tail, at)[5]
    if directory_bytes > MAX_DIRECTORY_BYTES or ZIP64_LOCATOR in tail[max(at - 20, 0) : at]:
        raise UsageError("the archive has too many members to hold an array")
    file.seek(0)


def _choose(members: list[str], wanted: str) -> str:
    arrays = [name for name in members if name.endswith(".npy")]
    if len(arrays) == 1:
        return arrays[0]
    if arrays.count(f"{wanted}.npy") == 1:
        return f"{wanted}.npy"
    found = ", ".join(name.removesuffix(".npy") for name in arrays) or "none"
    raise UsageError(f'it must hold one array, or one called "{wanted}"; found: {brief(found)}')
