"""Make every file of sample_images/ again: ``python tests/make_samples.py [FOLDER]``.

The photos come with scikit-image; everything else is drawn here, with arithmetic that rounds alike on
every machine.
"""

import sys
from pathlib import Path

import numpy as np

from convcli.images import Image, write_image

SIZE = 256


def chart():
    """Impulses, step edges, a ramp and a zone plate: what each filter does to each can be told by eye."""
    y, x = np.mgrid[:SIZE, :SIZE]
    image = np.full((SIZE, SIZE), 32, np.uint8)
    half = SIZE // 2

    image[16:half:32, 16:half:32] = 255  # impulses: each shows the kernel itself

    edges = image[:half, half:]
    edges[:] = np.where(x[:half, half:] - half > y[:half, half:], 224, 32)  # a diagonal step
    edges[32:96, 16:48] = 255
    edges[64:, 64:] = np.where((x[64:half, half + 64 :] // 8) % 2, 255, 0)  # bars, 8 pixels wide

    image[half:, :half] = (2 * x[half:, :half]).astype(np.uint8)
    image[half + 64 :, :half] = np.where(
        (x + y)[half + 64 :, :half] % 2, 255, 0
    )  # the finest checks there are

    square = (x[half:, half:] - 1.5 * half) ** 2 + (y[half:, half:] - 1.5 * half) ** 2
    image[half:, half:] = np.rint(127.5 + 127.5 * np.cos(np.pi * square / half)).astype(np.uint8)
    return image


def moon16():
    """A cratered ball lit from the left, in 16 bits: shades far finer than 8 bits can tell apart."""
    y, x = (np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2) / (0.45 * SIZE)
    height = np.zeros((SIZE, SIZE))
    random = np.random.default_rng(16)
    for cx, cy, u in random.uniform(-1, 1, (220, 3)):
        r = 0.04 / (1.15 + u)  # many small craters, few large ones
        distance = ((x - cx) ** 2 + (y - cy) ** 2) / r**2
        rim = 0.25 * np.maximum(0, 2 - distance)
        height += 0.3 * r * np.where(distance < 1, 1.25 * distance - 1, rim)
    square = np.minimum(x * x + y * y, 1)
    z = np.sqrt(1 - square) + height
    dy, dx = np.gradient(z, 1 / (0.45 * SIZE))
    light = (0.7 * dx + 0.3 * dy + 0.6) / np.sqrt(1 + dx * dx + dy * dy)
    edge = np.clip((1 - np.sqrt(x * x + y * y)) * 0.45 * SIZE, 0, 1)
    return np.rint(65535 * edge * np.clip(0.05 + 0.9 * light, 0, 1)).astype(np.uint16)


def logo():
    """Three discs with soft edges on nothing, RGBA; the colour under the transparent part is a loud green."""
    fine = 4  # samples per pixel and axis
    y, x = np.mgrid[: SIZE * fine, : SIZE * fine] / (SIZE * fine) - 0.5
    light = np.zeros((*x.shape, 4))  # premultiplied, so that samples can be averaged
    for cx, cy, rgb in ((-0.17, 0.1, (230, 57, 70)), (0.17, 0.1, (69, 123, 157)), (0, -0.17, (244, 162, 97))):
        distance = np.sqrt((x - cx) ** 2 + (y - cy) ** 2)
        cover = np.clip((0.24 - distance) / 0.04, 0, 1)
        cover = (cover * cover * (3 - 2 * cover))[..., None]
        light = cover * np.array([*rgb, 255]) + (1 - cover) * light
    light = light.reshape(SIZE, fine, SIZE, fine, 4).mean(axis=(1, 3))
    alpha = np.rint(light[..., 3:])
    with np.errstate(invalid="ignore"):
        colour = np.where(alpha > 0, np.minimum(255, light[..., :3] / light[..., 3:] * 255), (0, 255, 0))
    return np.dstack([np.rint(colour), alpha]).astype(np.uint8)


def palette():
    """A map of 24 flat colours: nearest of 60 points."""
    random = np.random.default_rng(24)
    colours = random.integers(0, 256, (24, 3), np.uint8)
    points = random.integers(0, SIZE, (60, 2))
    y, x = np.mgrid[:SIZE, :SIZE]
    nearest = np.argmin((y[..., None] - points[:, 0]) ** 2 + (x[..., None] - points[:, 1]) ** 2, axis=-1)
    return colours[nearest % 24]


def drawn():
    """The images that need no photo, by file name."""
    return {
        "chart.png": Image(chart()),
        "moon16.png": Image(moon16()),
        "logo.png": Image(logo(), alpha=True),
        "palette.png": Image(palette(), mode="P"),
    }


def main(folder):
    from skimage import data

    photos = {"coffee.png": Image(data.coffee()), "camera.png": Image(data.camera())}
    for name, image in {**drawn(), **photos}.items():
        write_image(folder / name, image, force=True, compress=9)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "sample_images")
