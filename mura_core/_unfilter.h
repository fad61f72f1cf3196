/* Undo PNG's row filters for one plane of bytes (PNG specification, third edition, section 9).

   Every channel of a PNG, and each of the two bytes of a 16-bit sample, is filtered by itself, so
   one routine for planes of single bytes serves all colour types.

   A pixel needs its left, upper and upper left neighbours, which makes a row of Average or Paeth
   pixels one long chain. The vector path works along the anti-diagonal instead: lane r of a vector
   is row r of a block, r columns behind lane 0, so that all the neighbours of a whole vector are
   known from the two steps before. Rows of a block may have different filters: each lane picks its
   own by a mask. */

#ifndef MURA_UNFILTER_H
#define MURA_UNFILTER_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { SUB = 1, UP = 2, AVERAGE = 3, PAETH = 4 };

static uint8_t paeth(int left, int up, int corner)
{
    int to_left = abs(up - corner);
    int to_up = abs(left - corner);
    int to_corner = abs(left + up - 2 * corner);
    if (to_left <= to_up && to_left <= to_corner)
        return (uint8_t)left;
    return (uint8_t)(to_up <= to_corner ? up : corner);
}

/* `above` is the row above, undone already, or zeros; in place. */
static void unfilter_row(uint8_t filter, uint8_t *row, const uint8_t *above, size_t width)
{
    uint8_t left = 0, corner = 0;
    switch (filter) {
    case SUB:
        for (size_t x = 0; x < width; x++)
            left = row[x] = (uint8_t)(row[x] + left);
        break;
    case UP:
        for (size_t x = 0; x < width; x++)
            row[x] = (uint8_t)(row[x] + above[x]);
        break;
    case AVERAGE:
        for (size_t x = 0; x < width; x++)
            left = row[x] = (uint8_t)(row[x] + ((left + above[x]) >> 1));
        break;
    case PAETH:
        for (size_t x = 0; x < width; x++) {
            left = row[x] = (uint8_t)(row[x] + paeth(left, above[x], corner));
            corner = above[x];
        }
        break;
    default:
        break;
    }
}

static void unfilter_rows(const uint8_t *filters, uint8_t *plane, size_t height, size_t width,
                          const uint8_t *above)
{
    for (size_t y = 0; y < height; y++) {
        unfilter_row(filters[y], plane + y * width, above, width);
        above = plane + y * width;
    }
}

#if defined(__SSE2__)
#include <emmintrin.h>

enum { LANES = 16 };

/* Turn 16 rows of 16 bytes into 16 columns: four rounds of pairwise interleaving. */
static void transpose(__m128i rows[LANES])
{
    __m128i next[LANES];
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < 8; i++) {
            next[2 * i] = _mm_unpacklo_epi8(rows[i], rows[i + 8]);
            next[2 * i + 1] = _mm_unpackhi_epi8(rows[i], rows[i + 8]);
        }
        memcpy(rows, next, sizeof next);
    }
}

static __m128i choose(__m128i mask, __m128i yes, __m128i no)
{
    return _mm_or_si128(_mm_and_si128(mask, yes), _mm_andnot_si128(mask, no));
}

/* All ones where x <= y, as unsigned bytes. */
static __m128i at_most(__m128i x, __m128i y)
{
    return _mm_cmpeq_epi8(_mm_min_epu8(x, y), x);
}

static __m128i difference(__m128i x, __m128i y)
{
    return _mm_or_si128(_mm_subs_epu8(x, y), _mm_subs_epu8(y, x));
}

static __m128i paeth_of_lanes(__m128i left, __m128i up, __m128i corner)
{
    __m128i to_left = difference(up, corner);
    __m128i to_up = difference(left, corner);
    /* |left + up - 2 corner| is the difference of the two where they point opposite ways. Where
       they point the same way it is their sum, beyond both, so that the corner isn't chosen. */
    __m128i same_way = _mm_cmpeq_epi8(at_most(corner, up), at_most(corner, left));
    __m128i to_corner = _mm_or_si128(same_way, difference(to_left, to_up));
    __m128i take_left = _mm_and_si128(at_most(to_left, to_up), at_most(to_left, to_corner));
    return choose(take_left, left, choose(at_most(to_up, to_corner), up, corner));
}

/* Undo a block of 16 rows in place. `skewed` has room for 16 rows of `stride` bytes: room for 16
   columns before the image's and 32 behind. */
static void unfilter_block(const uint8_t *filters, uint8_t *plane, size_t width,
                           const uint8_t *above, uint8_t *skewed, size_t stride)
{
    __m128i kind = _mm_loadu_si128((const __m128i *)filters);
    __m128i is_sub = _mm_cmpeq_epi8(kind, _mm_set1_epi8(SUB));
    __m128i is_up = _mm_cmpeq_epi8(kind, _mm_set1_epi8(UP));
    __m128i is_average = _mm_cmpeq_epi8(kind, _mm_set1_epi8(AVERAGE));
    __m128i is_paeth = _mm_cmpeq_epi8(kind, _mm_set1_epi8(PAETH));
    __m128i one = _mm_set1_epi8(1);
    __m128i left = _mm_setzero_si128(), corner = _mm_setzero_si128();

    /* Before the image a row is zeros and stays zeros, as the specification has it. */
    memset(skewed, 0, LANES * stride);
    for (size_t r = 0; r < LANES; r++)
        memcpy(skewed + r * stride + LANES, plane + r * width, width);

    for (size_t step = 0; step < width + LANES - 1; step += LANES) {
        __m128i columns[LANES];
        for (size_t r = 0; r < LANES; r++)
            columns[r] = _mm_loadu_si128((const __m128i *)(skewed + r * stride + LANES + step - r));
        transpose(columns);
        for (size_t i = 0; i < LANES; i++) {
            uint8_t first = step + i < width ? above[step + i] : 0;
            __m128i up = _mm_or_si128(_mm_slli_si128(left, 1), _mm_cvtsi32_si128(first));
            __m128i odd = _mm_and_si128(_mm_xor_si128(left, up), one);
            __m128i average = _mm_sub_epi8(_mm_avg_epu8(left, up), odd);
            __m128i predicted = _mm_and_si128(is_sub, left);
            predicted = _mm_or_si128(predicted, _mm_and_si128(is_up, up));
            predicted = _mm_or_si128(predicted, _mm_and_si128(is_average, average));
            predicted = _mm_or_si128(
                predicted, _mm_and_si128(is_paeth, paeth_of_lanes(left, up, corner)));
            left = columns[i] = _mm_add_epi8(columns[i], predicted);
            corner = up;
        }
        transpose(columns);
        for (size_t r = 0; r < LANES; r++)
            _mm_storeu_si128((__m128i *)(skewed + r * stride + LANES + step - r), columns[r]);
    }
    for (size_t r = 0; r < LANES; r++)
        memcpy(plane + r * width, skewed + r * stride + LANES, width);
}
#endif

/* Undo the filters of a plane in place. `filters` are the rows' filter bytes, each 0 to 4.
   Returns 0, or -1 when there is no memory. */
static int unfilter_plane(const uint8_t *filters, uint8_t *plane, size_t height, size_t width,
                          int use_vectors)
{
    uint8_t *zeros = calloc(width, 1);
    if (!zeros)
        return -1;
    const uint8_t *above = zeros;
    size_t y = 0;
#if defined(__SSE2__)
    size_t stride = width + 4 * LANES;
    uint8_t *skewed = use_vectors && height >= LANES ? malloc(LANES * stride) : NULL;
    if (skewed)
        for (; y + LANES <= height; y += LANES) {
            unfilter_block(filters + y, plane + y * width, width, above, skewed, stride);
            above = plane + (y + LANES - 1) * width;
        }
    free(skewed);
#else
    (void)use_vectors;
#endif
    unfilter_rows(filters + y, plane + y * width, height - y, width, above);
    free(zeros);
    return 0;
}

#endif
