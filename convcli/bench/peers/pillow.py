"""Pillow, which filters 8-bit images by small kernels."""

from __future__ import annotations

import importlib
from typing import Any

from convcli.bench.contestants import Task
from convcli.bench.library import Call, Library
from convcli.text import shape_text


def _filter(filters: Any, task: Task) -> Call:
    images = [importlib.import_module("PIL.Image").fromarray(plane) for plane in task.image]
    expand = importlib.import_module("PIL.ImageOps").expand
    # Pillow correlates along rows and convolves along columns: it takes the lowest row first.
    cells = task.kernel[:, ::-1].ravel().tolist()
    kernel = filters.Kernel(task.kernel.shape, cells, scale=1)
    height, width = task.case.shape
    # Where the kernel does not fit, Pillow copies the image: a margin of zeros makes it fit.
    margin = task.kernel.shape[0] // 2
    box = (margin, margin, margin + width, margin + height)
    return lambda: [expand(image, margin).filter(kernel).crop(box) for image in images]


def _limits(task: Task) -> str | None:
    shape, weights = task.kernel.shape, task.kernel
    if shape not in ((3, 3), (5, 5)):
        return f"takes kernels of 3×3 and 5×5, not {shape_text(shape)}"
    if task.case.dtype != "uint8":
        return f"filters 8-bit images, not {task.case.dtype}"
    least, most = (255 * float(weights[where].sum()) for where in (weights < 0, weights > 0))
    if least < -0.5 or most > 255.5:
        return f"its results are 8-bit, and this kernel's reach from {least:.4g} to {most:.4g}"
    return None


PEERS = (Library("pillow.Kernel", "PIL.ImageFilter", _filter, _limits),)
