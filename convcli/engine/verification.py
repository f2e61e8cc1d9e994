"""Compare a matrix with every backend: T · vec(x) must be vec(x ∗ k)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from convcli import backends
from convcli.arrays.gathering import all_finite
from convcli.arrays.library import Array
from convcli.engine.problem import prepare
from convcli.errors import ConvcliError, UsageError
from convcli.matrices.convolution_matrix import ConvolutionMatrix


@dataclass(frozen=True)
class Check:
    """Result of one comparison: the largest difference and the bound of rounding, or why there is none."""

    backend: str
    difference: float | None = None
    allowed: float | None = None
    reason: str | None = None

    @property
    def failed(self) -> bool:
        """Whether backend and matrix disagree."""
        if self.difference is None or self.allowed is None:
            return False
        return not self.difference <= self.allowed


def verify(matrix: ConvolutionMatrix, image: Array) -> list[Check]:
    """Multiply, and compare with every backend that can run here.

    The transpose is held to ⟨Tᵀ y, x⟩ = ⟨y, T x⟩ with a random y. The image (channels, *spatial) is finite.

    >>> from convcli.matrices.build import convolution_matrix
    >>> checks = verify(convolution_matrix([[1, 2], [3, 4]], (3, 3)), np.arange(9).reshape(1, 3, 3))
    >>> any(check.failed for check in checks)
    False
    """
    if not all_finite(image):
        raise UsageError(
            "the image has NaN or infinite samples, which leave nothing to compare; "
            "use an image without them, or --shape"
        )
    if image.dtype.kind in "bu" and int(image.max(initial=0)) < 2**63:
        image = image.astype(np.int64)
    scale = float(np.abs(matrix.kernels).sum(dtype=float)) * float(np.abs(image).max(initial=0))
    exact = matrix.dtype.kind == "i" and image.dtype.kind == "i"
    rounding = np.finfo(np.float64).eps * (matrix.kernels[0].size + 8 * math.log2(image.size + 2))
    allowed = 0.0 if exact else rounding * scale
    other = np.random.default_rng(0).integers(-9, 10, matrix.shape[1]) if matrix.transposed else None
    product = matrix @ (image.reshape(-1) if other is None else other)
    checks = []
    for name in backends.listed():
        try:
            result = _convolved(matrix, image, name, exact).reshape(-1)  # (groups, outputs / groups, *output)
        except ConvcliError as error:
            checks.append(Check(name, reason=backends.load(name).unavailable() or str(error)))
            continue
        if other is None:
            difference = float(np.abs(result - product).max(initial=0))
            checks.append(Check(name, difference, allowed))
        else:
            difference = abs((other @ result - image.reshape(-1) @ product).item())
            checks.append(Check(name, difference, allowed * 9 * len(other)))
    return checks


def _convolved(matrix: ConvolutionMatrix, image: Array, backend: str, exact: bool) -> Array:
    """Compute T · vec(image) without T."""
    spec = matrix.spec
    planes = image.reshape(matrix.groups, -1, *spec.image_shape)
    names = ("mode", "border", "op", "origin", "stride", "dilation", "padding")
    options = {name: getattr(spec, name) for name in names}
    options |= {"precision": "auto" if exact else "float64", "backend": backend}
    return prepare(planes, matrix.kernels, groups=matrix.groups, **options).compute(planes)


def failures(checks: list[Check]) -> str:
    """Say in a sentence what is wrong; nothing if all that was compared agrees."""
    failed = [check.backend for check in checks if check.failed]
    if failed:
        return f"T · vec(x) is not what {', '.join(failed)} computes; please report this with the command"
    if checks and all(check.difference is None for check in checks):
        return f"no backend could be compared: {checks[-1].reason}"
    return ""
