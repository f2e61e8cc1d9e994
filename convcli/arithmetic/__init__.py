"""Convolution arithmetic: sizes, receptive fields and costs of layers, each size with its formula.

The formulas are the fifteen relationships of V. Dumoulin and F. Visin, "A guide to convolution
arithmetic for deep learning", arXiv:1603.07285, by their numbers and in their letters: input i,
kernel k, stride s, padding p, dilation d, output o; for transposed convolutions i', o', and a, which
others call output padding. Where none holds as stated, q is the padding behind, and p that ahead.

`axis` has the formulas, for one axis of one layer; `layer` reads and writes layers as people write them;
`sizes` counts windows; `network` follows an input through several. The room may import `errors`, `text` and
`spec`.
"""

from convcli.arithmetic.axis import RELATIONSHIPS, LayerAxis
from convcli.arithmetic.layer import Layer, parse_layer, parse_shape, per_axis_text
from convcli.arithmetic.network import State, follow

__all__ = [
    "RELATIONSHIPS",
    "Layer",
    "LayerAxis",
    "State",
    "follow",
    "parse_layer",
    "parse_shape",
    "per_axis_text",
]
