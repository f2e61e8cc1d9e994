"""Measure how well blur is undone: the classic experiments, photos, the automatic choices, the time.

`python tests/quality [--quick] [--images a.png …]`; ends with 1 if a figure fell below its threshold.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import speed
import tables
from experiments import EXPERIMENTS, fitting, gray, images
from thresholds import missed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--images", nargs="+", type=Path, default=[], help="more images, of 256×256 or larger"
    )
    parser.add_argument("--quick", action="store_true", help="first image, experiments 3 and 5, no times")
    options = parser.parse_args()
    began = time.perf_counter()
    experiments, shown = list(EXPERIMENTS), dict(images())
    for path in options.images:
        image = gray(path)
        shown[path.stem] = fitting(image / 257 if image.max() > 255 else image)
    first = next(iter(shown))
    if options.quick:
        experiments = [e for e in EXPERIMENTS if e.number in (3, 5)]
        shown = {first: shown[first], **{path.stem: shown[path.stem] for path in options.images}}
    for experiment in experiments:
        print(f"{experiment.number}  {experiment.name}")
    one = {first: shown[first]}
    figures = tables.automatic(shown, experiments)
    figures |= tables.tuning(one if options.quick else shown, experiments)
    figures |= tables.photos(one, experiments)
    if not options.quick:
        figures |= speed.table()
    faults = missed(figures, first)
    print(f"\n{time.perf_counter() - began:.0f} s; {len(faults)} thresholds missed")
    for fault in faults:
        print(f"  {fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    np.seterr(all="raise", under="ignore")
    sys.exit(main())
