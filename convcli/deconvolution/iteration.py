"""The loop around every method: when it ends, what it remembers, and what it shows on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from convcli.arrays.library import Array
from convcli.deconvolution.blur import Blur
from convcli.deconvolution.method import Step


@dataclass(frozen=True)
class Record:
    """One iteration, for the history.

    Attributes
    ----------
    iteration : int
        From 1 on.
    residual : float
        Root mean square of what the blurred result leaves of the observation.
    change : float
        Of the image, relative to the image.
    noise, balance : float
        As believed then.
    psnr, ssim, isnr : float, optional
        Against the reference, where there is one.
    """

    iteration: int
    residual: float
    change: float
    noise: float
    balance: float | None = None
    psnr: float | None = None
    ssim: float | None = None
    isnr: float | None = None


Judge = Callable[[Array], dict[str, float]]
Watch = Callable[[Record, Callable[[], Array]], object]


@dataclass
class Outcome:
    """What the loop ended with; `whole` is the restored image on the grid."""

    whole: Array
    history: list[Record] = field(default_factory=list)
    interrupted: bool = False
    note: str = ""


def iterate(
    steps: Iterator[Step],
    blur: Blur,
    *,
    iterations: int,
    tolerance: float,
    judge: Judge | None = None,
    watch: Watch | None = None,
    stops: bool = True,
) -> Outcome:
    """Take steps until they are enough, and keep the last.

    Parameters
    ----------
    steps : iterator of Step
    blur : Blur
    iterations : int
        At most.
    tolerance : float
        Ends when the image changes by less, relative to itself.
    judge : callable, optional
        Takes the photo's part of an image and returns measures for the history.
    watch : callable, optional
        Called after every iteration with its record and a function that returns the image.
    stops : bool
        Whether the method may end by itself.

    Returns
    -------
    Outcome
        After Ctrl-C with what the last whole iteration gave, if there was one.
    """
    outcome = Outcome(blur.filled.copy())
    image = blur.crop(outcome.whole)
    _keep_freed_memory()
    try:
        for number, step in enumerate(steps, 1):
            moved = np.subtract(blur.crop(step.image), image)
            np.copyto(outcome.whole, step.image)
            change = _ratio(moved, image)
            measures = judge(image) if judge else {}
            record = Record(number, step.residual, change, step.noise, step.balance, **measures)
            outcome.history.append(record)
            outcome.note = step.note
            if watch:
                watch(record, image.copy)
            if number >= iterations or (stops and step.done) or change < tolerance:
                break
    except KeyboardInterrupt:
        if not outcome.history:
            raise
        outcome.interrupted = True
    return outcome


def _ratio(part: Array, whole: Array) -> float:
    """‖part‖/‖whole‖."""
    above, below = (float(np.vdot(array, array)) for array in (part, whole))
    return (above / below) ** 0.5 if below > 0 else 0.0


def _keep_freed_memory() -> None:
    """Have freed arrays kept for the next iteration, not given back to the system and asked for again.

    glibc takes the size of a freed block as a sign of what the program goes on to need: up to 32 MiB.
    Without this, page faults were 40 % of the time of Richardson–Lucy on 1024×1024.
    """
    block = np.empty(31 << 20, np.uint8)
    del block
