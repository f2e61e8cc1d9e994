"""A colour for every kernel cell: as many as are asked for, neighbours far apart."""

from __future__ import annotations

import math

GOLDEN_TURN = (math.sqrt(5) - 1) / 2
LIGHTNESS = (0.86, 0.78, 0.70)  # differ too, for those who do not tell hues apart
CHROMA = 0.11


def colour(cell: int) -> tuple[int, int, int]:
    """Return the colour of a cell, light enough for black text on it.

    Hues proceed by the golden section of a turn, in a space where equal steps look equal.

    References
    ----------
    Ottosson (2020), "A perceptual color space for image processing" (Oklab).

    Examples
    --------
    >>> colour(0)
    (255, 179, 206)
    """
    hue = 2 * math.pi * ((cell * GOLDEN_TURN) % 1)
    lightness = LIGHTNESS[cell % len(LIGHTNESS)]
    a, b = CHROMA * math.cos(hue), CHROMA * math.sin(hue)
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    return (
        _encoded(4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short),
        _encoded(-1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short),
        _encoded(-0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short),
    )


def _encoded(light: float) -> int:
    """Encode linear light as an sRGB sample."""
    light = min(1.0, max(0.0, light))
    value = 12.92 * light if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055
    return round(255 * value)
