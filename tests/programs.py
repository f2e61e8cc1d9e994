"""Whole processes on photographs: `convcli` against those of `vips`, ImageMagick and G'MIC that are there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from measure import head, medians, show
from PIL import Image

ROOT = Path(__file__).parent.parent
CONVCLI = [sys.executable, "-m", "convcli", "convolve"]
SIZE = 4096, 3072
KERNELS = (3, 7, 15, 31)
TARGETS = {
    ".png": {3: "≤ 0.6", 7: "≤ 0.5", 15: "≤ 0.35", 31: "≤ 0.12"},
    ".jpg": {3: "≤ 1.6", 7: "≤ 0.9", 15: "≤ 0.3", 31: "≤ 0.08"},
}
FILES = 200
# An installed program has its bytecode.
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
LONG = 5.0  # seconds of a run, beyond which one is enough; but for vips, no larger kernel is tried


def run(*command: object) -> Callable[[], object]:
    """Return a call that runs a program to its end."""
    words = [str(word) for word in command]
    return lambda: subprocess.run(words, check=True, capture_output=True, env=ENVIRONMENT)


def rivals(source: Path, target: Path, kernel: np.ndarray, folder: Path) -> dict[str, Callable[[], object]]:
    """Return the programs that are installed, each filtering `source` with `kernel`."""
    found: dict[str, Callable[[], object]] = {}
    if shutil.which("vips"):
        matrix = write_matrix(kernel, folder)
        found["vips"] = run("vips", "conv", source, target, matrix, "--precision", "float")
    if (magick := shutil.which("magick") or shutil.which("convert")) and _is_magick(magick):
        cells = " ".join(",".join(f"{cell:.9g}" for cell in row) for row in kernel)
        text = f"{len(kernel)}x{len(kernel)}: {cells}"
        found["convert"] = run(magick, source, "-morphology", "Convolve", text, target)
    if shutil.which("gmic"):
        rows = ";".join(",".join(f"{cell:.9g}" for cell in row) for row in kernel)
        found["gmic"] = run("gmic", source, f"({rows})", "-convolve[0]", "[1]", "-keep[0]", "-output", target)
    return found


def _is_magick(program: str) -> bool:
    done = subprocess.run([program, "-version"], capture_output=True, text=True)
    return "ImageMagick" in done.stdout


def write_matrix(kernel: np.ndarray, folder: Path) -> Path:
    """Write a kernel as vips reads it."""
    path = folder / f"{len(kernel)}.mat"
    rows = "\n".join(" ".join(f"{cell:.9g}" for cell in row) for row in kernel)
    path.write_text(f"{len(kernel)} {len(kernel)}\n{rows}\n")
    return path


def photograph(size: tuple[int, int], mode: str) -> Image.Image:
    """Enlarge a sample, with the noise of a camera."""
    with Image.open(ROOT / "sample_images" / "coffee.png") as file:
        picture = np.asarray(file.convert(mode).resize(size, Image.Resampling.BICUBIC))
    noise = np.random.default_rng(0).integers(-3, 4, picture.shape)
    return Image.fromarray((picture + noise).clip(0, 255).astype(np.uint8))


def photographs(runs: int) -> None:
    """12.6 megapixels of RGB from JPEG to PNG and JPEG."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = folder / "photo.jpg"
        photograph(SIZE, "RGB").save(source, quality=92)
        head("theirs")
        slow: set[tuple[str, str]] = set()
        for taps in KERNELS:
            kernel = np.random.default_rng(taps).random((taps, taps)) + 0.1
            kernel /= kernel.sum()
            for extension, targets in TARGETS.items():
                ours = run(
                    *CONVCLI, source, "-k", write_matrix(kernel, folder), "-f", "-o", folder / f"a{extension}"
                )
                for rival, theirs in rivals(source, folder / f"b{extension}", kernel, folder).items():
                    if (rival, extension) in slow:
                        continue
                    began = time.perf_counter()
                    theirs()
                    long = time.perf_counter() - began > LONG
                    times = medians({"ours": ours, "theirs": theirs}, 1 if long else runs, warm=not long)
                    target = targets[taps] if rival == "vips" else ""
                    what = f"12.6 MP, {taps}×{taps} → {extension} / {rival}"
                    show(what, times["ours"], times["theirs"], target)
                    if long and rival != "vips":
                        slow.add((rival, extension))
        _memory(folder, source)


def _memory(folder: Path, source: Path) -> None:
    """Print the peak of resident memory of one run."""
    script = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, capture_output=True); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    command = [*CONVCLI, str(source), "-k", str(folder / "7.mat"), "-f", "-o", str(folder / "a.png")]
    done = subprocess.run(
        [sys.executable, "-c", script, *command], check=True, capture_output=True, text=True, env=ENVIRONMENT
    )
    pixels = SIZE[0] * SIZE[1] * 3 * 4
    show(
        "  peak memory / 3 (in + out) + 80 MB",
        int(done.stdout) / 1e3,
        (6 * pixels + 80e6) / 1e6,
        "≤ 1",
        1,
        "MB",
    )


def small(runs: int) -> None:
    """One picture of 512×512, and a folder of many."""
    kernel = np.random.default_rng(5).random((5, 5))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        many = folder / "many"
        many.mkdir()
        for channels in ("L", "RGB"):
            picture = photograph((512, 512), channels)
            for number in range(FILES):
                picture.save(many / f"{number:03}.png")
            source, matrix = many / "000.png", write_matrix(kernel / kernel.sum(), folder)
            ours = run(*CONVCLI, source, "-k", matrix, "-f", "-o", folder / "a.png")
            for rival, theirs in rivals(source, folder / "b.png", kernel / kernel.sum(), folder).items():
                times = medians({"ours": ours, "theirs": theirs}, 2 * runs)
                target = "≤ 2.2" if rival == "vips" else ""
                show(f"512×512 {channels} .png / {rival}", times["ours"], times["theirs"], target)
            if shutil.which("vips"):
                (folder / "out").mkdir(exist_ok=True)
                each = 'for f in "$1"/*.png; do vips conv "$f" "$2"/b.png "$3" --precision float; done'
                times = medians(
                    {
                        "ours": run(
                            *CONVCLI, *sorted(many.iterdir()), "-k", matrix, "-f", "-o", f"{folder}/out/"
                        ),
                        "theirs": run("sh", "-c", each, "sh", many, folder, matrix),
                    },
                    3,
                )
                show(
                    f"{FILES} of 512×512 {channels} .png / vips each",
                    times["ours"],
                    times["theirs"],
                    "≤ 0.33",
                )


def main(runs: int = 5) -> None:
    small(runs)
    photographs(runs)


if __name__ == "__main__":
    main()
