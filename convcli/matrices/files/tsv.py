"""All entries, separated by tabs."""

from __future__ import annotations

import functools

from convcli.matrices.files.shared.cell_text import plain_number
from convcli.matrices.files.shared.census import text_size
from convcli.matrices.files.shared.dense_text import Style, quoted, write_text
from convcli.matrices.files.shared.read_text import read_rows

SUMMARY = "all entries, by tabs"
EXTENSIONS = (".tsv",)
HOLDS_NAMES = True
IS_SPARSE = False
STYLE = Style(b"\t", b"\n", plain_number, quoted)

write = functools.partial(write_text, style=STYLE)
size = functools.partial(text_size, style=STYLE)
read = functools.partial(read_rows, separator=b"\t")
