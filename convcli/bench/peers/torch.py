"""PyTorch."""

from __future__ import annotations

from typing import Any

from convcli.bench.contestants import Task
from convcli.bench.library import Call, Library, flipped, threads_by


def _conv2d(torch: Any, task: Task) -> Call:
    image = torch.tensor(task.image)[:, None]  # planes: a batch of images with one channel each
    weights = torch.tensor(flipped(task))[None, None]
    height, width = task.case.shape
    # The padding is the same on either side: for even sizes, one output too many comes last.
    padding = tuple(n // 2 for n in task.kernel.shape)
    convolve = torch.nn.functional.conv2d

    def call() -> object:
        with torch.inference_mode():
            return convolve(image.to(weights.dtype), weights, padding=padding)[:, 0, :height, :width]

    return call


PEERS = (Library("torch.conv2d", "torch", _conv2d, threads=threads_by("get_num_threads", "set_num_threads")),)
