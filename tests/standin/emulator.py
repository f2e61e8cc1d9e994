"""CUDA C++ on the processor: a block's threads take turns at every barrier, the blocks come one by one.

What it can show is whether the arithmetic, the indices and the barriers are right; not how fast it is, nor
what would go wrong among threads that really run at once. Needs g++ and a system with ucontext.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import re
import subprocess
import tempfile
import threading
from pathlib import Path

SHIM = r"""
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <tuple>
#include <utility>
#include <vector>
#include <ucontext.h>

#define __global__
#define __device__
#define __forceinline__ inline __attribute__((always_inline))
#define __constant__ __attribute__((visibility("default")))
#define __shared__ static
#define __align__(n) __attribute__((aligned(n)))
#define __launch_bounds__(...)
struct float4 { float x, y, z, w; } __attribute__((aligned(16), may_alias));
struct double2 { double x, y; } __attribute__((aligned(16), may_alias));
struct longlong2 { long long x, y; } __attribute__((aligned(16), may_alias));
struct dim3 { unsigned x, y, z; };
static dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace emulated {
const size_t STACK = 1 << 17;
static ucontext_t scheduler;
struct Fiber { ucontext_t context; dim3 index; bool over; };
static std::vector<Fiber> fibers;
static std::vector<char> stacks;
static size_t running;
static void (*body)(void *);
static void *arguments;

static void begin() {
    body(arguments);
    fibers[running].over = true;
    swapcontext(&fibers[running].context, &scheduler);
}

/* -1 if some threads of a block ended while others waited at a barrier. */
static int run(unsigned *grid, unsigned *block) {
    gridDim = {grid[0], grid[1], grid[2]};
    blockDim = {block[0], block[1], block[2]};
    size_t count = (size_t)block[0] * block[1] * block[2];
    fibers.resize(count);
    stacks.resize(count * STACK);
    for (unsigned z = 0; z < grid[2]; z++) for (unsigned y = 0; y < grid[1]; y++)
    for (unsigned x = 0; x < grid[0]; x++) {
        blockIdx = {x, y, z};
        for (size_t n = 0; n < count; n++) {
            Fiber &fiber = fibers[n];
            fiber.over = false;
            fiber.index = {(unsigned)(n % block[0]), (unsigned)(n / block[0] % block[1]),
                           (unsigned)(n / block[0] / block[1])};
            getcontext(&fiber.context);
            fiber.context.uc_stack.ss_sp = stacks.data() + n * STACK;
            fiber.context.uc_stack.ss_size = STACK;
            fiber.context.uc_link = nullptr;
            makecontext(&fiber.context, begin, 0);
        }
        for (size_t left = count; left;) {
            size_t ended = 0;
            for (running = 0; running < count; running++) {
                if (fibers[running].over) continue;
                threadIdx = fibers[running].index;
                swapcontext(&scheduler, &fibers[running].context);
                ended += fibers[running].over;
            }
            left -= ended;
            if (ended && left) return -1;
        }
    }
    return 0;
}

template <class... A, size_t... I>
static void call(void (*kernel)(A...), void **values, std::index_sequence<I...>) {
    std::tuple<A...> typed(*(std::remove_reference_t<A> *)values[I]...);
    std::apply(kernel, typed);
}

template <class... A> static size_t sizes(void (*)(A...), int *out) {
    int all[] = {(int)sizeof(A)...};
    memcpy(out, all, sizeof(all));
    return sizeof...(A);
}
}
static inline void __syncthreads() {
    using namespace emulated;
    swapcontext(&fibers[running].context, &scheduler);
    threadIdx = fibers[running].index;
}
"""

ENTRY = r"""
extern "C" int launch_NAME(void **values, unsigned *grid, unsigned *block) {
    static void **given;
    given = values;
    emulated::body = [](void *) {
        [&]<class... A>(void (*kernel)(A...)) {
            emulated::call(kernel, given, std::index_sequence_for<A...>{});
        }(NAME);
    };
    return emulated::run(grid, block);
}
extern "C" int sizes_NAME(int *out) { return (int)emulated::sizes(NAME, out); }
"""


KERNEL = r"__global__\s+void\s+(?:__launch_bounds__\([^)]*\)\s*)?(\w+)\s*\("
_one_at_a_time = threading.Lock()


class Library:
    """A compiled module.

    Parameters
    ----------
    path : Path
        Of the shared object.
    """

    def __init__(self, path: Path) -> None:
        self.loaded = ctypes.CDLL(str(path))

    def launch(
        self,
        name: str,
        grid: tuple[int, int, int],
        block: tuple[int, int, int],
        shared_bytes: int,
        args: list[bytes],
    ) -> None:
        """Run the kernel called `name`; every argument is given as its bytes."""
        if shared_bytes:
            raise NotImplementedError("shared memory of a size given at launch")
        sizes = (ctypes.c_int * 64)()
        count = getattr(self.loaded, f"sizes_{name}")(sizes)
        assert [len(a) for a in args] == list(sizes[:count]), (name, [len(a) for a in args], sizes[:count])
        assert 0 < grid[0] < 2**31
        assert 0 < block[0] * block[1] * block[2] <= 1024
        buffers = [ctypes.create_string_buffer(a, max(16, len(a))) for a in args]
        values = (ctypes.c_void_p * len(args))(*(ctypes.addressof(b) for b in buffers))
        shape = ctypes.c_uint * 3
        with _one_at_a_time:  # the threads of a block share what the shim keeps
            stuck = getattr(self.loaded, f"launch_{name}")(values, shape(*grid), shape(*block))
        if stuck:
            raise RuntimeError(f"kernel {name}: some threads of a block never came to a barrier")

    def symbol(self, name: str) -> int:
        """Return the address of a variable."""
        return ctypes.addressof(ctypes.c_char.in_dll(self.loaded, name))


def _with_entries(code: str) -> str:
    """Put after every kernel, and so under the same conditions, what starts it."""
    for found in reversed(list(re.finditer(KERNEL, code))):
        end = code.index("\n}\n", found.end()) + 3
        code = code[:end] + ENTRY.replace("NAME", found[1]) + code[end:]
    return code


@functools.cache
def build(code: str, options: tuple[str, ...]) -> Library:
    """Compile CUDA C++ for the processor; what any process has compiled before is found again."""
    flags = [o for o in options if o.startswith("-D")]
    source = SHIM + _with_entries(code)
    key = hashlib.sha256(repr((source, flags)).encode()).hexdigest()[:24]
    folder = Path(tempfile.gettempdir()) / f"convcli-emulated-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    assert folder.stat().st_uid == os.getuid()  # nobody else's code is to be run
    made = folder / f"{key}.so"
    if not made.exists():
        with tempfile.TemporaryDirectory(dir=folder) as own:
            text, built = Path(own, "kernel.cpp"), Path(own, "kernel.so")
            text.write_text(source, encoding="utf-8")
            command = ["g++", "-std=c++20", "-O1", "-shared", "-fPIC", "-w", "-fno-strict-aliasing"]
            done = subprocess.run(
                [*command, *flags, "-o", str(built), str(text)], capture_output=True, text=True
            )
            if done.returncode:
                raise RuntimeError(done.stderr)
            built.replace(made)
    return Library(made)
