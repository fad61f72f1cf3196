/* Weighted sums of an image's rows, and then of their columns, in float32.

   Eight new rows are made at a time. Each is a sum of old rows, which lie contiguously; then the
   eight are interleaved, so that a sum over columns is a sum of vectors of eight. */

#ifndef MURA_RESIZE_H
#define MURA_RESIZE_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "_processor.h"

enum { GROUP = 8 };

/* Which old rows, or columns, each new one is a sum of: `taps` of them, from `first` on. */
struct weights {
    const ptrdiff_t *first;
    const float *weights; /* count x taps */
    size_t count;
    size_t taps;
};

#define DEFINE_SUM_OF_ROWS(NAME, PIXEL)                                                            \
    BODY void NAME(const PIXEL *restrict rows, size_t width, const float *restrict weights,        \
                   size_t taps, float *restrict sums)                                              \
    {                                                                                              \
        const PIXEL *a = rows, *b = a + width, *c = b + width, *d = c + width;                     \
        const float p = weights[0], q = taps > 1 ? weights[1] : 0;                                 \
        const float r = taps > 2 ? weights[2] : 0, s = taps > 3 ? weights[3] : 0;                  \
        size_t k = taps < 4 ? taps : 4;                                                            \
        if (k == 1)                                                                                \
            for (size_t x = 0; x < width; x++)                                                     \
                sums[x] = p * (float)a[x];                                                         \
        else if (k == 2)                                                                           \
            for (size_t x = 0; x < width; x++)                                                     \
                sums[x] = p * (float)a[x] + q * (float)b[x];                                       \
        else if (k == 3)                                                                           \
            for (size_t x = 0; x < width; x++)                                                     \
                sums[x] = p * (float)a[x] + q * (float)b[x] + r * (float)c[x];                     \
        else                                                                                       \
            for (size_t x = 0; x < width; x++)                                                     \
                sums[x] = p * (float)a[x] + q * (float)b[x] + r * (float)c[x] + s * (float)d[x];   \
        for (rows += k * width; k < taps; k++, rows += width)                                      \
            for (size_t x = 0; x < width; x++)                                                     \
                sums[x] += weights[k] * (float)rows[x];                                            \
    }

DEFINE_SUM_OF_ROWS(sum_of_rows_uint8, uint8_t)
DEFINE_SUM_OF_ROWS(sum_of_rows_uint16, uint16_t)

/* Turn a matrix of floats, height x width, both multiples of 4, into width x height. */
BODY void transpose(const float *restrict from, size_t height, size_t width, float *restrict to)
{
    for (size_t y = 0; y < height; y += 4)
        for (size_t x = 0; x < width; x += 4) {
            const float *corner = from + y * width + x;
            float *turned = to + x * height + y;
#if defined(MURA_X86)
            __m128 a = _mm_loadu_ps(corner), b = _mm_loadu_ps(corner + width);
            __m128 c = _mm_loadu_ps(corner + 2 * width), d = _mm_loadu_ps(corner + 3 * width);
            _MM_TRANSPOSE4_PS(a, b, c, d);
            _mm_storeu_ps(turned, a);
            _mm_storeu_ps(turned + height, b);
            _mm_storeu_ps(turned + 2 * height, c);
            _mm_storeu_ps(turned + 3 * height, d);
#else
            for (size_t i = 0; i < 4; i++)
                for (size_t j = 0; j < 4; j++)
                    turned[j * height + i] = corner[i * width + j];
#endif
        }
}

/* Eight floats, which compilers add as one. */
typedef float eight __attribute__((vector_size(4 * GROUP), aligned(4), may_alias));

/* `columns` and `out` hold the group's eight rows beside each other. */
BODY void sum_of_columns(const float *restrict columns, const struct weights *across,
                         float *restrict out)
{
    const float *weights = across->weights;
    for (size_t j = 0; j < across->count; j++, weights += across->taps) {
        const eight *from = (const eight *)(columns + across->first[j] * GROUP);
        eight sums = {0};
        for (size_t k = 0; k < across->taps; k++)
            sums += weights[k] * from[k];
        *(eight *)(out + j * GROUP) = sums;
    }
}

/* Levels from 0 to 255, rounded. */
BODY void round_levels(const float *restrict levels, size_t count, uint8_t *restrict rounded)
{
    for (size_t i = 0; i < count; i++)
        rounded[i] = (uint8_t)(int32_t)(levels[i] + 0.5f);
}

static inline size_t next_multiple_of_4(size_t count)
{
    return (count + 3) / 4 * 4;
}

#define DEFINE_RESIZE(NAME, PIXEL, SUM_OF_ROWS)                                                    \
    BODY int NAME(const PIXEL *image, size_t height, size_t width, const struct weights *down,     \
                  const struct weights *across, float *levels, uint8_t *rounded)                   \
    {                                                                                              \
        /* Columns behind the image weigh nothing, but are read. */                                \
        const size_t pitch = next_multiple_of_4(width + across->taps);                             \
        const size_t new_pitch = next_multiple_of_4(across->count);                                \
        float *rows = calloc(2 * GROUP * (pitch + new_pitch), sizeof *rows);                       \
        if (!rows)                                                                                 \
            return -1;                                                                             \
        float *columns = rows + GROUP * pitch;                                                     \
        float *new_columns = columns + GROUP * pitch;                                              \
        float *new_rows = new_columns + GROUP * new_pitch;                                         \
        for (size_t i = 0; i < down->count; i += GROUP) {                                          \
            const size_t count = down->count - i < GROUP ? down->count - i : GROUP;                \
            for (size_t r = 0; r < count; r++) {                                                   \
                const float *weights = down->weights + (i + r) * down->taps;                       \
                const size_t first = (size_t)down->first[i + r];                                   \
                size_t taps = down->taps < height - first ? down->taps : height - first;           \
                while (taps > 1 && weights[taps - 1] == 0)                                         \
                    taps--;                                                                        \
                SUM_OF_ROWS(image + first * width, width, weights, taps, rows + r * pitch);        \
            }                                                                                      \
            transpose(rows, GROUP, pitch, columns);                                                \
            sum_of_columns(columns, across, new_columns);                                          \
            transpose(new_columns, new_pitch, GROUP, new_rows);                                    \
            for (size_t r = 0; r < count; r++) {                                                   \
                const size_t start = (i + r) * across->count;                                      \
                if (rounded)                                                                       \
                    round_levels(new_rows + r * new_pitch, across->count, rounded + start);        \
                else                                                                               \
                    memcpy(levels + start, new_rows + r * new_pitch,                               \
                           across->count * sizeof *levels);                                        \
            }                                                                                      \
        }                                                                                          \
        free(rows);                                                                                \
        return 0;                                                                                  \
    }

DEFINE_RESIZE(resize_uint8_of, uint8_t, sum_of_rows_uint8)
DEFINE_RESIZE(resize_uint16_of, uint16_t, sum_of_rows_uint16)

#if defined(MURA_X86)
FOR_AVX2 static int resize_uint8_by_avx2(const uint8_t *image, size_t height, size_t width,
                                         const struct weights *down, const struct weights *across,
                                         float *levels, uint8_t *rounded)
{
    return resize_uint8_of(image, height, width, down, across, levels, rounded);
}

FOR_AVX2 static int resize_uint16_by_avx2(const uint16_t *image, size_t height, size_t width,
                                          const struct weights *down,
                                          const struct weights *across, float *levels,
                                          uint8_t *rounded)
{
    return resize_uint16_of(image, height, width, down, across, levels, rounded);
}
#endif

/* Write the image's rows and columns, weighted, to `rounded` (down->count x across->count), or where
   that is NULL, unrounded, to `levels`. Returns 0, or -1 without memory. */
static int resize_uint8(const uint8_t *image, size_t height, size_t width,
                        const struct weights *down, const struct weights *across, float *levels,
                        uint8_t *rounded, int instructions)
{
#if defined(MURA_X86)
    if (instructions >= AVX2)
        return resize_uint8_by_avx2(image, height, width, down, across, levels, rounded);
#endif
    (void)instructions;
    return resize_uint8_of(image, height, width, down, across, levels, rounded);
}

static int resize_uint16(const uint16_t *image, size_t height, size_t width,
                         const struct weights *down, const struct weights *across, float *levels,
                         uint8_t *rounded, int instructions)
{
#if defined(MURA_X86)
    if (instructions >= AVX2)
        return resize_uint16_by_avx2(image, height, width, down, across, levels, rounded);
#endif
    (void)instructions;
    return resize_uint16_of(image, height, width, down, across, levels, rounded);
}

#endif
