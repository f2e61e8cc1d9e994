"""A matrix file to be read, and what it may cost."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import BinaryIO

from convcli.errors import InputError, LimitError


@dataclass(frozen=True)
class Request:
    """An open file, its name in errors, the largest file and matrix, and the shape if it has none."""

    file: BinaryIO
    name: str
    max_bytes: int
    shape: tuple[int, int] | None

    def refusal(self, text: str) -> InputError:
        """Return an error that begins with the name of the file."""
        return InputError(f"{self.name} {text}")

    def limit(self, size: int, what: str) -> None:
        """Refuse what takes more memory than is allowed."""
        if size > self.max_bytes:
            raise LimitError(
                f"{self.name}: {what} takes {size:,} bytes, over the limit of {self.max_bytes:,}; "
                "raise --max-memory"
            )

    def limit_sparse(self, rows: int, columns: int) -> None:
        """Refuse a sparse matrix whose sides alone are too long: each row has a pointer."""
        self.limit(8 * (max(rows, columns) + 1), f"a side of a sparse matrix of {rows:,} × {columns:,}")

    def size(self) -> int | None:
        """Bytes of a regular file; None for a stream."""
        try:
            status = os.fstat(self.file.fileno())
        except (OSError, AttributeError):
            return None
        return status.st_size if stat.S_ISREG(status.st_mode) else None
