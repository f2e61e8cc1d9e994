"""The array and the universal functions."""
# Signatures are CuPy's, whether or not an argument means something here.
# ruff: noqa: ARG002, N801

import functools

import numpy as np

from ._signatures import call, parse
from ._state import state

SCALARS = {bool, int, float, complex, *(np.dtype(char).type for char in "?bBhHiIlLqQefdFD")}
IMPLICIT = (
    "Implicit conversion to a NumPy array is not allowed. "
    "Please use `.get()` to construct a NumPy array explicitly."
)


def unwrap(value):
    """The host array of each device array in `value`, however nested; host arrays are refused."""
    if isinstance(value, ndarray):
        return value._host
    if isinstance(value, np.ndarray):
        raise TypeError(f"Unsupported type {type(value)}")
    if type(value) in (list, tuple):
        return type(value)(unwrap(item) for item in value)
    if type(value) is dict:
        return {key: unwrap(item) for key, item in value.items()}
    return value


def operand(value):
    """The host value of an operand of a universal function: a device array or a scalar, nothing else."""
    if isinstance(value, ndarray):
        return value._host
    if type(value) in SCALARS:
        return value
    raise TypeError(f"Unsupported type {type(value)}")


def supported(dtype):
    """The dtype, if there are device arrays of it."""
    dtype = np.dtype(dtype)
    if dtype.kind not in "biufcV" or dtype.char in "gG":
        raise ValueError(f"Unsupported dtype {dtype}")
    return dtype


def arrays_in(values):
    """The device arrays among values, however nested."""
    for value in values:
        if isinstance(value, ndarray):
            yield value
        elif type(value) in (list, tuple):
            yield from arrays_in(value)


def wrap(result, *sources):
    """Make what NumPy returned a device array: a view of a source where it shares its memory, else new."""
    if isinstance(result, (tuple, list)):
        return type(result)(wrap(item, *sources) for item in result)
    if result is None or isinstance(result, (np.dtype, ndarray)):
        return result
    host = np.asarray(result)
    root = owner(host)
    base = None
    for source in arrays_in(sources):
        if host is source._host:
            return source
        if base is None and owner(source._host) is root:
            base = source if source.base is None else source.base
    if base is None:
        supported(host.dtype)
        state.adopt(root, root.nbytes if isinstance(root, np.ndarray) else host.nbytes)
    return ndarray._of(host, base)


def owner(host):
    """The object at the end of the chain of bases, which owns the memory."""
    while (base := getattr(host, "base", None)) is not None:
        host = base
    return host


def quiet(function, *args, **kwargs):
    """Call without the warnings of floating-point arithmetic, of which a device has none."""
    with np.errstate(all="ignore"):
        return function(*args, **kwargs)


class Flags:
    """CuPy's flags, which are fewer than NumPy's."""

    def __init__(self, c_contiguous, f_contiguous, owndata):
        self.c_contiguous, self.f_contiguous, self.owndata = c_contiguous, f_contiguous, owndata
        self.forc = c_contiguous or f_contiguous
        self.fnc = f_contiguous and not c_contiguous

    def __getitem__(self, name):
        return getattr(self, name.lower())


class ndarray:
    """An array on the device, as far as a program can tell; a NumPy array in a box, in truth."""

    __array_priority__ = 100
    __hash__ = None

    def __init__(self, shape, dtype=float, memptr=None, strides=None, order="C"):
        dtype = supported(dtype)
        self._memptr = self.base = None
        if memptr is None:
            if strides is not None:
                raise ValueError("memptr is required if strides is given.")
            state.check(int(np.prod(shape, dtype=object)) * dtype.itemsize)
            self._host = np.empty(shape, dtype, order=order or "C")
            state.adopt(self._host, self._host.nbytes)
        else:
            # The memory pointer keeps the memory alive.
            self._memptr = memptr
            self._host = memptr._view(shape, dtype, strides, order)

    @classmethod
    def _of(cls, host, base=None):
        self = cls.__new__(cls)
        self._host, self.base, self._memptr = host, base, None
        return self

    def __array__(self, dtype=None, copy=None):
        raise TypeError(IMPLICIT)

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        import cupy

        inout = inputs
        if "out" in kwargs:
            if len(kwargs["out"]) != 1:
                raise ValueError("The 'out' parameter must have exactly one array value")
            inout += kwargs["out"]
            kwargs["out"] = kwargs["out"][0]
        try:
            function = getattr(cupy, ufunc.__name__)
            if method != "__call__":
                function = getattr(function, method)
        except AttributeError:
            return NotImplemented
        if method == "__call__":
            for value in inout:
                if not isinstance(value, (ndarray, np.ndarray)) and type(value) not in SCALARS:
                    return NotImplemented
        return function(*inputs, **kwargs)

    def __array_function__(self, func, types, args, kwargs):
        import cupy

        try:
            module = functools.reduce(getattr, func.__module__.split(".")[1:], cupy)
            function = getattr(module, func.__name__)
        except AttributeError:
            return NotImplemented
        if function is func or any(kind not in (ndarray, np.ndarray) for kind in types):
            return NotImplemented
        return function(*args, **kwargs)

    @property
    def __cuda_array_interface__(self):
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "descr": self.dtype.descr,
            "stream": 1,
            "version": 3,
            "strides": None if self.flags.c_contiguous else self.strides,
            "data": (self.data.ptr if self.size else 0, False),
        }

    @property
    def data(self):
        """The pointer to the first element."""
        from .cuda.memory import MemoryPointer, UnownedMemory

        pointer = self._host.__array_interface__["data"][0]
        return MemoryPointer(UnownedMemory(pointer, self.nbytes, self), 0)

    @property
    def device(self):
        """The device that the array is on."""
        from .cuda import Device

        return Device(0)

    @property
    def flags(self):
        """The memory layout."""
        flags = self._host.flags
        return Flags(flags.c_contiguous, flags.f_contiguous, self.base is None)

    @property
    def shape(self):
        """The lengths of the axes."""
        return self._host.shape

    @shape.setter
    def shape(self, shape):
        self._host = self._host.reshape(shape, copy=False)

    dtype = property(lambda self: self._host.dtype)
    itemsize = property(lambda self: self._host.itemsize)
    nbytes = property(lambda self: self._host.nbytes)
    ndim = property(lambda self: self._host.ndim)
    size = property(lambda self: self._host.size)
    strides = property(lambda self: self._host.strides)
    T = property(lambda self: wrap(self._host.T, self) if self.ndim > 1 else self)
    mT = property(lambda self: wrap(self._host.mT, self))  # noqa: N815

    @property
    def real(self):
        """The real part: a view, or the array itself."""
        return wrap(self._host.real, self) if self.dtype.kind == "c" else self

    @real.setter
    def real(self, value):
        self.real[...] = value

    @property
    def imag(self):
        """The imaginary part: a view, or new zeros where there is none."""
        return wrap(self._host.imag if self.dtype.kind == "c" else np.zeros_like(self._host), self)

    @imag.setter
    def imag(self, value):
        if self.dtype.kind != "c":
            raise TypeError("cupy.ndarray does not have imaginary part to set")
        self.imag[...] = value

    def __getitem__(self, key):
        key = unwrap(key)
        if not isinstance(key, tuple):
            key = (key,)
        if not any(item is Ellipsis for item in key):
            key += (Ellipsis,)  # makes a view, not a scalar, of a single element
        return wrap(self._host[key], self)

    def __setitem__(self, key, value):
        if isinstance(value, (list, tuple)):
            raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
        self._host[unwrap(key)] = operand(value)

    def __len__(self):
        return len(self._host)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __repr__(self):
        return repr(self.get())

    def __str__(self):
        return str(self.get())

    def __format__(self, spec):
        return format(self.get(), spec)

    def __bool__(self):
        return bool(self.get())

    def __int__(self):
        return int(self.get())

    def __float__(self):
        return float(self.get())

    def __complex__(self):
        return complex(self.get())

    def __copy__(self):
        return self.copy()

    def get(self, stream=None, order="C", out=None, blocking=True):
        """A copy on the host."""
        if out is not None:
            if not isinstance(out, np.ndarray):
                raise TypeError("Only numpy.ndarray can be obtained from cupy.ndarray")
            if out.dtype != self.dtype:
                raise TypeError(f"{out.dtype} array cannot be obtained from {self.dtype} array")
            if out.shape != self.shape:
                raise ValueError(f"Shape mismatch. Expected shape: {self.shape}, actual shape: {out.shape}")
            if not (out.flags.c_contiguous or out.flags.f_contiguous):
                raise RuntimeError("`out` cannot be specified when copying to non-contiguous ndarray")
            out[...] = self._host
        else:
            out = self._host.copy(order)
        state.log.append(("to_host", self.nbytes))
        return out

    def set(self, arr, stream=None):
        """Copy an array of the host into this one."""
        if not isinstance(arr, np.ndarray):
            raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
        if arr.dtype != self.dtype:
            raise TypeError(f"{arr.dtype} array cannot be set to {self.dtype} array")
        if arr.shape != self.shape:
            raise ValueError(f"Shape mismatch. Old shape: {self.shape}, new shape: {arr.shape}")
        if not self.flags.forc:
            raise RuntimeError("Cannot set to non-contiguous array")
        self._host[...] = arr
        state.log.append(("to_device", self.nbytes))

    def item(self):
        """The only element, as a Python scalar."""
        if self.size != 1:
            raise ValueError("can only convert an array of size 1 to a Python scalar")
        return self.get().item()

    def tolist(self):
        """Nested lists of Python scalars."""
        return self.get().tolist()

    def tobytes(self, order="C"):
        """The elements as bytes."""
        return self.get().tobytes(order)

    def astype(self, dtype, order="K", casting=None, subok=None, copy=True):
        """A copy of another dtype; the array itself where that serves and `copy` is false."""
        if casting is not None:
            raise TypeError("casting is not supported yet")
        if subok is not None:
            raise TypeError("subok is not supported yet")
        return wrap(quiet(self._host.astype, supported(dtype), order=order or "K", copy=copy), self)

    def fill(self, value):
        """Set every element."""
        self._host.fill(operand(value))

    def view(self, dtype=None, type=None):  # noqa: A002
        """The same memory as another array, of another dtype if wanted."""
        return wrap(self._host.view() if dtype is None else self._host.view(supported(dtype)), self)

    def reshape(self, *shape, order="C", copy=None):
        """An array of another shape: a view where possible."""
        return wrap(self._host.reshape(*shape, order=order, copy=copy), self)

    def transpose(self, *axes):
        """A view with the axes in another order."""
        return wrap(self._host.transpose(*axes), self)

    def conj(self):
        """The complex conjugate, or the array itself where it is real."""
        return wrap(self._host.conj(), self) if self.dtype.kind == "c" else self

    conjugate = conj


METHODS = (
    "all any max min(self, axis=None, out=None, keepdims=False)",
    "argmax argmin(self, axis=None, out=None, dtype=None, keepdims=False)",
    "argpartition partition(self, kth, axis=-1)",
    "argsort sort(self, axis=-1, kind=None)",
    "clip(self, min=None, max=None, out=None)",
    "copy flatten ravel(self, order='C')",
    "cumprod cumsum(self, axis=None, dtype=None, out=None)",
    "diagonal(self, offset=0, axis1=0, axis2=1)",
    "dot(self, b, out=None)",
    "mean sum(self, axis=None, dtype=None, out=None, keepdims=False)",
    "nonzero(self)",
    "prod(self, axis=None, dtype=None, out=None, keepdims=None)",
    "put(self, indices, values, mode='wrap')",
    "repeat(self, repeats, axis=None)",
    "round(self, decimals=0, out=None)",
    "squeeze(self, axis=None)",
    "std var(self, axis=None, dtype=None, out=None, ddof=0, keepdims=False)",
    "swapaxes(self, axis1, axis2)",
    "take(self, indices, axis=None, out=None)",
    "trace(self, offset=0, axis1=0, axis2=1, dtype=None, out=None)",
)


def _method(name, signature):
    target = getattr(np.ndarray, name)

    def method(*args, **kwargs):
        result = quiet(call, target, signature, unwrap(args), unwrap(kwargs))
        return wrap(result, args, tuple(kwargs.values()))

    method.__name__, method.__signature__, method.__doc__ = name, signature, f"As NumPy's {name}."
    setattr(ndarray, name, method)


COMPARISONS = {"lt": "less", "le": "less_equal", "eq": "equal", "ne": "not_equal", "gt": "greater"}
COMPARISONS |= {"ge": "greater_equal"}
UNARY = {"neg": "negative", "pos": "positive", "abs": "absolute", "invert": "invert"}
BINARY = {"add": "add", "sub": "subtract", "mul": "multiply", "pow": "power", "truediv": "true_divide"}
BINARY |= {"floordiv": "floor_divide", "mod": "remainder", "lshift": "left_shift", "rshift": "right_shift"}
BINARY |= {
    "and": "bitwise_and",
    "or": "bitwise_or",
    "xor": "bitwise_xor",
    "matmul": "matmul",
    "divmod": "divmod",
}


def _operator(name):
    # NumPy's functions, as in CuPy: they ask the other operand, too, and come back by __array_ufunc__.
    function = getattr(np, (COMPARISONS | UNARY | BINARY)[name])
    setattr(ndarray, f"__{name}__", lambda self, *other: function(self, *other))
    if name in BINARY:
        setattr(ndarray, f"__r{name}__", lambda self, other: function(other, self))
        if name not in ("matmul", "divmod"):
            setattr(ndarray, f"__i{name}__", lambda self, other: function(self, other, out=self))


for _name, _signature in parse(*METHODS):
    _method(_name, _signature)
for _name in COMPARISONS | UNARY | BINARY:
    _operator(_name)


class ufunc:
    """A universal function: NumPy's, with the arguments that CuPy takes."""

    def __init__(self, name):
        self._ufunc = getattr(np, name)
        self.__name__ = self._ufunc.__name__
        self.name = f"cupy_{self.__name__}"
        self.nin, self.nout, self.nargs = self._ufunc.nin, self._ufunc.nout, self._ufunc.nargs

    def __repr__(self):
        return f"<ufunc '{self.name}'>"

    def __call__(self, *args, **kwargs):
        out = kwargs.pop("out", None)
        options = {key: kwargs.pop(key) for key in ("dtype", "casting") if key in kwargs}
        if kwargs:
            raise TypeError(f"Wrong arguments {kwargs}")
        if len(args) not in (self.nin, self.nargs):
            raise TypeError(
                f"Wrong number of arguments for '{self.name}'. It must be either {self.nin} or {self.nargs} "
                f"(with outputs), but given {len(args)}."
            )
        outputs = args[self.nin :]
        if out is not None:
            if outputs:
                raise ValueError("Cannot specify 'out' as both a positional and keyword argument")
            outputs = out if isinstance(out, tuple) else (out,)
            if len(outputs) != self.nout:
                raise ValueError("The 'out' tuple must have exactly one entry per ufunc output")
        if not all(isinstance(output, (ndarray, np.ndarray, type(None))) for output in outputs):
            raise TypeError("Output arguments must be cupy.ndarray")
        hosts = tuple(None if output is None else operand(output) for output in outputs)
        inputs = tuple(operand(value) for value in args[: self.nin])
        result = quiet(self._ufunc, *inputs, **({"out": hosts} if hosts else {}), **options)
        return wrap(result, outputs)

    def _alias(self, method, names, array, **kwargs):
        if self.__name__ not in names:
            raise NotImplementedError(f"`{self.name}.{method}` is not supported yet")
        return getattr(array, names[self.__name__])(**kwargs)

    def reduce(self, array, axis=0, dtype=None, out=None, keepdims=False):
        """The sum or the product along axes; CuPy has no other reductions of this kind."""
        options = {"axis": axis, "dtype": dtype, "out": out, "keepdims": keepdims}
        return self._alias("reduce", {"add": "sum", "multiply": "prod"}, array, **options)

    def accumulate(self, array, axis=0, dtype=None, out=None):
        """The cumulative sum or product along an axis; CuPy has no others."""
        options = {"axis": axis, "dtype": dtype, "out": out}
        return self._alias("accumulate", {"add": "cumsum", "multiply": "cumprod"}, array, **options)

    def outer(self, A, B, **kwargs):  # noqa: N803
        """The function of each pair of elements."""
        if not isinstance(A, ndarray) or not isinstance(B, ndarray):
            return self(A, B, **kwargs)
        return self(A.reshape(A.shape + (1,) * B.ndim), B, **kwargs)

    def at(self, a, indices, b=None):
        """The function in place for the elements at some indices, without buffering."""
        if self.__name__ not in (
            "add",
            "subtract",
            "maximum",
            "minimum",
            "bitwise_and",
            "bitwise_or",
            "bitwise_xor",
        ):
            raise NotImplementedError(f"`{self.name}.at` is not supported yet")
        self._ufunc.at(operand(a), unwrap(indices), operand(b))
