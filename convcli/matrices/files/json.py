"""Shape and rows as JSON."""

from __future__ import annotations

import functools
import json
from typing import Any

import numpy as np

from convcli.matrices.files.shared.cell_text import plain_number
from convcli.matrices.files.shared.census import text_size
from convcli.matrices.files.shared.dense_text import Style, write_text


def number_text(number: Any) -> str:
    """Write a number as JSON has it, which knows finite ones only."""
    return plain_number(number) if np.isfinite(number) else "null"


SUMMARY = "shape and rows"
EXTENSIONS = (".json",)
HOLDS_NAMES = True
IS_SPARSE = False
STYLE = Style(
    b",",
    b"],\n[",
    number_text,
    json.dumps,
    lambda shape: b'{"shape": %b, "rows": [\n[' % json.dumps(shape).encode(),
    b"]\n]}\n",
)

write = functools.partial(write_text, style=STYLE)
size = functools.partial(text_size, style=STYLE)
