"""A new named kernel is one function; the list, the help, completion and ``-k`` find it."""

import numpy as np
import pytest
from shell import within

from convcli.kernels import parse_kernel, registry
from convcli.kernels.registry import Size, named


@pytest.fixture
def _checker(monkeypatch):
    monkeypatch.setattr(registry, "_builders", dict(registry._builders))

    @named("3")
    def checker(size: Size) -> np.ndarray:
        """Signs that alternate, over SIZE."""
        return (-1) ** np.add.outer(np.arange(size[0]), np.arange(size[1]))


@pytest.mark.usefixtures("_checker")
def test_a_new_kernel_is_found_everywhere(tmp_path):
    assert parse_kernel("checker:2x3").values.tolist() == [[1, -1, 1], [-1, 1, -1]]
    assert "Signs that alternate" in within("kernels", cwd=tmp_path).out.decode()
    np.save(tmp_path / "a.npy", np.eye(4))
    assert within("convolve", "a.npy", "-k", "checker:3", "-o", "b.npy", cwd=tmp_path).status == 0
