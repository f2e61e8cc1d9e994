"""Layers as people write them: ``k=7,s=2,p=3``, ``pool:k=2``, ``transposed:k=4,s=2,p=1``."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from convcli.arithmetic.axis import LayerAxis
from convcli.arithmetic.sizes import halved
from convcli.errors import UsageError
from convcli.spec import Shape, numbers_of, per_axis, span
from convcli.text import nearest, shape_text

NAMES = {
    "k": "kernel",
    "s": "stride",
    "p": "padding",
    "d": "dilation",
    "o": "output-padding",
    "c": "channels",
    "g": "groups",
    "b": "bias",
    "ceil": "ceil",
}
KEYS = {
    "conv": ("k", "s", "p", "d", "c", "g", "b"),
    "pool": ("k", "s", "p", "d", "ceil"),
    "transposed": ("k", "s", "p", "d", "o", "c", "g", "b"),
}
TYPE_ALIASES = {"tconv": "transposed", "deconv": "transposed"}
PADDING_WORDS = {"same": "same", "half": "same", "full": "full", "valid": "valid"}


@dataclass(frozen=True)
class Layer:
    """A layer without its input: one number per axis, and what holds for all of them."""

    type: str  # a name of `KEYS`
    kernel: Shape
    stride: Shape
    padding: tuple[tuple[int, int], ...]  # before and after
    dilation: Shape
    output_padding: Shape
    channels: int | None = None  # of the output; None for those of the input
    groups: int = 1
    bias: bool = True
    ceil: bool = False
    word: str = ""  # that stood for the padding, if one did

    @property
    def extents(self) -> Shape:
        """Samples that the dilated kernel spans."""
        return tuple(map(span, self.kernel, self.dilation))

    def on(self, shape: Sequence[int]) -> tuple[LayerAxis, ...]:
        """Put the layer on an input, or say why it does not go there."""
        axes = tuple(
            LayerAxis(self.type, i, k, s, p, q, d, a, self.ceil)
            for i, k, s, (p, q), d, a in zip(
                shape, self.kernel, self.stride, self.padding, self.dilation, self.output_padding, strict=True
            )
        )
        if min(axis.o for axis in axes) > 0:
            return axes
        if self.type == "transposed":
            raise UsageError(
                f"padding {self._padding_text} cuts off the whole output of an input {shape_text(shape)}; "
                "use less"
            )
        dilated = f" (dilated: {shape_text(self.extents)})" if self.extents != self.kernel else ""
        padded = tuple(axis.i + axis.p + axis.q for axis in axes)
        more = f" with its padding, {shape_text(padded)}" if padded != tuple(shape) else ""
        raise UsageError(
            f"kernel {shape_text(self.kernel)}{dilated} is larger than the input {shape_text(shape)}{more}; "
            "use more padding, or a smaller kernel"
        )

    @property
    def _padding_text(self) -> str:
        return per_axis_text([str(p) if p == q else f"{p}:{q}" for p, q in self.padding])

    def __str__(self) -> str:
        """Write the layer as `parse_layer` reads it, without what goes without saying."""
        settings = {  # each with the value that goes without saying
            "k": (per_axis_text(self.kernel), ""),
            "s": (per_axis_text(self.stride), "" if self.type == "pool" else "1"),
            "p": (self.word or self._padding_text, "0"),
            "d": (per_axis_text(self.dilation), "1"),
            "o": (per_axis_text(self.output_padding), "0"),
            "c": (str(self.channels or ""), ""),
            "g": (str(self.groups), "1"),
            "b": (str(int(self.bias or self.type == "pool")), "1"),
            "ceil": (str(int(self.ceil)), "0"),
        }
        said = ",".join(f"{key}={value}" for key, (value, usual) in settings.items() if value != usual)
        return said if self.type == "conv" else f"{self.type}:{said}"


def per_axis_text(values: Sequence[object]) -> str:
    """Write one value per axis as one where they are the same: 3, or 3x5."""
    return str(values[0]) if len(set(values)) == 1 else "x".join(str(value) for value in values)


def parse_layer(text: str, axes: int) -> Layer:
    """Read ``[TYPE:]KEY=VALUE,...``, a layer as the command line takes it.

    Types are conv (the default), pool and transposed; keys those of `NAMES`, short or long. A value is a
    number, or one per axis as in 3x5. Padding may be before:after, or one of same (half), full and valid. A
    pool steps by its own size unless told.

    >>> layer = parse_layer("kernel=4,stride=2x1,padding=same", axes=2)
    >>> print(layer, layer.padding)
    k=4,s=2x1,p=same ((1, 2), (1, 2))
    """
    head, colon, rest = text.lower().partition(":")
    if not colon or "=" in head:
        head, rest = "conv", text.lower()
    kind = TYPE_ALIASES.get(head.strip(), head.strip())
    if kind not in KEYS:
        raise _unknown("type", kind, tuple(KEYS))
    values = _values(rest, kind)
    if "kernel" not in values:
        raise UsageError("has no kernel; add its size, for example k=3")

    def numbers(name: str, default: str, minimum: int) -> Shape:
        return per_axis(_numbers(values.get(name, default), name), axes, name, minimum)

    kernel, dilation = numbers("kernel", "", 1), numbers("dilation", "1", 1)
    padding, word = _padding(values.get("padding", "0"), kernel, dilation)
    layer = Layer(
        kind,
        kernel,
        numbers("stride", values["kernel"] if kind == "pool" else "1", 1),
        padding,
        dilation,
        numbers("output-padding", "0", 0),
        _count(values["channels"], "channels") if "channels" in values else None,
        _count(values.get("groups", "1"), "groups"),
        kind != "pool" and _flag(values.get("bias", "1"), "bias"),
        _flag(values.get("ceil", "0"), "ceil"),
        word,
    )
    _check(layer)
    return layer


def _values(text: str, kind: str) -> dict[str, str]:
    """Split ``key=value,...``; keys come out long."""
    values: dict[str, str] = {}
    for item in text.split(","):
        key, equals, value = (part.strip() for part in item.partition("="))
        if not equals:
            raise UsageError(
                f'"{key}" is not key=value; a layer is [TYPE:]key=value,... such as k=3x5,s=2,p=1'
            )
        name = NAMES.get(key, key.replace("_", "-"))
        allowed = {short: NAMES[short] for short in KEYS[kind]}
        listing = ", ".join(k if k == n else f"{k} ({n})" for k, n in allowed.items())
        if name in NAMES.values() and name not in allowed.values():
            raise UsageError(f"{kind} has no {name}; use one of {listing}")
        if name not in allowed.values():
            raise _unknown("key", key, [*allowed.values(), *allowed], listing)
        if name in values:
            raise UsageError(
                f"{name} is given twice; give it once, as {key}={value} or as {key}={values[name]}"
            )
        values[name] = value
    return values


def _unknown(what: str, word: str, choices: Sequence[str], listing: str = "") -> UsageError:
    close = nearest(word, choices)
    way_out = f'did you mean "{close}"?' if close else f"use one of {listing or ', '.join(choices)}"
    return UsageError(f'unknown {what} "{word}"; {way_out}')


def _numbers(text: str, what: str) -> int | Shape:
    words = re.split("[x×]", text)
    if not all(re.fullmatch(r"\s*-?[0-9]{1,18}\s*", word) for word in words):
        raise UsageError(f'{what} "{text}" is not a whole number below 10^18, or one per axis such as 3x5')
    numbers = tuple(int(word) for word in words)
    return numbers[0] if len(numbers) == 1 else numbers


def _count(text: str, what: str) -> int:
    if not re.fullmatch("0*[1-9][0-9]{0,17}", text):
        raise UsageError(f'{what} "{text}" is not a whole number from 1, and below 10^18')
    return int(text)


def _flag(text: str, what: str) -> bool:
    if text not in ("0", "1"):
        raise UsageError(f'{what} "{text}" is neither 0 (no) nor 1 (yes)')
    return text == "1"


def _padding(text: str, kernel: Shape, dilation: Shape) -> tuple[tuple[tuple[int, int], ...], str]:
    """Read the padding of every axis; also return the word for it, if it was one."""
    if re.fullmatch("[a-z]+", text):
        if text not in PADDING_WORDS:
            raise _unknown("padding", text, tuple(PADDING_WORDS))
        word = PADDING_WORDS[text]
        spare = [span(k, d) - 1 for k, d in zip(kernel, dilation, strict=True)]
        # Half padding is the span of the kernel less one, halved; an odd sample goes behind the input.
        sides = {"same": map(halved, spare), "full": zip(spare, spare, strict=True)}
        return tuple(sides.get(word, [(0, 0)] * len(kernel))), word
    pairs = [word.partition(":") for word in re.split("[x×]", text)]
    ahead = "x".join(first for first, _, _ in pairs)
    behind = "x".join(last if colon else first for first, colon, last in pairs)
    both = (per_axis(_numbers(side, "padding"), len(kernel), "padding", 0) for side in (ahead, behind))
    return tuple(zip(*both, strict=True)), ""


def _check(layer: Layer) -> None:
    for extent, pads in zip(layer.extents, layer.padding, strict=True):
        if layer.type == "pool" and max(pads) >= extent:
            raise UsageError(
                f"padding {max(pads)} makes windows of padding alone, which have no maximum; "
                f"use at most {extent - 1}"
            )
    for a, s, d in zip(layer.output_padding, layer.stride, layer.dilation, strict=True):
        if a >= max(s, d):
            raise UsageError(
                f"output padding {a} is not below the stride {s}"
                + f" or the dilation {d}" * (d > 1)
                + f"; use at most {max(s, d) - 1}"
            )


def parse_shape(text: str) -> Shape:
    """Read the spatial shape of an input, 1 to 3 axes, such as 480x640."""
    shape = numbers_of(_numbers(text.lower(), "shape"), "shape")
    if len(shape) > 3:
        raise UsageError(
            f"shape {shape_text(shape)} has {len(shape)} axes; give the 1, 2 or 3 spatial ones, "
            "and --channels for the channels"
        )
    return per_axis(shape, len(shape), "shape", 1)
