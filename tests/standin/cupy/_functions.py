"""The functions of the namespace: those of NumPy that are named here, with CuPy's signatures."""

# ruff: noqa: ARG001, N803
import numpy as np

from ._core import IMPLICIT, arrays_in, ndarray, operand, quiet, supported, ufunc, unwrap, wrap
from ._signatures import call, parse
from ._state import state

UFUNCS = (
    *(
        "abs",
        "absolute",
        "acos",
        "acosh",
        "add",
        "arccos",
        "arccosh",
        "arcsin",
        "arcsinh",
        "arctan",
        "arctan2",
    ),
    *("arctanh", "asin", "asinh", "atan", "atan2", "atanh", "bitwise_and", "bitwise_not", "bitwise_or"),
    *(
        "bitwise_xor",
        "bitwise_count",
        "cbrt",
        "ceil",
        "conj",
        "conjugate",
        "copysign",
        "cos",
        "cosh",
        "deg2rad",
    ),
    *("degrees", "divide", "divmod", "equal", "exp", "exp2", "expm1", "fabs", "float_power", "floor"),
    *(
        "floor_divide",
        "fmax",
        "fmin",
        "fmod",
        "frexp",
        "gcd",
        "greater",
        "greater_equal",
        "heaviside",
        "hypot",
    ),
    *("invert", "isfinite", "isinf", "isnan", "lcm", "ldexp", "left_shift", "less", "less_equal", "log"),
    *("log10", "log1p", "log2", "logaddexp", "logaddexp2", "logical_and", "logical_not", "logical_or"),
    *("logical_xor", "maximum", "minimum", "mod", "modf", "multiply", "negative", "nextafter", "not_equal"),
    *(
        "positive",
        "pow",
        "power",
        "rad2deg",
        "radians",
        "reciprocal",
        "remainder",
        "right_shift",
        "rint",
        "sign",
    ),
    *("signbit", "sin", "sinh", "sqrt", "square", "subtract", "tan", "tanh", "true_divide", "trunc"),
)

# The first argument is a device array, or a list of them where it is called `tup`; so are those called `b`.
FUNCTIONS = (
    "all amax amin any max min nanmax nanmin ptp(a, axis=None, out=None, keepdims=False)",
    "allclose isclose(a, b, rtol=1e-05, atol=1e-08, equal_nan=False)",
    "angle(z, deg=False)",
    "argmax argmin mean nanmean nansum prod sum(a, axis=None, dtype=None, out=None, keepdims=False)",
    "argpartition partition(a, kth, axis=-1)",
    "argsort sort(a, axis=-1, kind=None)",
    "argwhere flatnonzero fliplr flipud nonzero(a)",
    "around round(a, decimals=0, out=None)",
    "array_equal(a1, a2, equal_nan=False)",
    "array_split split(ary, indices_or_sections, axis=0)",
    "atleast_1d atleast_2d(*arys)",
    "average(a, axis=None, weights=None, returned=False, *, keepdims=False)",
    "bincount(x, weights=None, minlength=None)",
    "broadcast_arrays(*args)",
    "clip(a, a_min, a_max, out=None)",
    "column_stack dstack(tup)",
    "concatenate stack(tup, axis=0, out=None, *, dtype=None, casting='same_kind')",
    "count_nonzero flip squeeze(a, axis=None)",
    "cumprod cumsum(a, axis=None, dtype=None, out=None)",
    "diag(v, k=0)",
    "diff(a, n=1, axis=-1, prepend=None, append=None)",
    "dot outer(a, b, out=None)",
    "expand_dims(a, axis)",
    "hstack vstack(tup, *, dtype=None, casting='same_kind')",
    "inner vdot(a, b)",
    "interp(x, xp, fp, left=None, right=None, period=None)",
    "matmul(a, b, /, *, out=None, casting='same_kind', dtype=None)",
    "median nanmedian(a, axis=None, out=None, overwrite_input=False, keepdims=False)",
    "meshgrid(*xi, **kwargs)",
    "moveaxis(a, source, destination)",
    "nan_to_num(x, copy=True, nan=0.0, posinf=None, neginf=None)",
    "ravel(a, order='C')",
    "repeat(a, repeats, axis=None)",
    "reshape(a, newshape, order='C', *, copy=None)",
    "roll(a, shift, axis=None)",
    "rot90(a, k=1, axes=(0, 1))",
    "searchsorted(a, v, side='left', sorter=None)",
    "std var(a, axis=None, dtype=None, out=None, ddof=0, keepdims=False)",
    "swapaxes(a, axis1, axis2)",
    "take(a, indices, axis=None, out=None)",
    "take_along_axis(a, indices, axis)",
    "tensordot(a, b, axes=2)",
    "tile(A, reps)",
    "trace(a, offset=0, axis1=0, axis2=1, dtype=None, out=None)",
    "transpose(a, axes=None)",
    "tril triu(m, k=0)",
    "unique(ar, return_index=False, return_inverse=False, return_counts=False, axis=None, *, equal_nan=True)",
)

# What NumPy gives as it is: types, constants, and questions about types.
NUMPY = (
    *("bool_", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "intp", "float16"),
    *("float32", "float64", "complex64", "complex128", "generic", "number", "integer", "signedinteger"),
    *("unsignedinteger", "inexact", "floating", "complexfloating", "dtype", "finfo", "iinfo", "issubdtype"),
    *("promote_types", "newaxis", "pi", "e", "inf", "nan", "broadcast_shapes"),
)


def function(name, signature, target):
    """A function of the device that has this signature and does what a function of the host does."""
    first = next(iter(signature.parameters))

    def wrapped(*args, **kwargs):
        bound = signature.bind(*args, **kwargs).arguments
        for key, value in bound.items():
            several = signature.parameters[key].kind.name == "VAR_POSITIONAL" or key == "tup"
            if key in (first, "b"):
                for item in value if several else (value,):
                    if not isinstance(item, ndarray):
                        raise TypeError(f"Unsupported type {type(item)}")
        result = quiet(call, target, signature, unwrap(args), unwrap(kwargs))
        return wrap(result, args, tuple(kwargs.values()))

    wrapped.__name__ = wrapped.__qualname__ = name
    wrapped.__module__, wrapped.__signature__ = "cupy", signature
    wrapped.__doc__ = f"As NumPy's {name}, on the device."
    return wrapped


class Holder:
    """What shows NumPy somebody else's memory, and keeps it alive."""


def array(obj, dtype=None, copy=True, order="K", subok=False, ndmin=0, *, blocking=False):
    """A device array of anything that makes an array: the only way in for arrays of the host."""
    if isinstance(obj, ndarray):
        host = np.array(obj._host, supported(dtype or obj.dtype), copy=copy or None, order=order, ndmin=ndmin)
        return wrap(host, obj)
    if hasattr(obj, "__cuda_array_interface__"):
        # The same words say where an array of the host is, which is what this one is.
        holder = Holder()
        holder.__array_interface__, holder.owner = obj.__cuda_array_interface__, obj
        return wrap(np.asarray(holder, dtype, order=order or "K"))
    if any(True for _ in arrays_in((obj,))):
        raise TypeError(IMPLICIT)  # CuPy joins lists of arrays; here one says concatenate
    host = np.array(obj, dtype, order=order or "K", ndmin=ndmin)
    supported(host.dtype)
    host = host.astype(host.dtype.newbyteorder("="), order="K", copy=False)
    result = wrap(host)
    state.log.append(("to_device", host.nbytes))
    return result


def asarray(a, dtype=None, order=None, *, copy=None, blocking=False):
    """The array itself if it is one on the device and as wanted, else a new one."""
    if copy is False and not isinstance(a, ndarray):
        raise ValueError("Unable to avoid copy while creating an array as requested.")
    return array(a, dtype, bool(copy), order or "K")


def ascontiguousarray(a, dtype=None):
    """The array itself if it is contiguous, else a copy that is; CuPy takes no host arrays here."""
    return wrap(np.ascontiguousarray(operand(a), dtype), a)


def asnumpy(a, stream=None, order="C", out=None, *, blocking=True):
    """A copy on the host."""
    return a.get(stream, order, out, blocking) if isinstance(a, ndarray) else np.asarray(a, order=order)


def get_array_module(*args):
    """This module if an argument is one of its arrays, else NumPy."""
    import cupy

    return cupy if any(isinstance(arg, ndarray) for arg in args) else np


def empty(shape, dtype=float, order="C"):
    """A new array of whatever was in memory."""
    return ndarray(shape, dtype, order=order)


def full(shape, fill_value, dtype=None, order="C"):
    """A new array of one value."""
    result = ndarray(shape, np.asarray(operand(fill_value)).dtype if dtype is None else dtype, order=order)
    result._host[...] = operand(fill_value)
    return result


def zeros(shape, dtype=float, order="C"):
    """A new array of zeros."""
    return full(shape, 0, dtype, order)


def ones(shape, dtype=float, order="C"):
    """A new array of ones."""
    return full(shape, 1, dtype, order)


def empty_like(prototype, dtype=None, order="K", subok=None, shape=None):
    """A new array of the shape, dtype and layout of another."""
    if subok is not None:
        raise TypeError("subok is not supported yet")
    host = operand(prototype)
    dtype = supported(dtype or host.dtype)
    state.check(int(np.prod(host.shape if shape is None else shape, dtype=object)) * dtype.itemsize)
    return wrap(np.empty_like(host, dtype, order, shape=shape))


def full_like(a, fill_value, dtype=None, order="K", subok=None, shape=None):
    """A new array of one value, otherwise like another."""
    result = empty_like(a, dtype, order, subok, shape)
    result._host[...] = operand(fill_value)
    return result


def zeros_like(a, dtype=None, order="K", subok=None, shape=None):
    """A new array of zeros, otherwise like another."""
    return full_like(a, 0, dtype, order, subok, shape)


def ones_like(a, dtype=None, order="K", subok=None, shape=None):
    """A new array of ones, otherwise like another."""
    return full_like(a, 1, dtype, order, subok, shape)


def arange(start, stop=None, step=1, dtype=None):
    """Evenly spaced numbers."""
    return wrap(np.arange(start, dtype=dtype) if stop is None else np.arange(start, stop, step, dtype))


def linspace(start, stop, num=50, endpoint=True, retstep=False, dtype=None, axis=0):
    """So many evenly spaced numbers."""
    return wrap(np.linspace(operand(start), operand(stop), num, endpoint, retstep, dtype, axis))


def eye(N, M=None, k=0, dtype=float, order="C"):
    """Ones on a diagonal."""
    return wrap(np.eye(N, M, k, dtype, order))


def indices(dimensions, dtype=int):
    """The indices of a grid."""
    return wrap(np.indices(dimensions, dtype))


def where(condition, x=None, y=None):
    """Elements of two arrays by a condition, or the indices where it holds."""
    if (x is None) != (y is None):
        raise ValueError("Must provide both 'x' and 'y' or neither.")
    if not isinstance(condition, ndarray):
        raise TypeError(f"Unsupported type {type(condition)}")
    if x is None:
        return condition.nonzero()
    return wrap(np.where(condition._host, operand(x), operand(y)))


def copyto(dst, src, casting="same_kind", where=None):
    """Copy values into an array, where a mask allows."""
    if not isinstance(dst, ndarray):
        raise TypeError(f"Unsupported type {type(dst)}")
    mask = True if where is None else operand(where)
    quiet(np.copyto, dst._host, operand(src), casting=casting, where=mask)


def pad(array, pad_width, mode="constant", **kwargs):
    """Frame an array. CuPy has no mode "median"."""
    if not isinstance(array, ndarray):
        raise TypeError(f"Unsupported type {type(array)}")
    if callable(mode) or mode == "median":
        raise ValueError(f"mode '{mode}' is not supported")
    return wrap(np.pad(array._host, unwrap(pad_width), mode, **unwrap(kwargs)))


def broadcast_to(array, shape):
    """A view of a larger shape: writeable, as in CuPy, which has no other arrays."""
    if not isinstance(array, ndarray):
        raise TypeError(f"Unsupported type {type(array)}")
    host = array._host
    strides = np.broadcast_to(host, shape).strides
    return wrap(np.lib.stride_tricks.as_strided(host, np.broadcast_to(host, shape).shape, strides), array)


def einsum(*operands, dtype=None, optimize=False):
    """Einstein's sums."""
    for item in operands[1:]:
        operand(item)
    return wrap(quiet(np.einsum, *unwrap(operands), dtype=dtype, optimize=optimize), operands)


def result_type(*arrays_and_dtypes):
    """The dtype that arithmetic of these has."""
    return np.result_type(*(x._host if isinstance(x, ndarray) else x for x in arrays_and_dtypes))


def can_cast(from_, to, casting="safe"):
    """Whether the dtype of an array, or a dtype, can be cast to another."""
    return np.can_cast(from_.dtype if isinstance(from_, ndarray) else from_, to, casting)


def shares_memory(a, b, max_work=None):
    """Whether two arrays have elements in common."""
    return np.shares_memory(operand(a), operand(b))


def may_share_memory(a, b, max_work=None):
    """Whether the extents of two arrays in memory overlap."""
    return np.may_share_memory(operand(a), operand(b))


def real(val):
    """The real part."""
    return val.real


def imag(val):
    """The imaginary part."""
    return val.imag


def quantile(
    a, q, axis=None, out=None, overwrite_input=False, method="linear", keepdims=False, *, interpolation=None
):
    """Quantiles, by fewer methods than NumPy's."""
    return _ranked(np.quantile, a, q, axis, out, interpolation or method, keepdims)


def percentile(
    a, q, axis=None, out=None, overwrite_input=False, method="linear", keepdims=False, *, interpolation=None
):
    """Percentiles, by fewer methods than NumPy's."""
    return _ranked(np.percentile, a, q, axis, out, interpolation or method, keepdims)


def _ranked(target, a, q, axis, out, method, keepdims):
    if method not in ("lower", "higher", "midpoint", "nearest", "linear"):
        raise ValueError(f"'{method}' method is not yet supported. Please use any other method.")
    if not isinstance(a, ndarray):
        raise TypeError(f"Unsupported type {type(a)}")
    return wrap(quiet(target, a._host, unwrap(q), axis, unwrap(out), method=method, keepdims=keepdims), out)


def copy(a, order="K"):
    """A copy."""
    return a.copy(order)


def ndim(a):
    """The number of axes."""
    return np.ndim(a._host if isinstance(a, ndarray) else a)


def shape(a):
    """The lengths of the axes."""
    return np.shape(a._host if isinstance(a, ndarray) else a)


def size(a, axis=None):
    """The number of elements, of all or along an axis."""
    return np.size(unwrap(a), axis)


def iscomplexobj(x):
    """Whether the dtype is complex."""
    return np.iscomplexobj(x._host if isinstance(x, ndarray) else x)


def isrealobj(x):
    """Whether the dtype is not complex."""
    return not iscomplexobj(x)


def isscalar(element):
    """Whether it is a scalar, which a device array never is."""
    return np.isscalar(element)


GENERATED = {name: ufunc(name) for name in UFUNCS}
GENERATED |= {name: getattr(np, name) for name in NUMPY}
GENERATED |= {name: function(name, signature, getattr(np, name)) for name, signature in parse(*FUNCTIONS)}
HANDMADE = (
    *(array, asarray, ascontiguousarray, asnumpy, get_array_module, empty, full, zeros, ones),
    *(empty_like, full_like, zeros_like, ones_like, arange, linspace, eye, indices, where, copyto),
    *(pad, broadcast_to, einsum, result_type, can_cast, shares_memory, may_share_memory, real, imag),
    *(quantile, percentile, copy, ndim, shape, size, iscomplexobj, isrealobj, isscalar),
)
