/* The inner loops, compiled: correlation, 1-D passes, borders, rounding.
 *
 * Everything here is also written in NumPy, which serves where this file could not be compiled.
 * Arrays come through the buffer protocol, so neither NumPy's headers nor its version matter, and
 * the stable ABI lets one build serve every Python from 3.11 on.
 *
 * The file includes itself once for each type and each width of vectors: that part stands first.
 */

#ifdef REAL

#if BYTES
typedef REAL VEC __attribute__((vector_size(BYTES), aligned(sizeof(REAL)), may_alias));
#define LANES ((int)(BYTES / sizeof(REAL)))
#else
typedef REAL VEC;
#define LANES 1
#endif

/* R rows by V vectors of output are kept in registers. Each vector of the image is loaded once for
 * all rows it takes part in, each weight once for all vectors of a row: 12 multiply-adds to 7 loads.
 * `lo` to `hi` are the rows that an image row takes part in: constants, so that loops unroll. */
#define BLOCK(R, V)                                                                                     \
    INLINE TARGET void STEP(R, V)(VEC sums[R][V], const REAL *x, const REAL *weights, ptrdiff_t taps,    \
                                  int lo, int hi)                                                       \
    {                                                                                                   \
        for (ptrdiff_t c = 0; c < taps; c++) {                                                          \
            VEC part[V];                                                                                \
            for (int v = 0; v < V; v++) part[v] = *(const VEC *)(x + c + v * LANES);                    \
            for (int i = lo; i <= hi; i++) {                                                            \
                REAL weight = weights[c - i * taps];                                                    \
                for (int v = 0; v < V; v++) sums[i][v] += weight * part[v];                             \
            }                                                                                           \
        }                                                                                               \
    }                                                                                                   \
    static TARGET void OUTPUTS(R, V)(const REAL *from, const struct bank *b, const REAL *weights,        \
                                     REAL *to)                                                          \
    {                                                                                                   \
        VEC sums[R][V];                                                                                 \
        memset(sums, 0, sizeof sums);                                                                   \
        for (ptrdiff_t c = 0; c < b->channels; c++)                                                     \
            for (ptrdiff_t d = 0; d < b->taps[0]; d++, weights += b->taps[1] * b->taps[2])              \
                for (ptrdiff_t r = 0; r < b->taps[1] + R - 1; r++) {                                    \
                    const REAL *x = from + c * b->from_step[0] + d * b->from_step[1] + r * b->from_step[2]; \
                    const REAL *w = weights + r * b->taps[2];                                           \
                    ptrdiff_t lo = r < b->taps[1] ? 0 : r - b->taps[1] + 1, hi = r < R - 1 ? r : R - 1; \
                    switch (4 * lo + hi) {                                                              \
                    case 0: STEP(R, V)(sums, x, w, b->taps[2], 0, 0); break;                            \
                    case 1: if (R > 1) STEP(R, V)(sums, x, w, b->taps[2], 0, 1); break;                 \
                    case 2: if (R > 2) STEP(R, V)(sums, x, w, b->taps[2], 0, 2); break;                 \
                    case 3: if (R > 3) STEP(R, V)(sums, x, w, b->taps[2], 0, 3); break;                 \
                    case 5: if (R > 1) STEP(R, V)(sums, x, w, b->taps[2], 1, 1); break;                 \
                    case 6: if (R > 2) STEP(R, V)(sums, x, w, b->taps[2], 1, 2); break;                 \
                    case 7: if (R > 3) STEP(R, V)(sums, x, w, b->taps[2], 1, 3); break;                 \
                    case 10: if (R > 2) STEP(R, V)(sums, x, w, b->taps[2], 2, 2); break;                \
                    case 11: if (R > 3) STEP(R, V)(sums, x, w, b->taps[2], 2, 3); break;                \
                    case 15: if (R > 3) STEP(R, V)(sums, x, w, b->taps[2], 3, 3); break;                \
                    }                                                                                   \
                }                                                                                       \
        for (int i = 0; i < R; i++)                                                                     \
            for (int v = 0; v < V; v++) *(VEC *)(to + i * b->to_step[2] + v * LANES) = sums[i][v];      \
    }                                                                                                   \
    /* R rows as wide as there are: what is left at the end is computed together with its neighbours. */ \
    static TARGET ptrdiff_t SWEEP(R, V)(const REAL *from, const struct bank *b, const REAL *weights,     \
                                        REAL *to, ptrdiff_t x)                                          \
    {                                                                                                   \
        ptrdiff_t width = b->shape[2], block = V * LANES;                                               \
        for (; x + block <= width; x += block) OUTPUTS(R, V)(from + x, b, weights, to + x);             \
        if (V == 1 && x < width && width >= block)                                                      \
            OUTPUTS(R, V)(from + width - block, b, weights, to + width - block);                        \
        return x;                                                                                       \
    }

BLOCK(4, 3)
BLOCK(4, 1)
BLOCK(1, 12)
BLOCK(1, 1)

static TARGET void NAME(plane)(const REAL *from, const struct bank *b, const REAL *weights, REAL *to)
{
    ptrdiff_t height = b->shape[1], y = 0;
    while (y < height) {
        int four = b->taps[1] > 1 && height >= 4;
        if (four && y + 4 > height) y = height - 4; /* once more: cheaper than rows of their own */
        const REAL *x = from + y * b->from_step[2];
        REAL *z = to + y * b->to_step[2];
        if (four)
            SWEEP(4, 1)(x, b, weights, z, SWEEP(4, 3)(x, b, weights, z, 0));
        else
            SWEEP(1, 1)(x, b, weights, z, SWEEP(1, 12)(x, b, weights, z, 0));
        y += four ? 4 : 1;
    }
}

static TARGET void NAME(correlate)(const struct bank *b)
{
    const REAL *weights = b->weights;
    ptrdiff_t cells = b->channels * b->taps[0] * b->taps[1] * b->taps[2];
    for (ptrdiff_t o = 0; o < b->outputs; o++, weights += cells)
        for (ptrdiff_t z = 0; z < b->shape[0]; z++)
            NAME(plane)((const REAL *)b->from + z * b->from_step[1], b, weights,
                        (REAL *)b->to + o * b->to_step[0] + z * b->to_step[1]);
}

/* Whether n numbers are all finite: x - x is 0 for those that are, and NaN for the others. */
static TARGET int NAME(finite)(const REAL *x, ptrdiff_t n)
{
    VEC seen[4];
    memset(seen, 0, sizeof seen);
    ptrdiff_t i = 0;
    for (; i + 4 * LANES <= n; i += 4 * LANES)
        for (int v = 0; v < 4; v++) {
            VEC part = *(const VEC *)(x + i + v * LANES);
            seen[v] += part - part;
        }
    REAL sums[4 * LANES], total = 0;
    memcpy(sums, seen, sizeof seen);
    for (ptrdiff_t j = 0; j < 4 * LANES; j++) total += sums[j];
    for (; i < n; i++) total += x[i] - x[i];
    return total == 0;
}

/* Convert n numbers that lie `step` bytes apart; a constant step lets the compiler use vectors. */
#define TAKE(TYPE)                                                                                      \
    INLINE TARGET void NAME(take_each_##TYPE)(const char *from, ptrdiff_t step, REAL *to, ptrdiff_t n)   \
    {                                                                                                   \
        for (ptrdiff_t i = 0; i < n; i++) {                                                             \
            TYPE value;                                                                                 \
            memcpy(&value, from + i * step, sizeof value);                                              \
            to[i] = (REAL)value;                                                                        \
        }                                                                                               \
    }                                                                                                   \
    static TARGET void NAME(take_##TYPE)(const char *from, ptrdiff_t step, REAL *to, ptrdiff_t n)        \
    {                                                                                                   \
        if (step == sizeof(TYPE))                                                                       \
            NAME(take_each_##TYPE)(from, sizeof(TYPE), to, n);                                          \
        else if (step == 3 * sizeof(TYPE))                                                              \
            NAME(take_each_##TYPE)(from, 3 * sizeof(TYPE), to, n);                                      \
        else                                                                                            \
            NAME(take_each_##TYPE)(from, step, to, n);                                                  \
    }

TAKE(uint8_t)
TAKE(int8_t)
TAKE(uint16_t)
TAKE(int16_t)
TAKE(uint32_t)
TAKE(int32_t)
TAKE(uint64_t)
TAKE(int64_t)
TAKE(float)
TAKE(double)

static TARGET int NAME(gather)(const struct pick *p)
{
    static void (*const take[])(const char *, ptrdiff_t, REAL *, ptrdiff_t) = {
        NAME(take_uint8_t),  NAME(take_int8_t),   NAME(take_uint16_t), NAME(take_int16_t), NAME(take_uint32_t),
        NAME(take_int32_t),  NAME(take_uint64_t), NAME(take_int64_t),  NAME(take_float),   NAME(take_double)};
    ptrdiff_t width = p->shape[3], step = p->from_step[3];
    const ptrdiff_t *columns = p->index[2];
    int all = 1;
    for (ptrdiff_t c = 0; c < p->shape[0]; c++)
        for (ptrdiff_t d = 0; d < p->shape[1]; d++)
            for (ptrdiff_t r = 0; r < p->shape[2]; r++) {
                REAL *to = (REAL *)(p->to + c * p->to_step[0] + d * p->to_step[1] + r * p->to_step[2]);
                ptrdiff_t plane = p->index[0][d], row = p->index[1][r];
                const char *from = p->from + c * p->from_step[0] + plane * p->from_step[1] + row * p->from_step[2];
                for (ptrdiff_t x = 0; x < width; x++) {
                    if (plane < 0 || row < 0 || columns[x] < 0)
                        to[x] = (REAL)p->fill;
                    else if (x == p->first && p->run > 0) {
                        take[p->type](from + columns[x] * step, p->apart * step, to + x, p->run);
                        x += p->run - 1;
                    } else
                        take[p->type](from + columns[x] * step, step, to + x, 1);
                }
                if (p->watch) all &= NAME(finite)(to, width);
            }
    return all;
}

/* Scale, shift, round to even and store; return how many did not fit. */
#define STORE(TYPE, HIGH)                                                                               \
    INLINE TARGET ptrdiff_t NAME(store_each_##TYPE)(const struct finish *f, const REAL *from, char *to,  \
                                                    ptrdiff_t step)                                     \
    {                                                                                                   \
        ptrdiff_t clipped = 0;                                                                          \
        REAL divisor = (REAL)f->divisor, bias = (REAL)f->bias;                                          \
        REAL values[PART];                                                                              \
        for (ptrdiff_t x = 0; x < f->shape[2]; x += PART) {                                             \
            ptrdiff_t n = f->shape[2] - x < PART ? f->shape[2] - x : PART;                              \
            int outside = 0;                                                                            \
            memcpy(values, from + x, n * sizeof(REAL));                                                 \
            if (divisor != 1) for (ptrdiff_t i = 0; i < n; i++) values[i] /= divisor;                   \
            if (bias != 0) for (ptrdiff_t i = 0; i < n; i++) values[i] += bias;                         \
            if (f->absolute) for (ptrdiff_t i = 0; i < n; i++) values[i] = ABS(values[i]);              \
            if (f->snap) for (ptrdiff_t i = 0; i < n; i++) values[i] = RINT(values[i] * SNAP) / SNAP;   \
            for (ptrdiff_t i = 0; i < n; i++) {                                                         \
                REAL v = RINT(values[i]);                                                               \
                outside += !(v >= 0 && v <= HIGH);                                                      \
                v = v >= 0 ? v : 0; /* NaN too */                                                       \
                TYPE whole = (TYPE)(int32_t)(v <= HIGH ? v : HIGH);                                     \
                memcpy(to + (x + i) * step, &whole, sizeof whole);                                      \
            }                                                                                           \
            clipped += outside;                                                                         \
        }                                                                                               \
        return clipped;                                                                                 \
    }                                                                                                   \
    static TARGET ptrdiff_t NAME(store_##TYPE)(const struct finish *f, const REAL *from, char *to)       \
    {                                                                                                   \
        if (f->to_step[2] == sizeof(TYPE)) return NAME(store_each_##TYPE)(f, from, to, sizeof(TYPE));   \
        if (f->to_step[2] == 3 * sizeof(TYPE))                                                          \
            return NAME(store_each_##TYPE)(f, from, to, 3 * sizeof(TYPE));                              \
        return NAME(store_each_##TYPE)(f, from, to, f->to_step[2]);                                     \
    }

STORE(uint8_t, 255)
STORE(uint16_t, 65535)

static TARGET ptrdiff_t NAME(finish)(const struct finish *f)
{
    ptrdiff_t clipped = 0;
    for (ptrdiff_t p = 0; p < f->shape[0]; p++)
        for (ptrdiff_t r = 0; r < f->shape[1]; r++) {
            const REAL *from = (const REAL *)(f->from + p * f->from_step[0] + r * f->from_step[1]);
            char *to = f->to + p * f->to_step[0] + r * f->to_step[1];
            clipped += f->bytes == 1 ? NAME(store_uint8_t)(f, from, to) : NAME(store_uint16_t)(f, from, to);
        }
    return clipped;
}

#undef BLOCK
#undef TAKE
#undef STORE
#undef LANES
#undef REAL
#undef BYTES
#undef SUFFIX
#undef TARGET
#undef RINT
#undef ABS

#else /* ------------------------------------------------------------------------------------------ */

#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__GNUC__) || defined(__clang__)
#define VECTORS 1
#define INLINE static inline __attribute__((always_inline))
#else
#define VECTORS 0
#define INLINE static __inline
#endif
#if VECTORS && (defined(__x86_64__) || defined(__i386__))
#define X86 1
#else
#define X86 0
#endif

#define PART 256    /* samples that are rounded together, in the first-level cache */
#define SNAP 4096   /* as convcli.pixels.SNAP */
#define LARGEST_TEMPORARY (1 << 18) /* bytes between two passes, in the second-level cache */

/* The correlation of channels × (depth, height, width) with outputs × channels × taps; steps in samples. */
struct bank {
    const void *from, *weights;
    void *to;
    ptrdiff_t channels, outputs, taps[3], shape[3], from_step[3], to_step[3];
};

/* Samples by position on three axes; steps in bytes. */
struct pick {
    const char *from;
    char *to;
    const ptrdiff_t *index[3];
    ptrdiff_t shape[4], from_step[4], to_step[3], first, run, apart;
    double fill;
    int type, watch;
};

/* Planes of rows to be rounded; steps in bytes. */
struct finish {
    const char *from;
    char *to;
    ptrdiff_t shape[3], from_step[2], to_step[3];
    double divisor, bias;
    int absolute, snap, bytes;
};

#define JOIN2(a, b) a##_##b
#define JOIN(a, b) JOIN2(a, b)
#define JOIN3(a, b, c) JOIN(JOIN(a, b), c)
#define NAME(x) JOIN(x, SUFFIX)
#define VEC NAME(vec)
#define STEP(R, V) JOIN3(step, R, NAME(V))
#define OUTPUTS(R, V) JOIN3(outputs, R, NAME(V))
#define SWEEP(R, V) JOIN3(sweep, R, NAME(V))

#define REAL float
#define BYTES 0
#define SUFFIX f0
#define TARGET
#define RINT rintf
#define ABS fabsf
#include "_native.c"
#define REAL double
#define BYTES 0
#define SUFFIX d0
#define TARGET
#define RINT rint
#define ABS fabs
#include "_native.c"

#if VECTORS
#define REAL float
#define BYTES 16
#define SUFFIX f16
#define TARGET
#define RINT rintf
#define ABS fabsf
#include "_native.c"
#define REAL double
#define BYTES 16
#define SUFFIX d16
#define TARGET
#define RINT rint
#define ABS fabs
#include "_native.c"
#endif

#if X86
#define V3 "avx,avx2,bmi,bmi2,f16c,fma,lzcnt,movbe,popcnt"
#define REAL float
#define BYTES 32
#define SUFFIX f32
#define TARGET __attribute__((target(V3)))
#define RINT rintf
#define ABS fabsf
#include "_native.c"
#define REAL double
#define BYTES 32
#define SUFFIX d32
#define TARGET __attribute__((target(V3)))
#define RINT rint
#define ABS fabs
#include "_native.c"
#define V4 V3 ",avx512f,avx512bw,avx512cd,avx512dq,avx512vl"
#define REAL float
#define BYTES 64
#define SUFFIX f64
#define TARGET __attribute__((target(V4)))
#define RINT rintf
#define ABS fabsf
#include "_native.c"
#define REAL double
#define BYTES 64
#define SUFFIX d64
#define TARGET __attribute__((target(V4)))
#define RINT rint
#define ABS fabs
#include "_native.c"
#endif

/* One level of instructions: its name, its widest vector, and its functions for float and double. */
struct level {
    const char *name;
    ptrdiff_t bytes;
    void (*correlate[2])(const struct bank *);
    int (*gather[2])(const struct pick *);
    int (*finite_float)(const float *, ptrdiff_t);
    int (*finite_double)(const double *, ptrdiff_t);
    ptrdiff_t (*finish[2])(const struct finish *);
};

#define LEVEL(NAME, BYTES)                                                                              \
    {NAME,                              BYTES,                                                          \
     {correlate_f##BYTES, correlate_d##BYTES}, {gather_f##BYTES, gather_d##BYTES},                      \
     finite_f##BYTES,                   finite_d##BYTES,                                                \
     {finish_f##BYTES, finish_d##BYTES}}

static const struct level levels[] = {
    LEVEL("portable", 0),
#if X86
    LEVEL("x86-64", 16),
    LEVEL("x86-64-v3", 32),
    LEVEL("x86-64-v4", 64),
#elif VECTORS
    LEVEL("128-bit vectors", 16),
#endif
};

static int supported(void)
{
    int count = (int)(sizeof levels / sizeof *levels);
#if X86
    __builtin_cpu_init();
    int v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
             __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt");
    int v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
             __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
             __builtin_cpu_supports("avx512vl");
    count -= !v3 + !v4;
#endif
    return count;
}

/* Arrays: opened with as many axes as are expected, or refused. */

static const char TYPES[] = "BbHhIiQqfd"; /* in the order of TAKE */

static int type_of(const Py_buffer *view)
{
    const char *format = view->format ? view->format : "B";
    char letter = *format == '@' || *format == '=' ? format[1] : *format;
    if (letter == 'l' || letter == 'L') /* long has 4 or 8 bytes */
        letter = (view->itemsize == 8 ? "Qq" : "Ii")[letter == 'l'];
    const char *found = letter ? strchr(TYPES, letter) : NULL;
    return found ? (int)(found - TYPES) : -1;
}

static int open_array(PyObject *object, Py_buffer *view, int axes, int writable, const char *what)
{
    if (PyObject_GetBuffer(object, view, PyBUF_STRIDES | PyBUF_FORMAT | (writable ? PyBUF_WRITABLE : 0)) < 0)
        return -1;
    if (view->ndim == axes && type_of(view) >= 0) return 0;
    PyErr_Format(PyExc_ValueError, "%s has %d axes of type %s; %d of real numbers are needed", what, view->ndim,
                 view->format ? view->format : "B", axes);
    PyBuffer_Release(view);
    return -1;
}

/* Whether rows can be read as vectors are: aligned, whole samples apart, without a gap inside. */
static int plain(const Py_buffer *view, int dense)
{
    if ((uintptr_t)view->buf % view->itemsize) return 0;
    ptrdiff_t size = view->itemsize;
    for (int axis = view->ndim - 1; axis >= 0; axis--) {
        if (view->strides[axis] % view->itemsize) return 0;
        if ((dense || axis == view->ndim - 1) && view->shape[axis] > 1 && view->strides[axis] != size) return 0;
        size *= view->shape[axis];
    }
    return 1;
}

static int level_of(int number)
{
    if (number >= 0 && number < supported()) return 0;
    PyErr_Format(PyExc_ValueError, "level %d is not one that this machine has", number);
    return -1;
}

static int same_real(const Py_buffer *views, int count)
{
    for (int i = 0; i < count; i++) {
        char letter = TYPES[type_of(views + i)];
        if ((letter != 'f' && letter != 'd') || type_of(views + i) != type_of(views)) {
            PyErr_SetString(PyExc_ValueError, "arrays must all be of float32, or all of float64");
            return -1;
        }
    }
    return TYPES[type_of(views)] == 'd';
}

/* A row that is narrower than a vector needs a narrower one. */
static const struct level *fitting(int number, ptrdiff_t width, ptrdiff_t itemsize)
{
    while (number && levels[number].bytes > width * itemsize) number--;
    return levels + number;
}

static void release(Py_buffer *views, int count)
{
    while (count--) PyBuffer_Release(views + count);
}

static int open_bank(const Py_buffer *from, const Py_buffer *weights, const Py_buffer *to, struct bank *b)
{
    b->from = from->buf, b->weights = weights->buf, b->to = to->buf;
    b->outputs = weights->shape[0], b->channels = weights->shape[1];
    int fits = from->shape[0] == b->channels && to->shape[0] == b->outputs && b->channels > 0;
    for (int i = 0; i < 3; i++) {
        b->taps[i] = weights->shape[i + 2], b->shape[i] = to->shape[i + 1];
        b->from_step[i] = from->strides[i] / from->itemsize;
        b->to_step[i] = to->strides[i] / to->itemsize;
        fits = fits && b->taps[i] > 0 && b->shape[i] > 0 && from->shape[i + 1] == b->shape[i] + b->taps[i] - 1;
    }
    if (!fits) PyErr_SetString(PyExc_ValueError, "shapes of image, kernels and result do not fit each other");
    else if (!plain(from, 0) || !plain(to, 0) || !plain(weights, 1)) {
        PyErr_SetString(PyExc_ValueError, "rows of image and result must be aligned and without gaps");
        fits = 0;
    }
    return fits ? 0 : -1;
}

static PyObject *py_correlate(PyObject *self, PyObject *args)
{
    PyObject *objects[3];
    Py_buffer views[3];
    int number, opened = 0, real;
    struct bank b;
    if (!PyArg_ParseTuple(args, "OOOi", objects, objects + 1, objects + 2, &number) || level_of(number) < 0)
        return NULL;
    static const char *names[] = {"image", "kernels", "result"};
    static const int axes[] = {4, 5, 4};
    for (; opened < 3; opened++)
        if (open_array(objects[opened], views + opened, axes[opened], opened == 2, names[opened]) < 0) break;
    if (opened < 3 || (real = same_real(views, 3)) < 0 || open_bank(views, views + 1, views + 2, &b) < 0) {
        release(views, opened);
        return NULL;
    }
    const struct level *level = fitting(number, b.shape[2], views->itemsize);
    Py_BEGIN_ALLOW_THREADS
    level->correlate[real](&b);
    Py_END_ALLOW_THREADS
    release(views, 3);
    Py_RETURN_NONE;
}

/* Columns first, into a few rows that stay in cache; then rows, whose terms add up like channels. */
static int in_passes(const struct bank *b, ptrdiff_t terms, const void *columns, const void *rows,
                     const struct level *level, int real, ptrdiff_t itemsize)
{
    ptrdiff_t height = b->shape[1], wide = b->shape[2] + b->taps[2] - 1;
    ptrdiff_t stride = (wide + 15) / 16 * 16 + 16; /* no power of two: rows would share their cache lines */
    ptrdiff_t room = LARGEST_TEMPORARY / (terms * stride * itemsize) / 4 * 4;
    ptrdiff_t share = room < 4 ? 4 : room;
    char *between = malloc((size_t)(terms * (share < height ? share : height) * stride * itemsize));
    if (!between) return -1;
    for (ptrdiff_t y = 0; y < height; y += share) {
        ptrdiff_t part = height - y < share ? height - y : share;
        struct bank first = {(const char *)b->from + y * b->from_step[2] * itemsize, columns, between, 1, terms,
                             {1, b->taps[1], 1}, {1, part, wide}, {0, 0, b->from_step[2]},
                             {part * stride, 0, stride}};
        struct bank second = {between, rows, (char *)b->to + y * b->to_step[2] * itemsize, terms, 1,
                              {1, 1, b->taps[2]}, {1, part, b->shape[2]}, {part * stride, 0, stride},
                              {0, 0, b->to_step[2]}};
        level->correlate[real](&first);
        level->correlate[real](&second);
    }
    free(between);
    return 0;
}

static PyObject *py_passes(PyObject *self, PyObject *args)
{
    PyObject *objects[4];
    Py_buffer views[4];
    int number, opened = 0, real, failed;
    if (!PyArg_ParseTuple(args, "OOOOi", objects, objects + 1, objects + 2, objects + 3, &number) ||
        level_of(number) < 0)
        return NULL;
    static const char *names[] = {"image", "columns", "rows", "result"};
    for (; opened < 4; opened++)
        if (open_array(objects[opened], views + opened, 2, opened == 3, names[opened]) < 0) break;
    if (opened < 4 || (real = same_real(views, 4)) < 0) {
        release(views, opened);
        return NULL;
    }
    const Py_buffer *from = views, *columns = views + 1, *rows = views + 2, *to = views + 3;
    ptrdiff_t terms = columns->shape[0], itemsize = from->itemsize;
    struct bank b = {from->buf, NULL, to->buf, 1, 1,
                     {1, columns->shape[1], rows->shape[1]}, {1, to->shape[0], to->shape[1]},
                     {0, 0, from->strides[0] / itemsize}, {0, 0, to->strides[0] / itemsize}};
    if (terms < 1 || rows->shape[0] != terms || b.taps[1] < 1 || b.taps[2] < 1 || b.shape[1] < 1 || b.shape[2] < 1 ||
        from->shape[0] != b.shape[1] + b.taps[1] - 1 || from->shape[1] != b.shape[2] + b.taps[2] - 1) {
        PyErr_SetString(PyExc_ValueError, "shapes of image, columns, rows and result do not fit each other");
        failed = 1;
    } else if (!plain(from, 0) || !plain(to, 0) || !plain(columns, 1) || !plain(rows, 1)) {
        PyErr_SetString(PyExc_ValueError, "rows of image and result must be aligned and without gaps");
        failed = 1;
    } else {
        const struct level *level = fitting(number, b.shape[2], itemsize);
        Py_BEGIN_ALLOW_THREADS
        failed = in_passes(&b, terms, columns->buf, rows->buf, level, real, itemsize) < 0;
        Py_END_ALLOW_THREADS
        if (failed) PyErr_NoMemory();
    }
    release(views, 4);
    if (failed) return NULL;
    Py_RETURN_NONE;
}

/* Find the longest start-to-end run of equally distant columns: the image itself, between two borders. */
static void find_run(struct pick *p)
{
    const ptrdiff_t *columns = p->index[2];
    ptrdiff_t width = p->shape[3];
    p->run = 0;
    for (ptrdiff_t x = 0; x < width;) {
        ptrdiff_t end = x + 1, apart = end < width && columns[x] >= 0 ? columns[end] - columns[x] : 0;
        if (apart > 0)
            while (end < width && columns[end] - columns[end - 1] == apart) end++;
        if (apart > 0 && end - x > p->run) p->first = x, p->run = end - x, p->apart = apart;
        x = end;
    }
}

static PyObject *py_gather(PyObject *self, PyObject *args)
{
    PyObject *objects[5];
    Py_buffer views[5];
    int number, opened = 0, all = 0;
    struct pick p;
    if (!PyArg_ParseTuple(args, "OOOOOdi", objects, objects + 1, objects + 2, objects + 3, objects + 4, &p.fill,
                          &number) ||
        level_of(number) < 0)
        return NULL;
    static const char *names[] = {"image", "planes", "rows", "columns", "result"};
    static const int axes[] = {4, 1, 1, 1, 4};
    for (; opened < 5; opened++)
        if (open_array(objects[opened], views + opened, axes[opened], opened == 4, names[opened]) < 0) break;
    const Py_buffer *from = views, *to = views + 4;
    const char *wrong = NULL;
    if (opened == 5) {
        p.from = from->buf, p.to = to->buf, p.type = type_of(from), p.watch = p.type >= 8;
        int same = type_of(to) == 8 || type_of(to) == 9;
        for (int i = 0; i < 4; i++) p.shape[i] = to->shape[i], p.from_step[i] = from->strides[i];
        for (int i = 0; i < 3; i++) p.to_step[i] = to->strides[i];
        if (!same || !plain(to, 0) || from->shape[0] != to->shape[0])
            wrong = "the result must have the channels of the image, in float32 or float64, its rows without gaps";
        for (int i = 0; i < 3 && !wrong; i++) {
            const Py_buffer *index = views + 1 + i;
            if (index->itemsize != sizeof(ptrdiff_t) || strchr("qQ", TYPES[type_of(index)]) == NULL ||
                !plain(index, 1) || index->shape[0] != to->shape[i + 1])
                wrong = "positions must be intp, one for each sample of the result";
            p.index[i] = index->buf;
            for (ptrdiff_t j = 0; j < index->shape[0] && !wrong; j++)
                if (p.index[i][j] < -1 || p.index[i][j] >= from->shape[i + 1])
                    wrong = "a position is outside the image";
        }
        if (!wrong) {
            const struct level *level = levels + number;
            find_run(&p);
            Py_BEGIN_ALLOW_THREADS
            all = level->gather[type_of(to) == 9](&p);
            Py_END_ALLOW_THREADS
        }
    }
    release(views, opened);
    if (wrong) PyErr_SetString(PyExc_ValueError, wrong);
    return opened < 5 || wrong ? NULL : PyBool_FromLong(all);
}

static PyObject *py_finite(PyObject *self, PyObject *args)
{
    PyObject *object;
    Py_buffer view;
    int number, real, all = 1;
    if (!PyArg_ParseTuple(args, "Oi", &object, &number) || level_of(number) < 0 ||
        open_array(object, &view, 4, 0, "image") < 0)
        return NULL;
    if ((real = same_real(&view, 1)) < 0 || !plain(&view, 0)) {
        if (real >= 0) PyErr_SetString(PyExc_ValueError, "rows must be aligned and without gaps");
        PyBuffer_Release(&view);
        return NULL;
    }
    const struct level *level = levels + number;
    Py_BEGIN_ALLOW_THREADS
    for (ptrdiff_t c = 0; c < view.shape[0] && all; c++)
        for (ptrdiff_t d = 0; d < view.shape[1] && all; d++)
            for (ptrdiff_t r = 0; r < view.shape[2] && all; r++) {
                const char *row =
                    (const char *)view.buf + c * view.strides[0] + d * view.strides[1] + r * view.strides[2];
                all = real ? level->finite_double((const double *)row, view.shape[3])
                           : level->finite_float((const float *)row, view.shape[3]);
            }
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&view);
    return PyBool_FromLong(all);
}

static PyObject *py_finish(PyObject *self, PyObject *args)
{
    PyObject *objects[2];
    Py_buffer views[2];
    int number;
    ptrdiff_t clipped = 0;
    struct finish f;
    if (!PyArg_ParseTuple(args, "OOddppi", objects, objects + 1, &f.divisor, &f.bias, &f.absolute, &f.snap,
                          &number) ||
        level_of(number) < 0 || open_array(objects[0], views, 3, 0, "result") < 0)
        return NULL;
    if (open_array(objects[1], views + 1, 3, 1, "target") < 0) {
        release(views, 1);
        return NULL;
    }
    int real = same_real(views, 1), type = type_of(views + 1), fits = real >= 0;
    for (int i = 0; i < 3; i++) fits = fits && views[0].shape[i] == views[1].shape[i];
    if (real >= 0 && (!fits || !plain(views, 0) || (TYPES[type] != 'B' && TYPES[type] != 'H'))) {
        PyErr_SetString(PyExc_ValueError, "the target must be uint8 or uint16, in the shape of the result");
        fits = 0;
    }
    if (fits) {
        f.from = views[0].buf, f.to = views[1].buf, f.bytes = (int)views[1].itemsize;
        for (int i = 0; i < 3; i++) f.shape[i] = views[0].shape[i], f.to_step[i] = views[1].strides[i];
        for (int i = 0; i < 2; i++) f.from_step[i] = views[0].strides[i];
        Py_BEGIN_ALLOW_THREADS
        clipped = levels[number].finish[real](&f);
        Py_END_ALLOW_THREADS
    }
    release(views, 2);
    return fits ? PyLong_FromSsize_t(clipped) : NULL;
}

static PyObject *py_levels(PyObject *self, PyObject *ignored)
{
    int count = supported();
    PyObject *names = PyTuple_New(count);
    for (int i = 0; names && i < count; i++) {
        PyObject *name = PyUnicode_FromString(levels[i].name);
        if (!name || PyTuple_SetItem(names, i, name) < 0) {
            Py_DECREF(names);
            return NULL;
        }
    }
    return names;
}

static PyMethodDef methods[] = {
    {"levels", py_levels, METH_NOARGS, "levels() -> names of the instruction levels this machine has, best last"},
    {"correlate", py_correlate, METH_VARARGS,
     "correlate(image, kernels, result, level): (C, D, H, W) with (O, C, kd, kh, kw) into (O, d, h, w)"},
    {"passes", py_passes, METH_VARARGS,
     "passes(image, columns, rows, result, level): (H, W) with (T, kh) and (T, kw) into (h, w)"},
    {"gather", py_gather, METH_VARARGS,
     "gather(image, planes, rows, columns, result, fill, level) -> whether all samples are finite"},
    {"finite", py_finite, METH_VARARGS, "finite(image, level) -> whether all samples of (C, D, H, W) are"},
    {"finish", py_finish, METH_VARARGS,
     "finish(result, target, divisor, bias, absolute, snap, level) -> how many samples did not fit"},
    {NULL, NULL, 0, NULL}};

static PyModuleDef_Slot slots[] = {{0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_native", "Inner loops, compiled.", 0, methods, slots,
                                    NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__native(void) { return PyModuleDef_Init(&module); }

#endif
