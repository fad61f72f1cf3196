/* Weighted sums of an image's rows, then of the columns of the result, in float32.

   Output rows are computed in groups of eight. Each is first a sum of contiguous input rows. The
   eight rows are then interleaved, so that a sum over columns is a sum of vectors of eight. */

#ifndef MURA_RESIZE_H
#define MURA_RESIZE_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "_processor.h"

enum { GROUP = 8 };

/* Each output row or column is a weighted sum of `taps` input ones, starting at `first`. */
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

/* Transpose a height x width matrix of floats; both dimensions are multiples of 4. */
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

/* Eight floats, which compilers add with vector instructions. */
typedef float eight __attribute__((vector_size(4 * GROUP), aligned(4), may_alias));

/* `columns` and `out` hold the group's eight rows interleaved. */
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

/* Round levels from 0 to 255 to the nearest integer. */
BODY void round_levels(const float *restrict levels, size_t count, uint8_t *restrict rounded)
{
    for (size_t i = 0; i < count; i++)
        rounded[i] = (uint8_t)(int32_t)(levels[i] + 0.5f);
}

static inline size_t next_multiple_of_4(size_t count)
{
    return (count + 3) / 4 * 4;
}

#define DEFINE_COLUMNS(NAME, PIXEL, SUM_OF_ROWS)                                                   \
    /* Write a group's sums of rows, interleaved, to `columns`; `rows` is scratch space. */        \
    BODY void NAME(const PIXEL *image, size_t width, const struct weights *down, size_t first_row, \
                   size_t count, float *rows, float *columns)                                      \
    {                                                                                              \
        const size_t pitch = next_multiple_of_4(width);                                            \
        for (size_t r = 0; r < count; r++) {                                                       \
            const float *weights = down->weights + (first_row + r) * down->taps;                   \
            const size_t first = (size_t)down->first[first_row + r];                               \
            size_t taps = down->taps;                                                              \
            while (taps > 1 && weights[taps - 1] == 0)                                             \
                taps--;                                                                            \
            SUM_OF_ROWS(image + first * width, width, weights, taps, rows + r * pitch);            \
        }                                                                                          \
        transpose(rows, GROUP, pitch, columns);                                                    \
    }

DEFINE_COLUMNS(columns_of_uint8, uint8_t, sum_of_rows_uint8)
DEFINE_COLUMNS(columns_of_uint16, uint16_t, sum_of_rows_uint16)

/* Sum a group's columns and write its output rows, starting at `first_row`. `new_columns` is scratch
   space. */
BODY void finish(const float *columns, const struct weights *across, size_t first_row, size_t count,
                 float *new_columns, float *levels, uint8_t *rounded)
{
    const size_t new_pitch = next_multiple_of_4(across->count);
    float *new_rows = new_columns + GROUP * new_pitch;
    sum_of_columns(columns, across, new_columns);
    transpose(new_columns, new_pitch, GROUP, new_rows);
    for (size_t r = 0; r < count; r++) {
        const size_t start = (first_row + r) * across->count;
        if (rounded)
            round_levels(new_rows + r * new_pitch, across->count, rounded + start);
        else
            memcpy(levels + start, new_rows + r * new_pitch, across->count * sizeof *levels);
    }
}

#if defined(MURA_X86)
/* Both steps for AVX2, in tiles of eight rows and eight columns, which stay in registers. */
FOR_AVX2 BODY __m256 levels_at(const uint8_t *bytes)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)bytes)));
}

/* Transpose by two rounds of pairwise interleaving and an exchange of halves. */
FOR_AVX2 BODY void transpose_tile(__m256 rows[GROUP])
{
    __m256 pairs[GROUP], fours[GROUP];
    for (size_t i = 0; i < GROUP; i += 2) {
        pairs[i] = _mm256_unpacklo_ps(rows[i], rows[i + 1]);
        pairs[i + 1] = _mm256_unpackhi_ps(rows[i], rows[i + 1]);
    }
    for (size_t i = 0; i < GROUP; i += 4)
        for (size_t j = i; j < i + 2; j++) {
            fours[2 * j - i] = _mm256_shuffle_ps(pairs[j], pairs[j + 2], 0x44);
            fours[2 * j - i + 1] = _mm256_shuffle_ps(pairs[j], pairs[j + 2], 0xee);
        }
    for (size_t i = 0; i < GROUP / 2; i++) {
        rows[i] = _mm256_permute2f128_ps(fours[i], fours[i + 4], 0x20);
        rows[i + 4] = _mm256_permute2f128_ps(fours[i], fours[i + 4], 0x31);
    }
}

FOR_AVX2 BODY void columns_by_avx2(const uint8_t *image, size_t width, const struct weights *down,
                                   size_t first_row, size_t count, size_t taps, float *columns)
{
    const uint8_t *from[GROUP];
    const float *weights[GROUP];
    for (size_t r = 0; r < GROUP; r++) {
        /* Rows after the last repeat it and aren't used. */
        const size_t row = first_row + (r < count ? r : count - 1);
        from[r] = image + (size_t)down->first[row] * width;
        weights[r] = down->weights + row * down->taps;
    }
    for (size_t column = 0; column < width; column += GROUP) {
        /* The last tile may overlap the previous one. */
        const size_t x = column + GROUP <= width ? column : width - GROUP;
        __m256 rows[GROUP];
        for (size_t r = 0; r < GROUP; r++) {
            const uint8_t *at = from[r] + x;
            __m256 sums = _mm256_mul_ps(_mm256_set1_ps(weights[r][0]), levels_at(at));
            for (size_t k = 1; k < taps; k++) {
                at += width;
                sums = _mm256_add_ps(
                    sums, _mm256_mul_ps(_mm256_set1_ps(weights[r][k]), levels_at(at)));
            }
            rows[r] = sums;
        }
        transpose_tile(rows);
        for (size_t i = 0; i < GROUP; i++)
            _mm256_storeu_ps(columns + (x + i) * GROUP, rows[i]);
    }
}

FOR_AVX2 static void columns_of_uint8_by_avx2(const uint8_t *image, size_t width,
                                              const struct weights *down, size_t first_row,
                                              size_t count, float *rows, float *columns)
{
    if (width < GROUP)
        columns_of_uint8(image, width, down, first_row, count, rows, columns);
    else if (down->taps == 2)
        columns_by_avx2(image, width, down, first_row, count, 2, columns);
    else if (down->taps == 3)
        columns_by_avx2(image, width, down, first_row, count, 3, columns);
    else if (down->taps == 4)
        columns_by_avx2(image, width, down, first_row, count, 4, columns);
    else
        columns_by_avx2(image, width, down, first_row, count, down->taps, columns);
}
FOR_AVX2 BODY void finish_tiles(const float *columns, const struct weights *across,
                                size_t first_row, size_t count, size_t taps, float *levels,
                                uint8_t *rounded)
{
    const __m256 half = _mm256_set1_ps(0.5f);
    for (size_t column = 0; column < across->count; column += GROUP) {
        const size_t x = column + GROUP <= across->count ? column : across->count - GROUP;
        __m256 rows[GROUP];
        for (size_t i = 0; i < GROUP; i++) {
            const float *from = columns + across->first[x + i] * GROUP;
            const float *weights = across->weights + (x + i) * across->taps;
            __m256 sums = _mm256_mul_ps(_mm256_set1_ps(weights[0]), _mm256_loadu_ps(from));
            for (size_t k = 1; k < taps; k++)
                sums = _mm256_add_ps(sums, _mm256_mul_ps(_mm256_set1_ps(weights[k]),
                                                         _mm256_loadu_ps(from + k * GROUP)));
            rows[i] = sums;
        }
        transpose_tile(rows);
        for (size_t r = 0; r < count; r++) {
            const size_t at = (first_row + r) * across->count + x;
            if (!rounded) {
                _mm256_storeu_ps(levels + at, rows[r]);
                continue;
            }
            const __m256i whole = _mm256_cvttps_epi32(_mm256_add_ps(rows[r], half));
            const __m128i words = _mm_packus_epi32(_mm256_castsi256_si128(whole),
                                                   _mm256_extracti128_si256(whole, 1));
            _mm_storel_epi64((__m128i *)(rounded + at), _mm_packus_epi16(words, words));
        }
    }
}

FOR_AVX2 static void finish_by_avx2(const float *columns, const struct weights *across,
                                    size_t first_row, size_t count, float *new_columns,
                                    float *levels, uint8_t *rounded)
{
    if (across->count < GROUP)
        finish(columns, across, first_row, count, new_columns, levels, rounded);
    else if (across->taps == 2)
        finish_tiles(columns, across, first_row, count, 2, levels, rounded);
    else if (across->taps == 3)
        finish_tiles(columns, across, first_row, count, 3, levels, rounded);
    else if (across->taps == 4)
        finish_tiles(columns, across, first_row, count, 4, levels, rounded);
    else
        finish_tiles(columns, across, first_row, count, across->taps, levels, rounded);
}
#endif

#define DEFINE_RESIZE(NAME, PIXEL, COLUMNS, FINISH)                                                    \
    BODY int NAME(const PIXEL *image, size_t height, size_t width, const struct weights *down,     \
                  const struct weights *across, float *levels, uint8_t *rounded)                   \
    {                                                                                              \
        const size_t pitch = next_multiple_of_4(width);                                            \
        const size_t new_pitch = next_multiple_of_4(across->count);                                \
        float *rows = calloc(2 * GROUP * (pitch + new_pitch), sizeof *rows);                       \
        if (!rows)                                                                                 \
            return -1;                                                                             \
        float *columns = rows + GROUP * pitch;                                                     \
        float *new_columns = columns + GROUP * pitch;                                              \
        for (size_t i = 0; i < down->count; i += GROUP) {                                          \
            const size_t count = down->count - i < GROUP ? down->count - i : GROUP;                \
            COLUMNS(image, width, down, i, count, rows, columns);                                  \
            FINISH(columns, across, i, count, new_columns, levels, rounded);                       \
        }                                                                                          \
        free(rows);                                                                                \
        return 0;                                                                                  \
    }

DEFINE_RESIZE(resize_uint8_of, uint8_t, columns_of_uint8, finish)
DEFINE_RESIZE(resize_uint16_of, uint16_t, columns_of_uint16, finish)

#if defined(MURA_X86)
FOR_AVX2 DEFINE_RESIZE(resize_uint8_of_avx2, uint8_t, columns_of_uint8_by_avx2, finish_by_avx2)

FOR_AVX2 static int resize_uint8_by_avx2(const uint8_t *image, size_t height, size_t width,
                                         const struct weights *down, const struct weights *across,
                                         float *levels, uint8_t *rounded)
{
    return resize_uint8_of_avx2(image, height, width, down, across, levels, rounded);
}

FOR_AVX2 static int resize_uint16_by_avx2(const uint16_t *image, size_t height, size_t width,
                                          const struct weights *down,
                                          const struct weights *across, float *levels,
                                          uint8_t *rounded)
{
    return resize_uint16_of(image, height, width, down, across, levels, rounded);
}
#endif

/* Write the weighted sums, rounded, to `rounded` (down->count x across->count) or, if that is NULL,
   unrounded to `levels`. Returns 0, or -1 if out of memory. */
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
