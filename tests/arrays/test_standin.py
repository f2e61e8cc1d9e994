"""The stand-in for CuPy refuses what CuPy refuses, and offers nothing that CuPy lacks."""

from __future__ import annotations

import builtins
import ctypes
import importlib
import inspect
import json
import os
import subprocess
import sys
from types import SimpleNamespace

import gpu
import numpy as np
import pytest

# Where CuPy is installed for another Python than the one that runs the tests.
REAL = os.environ.get("CONVCLI_TEST_CUPY", sys.executable)
MODULES = (
    "cupy",
    "cupy.fft",
    "cupy.lib.stride_tricks",
    "cupy.cuda",
    *(f"cupy.cuda.{name}" for name in ("compiler", "driver", "memory", "nvrtc", "runtime", "stream")),
)
CLASSES = ("ndarray", "ufunc", "RawModule", "RawKernel")
CLASSES += tuple(f"cuda.{name}" for name in ("Device", "Event", "Stream", "MemoryPointer", "MemoryPool"))


@pytest.fixture
def cp():
    """The stand-in, as new."""
    with gpu.standin():
        yield importlib.import_module("cupy")


def host(shape=(4, 6), dtype=np.float32):
    return np.arange(np.prod(shape), dtype=dtype).reshape(shape)


# With `a` on the device and `h` the same on the host.
TYPE_ERRORS = """
a + h
h + a
a.__iadd__(h)
h.__iadd__(a)
a < h
a == h
a @ h.T
h @ a.T
np.hypot(a, h)
np.multiply(a, 2, out=h)
np.multiply(h, 2, out=a)
cp.maximum(a, h)
cp.sqrt(h)
a * np.array(2.0)
np.array(2.0) * a
cp.where(a > 0, a, h)
np.where(h > 0, a, 0)
cp.concatenate([a, h])
np.stack([h, a])
cp.sum(h)
cp.fft.rfftn(h)
cp.pad(h, 1)
a.ravel().dot(h.ravel())
np.vdot(a, h)
cp.einsum("ij,ij->", a, h)
cp.copyto(a, h)
np.copyto(h, a)
cp.ascontiguousarray(h)
cp.lib.stride_tricks.sliding_window_view(h, (2, 2))
a.__setitem__(slice(None), h)
a.__setitem__(0, np.array(1.0))
h.__setitem__(slice(None), a)
a[np.array([0, 1])]
a[h > 0]
a.take(np.array([0]))
a.fill(h)
np.asarray(a)
np.array(a)
np.block([[a, a]])
np.take(a, [0], mode="clip")
np.sum(a, where=True)
np.add(a, 1, where=a > 0)
cp.add(a, 1, where=True)
cp.add(a, 1, order="C")
np.add(a, 1, out=a.astype(np.int32))
a.astype(np.int32, casting="unsafe")
cp.empty_like(a, subok=False)
a == None
a + [1] * 6
hash(a)
range(cp.argmax(a))
a.set(h.tolist())
a.get(out=h.astype(np.float64))
cp.fft.fft(a, out=a)
cp.RawModule(code="", options=[])
"""
OTHER_ERRORS = """
NotImplementedError: np.maximum.reduce(a)
NotImplementedError: cp.minimum.accumulate(a)
NotImplementedError: cp.lib.stride_tricks.sliding_window_view(a, (2, 2), writeable=True)
AttributeError: a.flags.writeable
AttributeError: a.flags.aligned
AttributeError: cp.errstate
ValueError: a.__setitem__(0, [1, 2, 3, 4, 5, 6])
ValueError: a.item()
ValueError: bool(a)
ValueError: cp.pad(a, 1, mode="median")
ValueError: cp.quantile(a, 0.5, method="hazen")
ValueError: cp.asarray(["text"])
ValueError: a.astype(np.longdouble)
ValueError: np.frexp(a, out=(a, a))
ValueError: cp.asarray(h, copy=False)
"""
ERRORS = [("TypeError", line) for line in TYPE_ERRORS.strip().splitlines()]
ERRORS += [tuple(line.split(": ", 1)) for line in OTHER_ERRORS.strip().splitlines()]


@pytest.mark.parametrize(("error", "expression"), ERRORS, ids=[expression for _, expression in ERRORS])
def test_refused(cp, error, expression):
    with pytest.raises(getattr(builtins, error)):
        eval(expression, {"cp": cp, "np": np, "a": cp.asarray(host()), "h": host()})


def test_same_numbers(cp):
    h = host()
    a = cp.asarray(h)
    for result, expected in [
        (2 * a - 1, 2 * h - 1),
        (np.float32(2) * a, np.float32(2) * h),
        (np.multiply(a, 2, out=a.copy()), 2 * h),
        (a / 0 * 0, np.full_like(h, np.nan)),
        (np.where(a > 3, a, 0.0), np.where(h > 3, h, 0.0)),
        (np.roll(a, 1, axis=1), np.roll(h, 1, axis=1)),
        (np.add.reduce(a, axis=1), h.sum(1)),
        (np.add.outer(a[0], a[1]), np.add.outer(h[0], h[1])),
        (a[:, cp.asarray([2, 1])], h[:, [2, 1]]),
        (a[a > 5], h[h > 5]),
        (a.take([1, 0], axis=0), h.take([1, 0], axis=0)),
        (cp.argmax(a, axis=1), h.argmax(1)),
        (cp.fft.irfftn(cp.fft.rfftn(a), s=a.shape), h),
        (cp.pad(a, ((1, 0), (0, 2)), mode="edge"), np.pad(h, ((1, 0), (0, 2)), mode="edge")),
        (
            cp.lib.stride_tricks.sliding_window_view(a, (2, 3)),
            np.lib.stride_tricks.sliding_window_view(h, (2, 3)),
        ),
        (cp.einsum("ij,kj->ik", a, a), h @ h.T),
        (cp.median(a), np.median(h)),
        (cp.full((2, 2), 3, np.int16), np.full((2, 2), 3, np.int16)),
        (-abs(a), -h),
        (7 // (a + 1), 7 // (h + 1)),
        (divmod(a, 4)[1], h % 4),
        (cp.asarray(h.astype(">f4")), h),
    ]:
        assert type(result) is cp.ndarray
        assert result.dtype == expected.dtype
        np.testing.assert_allclose(result.get(), expected, rtol=1e-5, atol=1e-5)


def test_reductions_stay_on_the_device(cp):
    a = cp.asarray(host())
    for result in (
        a.sum(),
        cp.max(a),
        a[0, 0],
        a[0, cp.asarray(1)],
        cp.vdot(a, a),
        cp.count_nonzero(a),
        cp.add(1, 1),
    ):
        assert type(result) is cp.ndarray
        assert result.shape == ()
    assert isinstance(a.sum().item(), float)
    assert (float(a.sum()), int(a.sum()), bool(a.any())) == (276.0, 276, True)
    assert cp.fft.rfft(a).dtype == np.complex64


def test_views_share_memory(cp):
    a = cp.zeros((4, 6), np.complex64)
    for view in (
        a[1:],
        a.T,
        a.reshape(-1),
        a.real,
        a.imag,
        a[0, 0],
        a.ravel(),
        cp.moveaxis(a, 0, 1),
        a.view(np.float32),
    ):
        assert view.base is a
        assert not view.flags.owndata
        assert cp.shares_memory(view, a)
    a[0, 0][...] = 1 + 2j
    a.imag[1] = 5
    cp.lib.stride_tricks.as_strided(a, (6,), (8,))[2] = 7
    assert a.get()[0].tolist() == [1 + 2j, 0, 7, 0, 0, 0]
    assert a.get()[1].tolist() == [5j] * 6
    assert cp.asarray(a) is a
    assert a.astype(np.complex64, copy=False) is a
    assert a[1].data.ptr - a.data.ptr == a.strides[0]
    assert a.real.real.base is a
    assert cp.get_array_module(a) is cp


def test_memory_pointers(cp):
    a, b = cp.asarray(host()), cp.zeros((4, 6), np.float32)
    b.data.copy_from_device_async(a.data, a.nbytes)
    b[3].data.copy_from_host(ctypes.c_void_p(host().ctypes.data), 8)
    assert b.get()[3, :3].tolist() == [0, 1, 20]
    (b.data + 4).memset(0, 4)
    assert b.get()[0, :3].tolist() == [0, 0, 2]
    assert cp.ndarray((6, 2), np.float32, b.data + 8, strides=(16, 4)).get()[1].tolist() == [6, 7]
    assert ctypes.c_float.from_address(a[2, 3].data.ptr).value == 15


def test_memory_is_counted(cp):
    state, pool = cp._state.state, cp.get_default_memory_pool()
    before = pool.used_bytes()
    state.total_bytes = before + 1000
    a = cp.zeros(100, np.float32)
    view = a[::2]
    assert pool.used_bytes() == before + 400
    assert cp.cuda.runtime.memGetInfo() == (600, before + 1000)
    with pytest.raises(cp.cuda.memory.OutOfMemoryError, match="Out of memory allocating 800 bytes"):
        a.astype(np.float64)
    with pytest.raises(MemoryError):
        cp.empty(1 << 45)
    del a
    assert pool.used_bytes() == before + 400
    view.get()
    del view
    assert pool.used_bytes() == before
    assert state.peak_bytes == before + 400
    assert state.log == [("alloc", 400), ("to_host", 200)]


def test_devices(cp):
    state, cuda = cp._state.state, cp.cuda
    with cuda.Device(0) as device, cuda.Stream(non_blocking=True) as stream:
        assert cuda.get_current_stream() is stream
        device.synchronize()
        start, end = cuda.Event(), cuda.Event()
        start.record()
        stream.record(end).synchronize()
        assert 0 <= cuda.get_elapsed_time(start, end) < 1000
        assert device.compute_capability == "90"
    assert cuda.get_current_stream() is cuda.Stream.null
    with pytest.raises(cuda.runtime.CUDARuntimeError, match="cudaErrorInvalidDevice"):
        cuda.Device(1).use()
    state.devices = 0
    with pytest.raises(cuda.runtime.CUDARuntimeError, match="cudaErrorNoDevice: no CUDA-capable device"):
        cp.zeros(1)
    state.error = cuda.runtime.CUDARuntimeError(35)
    with pytest.raises(cuda.runtime.CUDARuntimeError, match="driver version is insufficient"):
        cuda.runtime.getDeviceCount()
    assert not cp.is_available()
    state.reset()
    assert cuda.runtime.getDeviceCount() == 1


def test_kernels(cp, monkeypatch):
    launches = []

    def build(code, options):
        if code == "wrong":
            raise RuntimeError("error: wrong")
        assert options == ("-DX=1",)
        return SimpleNamespace(launch=lambda *args: launches.append(args), symbol=lambda name: ord(name))

    monkeypatch.setitem(sys.modules, "emulator", SimpleNamespace(build=build))
    module = cp.RawModule(code="right", options=("-DX=1",))
    a = cp.zeros(4, np.float32)
    record = np.array([(1, 2.0)], [("n", "i4"), ("x", "f4")])[0]
    module.get_function("f")((2,), (32, 2), (a, np.int32(1), 2, 3.0, a.data + 4, record), shared_mem=64)
    address = a.data.ptr
    values = (np.uint64(address), np.int32(1), np.int64(2), np.float64(3), np.uint64(address + 4), record)
    assert launches == [("f", (2, 1, 1), (32, 2, 1), 64, [value.tobytes() for value in values])]
    assert cp._state.state.log[-1] == ("launch", "f")
    assert module.get_global("g").ptr == ord("g")
    with pytest.raises(cp.cuda.driver.CUDADriverError, match="CUDA_ERROR_INVALID_VALUE"):
        module.get_function("f")((1,), (2048,), ())
    with pytest.raises(TypeError, match="Unsupported type"):
        module.get_function("f")((1,), (1,), (np.zeros(1),))
    with pytest.raises(cp.cuda.compiler.CompileException, match="error: wrong"):
        cp.RawModule(code="wrong").compile()


# Reads names, and prints for those that CuPy has the parameters, or null where they are not to be known. Of
# compiled functions the first line of the documentation is the signature.
LOOK_UP = r"""
import inspect, json, re, sys
try:
    import cupy
    import cupy.lib.stride_tricks
except ImportError as error:
    sys.exit(f"CuPy is not installed: {error}")

def parameters(value):
    try:
        parts = inspect.signature(value).parameters.values()
        return [str(part).partition(":")[0].partition("=")[0] for part in parts]
    except (TypeError, ValueError):
        line = re.match(r"[\w.]+\((.*)\)", (value.__doc__ or "").partition("\n")[0])
        return line and [part.partition("=")[0].split()[-1] for part in line[1].split(",") if part.strip()]

found = {}
for path in json.load(sys.stdin):
    value = cupy
    try:
        for name in path.split(".")[1:]:
            value = getattr(value, name)
    except AttributeError:
        continue
    found[path] = parameters(value) if callable(value) else None
json.dump(found, sys.stdout)
"""


def test_nothing_more_than_cupy_has(cp):
    """Every public name is CuPy's, and so is every argument of every function."""
    owners = {name: importlib.import_module(name) for name in MODULES}
    owners |= {f"cupy.{name}": eval(name, vars(cp)) for name in CLASSES}
    offered = {}
    for owner, members in owners.items():
        for name, value in vars(members).items():
            # What a module imports for its own use is no part of what it offers.
            home = owner if inspect.ismodule(value) else getattr(value, "__module__", None) or owner
            own = owner == "cupy" or inspect.isclass(members) or home.startswith(("cupy.cuda", owner))
            own = own and (not inspect.ismodule(value) or hasattr(members, "__path__"))
            if own and not name.startswith("_"):
                plain = inspect.isfunction(value)
                offered[f"{owner}.{name}"] = [*inspect.signature(value).parameters] if plain else []
    done = subprocess.run(
        [REAL, "-W", "ignore", "-c", LOOK_UP],
        input=json.dumps(list(offered)),
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        pytest.skip(done.stderr.strip().splitlines()[-1])
    found = json.loads(done.stdout)
    assert sorted(set(offered) - set(found)) == []
    assert {
        path: (parameters, found[path])
        for path, parameters in offered.items()
        if found[path] is not None
        and not any(parameter.startswith("*") for parameter in found[path])
        and not set(parameters) - {"self"} <= set(found[path])
    } == {}
    assert sum(bool(parameters) for parameters in found.values()) > 150
