"""Pillow held at arm's length: its globals, its warnings and its exceptions end here."""

from __future__ import annotations

import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from convcli.errors import ConvcliError, InputError, LimitError
from convcli.text import printable

# Pillow's switches and Python's warning filters belong to the process: one thread decodes at a time.
_LOCK = threading.RLock()
_CUT_SHORT = "truncat|not enough image data|unexpected end|reached eof"


@contextmanager
def guarded_reading(name: str, kind: str, max_pixels: int | None, allow_truncated: bool) -> Iterator[None]:
    """Run Pillow's readers so that nothing but a `ConvcliError` comes out; `name` is for messages."""
    import logging

    from PIL import Image, ImageFile, UnidentifiedImageError

    if not logging.getLogger("PIL").handlers:  # without one, Python prints what Pillow logs
        logging.getLogger("PIL").addHandler(logging.NullHandler())
    with _LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        kept = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
        Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = max_pixels, allow_truncated
        try:
            yield
        except ConvcliError:
            raise
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            found = re.search(r"\((\d+) pixels\)", str(error))
            count = f"{int(found[1]):,}" if found else "too many"
            raise LimitError(
                f"{name} has {count} pixels, over the limit of {max_pixels:,}; "
                "raise --max-pixels if you trust it"
            ) from None
        except UnidentifiedImageError:
            raise InputError(
                f"{name} starts like a {kind} file but cannot be read as one: "
                "it is damaged, cut short, or of a kind that Pillow does not know"
            ) from None
        except Exception as error:
            raise InputError(_damaged(name, error, allow_truncated)) from None
        finally:
            Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = kept


def _damaged(name: str, error: Exception, allow_truncated: bool) -> str:
    reason = printable(" ".join(str(error).split())[:200]) or type(error).__name__
    if allow_truncated or not (isinstance(error, EOFError) or re.search(_CUT_SHORT, reason, re.IGNORECASE)):
        return f"{name} is damaged: {reason}"
    return f"{name} is truncated; --allow-truncated reads what is there"
