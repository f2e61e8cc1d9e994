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
typedef REAL VEC __attribute__((vector_size(BYTES)));
typedef REAL LOOSE __attribute__((vector_size(BYTES), aligned(sizeof(REAL)), may_alias)); /* in memory */
#define LANES ((int)(BYTES / sizeof(REAL)))
#define ALL(x) ((VEC){0} + (x))
#else
typedef REAL VEC;
typedef REAL LOOSE;
#define LANES 1
#define ALL(x) (x)
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
            for (int v = 0; v < V; v++) {                                                               \
                part[v] = *(const LOOSE *)(x + c + v * LANES);                                            \
                KEEP(part[v]);                                                                          \
            }                                                                                           \
            for (int i = lo; i <= hi; i++) {                                                            \
                VEC weight = ALL(weights[c - i * taps]);                                                \
                KEEP(weight);                                                                           \
                for (int v = 0; v < V; v++) sums[i][v] += weight * part[v];                             \
            }                                                                                           \
        }                                                                                               \
    }                                                                                                   \
    INLINE TARGET void ROW(R, V)(VEC sums[R][V], const REAL *x, const REAL *weights, ptrdiff_t r,       \
                                 ptrdiff_t high, ptrdiff_t wide)                                        \
    {                                                                                                   \
        int lo = r < high ? 0 : (int)(r - high + 1), hi = r < R - 1 ? (int)r : R - 1;                   \
        switch (4 * lo + hi) {                                                                          \
        case 0: STEP(R, V)(sums, x, weights, wide, 0, 0); break;                                        \
        case 1: if (R > 1) STEP(R, V)(sums, x, weights, wide, 0, 1); break;                             \
        case 2: if (R > 2) STEP(R, V)(sums, x, weights, wide, 0, 2); break;                             \
        case 3: if (R > 3) STEP(R, V)(sums, x, weights, wide, 0, 3); break;                             \
        case 5: if (R > 1) STEP(R, V)(sums, x, weights, wide, 1, 1); break;                             \
        case 6: if (R > 2) STEP(R, V)(sums, x, weights, wide, 1, 2); break;                             \
        case 7: if (R > 3) STEP(R, V)(sums, x, weights, wide, 1, 3); break;                             \
        case 10: if (R > 2) STEP(R, V)(sums, x, weights, wide, 2, 2); break;                            \
        case 11: if (R > 3) STEP(R, V)(sums, x, weights, wide, 2, 3); break;                            \
        case 15: if (R > 3) STEP(R, V)(sums, x, weights, wide, 3, 3); break;                            \
        }                                                                                               \
    }                                                                                                   \
    INLINE TARGET void OUTPUTS(R, V)(const struct job *j, const void *const *rows, ptrdiff_t x,          \
                                     const REAL *w, ptrdiff_t high, ptrdiff_t wide, int unrolled,       \
                                     REAL *to, ptrdiff_t to_step)                                       \
    {                                                                                                   \
        VEC sums[R][V];                                                                                 \
        memset(sums, 0, sizeof sums);                                                                   \
        for (ptrdiff_t p = 0; p < j->planes; p++, w += high * wide, rows += j->height)                  \
            if (unrolled)                                                                               \
                UNROLL for (ptrdiff_t r = 0; r < high + R - 1; r++)                                     \
                    ROW(R, V)(sums, (const REAL *)rows[r] + x, w + r * wide, r, high, wide);            \
            else                                                                                        \
                for (ptrdiff_t r = 0; r < high + R - 1; r++)                                            \
                    ROW(R, V)(sums, (const REAL *)rows[r] + x, w + r * wide, r, high, wide);            \
        for (int i = 0; i < R; i++)                                                                     \
            for (int v = 0; v < V; v++) *(LOOSE *)(to + i * to_step + v * LANES) = sums[i][v];            \
    }                                                                                                   \
    /* R rows from x on, as wide as there are whole blocks; returns where the next begins. */           \
    static TARGET ptrdiff_t SWEEP(R, V)(const struct job *j, const void *const *rows, ptrdiff_t x,       \
                                        ptrdiff_t width, const REAL *weights, REAL *to, ptrdiff_t to_step) \
    {                                                                                                   \
        const ptrdiff_t block = V * LANES, high = j->taps[1], wide = j->taps[2];                        \
        if (R == 4 && V == 3 && high == 3 && wide == 3) /* small kernels: no loop is left */            \
            for (; x + block <= width; x += block) OUTPUTS(R, V)(j, rows, x, weights, 3, 3, 1, to + x, to_step); \
        else if (R == 4 && V == 3 && high == 5 && wide == 5)                                            \
            for (; x + block <= width; x += block) OUTPUTS(R, V)(j, rows, x, weights, 5, 5, 1, to + x, to_step); \
        else                                                                                            \
            for (; x + block <= width; x += block)                                                      \
                OUTPUTS(R, V)(j, rows, x, weights, high, wide, 0, to + x, to_step);                        \
        return x;                                                                                       \
    }

BLOCK(4, 3)
BLOCK(4, 1)
BLOCK(1, 12)
BLOCK(1, 1)

/* Whether n numbers are all finite: x - x is 0 for those that are, and NaN for the others. */
static TARGET int NAME(finite)(const REAL *x, ptrdiff_t n)
{
    VEC seen[4];
    memset(seen, 0, sizeof seen);
    ptrdiff_t i = 0;
    for (; i + 4 * LANES <= n; i += 4 * LANES)
        for (int v = 0; v < 4; v++) {
            VEC part = *(const LOOSE *)(x + i + v * LANES);
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

/* Convert the samples of one row, from column number `x` to `end` of the padded image. */
static TARGET void NAME(pick)(const struct job *j, const char *row, ptrdiff_t x, ptrdiff_t end, REAL *to)
{
    static void (*const take[])(const char *, ptrdiff_t, REAL *, ptrdiff_t) = {
        NAME(take_uint8_t),  NAME(take_int8_t),   NAME(take_uint16_t), NAME(take_int16_t), NAME(take_uint32_t),
        NAME(take_int32_t),  NAME(take_uint64_t), NAME(take_int64_t),  NAME(take_float),   NAME(take_double)};
    const ptrdiff_t *columns = j->index[2], step = j->from_step[3], stop = j->first + j->run;
    while (x < end) {
        ptrdiff_t n = x >= j->first && x < stop ? (stop < end ? stop : end) - x : 1;
        if (row == NULL || columns[x] < 0)
            *to = (REAL)j->fill, n = 1;
        else
            take[j->type](row + columns[x] * step, n > 1 ? j->apart * step : step, to, n);
        x += n, to += n;
    }
}

/* Have rows ready up to number `until`: where they lie, if they can be read there, or converted.
 * The last few are kept; what borders them on the left and on the right always is a copy. */
static TARGET void NAME(fetch)(struct job *j, ptrdiff_t until)
{
    for (; j->next < until; j->next++)
        for (ptrdiff_t p = 0; p < j->planes; p++) {
            ptrdiff_t r = j->next, at = p * j->height + r, plane = j->index[0][j->z + p % j->taps[0]];
            const char *row = j->from + p / j->taps[0] * j->from_step[0] + plane * j->from_step[1] +
                              j->index[1][r] * j->from_step[2];
            if (plane < 0 || j->index[1][r] < 0) row = NULL;
            for (int k = 0; k < 3; k++) {
                ptrdiff_t start = j->start[k], end = j->start[k + 1] + j->taps[2] - 1;
                if (start == j->start[k + 1]) continue;
                if (k == 1 && j->inside && row) {
                    j->rows[k][at] = row + j->index[2][start] * (ptrdiff_t)sizeof(REAL);
                } else {
                    REAL *copy = (REAL *)j->kept[k] + (p * j->ring + r % j->ring) * j->stride[k];
                    NAME(pick)(j, row, start, end, copy);
                    j->rows[k][at] = copy;
                }
                if (j->watch) j->finite &= NAME(finite)(j->rows[k][at], end - start);
            }
        }
}

/* Rows y to `end` of the results of all kernels. */
static TARGET void NAME(compute)(struct job *j, ptrdiff_t y, ptrdiff_t end, REAL *to, const ptrdiff_t to_step[2])
{
    const int four = j->taps[1] > 1 && end - y >= 4;
    const ptrdiff_t first = y, count = four ? 4 : 1, cells = j->planes * j->taps[1] * j->taps[2];
    for (; y < end; y += count) {
        if (y + count > end) y = end - count; /* some rows once more: cheaper than rows of their own */
        NAME(fetch)(j, y + count + j->taps[1] - 1);
        if (!j->finite) return;
        for (ptrdiff_t o = 0; o < j->outputs; o++)
            for (int k = 0; k < 3; k++) {
                const void *const *rows = (const void *const *)j->rows[k] + y;
                const REAL *weights = (const REAL *)j->weights + o * cells;
                REAL *place = to + o * to_step[0] + (y - first) * to_step[1] + j->start[k];
                ptrdiff_t width = j->start[k + 1] - j->start[k], x = 0, last = width - LANES;
                x = four ? SWEEP(4, 3)(j, rows, x, width, weights, place, to_step[1])
                         : SWEEP(1, 12)(j, rows, x, width, weights, place, to_step[1]);
                x = four ? SWEEP(4, 1)(j, rows, x, width, weights, place, to_step[1])
                         : SWEEP(1, 1)(j, rows, x, width, weights, place, to_step[1]);
                if (x < width && four) /* the end, together with some of what is before it */
                    SWEEP(4, 1)(j, rows, last, width, weights, place, to_step[1]);
                else if (x < width)
                    SWEEP(1, 1)(j, rows, last, width, weights, place, to_step[1]);
            }
    }
}

/* Planes z of the result, one after the other. */
static TARGET void NAME(correlate)(struct job *j)
{
    const ptrdiff_t to_step[2] = {j->to_step[0], j->to_step[2]};
    for (j->z = 0; j->z < j->shape[0] && j->finite; j->z++) {
        j->next = 0;
        NAME(compute)(j, 0, j->shape[1], (REAL *)j->to + j->z * j->to_step[1], to_step);
    }
}

INLINE TARGET void NAME(add)(REAL *to, const REAL *from, ptrdiff_t n, REAL sign)
{
    ptrdiff_t x = 0;
    for (; x + LANES <= n; x += LANES) *(LOOSE *)(to + x) += sign * *(const LOOSE *)(from + x);
    for (; x < n; x++) to[x] += sign * from[x];
}

/* Sums over all cells of a box. Those of a column follow from those one row above; over 2, 4, 8, …
 * columns from each other. Exact for whole numbers that the type holds, and for no others. */
static TARGET void NAME(box)(struct job *j, ptrdiff_t wide, double factor, void *memory)
{
    const ptrdiff_t columns = j->shape[2], width = columns - wide + 1, high = j->taps[1];
    REAL *sums = memory, *powers = sums + columns, scale = (REAL)factor;
    memset(sums, 0, (size_t)columns * sizeof *sums);
    for (ptrdiff_t y = 0; y < j->shape[1]; y++) {
        REAL *to = (REAL *)j->to + y * j->to_step[2];
        NAME(fetch)(j, y + high);
        if (!j->finite) return;
        for (int k = 0; k < 3; k++) {
            ptrdiff_t start = j->start[k], n = j->start[k + 1] - start;
            if (y) NAME(add)(sums + start, j->rows[k][y - 1], n, -1); /* first: no sum is larger than a box's */
            for (ptrdiff_t r = y ? y + high - 1 : 0; r < y + high; r++) NAME(add)(sums + start, j->rows[k][r], n, 1);
        }
        memcpy(powers, sums, (size_t)columns * sizeof *sums);
        memset(to, 0, (size_t)width * sizeof *to);
        for (ptrdiff_t span = 1, taken = 0; span <= wide; span *= 2) {
            if (wide & span) {
                NAME(add)(to, powers + taken, width, 1);
                taken += span;
            }
            if (2 * span <= wide) NAME(add)(powers, powers + span, columns - 2 * span + 1, 1);
        }
        if (scale != 1)
            for (ptrdiff_t x = 0; x < width; x++) to[x] *= scale;
    }
}

static TARGET int NAME(gather)(struct job *j)
{
    ptrdiff_t width = j->shape[2];
    int all = 1;
    for (ptrdiff_t c = 0; c < j->planes; c++)
        for (ptrdiff_t d = 0; d < j->shape[0]; d++)
            for (ptrdiff_t r = 0; r < j->shape[1]; r++) {
                ptrdiff_t plane = j->index[0][d], row = j->index[1][r];
                const char *from = j->from + c * j->from_step[0] + plane * j->from_step[1] + row * j->from_step[2];
                REAL *to = (REAL *)j->to + c * j->to_step[0] + d * j->to_step[1] + r * j->to_step[2];
                NAME(pick)(j, plane < 0 || row < 0 ? NULL : from, 0, width, to);
                if (j->watch) all &= NAME(finite)(to, width);
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
#undef ALL
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

#if (defined(__GNUC__) || defined(__clang__)) && !defined(CONVCLI_PLAIN) /* which tests what MSVC compiles */
#define VECTORS 1
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 8")
#else
#define VECTORS 0
#define INLINE static __inline
#define UNROLL
#endif
#if VECTORS && (defined(__x86_64__) || defined(__i386__))
#define X86 1
#else
#define X86 0
#endif

/* Loads must stay loads: GCC would rather load anew for each multiplication. */
#if X86
#define KEEP(x) __asm__("" : "+v"(x))
#elif VECTORS && defined(__aarch64__)
#define KEEP(x) __asm__("" : "+w"(x))
#else
#define KEEP(x) ((void)0)
#endif

#define PART 256    /* samples that are rounded together, in the first-level cache */
#define SNAP 4096   /* as convcli.pixels.SNAP */
#define LARGEST_BLOCK 192 /* bytes: three of the widest vectors */
#define LARGEST_TEMPORARY (1 << 18) /* bytes between two passes, in the second-level cache */

/* One call: an image, how it is padded, kernels, a result. Steps of the image are in bytes, others in samples. */
struct job {
    const char *from;
    ptrdiff_t from_step[4];
    const ptrdiff_t *index[3]; /* of every sample of the padded image, on each axis; -1 outside */
    ptrdiff_t first, run, apart; /* the columns that are equally far apart: the image between its borders */
    double fill;
    int type, watch, finite;

    const void *weights;
    ptrdiff_t planes, outputs, taps[3]; /* planes: channels times the depth of a kernel */

    void *to;
    ptrdiff_t shape[3], to_step[3];

    /* Left, middle and right part of a row of results: part k begins at start[k]. In the middle the
     * image may be read where it lies (`inside`); the others are made of copies of the last rows. */
    ptrdiff_t start[4], height, next, z, ring, stride[3];
    int inside;
    const void **rows[3];
    char *kept[3];
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
#define LOOSE NAME(loose)
#define STEP(R, V) JOIN3(step, R, NAME(V))
#define ROW(R, V) JOIN3(row, R, NAME(V))
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
#define V3 "avx,avx2,bmi,bmi2,fma,popcnt"
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
    void (*correlate[2])(struct job *);
    void (*compute_float)(struct job *, ptrdiff_t, ptrdiff_t, float *, const ptrdiff_t *);
    void (*compute_double)(struct job *, ptrdiff_t, ptrdiff_t, double *, const ptrdiff_t *);
    void (*box[2])(struct job *, ptrdiff_t, double, void *);
    int (*gather[2])(struct job *);
    int (*finite_float)(const float *, ptrdiff_t);
    int (*finite_double)(const double *, ptrdiff_t);
    ptrdiff_t (*finish[2])(const struct finish *);
};

#define LEVEL(NAME, BYTES)                                                                              \
    {NAME,                              BYTES,                                                          \
     {correlate_f##BYTES, correlate_d##BYTES}, compute_f##BYTES, compute_d##BYTES,                      \
     {box_f##BYTES, box_d##BYTES}, {gather_f##BYTES, gather_d##BYTES},                                                                \
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
#define FLOAT 8 /* the first that may be NaN or infinite */

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
        if (view->shape[axis] > 1 && view->strides[axis] % view->itemsize) return 0;
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

/* Positions on one axis: an array of intp, or None for all samples as they are. */
static int open_index(PyObject *object, ptrdiff_t length, ptrdiff_t size, const ptrdiff_t **index, Py_buffer *view,
                      ptrdiff_t **made)
{
    *made = NULL;
    view->obj = NULL;
    if (object == NULL || object == Py_None) {
        if (length != size) {
            PyErr_SetString(PyExc_ValueError, "shapes of image, kernels and result do not fit each other");
            return -1;
        }
        *made = calloc((size_t)length, sizeof **made); /* which knows lengths that no memory holds */
        if (*made == NULL) return PyErr_NoMemory(), -1;
        for (ptrdiff_t i = 0; i < length; i++) (*made)[i] = i;
        *index = *made;
        return 0;
    } else {
        if (open_array(object, view, 1, 0, "positions") < 0) {
            view->obj = NULL;
            return -1;
        }
        *index = view->buf;
        int fits = view->itemsize == sizeof(ptrdiff_t) && strchr("iIqQ", TYPES[type_of(view)]) && plain(view, 1) &&
                   view->shape[0] == length;
        if (!fits) PyErr_SetString(PyExc_ValueError, "positions must be intp, one for each sample that is needed");
        for (ptrdiff_t i = 0; fits && i < length; i++)
            if ((*index)[i] < -1 || (*index)[i] >= size) {
                PyErr_SetString(PyExc_ValueError, "a position is outside the image");
                fits = 0;
            }
        if (fits) return 0;
    }
    return -1;
}

/* Find the longest run of equally distant columns: the image itself, between two borders. */
static void find_run(struct job *j, ptrdiff_t width)
{
    const ptrdiff_t *columns = j->index[2];
    j->first = j->run = j->apart = 0;
    for (ptrdiff_t x = 0; x < width;) {
        ptrdiff_t end = x + 1, apart = end < width && columns[x] >= 0 ? columns[end] - columns[x] : 0;
        if (apart > 0)
            while (end < width && columns[end] - columns[end - 1] == apart) end++;
        if (apart > 0 && end - x > j->run) j->first = x, j->run = end - x, j->apart = apart;
        x = end;
    }
}

/* Part the columns into those that can be read where they lie and those at either end that cannot. */
static void part_columns(struct job *j, const Py_buffer *image, const Py_buffer *to)
{
    const ptrdiff_t block = LARGEST_BLOCK / image->itemsize, width = j->shape[2];
    ptrdiff_t lead = (j->first + block - 1) / block * block;
    ptrdiff_t tail = width + j->taps[2] - 1 - j->first - j->run;
    if (tail > 0) { /* what lies between is to be made of whole blocks */
        ptrdiff_t rest = (width - lead) % block;
        tail = rest + (tail > rest ? (tail - rest + block - 1) / block * block : rest < block / 3 ? block : 0);
    }
    j->inside = type_of(image) == type_of(to) && j->apart == 1 && image->strides[3] == image->itemsize &&
                (uintptr_t)image->buf % image->itemsize == 0 && lead + tail + block <= width;
    for (int axis = 0; axis < 3; axis++) j->inside = j->inside && image->strides[axis] % image->itemsize == 0;
    j->start[0] = 0;
    j->start[1] = j->inside ? lead : 0;
    j->start[2] = j->inside ? width - tail : width;
    j->start[3] = width;
}

/* Memory for the rows at hand. */
static int make_room(struct job *j, ptrdiff_t itemsize)
{
    j->height = j->shape[1] + j->taps[1] - 1;
    j->ring = j->taps[1] + 6; /* four rows of results at a time, and three that may be made once more */
    j->finite = 1;
    j->next = j->z = 0;
    size_t total = 0;
    for (int k = 0; k < 3; k++) {
        ptrdiff_t samples = j->start[k + 1] - j->start[k] + j->taps[2] - 1;
        j->stride[k] = (samples + 15) / 16 * 16 + 16; /* no power of two: rows would share their cache lines */
        total += (size_t)(j->planes * j->height) * sizeof(void *);
        total += (size_t)(j->planes * j->ring * j->stride[k] * itemsize);
    }
    char *memory = malloc(total);
    if (memory == NULL) return PyErr_NoMemory(), -1;
    for (int k = 0; k < 3; k++) {
        j->rows[k] = (const void **)memory;
        memory += (size_t)(j->planes * j->height) * sizeof(void *);
    }
    for (int k = 0; k < 3; k++) {
        j->kept[k] = memory;
        memory += (size_t)(j->planes * j->ring * j->stride[k] * itemsize);
    }
    return 0;
}

/* What all calls have in common: open the arrays, check them, do the work without the interpreter. */
struct call {
    Py_buffer image, result, positions[3];
    ptrdiff_t *made[3];
    struct job job;
    int real;
};

static void end_call(struct call *c)
{
    for (int i = 0; i < 3; i++) {
        if (c->positions[i].obj) PyBuffer_Release(c->positions + i);
        free(c->made[i]);
    }
    PyBuffer_Release(&c->image);
    PyBuffer_Release(&c->result);
}

static int begin_call(struct call *c, PyObject *image, PyObject *result, PyObject *const *positions, double fill,
                      const ptrdiff_t taps[3])
{
    struct job *j = &c->job;
    memset(c, 0, sizeof *c);
    if (open_array(image, &c->image, 4, 0, "image") < 0) return -1;
    if (open_array(result, &c->result, 4, 1, "result") < 0) {
        PyBuffer_Release(&c->image);
        return -1;
    }
    j->from = c->image.buf, j->type = type_of(&c->image), j->watch = j->type >= FLOAT, j->fill = fill;
    j->to = c->result.buf;
    for (int i = 0; i < 4; i++) j->from_step[i] = c->image.strides[i];
    int fits = (c->real = same_real(&c->result, 1)) >= 0;
    if (fits && !plain(&c->result, 0)) {
        PyErr_SetString(PyExc_ValueError, "rows of the result must be aligned and without gaps");
        fits = 0;
    }
    for (int i = 0; i < 3 && fits; i++) {
        j->taps[i] = taps[i], j->shape[i] = c->result.shape[i + 1];
        j->to_step[i] = c->result.strides[i] / c->result.itemsize;
        if (j->shape[i] < 1 || taps[i] < 1 || c->image.shape[0] < 1 || taps[i] > PTRDIFF_MAX - j->shape[i]) {
            PyErr_SetString(PyExc_ValueError, "shapes of image, kernels and result do not fit each other");
            fits = 0;
        } else
            fits = open_index(positions[i], j->shape[i] + taps[i] - 1, c->image.shape[i + 1], j->index + i,
                              c->positions + i, c->made + i) == 0;
    }
    if (fits) {
        find_run(j, j->shape[2] + taps[2] - 1);
        return 0;
    }
    end_call(c);
    return -1;
}

static PyObject *py_correlate(PyObject *self, PyObject *args)
{
    PyObject *image, *kernels, *result, *positions[3] = {NULL, NULL, NULL};
    Py_buffer weights;
    struct call c;
    int number, failed = 1;
    double fill = 0;
    if (!PyArg_ParseTuple(args, "OOOi|OOOd", &image, &kernels, &result, &number, positions, positions + 1,
                          positions + 2, &fill) ||
        level_of(number) < 0 || open_array(kernels, &weights, 5, 0, "kernels") < 0)
        return NULL;
    if (begin_call(&c, image, result, positions, fill, weights.shape + 2) == 0) {
        struct job *j = &c.job;
        j->weights = weights.buf, j->outputs = weights.shape[0], j->planes = weights.shape[1] * j->taps[0];
        if (type_of(&weights) != type_of(&c.result) || !plain(&weights, 1) || j->outputs != c.result.shape[0] ||
            weights.shape[1] != c.image.shape[0])
            PyErr_SetString(PyExc_ValueError, "kernels must fit image and result, in the type of the result");
        else {
            part_columns(j, &c.image, &c.result);
            if (make_room(j, c.result.itemsize) == 0) {
                const struct level *level = fitting(number, j->shape[2], c.result.itemsize);
                Py_BEGIN_ALLOW_THREADS
                level->correlate[c.real](j);
                Py_END_ALLOW_THREADS
                free(j->rows[0]);
                failed = 0;
            }
        }
        end_call(&c);
    }
    PyBuffer_Release(&weights);
    return failed ? NULL : PyBool_FromLong(c.job.finite);
}

/* Columns first, into a few rows that stay in cache; then rows, whose terms add up like channels. */
static int in_passes(struct job *j, ptrdiff_t terms, const void *rows, ptrdiff_t taps, const struct level *level,
                     int real, ptrdiff_t itemsize)
{
    ptrdiff_t height = j->shape[1], wide = j->shape[2], stride = (wide + 15) / 16 * 16 + 16;
    ptrdiff_t room = LARGEST_TEMPORARY / (terms * stride * itemsize) / 4 * 4;
    ptrdiff_t share = room < 4 ? 4 : room < height ? room : height;
    const ptrdiff_t between_step[2] = {share * stride, stride}, to_step[2] = {0, j->to_step[2]};
    char *between = malloc((size_t)(terms * share * stride * itemsize));
    const void **table = malloc((size_t)(terms * share) * sizeof(void *));
    int made = between && table;
    for (ptrdiff_t i = 0; made && i < terms * share; i++) table[i] = between + i * stride * itemsize;
    for (ptrdiff_t y = 0; made && y < height && j->finite; y += share) {
        ptrdiff_t part = height - y < share ? height - y : share;
        struct job second = {.weights = rows, .planes = terms, .outputs = 1, .taps = {1, 1, taps}, .finite = 1,
                             .start = {0, 0, wide - taps + 1, wide - taps + 1}, .height = share, .next = part,
                             .rows = {table, table, table}};
        char *to = (char *)j->to + y * j->to_step[2] * itemsize;
        if (real) {
            level->compute_double(j, y, y + part, (double *)between, between_step);
            if (j->finite) level->compute_double(&second, 0, part, (double *)to, to_step);
        } else {
            level->compute_float(j, y, y + part, (float *)between, between_step);
            if (j->finite) level->compute_float(&second, 0, part, (float *)to, to_step);
        }
    }
    free(between);
    free(table);
    return made ? 0 : -1;
}

static PyObject *py_passes(PyObject *self, PyObject *args)
{
    PyObject *image, *objects[2], *result, *positions[3] = {NULL, NULL, NULL};
    Py_buffer views[2];
    struct call c;
    int number, failed = 1;
    double fill = 0;
    if (!PyArg_ParseTuple(args, "OOOOi|OOd", &image, objects, objects + 1, &result, &number, positions + 1,
                          positions + 2, &fill) ||
        level_of(number) < 0 || open_array(objects[0], views, 2, 0, "columns") < 0)
        return NULL;
    if (open_array(objects[1], views + 1, 2, 0, "rows") < 0) {
        release(views, 1);
        return NULL;
    }
    const ptrdiff_t taps[3] = {1, views[0].shape[1], views[1].shape[1]}, terms = views[0].shape[0];
    if (begin_call(&c, image, result, positions, fill, taps) == 0) {
        struct job *j = &c.job;
        if (type_of(views) != type_of(&c.result) || type_of(views + 1) != type_of(&c.result) || !plain(views, 1) ||
            !plain(views + 1, 1) || terms < 1 || views[1].shape[0] != terms || c.image.shape[0] != 1 ||
            c.result.shape[0] != 1 || j->shape[0] != 1)
            PyErr_SetString(PyExc_ValueError, "columns and rows must fit image and result, in the type of the result");
        else {
            /* The first pass makes results for every column that the second needs. */
            j->weights = views[0].buf, j->outputs = terms, j->planes = 1;
            j->shape[2] += taps[2] - 1, j->taps[2] = 1;
            part_columns(j, &c.image, &c.result);
            if (make_room(j, c.result.itemsize) == 0) {
                const struct level *level = fitting(number, j->shape[2] - taps[2] + 1, c.result.itemsize);
                Py_BEGIN_ALLOW_THREADS
                failed = in_passes(j, terms, views[1].buf, taps[2], level, c.real, c.result.itemsize) < 0;
                Py_END_ALLOW_THREADS
                free(j->rows[0]);
                if (failed) PyErr_NoMemory();
            }
        }
        end_call(&c);
    }
    release(views, 2);
    return failed ? NULL : PyBool_FromLong(c.job.finite);
}

static PyObject *py_box(PyObject *self, PyObject *args)
{
    PyObject *image, *result, *positions[3] = {NULL, NULL, NULL};
    struct call c;
    ptrdiff_t taps[3] = {1, 0, 0};
    int number, failed = 1;
    double factor, fill = 0;
    if (!PyArg_ParseTuple(args, "OnndOi|OOd", &image, taps + 1, taps + 2, &factor, &result, &number, positions + 1,
                          positions + 2, &fill) ||
        level_of(number) < 0 || begin_call(&c, image, result, positions, fill, taps) < 0)
        return NULL;
    struct job *j = &c.job;
    if (c.image.shape[0] != 1 || c.result.shape[0] != 1 || j->shape[0] != 1)
        PyErr_SetString(PyExc_ValueError, "a box sums the samples of one plane");
    else {
        j->planes = j->outputs = 1;
        j->shape[2] += taps[2] - 1, j->taps[2] = 1; /* columns are summed, for all that a row needs */
        part_columns(j, &c.image, &c.result);
        void *memory = malloc((size_t)(2 * j->shape[2] * c.result.itemsize));
        if (memory == NULL)
            PyErr_NoMemory();
        else if (make_room(j, c.result.itemsize) == 0) {
            Py_BEGIN_ALLOW_THREADS
            levels[number].box[c.real](j, taps[2], factor, memory);
            Py_END_ALLOW_THREADS
            free(j->rows[0]);
            failed = 0;
        }
        free(memory);
    }
    end_call(&c);
    return failed ? NULL : PyBool_FromLong(c.job.finite);
}

static PyObject *py_gather(PyObject *self, PyObject *args)
{
    PyObject *image, *result, *positions[3];
    static const ptrdiff_t taps[3] = {1, 1, 1};
    struct call c;
    int number, all = 0;
    double fill;
    if (!PyArg_ParseTuple(args, "OOOOOdi", &image, positions, positions + 1, positions + 2, &result, &fill,
                          &number) ||
        level_of(number) < 0 || begin_call(&c, image, result, positions, fill, taps) < 0)
        return NULL;
    int fits = c.image.shape[0] == c.result.shape[0];
    if (fits) {
        c.job.planes = c.image.shape[0];
        for (int i = 0; i < 3; i++) c.job.to_step[i] = c.result.strides[i] / c.result.itemsize;
        Py_BEGIN_ALLOW_THREADS
        all = levels[number].gather[c.real](&c.job);
        Py_END_ALLOW_THREADS
    } else
        PyErr_SetString(PyExc_ValueError, "image and result must have the same channels");
    end_call(&c);
    return fits ? PyBool_FromLong(all) : NULL;
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

/* PNG rows are stored as differences to what a filter expects of the neighbours: left, above, corner. */

INLINE unsigned char nearest(int left, int above, int corner)
{
    int across = abs(above - corner), down = abs(left - corner), both = abs(left + above - 2 * corner);
    return (unsigned char)(across <= down && across <= both ? left : down <= both ? above : corner);
}

/* `step` is a constant in each copy of this, so that what lies a pixel back stays in registers. */
INLINE int unfilter_rows(const unsigned char *from, unsigned char *to, ptrdiff_t rows, ptrdiff_t bytes,
                         ptrdiff_t step)
{
    for (ptrdiff_t r = 0; r < rows; r++, to += bytes, from += bytes) {
        int filter = *from++;
        const unsigned char *up = r ? to - bytes : to; /* not to be read in the first row: black is above it */
        if (filter == 0 || (filter == 2 && r == 0)) memcpy(to, from, bytes);
        else if (filter == 1 || (filter == 4 && r == 0)) {
            memcpy(to, from, step);
            for (ptrdiff_t i = step; i < bytes; i++) to[i] = from[i] + to[i - step];
        } else if (filter == 2)
            for (ptrdiff_t i = 0; i < bytes; i++) to[i] = from[i] + up[i];
        else if (filter == 3)
            for (ptrdiff_t i = 0; i < bytes; i++)
                to[i] = from[i] + (((i < step ? 0 : to[i - step]) + (r ? up[i] : 0)) >> 1);
        else if (filter == 4) {
            for (ptrdiff_t i = 0; i < step; i++) to[i] = from[i] + up[i];
            for (ptrdiff_t i = step; i < bytes; i++)
                to[i] = from[i] + nearest(to[i - step], up[i], up[i - step]);
        } else
            return 0;
    }
    return 1;
}

static PyObject *py_unfilter(PyObject *self, PyObject *args)
{
    Py_buffer lines, result;
    Py_ssize_t rows, step;
    if (!PyArg_ParseTuple(args, "y*w*nn", &lines, &result, &rows, &step)) return NULL;
    Py_ssize_t bytes = rows > 0 ? result.len / rows : 0;
    int good = step > 0 && bytes >= step && result.len == rows * bytes && lines.len == rows * (bytes + 1);
    if (!good) PyErr_SetString(PyExc_ValueError, "lines must have a byte more than the rows of the result");
    else {
        const unsigned char *from = lines.buf;
        unsigned char *to = result.buf;
        Py_BEGIN_ALLOW_THREADS
        good = step == 1   ? unfilter_rows(from, to, rows, bytes, 1)
               : step == 2 ? unfilter_rows(from, to, rows, bytes, 2)
               : step == 3 ? unfilter_rows(from, to, rows, bytes, 3)
               : step == 4 ? unfilter_rows(from, to, rows, bytes, 4)
                           : unfilter_rows(from, to, rows, bytes, step);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&lines);
    PyBuffer_Release(&result);
    return PyErr_Occurred() ? NULL : PyBool_FromLong(good);
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
     "correlate(image, kernels, result, level, planes=None, rows=None, columns=None, fill=0) -> whether all\n"
     "samples are finite; (C, D, H, W) with (O, C, kd, kh, kw) into (O, d, h, w)"},
    {"passes", py_passes, METH_VARARGS,
     "passes(image, columns, rows, result, level, row_positions=None, column_positions=None, fill=0) -> whether\n"
     "all samples are finite; (1, 1, H, W) with (T, kh) and (T, kw) into (1, 1, h, w)"},
    {"box", py_box, METH_VARARGS,
     "box(image, height, width, factor, result, level, row_positions=None, column_positions=None, fill=0) ->\n"
     "whether all samples are finite; (1, 1, H, W) into (1, 1, h, w), exact for whole numbers"},
    {"gather", py_gather, METH_VARARGS,
     "gather(image, planes, rows, columns, result, fill, level) -> whether all samples are finite"},
    {"finite", py_finite, METH_VARARGS, "finite(image, level) -> whether all samples of (C, D, H, W) are"},
    {"finish", py_finish, METH_VARARGS,
     "finish(result, target, divisor, bias, absolute, snap, level) -> how many samples did not fit"},
    {"unfilter", py_unfilter, METH_VARARGS, "unfilter(lines, pixels, rows, step) -> whether all filters are known"},
    {NULL, NULL, 0, NULL}};

static PyModuleDef_Slot slots[] = {{0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_native", "Inner loops, compiled.", 0, methods, slots,
                                    NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__native(void) { return PyModuleDef_Init(&module); }

#endif
