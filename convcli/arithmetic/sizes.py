"""Sizes of outputs, and padding shared out, of one axis."""

from __future__ import annotations

from convcli.spec import ceil_div


def window_count(size: int, padding: tuple[int, int], extent: int, stride: int, *, ceil: bool = False) -> int:
    """Count the windows of so many samples that fit an axis and its padding: the size of the output.

    With `ceil` the end may cut off a last one, if it begins inside the image or the padding before it.

    >>> window_count(5, (1, 1), 2, 3), window_count(5, (1, 1), 2, 3, ceil=True)
    (2, 2)
    """
    room = size + sum(padding) - extent
    if not ceil:
        return room // stride + 1
    return min(ceil_div(room, stride) + 1, ceil_div(size + padding[0], stride))


def transposed_size(size: int, extent: int, stride: int) -> int:
    """Return the samples that kernels put down at a distance of the stride span: those of an output."""
    return (size - 1) * stride + extent


def halved(total: int, *, more_first: bool = False) -> tuple[int, int]:
    """Share padding out between both sides; an odd sample goes to the end unless `more_first`.

    >>> halved(3), halved(3, more_first=True)
    ((1, 2), (2, 1))
    """
    less, more = total // 2, total - total // 2
    return (more, less) if more_first else (less, more)
