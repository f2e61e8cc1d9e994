"""Arrays that come to a layer, checked against each other."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike

from convcli.arrays.library import Array, array_module
from convcli.arrays.samples import samples_of
from convcli.errors import UsageError
from convcli.spec import Shape, numbers_of, per_axis, whole
from convcli.text import shape_text

LAYOUT = "(out, in/groups, *taps)"


def image_of(values: ArrayLike, what: str = "image", *, anywhere: bool = False) -> Array:
    """Return an array (N, C, *spatial) of real numbers, `anywhere` as `samples_of` means it."""
    array = samples_of(values, what, anywhere=anywhere)
    if not 3 <= array.ndim <= 5:
        raise UsageError(
            f"{what} of shape {array.shape} has {array.ndim} axes; a layer takes (N, C, *spatial) "
            "with 1 to 3 spatial axes"
        )
    if array.shape[1] == 0:
        raise UsageError(f"{what} of shape {array.shape} has no channels; it needs at least one")
    return array


def bank_of(
    values: ArrayLike, image: Array, groups: int, *, what: str = "image", layout: str = LAYOUT
) -> Array:
    """Return kernels that have as many axes as the image, and groups that divide both."""
    bank = samples_of(values, "kernel")
    if bank.ndim != image.ndim:
        raise UsageError(
            f"kernel of shape {bank.shape} has {bank.ndim} axes where the {what} has {image.ndim}; "
            f"write it as {layout}"
        )
    if bank.size == 0:
        raise UsageError(f"kernel of shape {bank.shape} is empty; it needs at least one cell")
    for count, name in ((image.shape[1], f"channels of the {what}"), (len(bank), "kernels")):
        refuse_groups(groups, count, name)
    return bank


def groups_of(groups: int) -> int:
    """Return a number of groups that is at least 1."""
    return per_axis(groups, 1, "groups", 1)[0]


def refuse_groups(groups: int, count: int, what: str) -> None:
    """Refuse groups that are not all of the same size."""
    if count % groups:
        raise UsageError(f"groups {groups} does not divide the {count} {what}; use a number that does")


def check_channels(bank: Array, needed: int, image: Array, groups: int) -> None:
    """Refuse kernels that are for another number of channels than the image has in each group."""
    if needed * groups == image.shape[1]:
        return
    there = f"{image.shape[1]} channels" + (f" in {groups} groups" if groups > 1 else "")
    raise UsageError(
        f"kernel of shape {bank.shape} is for {needed} channels{' per group' if groups > 1 else ''}, "
        f"and the image of shape {image.shape} has {there}; change the kernel or groups"
    )


def spatial_of(shape: int | Iterable[int], axes: int, what: str, leading: tuple[int, int]) -> Shape:
    """Return the spatial part of a shape that may come whole, as PyTorch writes it."""
    if whole(shape) is None:
        shape = numbers_of(shape, what)
        if len(shape) == axes + 2:
            if shape[:2] != leading:
                raise UsageError(
                    f"{what} {shape_text(shape)} does not begin with {shape_text(leading)} as the other "
                    f"arrays do; correct it, or give its last {axes} numbers alone"
                )
            shape = shape[2:]
    return per_axis(shape, axes, what, 1)


def bias_of(bias: ArrayLike | None, outputs: int) -> Array | None:
    """Return one number for every output, or None."""
    if bias is None:
        return None
    offsets = samples_of(bias, "bias")
    if offsets.shape != (outputs,):
        raise UsageError(
            f"bias of shape {offsets.shape} does not fit {outputs} outputs; give one number for each"
        )
    return offsets


def add_bias(result: Array, bias: Array | None) -> Array:
    """Add one number to every output (N, outputs, *spatial), in place where the type allows.

    Integers stay exact: sums beyond 64 bits are refused. Floats that overflow are infinite.
    """
    if bias is None:
        return result
    offsets = array_module(result).to_device(bias).reshape(-1, *(1,) * (result.ndim - 2))
    if result.dtype.kind == "f":
        with np.errstate(all="ignore"):
            result += offsets.astype(result.dtype)
        return result
    if bias.dtype.kind == "f":
        return result + offsets.astype(np.float64)
    if result.size == 0:
        return result
    highest, lowest = int(result.max()) + int(bias.max()), int(result.min()) + int(bias.min())
    if highest >= 2**63 or lowest < -(2**63):
        raise UsageError(
            "the result with its bias may be beyond 64-bit integers; convert the image to float64"
        )
    result += offsets.astype(np.int64)
    return result
