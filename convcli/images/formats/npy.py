"""NumPy's files: arrays of any shape and type, without anything about colour."""

from convcli.arrays.npy import write_npy
from convcli.images.formats import Format

FORMAT = Format(
    "npy", (".npy",), magic=rb"\x93NUMPY", rank=9, write=lambda file, pixels, **_: write_npy(file, pixels)
)
