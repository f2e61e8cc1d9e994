"""The six experiments that papers on image restoration report, and what they are made on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

SAMPLES = Path(__file__).parent.parent.parent / "sample_images"
SIDE = 256
SEED = 20
RIM = 16  # samples next to the border, where ringing starts


def gaussian(sigma: float, size: int) -> np.ndarray:
    distance = np.arange(size) - size // 2
    profile = np.exp(-(distance**2) / (2 * sigma**2))
    return np.outer(profile, profile)


def star() -> np.ndarray:
    distance = np.arange(-7, 8) ** 2
    return 1 / (1 + distance[:, None] + distance)


@dataclass(frozen=True)
class Experiment:
    """A blur, and the variance of the noise; `bsnr` in decibels instead of a variance."""

    number: int
    name: str
    psf: np.ndarray
    variance: float = 0.0
    bsnr: float | None = None

    def observe(self, image: np.ndarray, *, valid: bool = False) -> np.ndarray:
        """Blur, as on a torus or keeping only what sees nothing of the outside, and add noise."""
        rows, columns = self.psf.shape
        placed = np.zeros(image.shape)
        placed[:rows, :columns] = self.psf
        placed = np.roll(placed, (-(rows // 2), -(columns // 2)), (0, 1))
        blurred = np.fft.ifft2(np.fft.fft2(image) * np.fft.fft2(placed)).real
        variance = self.variance if self.bsnr is None else blurred.var() / 10 ** (self.bsnr / 10)
        noise = np.random.default_rng(SEED + self.number).standard_normal(image.shape)
        return self.seen(blurred + variance**0.5 * noise) if valid else blurred + variance**0.5 * noise

    def seen(self, image: np.ndarray) -> np.ndarray:
        """The part of an image that a photo of it shows without knowing the outside."""
        top, left = self.psf.shape[0] // 2, self.psf.shape[1] // 2
        return image[top : image.shape[0] - top, left : image.shape[1] - left]


def normalised(psf: np.ndarray) -> np.ndarray:
    return psf / psf.sum()


BINOMIAL = np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1])
EXPERIMENTS = (
    Experiment(1, "1/(1+i²+j²), σ²=2", normalised(star()), 2),
    Experiment(2, "1/(1+i²+j²), σ²=8", normalised(star()), 8),
    Experiment(3, "9×9 uniform, 40 dB", normalised(np.ones((9, 9))), bsnr=40),
    Experiment(4, "binomial 5×5, σ²=49", normalised(BINOMIAL), 49),
    Experiment(5, "Gaussian 1.6, σ²=4", normalised(gaussian(1.6, 25)), 4),
    Experiment(6, "Gaussian 0.4, σ²=64", normalised(gaussian(0.4, 5)), 64),
)


def gray(path: Path) -> np.ndarray:
    with Image.open(path) as file:
        return np.asarray(file if file.mode.startswith("I") else file.convert("L"), dtype=np.float64)


def halved(image: np.ndarray) -> np.ndarray:
    """Means of 2×2 blocks."""
    return image.reshape(image.shape[0] // 2, 2, image.shape[1] // 2, 2).mean(axis=(1, 3))


def cloud() -> np.ndarray:
    """Random phases under an amplitude that falls as 1/f^1.3; deviation 45, mean 128."""
    frequency = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE))
    frequency[0, 0] = np.inf
    phases = np.fft.rfft2(np.random.default_rng(SEED).standard_normal((SIDE, SIDE)))
    image = np.fft.irfft2(phases / np.abs(phases) * frequency**-1.3, s=(SIDE, SIDE))
    return 128 + 45 * (image - image.mean()) / image.std()


def fitting(image: np.ndarray) -> np.ndarray:
    """The middle 256×256 of an image."""
    top, left = ((n - SIDE) // 2 for n in image.shape)
    return image[top : top + SIDE, left : left + SIDE]


@cache
def images() -> dict[str, np.ndarray]:
    """Name → 256×256 array of brightness 0 to 255."""
    return {
        "camera": fitting(halved(gray(SAMPLES / "camera.png"))),
        "coffee": fitting(gray(SAMPLES / "coffee.png")),
        "moon": fitting(gray(SAMPLES / "moon16.png") / 257),
        "cloud": cloud(),
    }


def isnr(truth: np.ndarray, observed: np.ndarray, restored: np.ndarray) -> float:
    return float(10 * np.log10(np.square(observed - truth).sum() / np.square(restored - truth).sum()))


def ring(truth: np.ndarray, restored: np.ndarray) -> float:
    """Error near the rim, as a multiple of that inside."""
    square = np.square(restored - truth)
    inside = square[RIM:-RIM, RIM:-RIM]
    outside = (square.sum() - inside.sum()) / (square.size - inside.size)
    return float((outside / inside.mean()) ** 0.5)
