"""The interface of a method: the options that it takes, and the outcome of each of its iterations."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from convcli.arrays.library import Array
from convcli.deconvolution.blur import Blur


@dataclass(frozen=True)
class MethodOptions:
    """Options of a restoration."""

    noise: float  # standard deviation, estimated or given
    least_noise: float  # lower bound of it: that of rounding
    noise_given: bool  # then it is not corrected on the way
    balance: float | None  # weight of the penalty; None to find it
    accelerate: bool
    damping: float  # differences from the observation are ignored up to this multiple of the noise
    exponent: float  # of a hyper-Laplacian prior
    scale: float  # standard deviation of the observed image, the unit of thresholds


@dataclass
class Step:
    """Outcome of one iteration."""

    image: Array  # (planes, *grid), the restored image; overwritten by the next step
    residual: float  # root mean square of M (y − H x) over the known samples
    noise: float  # present estimates
    balance: float | None = None
    done: bool = False  # the method itself sees no reason to go on
    note: str = ""  # note on the result, for the user


class Method(Protocol):
    """Module-level names that a file of `convcli.deconvolution.methods` defines."""

    SUMMARY: str  # one line on the method
    ITERATIONS: int  # default of the largest number of iterations
    TOLERANCE: float  # default of the relative change of the image below which it stops
    OPTIONS: tuple[str, ...]  # those of balance, accelerate, damping, exponent that it uses
    POSITIVE: bool  # whether the result is at least 0, and the observation must be

    def restore(self, blur: Blur, options: MethodOptions) -> Iterator[Step]:
        """Iterate for ever, or until nothing changes."""
