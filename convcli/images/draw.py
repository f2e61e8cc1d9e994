"""Text on pictures; with the fonts that Pillow brings along."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SMALLEST = 9  # pixels; smaller text is not legible
FILLED = 0.72, 0.5  # of the width and the height of a box

Pixels = NDArray[np.uint8]
Colour = tuple[int, int, int]


def print_labels(
    pixels: Pixels, labels: Sequence[tuple[float, float, str, Colour]], box: tuple[int, int]
) -> Pixels:
    """Print short texts, all in the size that lets the longest fit its box, or none if that is too small.

    `labels` are (x, y, text, colour), x and y the middle of a box; `box` is (height, width) in pixels.
    `pixels` itself is returned if nothing is printed: zeros alone would suggest that there is nothing else.
    """
    height, width = box[0] * FILLED[1], box[1] * FILLED[0]
    if height < SMALLEST or not labels:
        return pixels
    from PIL import Image, ImageDraw, ImageFont

    probe = ImageFont.load_default(100)
    widths = {text: probe.getlength(text) / 100 for _, _, text, _ in labels}
    size = max(SMALLEST, int(min(height, width / max(widths.values()))))
    if max(widths.values()) * size > width:
        return pixels
    font = ImageFont.load_default(size)
    image = Image.fromarray(pixels)
    draw = ImageDraw.Draw(image)
    middle = font.getbbox("0", anchor="ls")
    baseline = -(middle[1] + middle[3]) / 2
    for x, y, text, colour in labels:
        draw.text((x, y + baseline), text, fill=colour, font=font, anchor="ms")
    return np.asarray(image)
