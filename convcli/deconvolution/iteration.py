"""The loop around every method: its stopping rules and its history."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from convcli.arrays.library import Array
from convcli.deconvolution.blur import Blur
from convcli.deconvolution.method import Step


@dataclass(frozen=True)
class Iteration:
    """One entry of the history."""

    iteration: int  # from 1
    residual: float  # root mean square of y − h ∗ x over the known samples
    change: float  # of the image, relative to the image
    noise: float  # present estimates
    balance: float | None = None
    psnr: float | None = None  # measures against the reference, if there is one
    ssim: float | None = None
    isnr: float | None = None


Judge = Callable[[Array], dict[str, float]]  # takes the photo's part of an image, returns its measures
Watch = Callable[[Iteration, Callable[[], Array]], object]  # takes each entry, and a way to the image


@dataclass(frozen=True)
class Stopping:
    """The stopping rules."""

    iterations: int  # largest number of iterations
    tolerance: float  # smallest change of the image, relative to itself, that is worth another iteration
    by_itself: bool  # whether the method may end: where the residual is the noise, say

    def ends(self, entry: Iteration, step: Step) -> bool:
        """Whether an iteration was the last."""
        settled = entry.change < self.tolerance or (self.by_itself and step.done)
        return settled or entry.iteration >= self.iterations


@dataclass
class Outcome:
    """The end of the loop; `image` is the restored image on the whole grid."""

    image: Array
    history: list[Iteration] = field(default_factory=list)
    interrupted: bool = False
    note: str = ""


def iterate(
    steps: Iterator[Step], blur: Blur, stopping: Stopping, judge: Judge | None, watch: Watch | None
) -> Outcome:
    """Take steps until a stopping rule or Ctrl-C ends them, and keep the last whole one."""
    outcome = Outcome(blur.filled.copy())
    image = blur.crop(outcome.image)
    # glibc keeps freed arrays for later if one as large was freed before. Without this, page faults were 40 %
    # of the time of Richardson–Lucy on 1024×1024.
    np.empty(31 << 20, np.uint8)
    try:
        for number, step in enumerate(steps, 1):
            moved = np.subtract(blur.crop(step.image), image)
            np.copyto(outcome.image, step.image)
            change = _ratio(moved, image)
            measures = judge(image) if judge else {}
            entry = Iteration(number, step.residual, change, step.noise, step.balance, **measures)
            outcome.history.append(entry)
            outcome.note = step.note
            if watch:
                watch(entry, image.copy)
            if stopping.ends(entry, step):
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
