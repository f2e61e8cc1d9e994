"""OpenCV."""

from __future__ import annotations

from typing import Any

import numpy as np

from convcli.bench.contestants import Task
from convcli.bench.library import Call, Library, flipped, threads_by


def _filter2d(cv2: Any, task: Task) -> Call:
    image, weights = task.image, flipped(task)
    depth = cv2.CV_64F if weights.dtype == np.float64 else cv2.CV_32F
    zeros = cv2.BORDER_CONSTANT
    return lambda: [cv2.filter2D(plane, depth, weights, borderType=zeros) for plane in image]


PEERS = (Library("cv2.filter2D", "cv2", _filter2d, threads=threads_by("getNumThreads", "setNumThreads")),)
