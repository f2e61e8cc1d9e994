"""What a method is told, and what it tells at every step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from convcli.arrays.library import Array
from convcli.deconvolution.blur import Blur


@dataclass(frozen=True)
class Settings:
    """Options of a restoration.

    Attributes
    ----------
    noise : float
        Standard deviation of the noise, estimated or given.
    least_noise : float
        What it is at least: that of rounding.
    noise_given : bool
        Whether it was given: then it is not corrected on the way.
    balance : float or None
        Strength of the penalty; None to find it.
    accelerate : bool
    damping : float
        Leave alone what agrees with the observation to so many standard deviations of the noise.
    exponent : float
        Of a hyper-Laplacian prior.
    scale : float
        Standard deviation of the observed image: what "large" means for it.
    """

    noise: float
    least_noise: float
    noise_given: bool
    balance: float | None
    accelerate: bool
    damping: float
    exponent: float
    scale: float


@dataclass
class Step:
    """One iteration's outcome.

    Attributes
    ----------
    image : (planes, *grid) array
        The restored image; overwritten by the next step.
    residual : float
        Root mean square of M (y − H x) over what is known.
    noise : float
        Standard deviation of the noise, as believed now.
    balance : float or None
        As used now.
    done : bool
        The method itself sees no reason to go on.
    note : str
        What the user should know about the result.
    """

    image: Array
    residual: float
    noise: float
    balance: float | None = None
    done: bool = False
    note: str = ""


class Method(Protocol):
    """What a module of `convcli.deconvolution.methods` defines, as module-level names."""

    SUMMARY: str
    """What it is, in a line."""
    ITERATIONS: int
    """Most iterations by default."""
    TOLERANCE: float
    """Relative change of the image below which it stops, by default."""
    OPTIONS: tuple[str, ...]
    """Which of balance, accelerate, damping, exponent it takes."""

    POSITIVE: bool
    """Whether the result is at least 0, and the observation must be."""

    def restore(self, blur: Blur, settings: Settings) -> Iterator[Step]:
        """Iterate for ever, or until nothing changes."""
        ...
