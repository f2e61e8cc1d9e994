/* What runs on a GPU: padded copies, and the correlation of a padded image with a bank of kernels.

   Compiled when it is first needed, for the shape of the kernel and the types at hand. To be defined:

   REAL       type of the arithmetic; SAMPLE type of the image
   LANES      REALs in 16 bytes; VECTOR a type of so many REALs
   HIGH, WIDE cells of a block of the kernel; larger kernels are done block by block
   ROWS       outputs of a thread, one above the other; it has LANES of them next to each other
   DOWN, ACROSS  threads of a block
   CELLS      that constant memory has room for

   A sample of the padded image is found through one list of positions per axis; -1 stands for the border.
   Positions beyond the end of a list belong to outputs that are not stored. */

typedef long long Index;

#define PART 1024 /* of a row, that a block of threads copies at a time */

/* Copy what is padded. */
extern "C" __global__ void gather(
    const SAMPLE *image, Index item_step, Index channel_step, Index plane_step, Index row_step,
    Index column_step, const Index *planes, const Index *rows, const Index *columns, Index items,
    Index channels, Index depth, Index height, Index width, REAL fill, REAL *copy, int *nonfinite)
{
    REAL gap = 0; /* a NaN once there was a NaN or an infinity */
    Index parts = (width + PART - 1) / PART;
    for (Index part = blockIdx.x; part < items * channels * depth * height * parts; part += gridDim.x) {
        Index line = part / parts, start = part % parts * PART;
        Index stop = start + PART < width ? start + PART : width;
        Index row = rows[line % height], plane = planes[line / height % depth];
        Index channel = line / height / depth;
        const SAMPLE *samples = image + channel / channels * item_step + channel % channels * channel_step
                                + plane * plane_step + row * row_step;
        for (Index x = start + threadIdx.x; x < stop; x += blockDim.x) {
            Index column = columns[x];
            REAL value = fill;
            if (row >= 0 && plane >= 0 && column >= 0) {
                value = (REAL)samples[column * column_step];
                gap += value * 0;
            }
            copy[line * width + x] = value;
        }
    }
    if (!(gap == 0))
        *nonfinite = 1;
}

#ifdef HIGH

#define COLUMNS (ACROSS * LANES) /* outputs of a block of threads */
#define LINES (DOWN * ROWS)
#define GROUPS ((WIDE + LANES - 1) / LANES)
#define PITCH (GROUPS * LANES) /* cells from one row of a block of the kernel to the next */
#define TILE_HIGH (LINES + HIGH - 1)
#define TILE_WIDE (COLUMNS + PITCH)
#define REST (WIDE % LANES)

struct Image {
    const SAMPLE *samples;
    Index plane_step, row_step, column_step;
    const Index *planes, *rows, *columns;
    Index depth, height, width; /* of the padded image */
    REAL fill;
    int dense; /* whether the step from sample to sample is 1 in rows and columns */
};

static __device__ __forceinline__ Index position(const Index *positions, Index count, Index wanted)
{
    return wanted < count ? positions[wanted] : -1;
}

extern "C" {
__constant__ __align__(16) REAL weights[CELLS];
}

static __device__ __forceinline__ void load(REAL *into, const REAL *from)
{
    *(VECTOR *)into = *(const VECTOR *)from;
}

/* Whether a run of positions is a run of the image, so that none has to be looked up.

   No border makes a jump longer than the step from sample to sample, which is 1 here: a run that gets this
   far never left the image. */
static __device__ __forceinline__ bool running(const Index *positions, Index count, Index first, int length)
{
    return first + length <= count && positions[first] >= 0
           && positions[first + length - 1] - positions[first] == length - 1;
}

/* Copy the samples that a block of threads needs for one block of the kernel.

   Returns 0, or a NaN if there is a gap. The columns beyond those of the outputs are shared out among all
   threads: they are few. */
static __device__ __forceinline__ REAL fetch(
    REAL (*tile)[TILE_WIDE], const Image &image, const SAMPLE *plane, bool inside, Index top, Index left)
{
    const int thread = threadIdx.y * ACROSS + threadIdx.x;
    REAL gap = 0;
    if (inside && image.dense && image.column_step == 1 && running(image.columns, image.width, left, TILE_WIDE)
        && running(image.rows, image.height, top, TILE_HIGH)) {
        const SAMPLE *corner = plane + image.rows[top] * image.row_step + image.columns[left];
        const SAMPLE *samples = corner + threadIdx.y * image.row_step + threadIdx.x;
#pragma unroll 4
        for (int y = threadIdx.y; y < TILE_HIGH; y += DOWN, samples += DOWN * image.row_step)
#pragma unroll
            for (int strip = 0; strip < LANES; strip++) {
                REAL value = (REAL)samples[strip * ACROSS];
                tile[y][threadIdx.x + strip * ACROSS] = value;
                gap += value * 0;
            }
#pragma unroll 2
        for (int n = thread; n < TILE_HIGH * PITCH; n += DOWN * ACROSS) {
            int y = n / PITCH, x = COLUMNS + n % PITCH;
            REAL value = (REAL)corner[y * image.row_step + x];
            tile[y][x] = value;
            gap += value * 0;
        }
        return gap;
    }
#pragma unroll 1
    for (int n = thread; n < TILE_HIGH * TILE_WIDE; n += DOWN * ACROSS) {
        int y = n / TILE_WIDE, x = n % TILE_WIDE;
        Index row = position(image.rows, image.height, top + y);
        Index column = position(image.columns, image.width, left + x);
        REAL value = image.fill;
        if (inside && row >= 0 && column >= 0) {
            value = (REAL)plane[row * image.row_step + column * image.column_step];
            gap += value * 0;
        }
        tile[y][x] = value;
    }
    return gap;
}

/* Add to the rows `from` to `to` of a thread's outputs what one row of samples gives them.

   Every sample that is read serves all rows, and every cell all columns. */
static __device__ __forceinline__ void line(
    REAL (&sums)[ROWS][LANES], const REAL *samples, const REAL *cells, int from, int to)
{
    __align__(16) REAL x[2 * LANES], w[LANES];
    load(x, samples);
#if WIDE <= 2 * LANES
#pragma unroll
#else
#pragma unroll 2
#endif
    for (int group = 0; group < WIDE / LANES; group++) {
        load(x + LANES, samples + (group + 1) * LANES);
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
            if (r < from || r >= to)
                continue;
            load(w, cells - r * PITCH + group * LANES);
#pragma unroll
            for (int j = 0; j < LANES; j++)
#pragma unroll
                for (int c = 0; c < LANES; c++)
                    sums[r][c] += w[j] * x[c + j];
        }
#pragma unroll
        for (int c = 0; c < LANES; c++)
            x[c] = x[c + LANES];
    }
#if REST
#if REST > 1
    load(x + LANES, samples + GROUPS * LANES);
#endif
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
        if (r < from || r >= to)
            continue;
        load(w, cells - r * PITCH + (GROUPS - 1) * LANES);
#pragma unroll
        for (int j = 0; j < REST; j++)
#pragma unroll
            for (int c = 0; c < LANES; c++)
                sums[r][c] += w[j] * x[c + j];
    }
#endif
}

/* All rows of samples under one block of the kernel. */
static __device__ __forceinline__ void accumulate(
    REAL (&sums)[ROWS][LANES], const REAL (*tile)[TILE_WIDE], const REAL *cells)
{
    const REAL *samples = &tile[threadIdx.y * ROWS][threadIdx.x * LANES];
#if HIGH < ROWS
#pragma unroll
    for (int y = 0; y < HIGH + ROWS - 1; y++)
        line(sums, samples + y * TILE_WIDE, cells + y * PITCH, y - HIGH + 1, y + 1);
#else
#pragma unroll
    for (int y = 0; y < ROWS - 1; y++) /* the first rows of samples are above the lower outputs' kernels */
        line(sums, samples + y * TILE_WIDE, cells + y * PITCH, 0, y + 1);
#pragma unroll 1
    for (int y = ROWS - 1; y < HIGH; y++)
        line(sums, samples + y * TILE_WIDE, cells + y * PITCH, 0, ROWS);
#pragma unroll
    for (int y = HIGH; y < HIGH + ROWS - 1; y++)
        line(sums, samples + y * TILE_WIDE, cells + y * PITCH, y - HIGH + 1, ROWS);
#endif
}

/* Blocks of the kernel are counted across, down, by plane and by channel; `weights` begins with block
   `first` of output 0 of this launch, and has `stop - first` blocks of every output. */
extern "C" __global__ void __launch_bounds__(ACROSS *DOWN) correlate(
    const SAMPLE *image, Index item_step, Index channel_step, Index plane_step, Index row_step,
    Index column_step, const Index *planes, const Index *rows, const Index *columns, Index padded_depth,
    Index padded_height, Index padded_width, REAL fill, REAL *output, Index output_item_step,
    Index output_step, Index output_plane_step, Index output_row_step, unsigned outputs, unsigned depth,
    Index height, Index width, int taps_deep, int blocks_down, int blocks_across, int first, int stop,
    int adds, int aligned, int dense, int *nonfinite)
{
    __shared__ __align__(16) REAL tile[TILE_HIGH][TILE_WIDE];
    __align__(16) REAL sums[ROWS][LANES];

    /* The grid has one axis, since the others end at 65,535. */
    unsigned across = (width + COLUMNS - 1) / COLUMNS, down = (height + LINES - 1) / LINES;
    unsigned number = blockIdx.x;
    Index left = (Index)(number % across) * COLUMNS, top = (Index)(number / across % down) * LINES;
    number /= across * down;
    Index z = number % depth;
    number /= depth;
    int which = number % outputs;
    Index item = number / outputs;

    Image source = {
        image + item * item_step, plane_step, row_step, column_step, planes, rows, columns,
        padded_depth, padded_height, padded_width, fill, dense};
    Index x = left + threadIdx.x * LANES, y = top + threadIdx.y * ROWS;
    output += item * output_item_step + which * output_step + z * output_plane_step + y * output_row_step + x;

#pragma unroll
    for (int r = 0; r < ROWS; r++)
#pragma unroll
        for (int c = 0; c < LANES; c++)
            sums[r][c] = 0;
    if (adds)
#pragma unroll
        for (int r = 0; r < ROWS; r++)
#pragma unroll
            for (int c = 0; c < LANES; c++)
                if (y + r < height && x + c < width)
                    sums[r][c] = output[r * output_row_step + c];

    REAL gap = 0;
    const REAL *cells = weights + (Index)which * (stop - first) * HIGH * PITCH;
#pragma unroll 1
    for (int block = first; block < stop; block++) {
        int rest = block / blocks_across;
        Index right = (Index)(block % blocks_across) * WIDE, below = (Index)(rest % blocks_down) * HIGH;
        rest /= blocks_down;
        Index plane = position(source.planes, source.depth, z + rest % taps_deep);
        const SAMPLE *samples = source.samples + rest / taps_deep * channel_step + plane * plane_step;
        gap += fetch(tile, source, samples, plane >= 0, top + below, left + right);
        __syncthreads();
        accumulate(sums, tile, cells);
        __syncthreads(); /* before the tile is overwritten */
        cells += HIGH * PITCH;
    }
    if (!(gap == 0))
        *nonfinite = 1;

    if (aligned && y + ROWS <= height && x + LANES <= width) {
#pragma unroll
        for (int r = 0; r < ROWS; r++)
            *(VECTOR *)(output + r * output_row_step) = *(const VECTOR *)sums[r];
        return;
    }
#pragma unroll
    for (int r = 0; r < ROWS; r++)
#pragma unroll
        for (int c = 0; c < LANES; c++)
            if (y + r < height && x + c < width)
                output[r * output_row_step + c] = sums[r][c];
}

#endif
