/* Reverse PNG's row filters for one channel (PNG specification, third edition, section 9).

   Each channel, and each of the two bytes of a 16-bit sample, is filtered independently, so one
   routine that decodes planes of single bytes covers all colour types. */

#ifndef MURA_UNFILTER_H
#define MURA_UNFILTER_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "_processor.h"

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

/* Reverse a row's filter in place. `above` is the decoded row above, or zeros. */
static void undo_row(uint8_t filter, uint8_t *row, const uint8_t *above, size_t width)
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

#if defined(MURA_X86)

/* With a distance of LAG columns, the bytes that the second chain reads of the row above it were
   written sixteen steps before.
   BEFORE and BEHIND are the numbers of columns that a block accesses before and after a row: the
   second chain's last lane is LAG + 15 columns behind, and its steps come in groups of sixteen. */
enum { LANES = 16, MOST_LANES = 2 * LANES, LAG = 2 * LANES - 1, BEFORE = 48, BEHIND = 80 };

#define NAME(x) x##_sse2
#define TARGET
#define VECTOR __m128i
#define OP(x) _mm_##x
#define OR(x, y) _mm_or_si128(x, y)
#define XOR(x, y) _mm_xor_si128(x, y)
#define AND(x, y) _mm_and_si128(x, y)
#define CHAINS 1
#define LOAD(at, next) _mm_loadu_si128((const __m128i *)(at))
#define STORE(at, next, v) _mm_storeu_si128((__m128i *)(at), v)
/* SHIFT_IN moves the first byte of `firsts` into lane 0; NEXT makes the next byte the first. */
#define FIRSTS(v) (v)
#define SHIFT_IN(v, firsts)                                                                        \
    _mm_or_si128(_mm_slli_si128(v, 1), _mm_srli_si128(_mm_slli_si128(firsts, 15), 15))
#define NEXT(firsts) _mm_srli_si128(firsts, 1)
#include "_diagonal.h"

#define NAME(x) x##_avx2
#define TARGET FOR_AVX2
#define VECTOR __m256i
#define OP(x) _mm256_##x
#define OR(x, y) _mm256_or_si256(x, y)
#define XOR(x, y) _mm256_xor_si256(x, y)
#define AND(x, y) _mm256_and_si256(x, y)
#define CHAINS 2
#define LOAD(at, next)                                                                             \
    _mm256_inserti128_si256(                                                                       \
        _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)(at))),                            \
        _mm_loadu_si128((const __m128i *)((at) + (next))), 1)
#define STORE(at, next, v)                                                                         \
    (_mm_storeu_si128((__m128i *)(at), _mm256_castsi256_si128(v)),                                 \
     _mm_storeu_si128((__m128i *)((at) + (next)), _mm256_extracti128_si256(v, 1)))
/* In reverse order: the last byte is shifted in, which takes one instruction of the chain. */
#define FIRSTS(v)                                                                                  \
    _mm256_shuffle_epi8(                                                                           \
        v, _mm256_broadcastsi128_si256(                                                            \
               _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)))
#define SHIFT_IN(v, firsts) _mm256_alignr_epi8(v, firsts, 15)
#define NEXT(firsts) _mm256_slli_si256(firsts, 1)
#include "_diagonal.h"

#endif

/* An inline memcpy: the call overhead exceeds the time to copy a row. */
BODY void copy_bytes(uint8_t *to, const uint8_t *from, size_t count)
{
    enum { STEP = 32 };
    if (count < STEP) {
        memcpy(to, from, count);
        return;
    }
    for (size_t i = 0; i + STEP <= count; i += STEP)
        memcpy(to + i, from + i, STEP);
    memcpy(to + count - STEP, from + count - STEP, STEP);
}

/* Copy one channel of a row. The cases make the stride a compile-time constant. */
BODY void copy_channel(const uint8_t *from, size_t pixel_bytes, size_t width, uint8_t *to)
{
    switch (pixel_bytes) {
    case 1:
        copy_bytes(to, from, width);
        break;
    case 2:
        for (size_t x = 0; x < width; x++)
            to[x] = from[2 * x];
        break;
    case 3:
        for (size_t x = 0; x < width; x++)
            to[x] = from[3 * x];
        break;
    case 4:
        for (size_t x = 0; x < width; x++)
            to[x] = from[4 * x];
        break;
    default:
        for (size_t x = 0; x < width; x++)
            to[x] = from[pixel_bytes * x];
        break;
    }
}

typedef void (*block_function)(const uint8_t *, uint8_t *, size_t, size_t);

BODY int undo_filters_of(const uint8_t *rows, size_t height, size_t width, size_t pixel_bytes,
                         size_t channel, uint8_t *plane, block_function undo_block, size_t lanes)
{
    const size_t row_bytes = 1 + width * pixel_bytes;
    uint8_t *no_row = calloc(width, 1);
    if (!no_row)
        return -1;
    uint8_t *block = NULL;
#if defined(MURA_X86)
    /* The second chain reads and writes beyond the end of the last row. */
    const size_t pitch = BEFORE + width + BEHIND;
    if (undo_block && !(block = calloc(lanes + 1, pitch))) {
        free(no_row);
        return -1;
    }
#endif
    const uint8_t *above = no_row;
    for (size_t y = 0; y < height;) {
        size_t count = lanes < height - y ? lanes : height - y;
        size_t chained = 0;
        for (size_t r = 0; r < count; r++)
            chained += rows[(y + r) * row_bytes] >= AVERAGE;
#if defined(MURA_X86)
        /* A block takes about as long as two Paeth rows in scalar code. */
        if (block && chained >= 2) {
            uint8_t filters[MOST_LANES] = {0};
            memcpy(block + BEFORE, above, width);
            for (size_t r = 0; r < count; r++) {
                const uint8_t *row = rows + (y + r) * row_bytes;
                filters[r] = row[0];
                copy_channel(row + 1 + channel, pixel_bytes, width,
                             block + (r + 1) * pitch + BEFORE);
            }
            undo_block(filters, block + pitch + BEFORE, pitch, width);
            for (size_t r = 0; r < count; r++)
                copy_bytes(plane + (y + r) * width, block + (r + 1) * pitch + BEFORE, width);
            y += count;
            above = plane + (y - 1) * width;
            continue;
        }
#endif
        for (size_t r = 0; r < count; r++, y++) {
            const uint8_t *row = rows + y * row_bytes;
            copy_channel(row + 1 + channel, pixel_bytes, width, plane + y * width);
            undo_row(row[0], plane + y * width, above, width);
            above = plane + y * width;
        }
    }
    free(block);
    free(no_row);
    return 0;
}

BODY int channels_are_equal_of(const uint8_t *rows, size_t height, size_t width,
                               size_t pixel_bytes)
{
    /* Adjacent bytes must be equal, except across pixels and next to the alpha channel. */
    enum { PERIOD = 48 };
    const size_t used = width * pixel_bytes;
    uint8_t must_equal_next[PERIOD];
    for (size_t i = 0; i < PERIOD; i++)
        must_equal_next[i] = i % pixel_bytes < 2 ? 0xff : 0;
    for (size_t y = 0; y < height; y++) {
        const uint8_t *row = rows + y * (1 + used) + 1;
        uint8_t differ[PERIOD] = {0};
        size_t x = 0;
        for (; x + PERIOD < used; x += PERIOD)
            for (size_t i = 0; i < PERIOD; i++)
                differ[i] |= (uint8_t)((row[x + i] ^ row[x + i + 1]) & must_equal_next[i]);
        for (; x + 1 < used; x++)
            differ[0] |= (uint8_t)((row[x] ^ row[x + 1]) & must_equal_next[x % PERIOD]);
        for (size_t i = 1; i < PERIOD; i++)
            differ[0] |= differ[i];
        if (differ[0])
            return 0;
    }
    return 1;
}

#if defined(MURA_X86)
FOR_AVX2 static int undo_filters_by_avx2(const uint8_t *rows, size_t height, size_t width,
                                         size_t pixel_bytes, size_t channel, uint8_t *plane)
{
    return undo_filters_of(rows, height, width, pixel_bytes, channel, plane, undo_block_avx2,
                           2 * LANES);
}

FOR_AVX2 static int channels_are_equal_by_avx2(const uint8_t *rows, size_t height, size_t width,
                                               size_t pixel_bytes)
{
    return channels_are_equal_of(rows, height, width, pixel_bytes);
}
#endif

/* Write one channel's pixels to `plane` (height x width). `rows` holds `height` rows, each a filter
   type byte, 0 to 4, followed by `width * pixel_bytes` bytes. Returns 0, or -1 if out of memory. */
static int undo_filters(const uint8_t *rows, size_t height, size_t width, size_t pixel_bytes,
                        size_t channel, uint8_t *plane, int instructions)
{
#if defined(MURA_X86)
    if (instructions >= AVX2)
        return undo_filters_by_avx2(rows, height, width, pixel_bytes, channel, plane);
    if (instructions == SSE2)
        return undo_filters_of(rows, height, width, pixel_bytes, channel, plane, undo_block_sse2,
                               LANES);
#endif
    (void)instructions;
    return undo_filters_of(rows, height, width, pixel_bytes, channel, plane, NULL, 1);
}

/* Whether the first three filtered bytes of every pixel are equal. Filters treat each channel
   identically and independently, so channels with equal filtered bytes have equal pixels. */
static int channels_are_equal(const uint8_t *rows, size_t height, size_t width,
                              size_t pixel_bytes, int instructions)
{
#if defined(MURA_X86)
    if (instructions >= AVX2)
        return channels_are_equal_by_avx2(rows, height, width, pixel_bytes);
#endif
    (void)instructions;
    return channels_are_equal_of(rows, height, width, pixel_bytes);
}

#endif
