"""Functions with the signatures of CuPy that do what NumPy's do."""

import inspect


def parse(*texts):
    """Each name and its `inspect.Signature` in texts like "sum prod(a, axis=None)"."""
    for text in texts:
        names, _, parameters = text.removesuffix(")").partition("(")
        for name in names.split():
            yield name, inspect.signature(eval(f"lambda {parameters}: None"))


def call(target, signature, args, kwargs):
    """Call `target` as one calls a function of that signature.

    Required arguments go by position, since NumPy's names may differ; the others go by name, and only where
    they differ from the default, since NumPy's defaults may differ where the meaning does not.
    """
    bound = signature.bind(*args, **kwargs).arguments
    positional, named = [], {}
    for name, value in bound.items():
        parameter = signature.parameters[name]
        if parameter.kind is parameter.VAR_POSITIONAL:
            positional += value
        elif parameter.kind is parameter.VAR_KEYWORD:
            named |= value
        elif parameter.default is parameter.empty:
            positional.append(value)
        elif value is not parameter.default:
            named[name] = value
    return target(*positional, **named)
