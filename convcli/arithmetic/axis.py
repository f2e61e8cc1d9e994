"""One axis of one layer: its sizes, and the relationship that gives them."""

import re
from dataclasses import dataclass

from convcli.arithmetic.sizes import transposed_size, window_count
from convcli.spec import ceil_div, span

RELATIONSHIPS = {
    1: ("no padding, unit stride", "(i − k) + 1"),
    2: ("padding, unit stride", "(i − k) + 2p + 1"),
    3: ("half (same) padding, unit stride", "i"),
    4: ("full padding, unit stride", "i + (k − 1)"),
    5: ("no padding, non-unit stride", "⌊(i − k)/s⌋ + 1"),
    6: ("padding, non-unit stride", "⌊(i + 2p − k)/s⌋ + 1"),
    7: ("pooling", "⌊(i − k)/s⌋ + 1"),
    8: ("transposed: no padding, unit stride", "i' + (k − 1)"),
    9: ("transposed: padding, unit stride", "i' + (k − 1) − 2p"),
    10: ("transposed: half (same) padding, unit stride", "i'"),
    11: ("transposed: full padding, unit stride", "i' − (k − 1)"),
    12: ("transposed: no padding, non-unit stride", "s(i' − 1) + k"),
    13: ("transposed: padding, non-unit stride", "s(i' − 1) + k − 2p"),
    14: ("transposed: non-unit stride, output padding", "s(i' − 1) + a + k − 2p"),
    15: ("dilated", "⌊(i + 2p − k − (k − 1)(d − 1))/s⌋ + 1"),
}


@dataclass(frozen=True)
class LayerAxis:
    """One axis of a layer on an input of known size, in the letters of the paper.

    These are samples of the input i, cells of the kernel k, stride s, dilation d, padding p ahead and q
    behind, which a transposed convolution cuts off its result, and its output padding a. A pool with `ceil`
    rounds up: its last window may reach beyond the padding, but not begin there.

    >>> axis = LayerAxis("conv", i=32, k=3, s=2, p=1, q=1)
    >>> axis.o, axis.relationship
    (16, 6)
    >>> print(axis.formula, "=", axis.numbers)
    ⌊(i + 2p − k)/s⌋ + 1 = ⌊(32 + 2·1 − 3)/2⌋ + 1
    """

    type: str
    i: int
    k: int
    s: int = 1
    p: int = 0
    q: int = 0
    d: int = 1
    a: int = 0
    ceil: bool = False

    @property
    def extent(self) -> int:
        """Samples that the dilated kernel spans."""
        return span(self.k, self.d)

    @property
    def o(self) -> int:
        """Samples of the output; below 1 if the layer cannot be."""
        if self.type == "transposed":
            return transposed_size(self.i, self.extent, self.s) + self.a - self.p - self.q
        return window_count(self.i, (self.p, self.q), self.extent, self.s, ceil=self.ceil)

    @property
    def dropped(self) -> bool:
        """Whether rounding up gives a window too many, one that begins behind the input."""
        rest = self.i + self.p + self.q - self.extent
        return self.ceil and self.o <= ceil_div(rest, self.s)

    @property
    def relationship(self) -> int | None:
        """Number of the most specific relationship that holds as the paper states it, if any does."""
        if self.p != self.q:
            return None
        if self.type == "pool":
            return None if self.p or self.d > 1 or self.ceil else 7
        if self.type == "conv":
            if self.d > 1:
                return 15
            return 1 + self._padding_kind if self.s == 1 else 6 if self.p else 5
        if self.d > 1:
            return None
        if self.a:
            return 14
        return 8 + self._padding_kind if self.s == 1 else 13 if self.p else 12

    @property
    def _padding_kind(self) -> int:
        """0 for none, 1 for any, 2 for half, 3 for full: the order of the paper."""
        if self.p == 0:
            return 0
        return 3 if self.p == self.k - 1 else 2 if 2 * self.p == self.k - 1 else 1

    @property
    def name(self) -> str:
        """Subject of the relationship; without one, the relationship that was generalised, and how."""
        if self.relationship:
            return RELATIONSHIPS[self.relationship][0]
        nearest = {"pool": "R7", "transposed": "R14", "conv": "R15" if self.d > 1 else "R6"}[self.type]
        changes = {
            "for the padded input": self.type == "pool" and self.p + self.q > 0,
            "for padding p ahead and q behind": self.p != self.q,
            "for the span of the dilated kernel": self.type != "conv" and self.d > 1,
            "rounded up": self.ceil,
            "less the window that begins behind the input": self.dropped,
        }
        return f"{nearest} " + ", ".join(text for text, true in changes.items() if true)

    @property
    def letter(self) -> str:
        """What the paper calls the output: o' for a transposed convolution."""
        return "o'" if self.type == "transposed" else "o"

    @property
    def formula(self) -> str:
        """Right-hand side of the relationship; without one, of the general rule."""
        if self.relationship:
            return RELATIONSHIPS[self.relationship][1]
        inflation = "(k − 1)(d − 1)" if self.d > 1 else ""
        if self.type == "transposed":
            cut = " − p − q" if self.p != self.q else " − 2p" if self.p else ""
            return "s(i' − 1)" + " + a" * bool(self.a) + " + k" + f" + {inflation}" * bool(inflation) + cut
        padded = "i + p + q" if self.p != self.q else "i + 2p" if self.p else "i"
        steps = f"({padded} − k" + f" − {inflation}" * bool(inflation) + ")/s"
        return (f"⌈{steps}⌉" if self.ceil else f"⌊{steps}⌋") + " + 1" + " − 1" * self.dropped

    @property
    def numbers(self) -> str:
        """The formula with the numbers put in."""

        def put_in(letter: re.Match[str]) -> str:
            return "·".join(filter(None, (letter[1], str(getattr(self, letter[2])), letter[3])))

        return re.sub(r"(\d?)([ikspqda])'?(\(?)", put_in, self.formula)

    def reach(self, width: int) -> int:
        """Samples of the input under the kernel, for `width` neighbouring samples of the output."""
        if self.type == "transposed":  # every s-th position under the kernel has a sample of the input
            return (width - 1 + self.extent - 1) // self.s + 1
        return transposed_size(width, self.extent, self.s)
