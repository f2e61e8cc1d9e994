"""The balance of a penalty: estimated from the residual while the iterations go on."""

import math

import numpy as np

from convcli.arrays.library import Array
from convcli.deconvolution.blur import Blur, power
from convcli.deconvolution.method import MethodOptions

PURITY = 7  # number of times that (1 − q) is squared, until noise alone is left
PACE = 1.15  # largest factor of one update; the noise must follow faster, or the two chase each other
ENOUGH = 100  # frequencies that count, for an error of 5 %
SETTLED = 0.98  # fraction of the squared residual that an iteration leaves, once the image fits
LEAST, MOST = 0.25, 30.0  # of the last balance, as multiples of the first


class Balance:
    """The balance b of ½‖M(y − Hx)‖² + b φ(Dx), and the standard deviation σ of the noise.

    A penalty acts on frequency f as the quadratic one ½ w c(f) |x|² does, where c is the transform of
    the operator in it (`curvature`) and w its mean slope: it lets q = |H|²/(|H|² + w c) of the noise
    there through to the result. So the residual has

        ‖M(y − Hx)‖² = σ² (N − γ),    γ = (N/n) Σ q            over the n frequencies,

    and where q is next to 0 it is nothing but noise:

        σ² = Σ p |R|² / (N Σ p (1 − q)²),    p = (1 − q)¹²⁸.

    Both equations are met by and by: b is multiplied by (1 − ‖r‖²/σ²N)/(γ/N) in every iteration. Where the
    model does not hold, as for a photo said to be periodic, no b explains the residual; the last is at most
    four times smaller than the first, `start`, or thirty times larger. `value` and `noise` are b and σ, as
    given in the options or estimated so far.

    Equivalent degrees of freedom: Thompson, Brown, Kay and Titterington (1991), "A study of methods of
    choosing the smoothing parameter in image restoration by regularization", IEEE TPAMI 13, section II. The
    estimate of σ from the frequencies that the filter blocks is our own.
    """

    def __init__(self, blur: Blur, curvature: Array, options: MethodOptions, start: float) -> None:
        self.blur, self.curvature = blur, curvature
        self.fixed, self.noise_known = options.balance is not None, options.noise_given
        self.value = start if options.balance is None else options.balance
        self.bounds = start * LEAST, start * MOST
        self.noise = options.noise
        self.noise_bounds = options.least_noise, options.noise
        self.remains = 0.0

    def update(self, residual: Array, weight: float) -> None:
        """Correct noise and balance by the transform of M(y − Hx); `weight` is w times the balance."""
        if self.fixed and self.noise_known:
            return
        blur = self.blur
        blocked = self.curvature * weight
        blocked /= blocked + blur.gain + np.finfo(blur.dtype).tiny  # 1 − q
        left = power(residual).sum(axis=0)
        if not self.noise_known:
            self._estimate_noise(left, blocked)
        if self.fixed:
            return
        through = max(1 - blur.mean(blocked), 1e-6)
        expected = self.noise**2 * blur.count
        remains = blur.mean(left)
        ratio = 1 - remains / expected if expected > 0 else -1.0
        settling, self.remains = remains < SETTLED * self.remains, remains
        if settling and ratio < through:  # the surroundings, not the balance, make it too large
            return
        wanted = self.value * min(max(ratio / through, 1 / PACE), PACE)
        self.value = min(max(wanted, self.bounds[0]), self.bounds[1])

    @property
    def stuck(self) -> bool:
        """Whether the balance found is the smallest there can be: the assumptions do not fit the image."""
        return not self.fixed and self.value <= self.bounds[0]

    def _estimate_noise(self, left: Array, blocked: Array) -> None:
        """Estimate the noise from the residual at the frequencies that are blocked, if those are enough."""
        blur = self.blur
        pure = blocked / max(float(blocked.max()), float(np.finfo(blur.dtype).tiny))
        for _ in range(PURITY):
            np.square(pure, out=pure)
        mean, square = blur.mean(pure), blur.mean(np.square(pure))
        if square == 0 or mean**2 * blur.count < ENOUGH * square:
            return
        seen = blur.mean(pure * np.square(blocked)) * blur.count
        least, most = self.noise_bounds
        self.noise = min(max(math.sqrt(blur.mean(pure * left) / seen), least), most)
