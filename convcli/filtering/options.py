"""What a filter is asked to do: options that concern samples, checked once."""

from __future__ import annotations

from dataclasses import dataclass

from convcli.errors import UsageError
from convcli.images.colour import DTYPES, RANGES
from convcli.spec import choose

NORMALIZATIONS = ("none", "sum", "abs", "auto")
COMBINATIONS = ("none", "magnitude", "max", "sum", "mean")
ALPHAS = ("premultiply", "filter", "ignore")


@dataclass(frozen=True)
class Filter:
    """How to filter: the options of ``convcli convolve`` that concern samples, under the same names.

    Attributes
    ----------
    divisor, bias : float or None
        Take the place of the kernel's own.
    bias_percent : bool
        `bias` is in percent of full brightness.
    range : str or None
        By default ``clamp`` for images and wherever `dtype` is asked for, and ``none`` for arrays.
    max_memory : int or None
        Bytes; what the system has available by default.
    """

    mode: str = "same"
    border: str = "nearest"
    border_value: float = 0.0
    op: str = "convolve"
    origin: int | tuple[int, ...] | None = None
    stride: int | tuple[int, ...] = 1
    dilation: int | tuple[int, ...] = 1
    nan: str = "propagate"
    precision: str = "auto"
    backend: str = "auto"
    threads: int | None = None
    max_memory: int | None = None
    normalize: str = "none"
    divisor: float | None = None
    bias: float | None = None
    bias_percent: bool = False
    range: str | None = None
    dtype: str = "keep"
    gray: bool = False
    linear: bool = False
    alpha: str = "premultiply"
    repeat: int = 1
    combine: str = "none"

    def __post_init__(self) -> None:
        choose(self.normalize, NORMALIZATIONS, "normalize rule")
        choose(self.combine, COMBINATIONS, "combination")
        choose(self.alpha, ALPHAS, "alpha rule")
        choose(self.dtype, DTYPES, "dtype")
        if self.range is not None:
            choose(self.range, RANGES, "range")
        if self.divisor == 0:
            raise UsageError("divisor 0 divides by zero; use another number")
        if self.divisor is not None and self.normalize != "none":
            raise UsageError(f"divisor {self.divisor:g} and normalize {self.normalize} both divide; use one")
        if self.repeat < 1:
            raise UsageError(f"repeat {self.repeat} is below 1; every filter is applied at least once")
