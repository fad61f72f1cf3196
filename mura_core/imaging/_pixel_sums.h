/* Exact per-pixel sums of images and of their squares. */

#ifndef MURA_PIXEL_SUMS_H
#define MURA_PIXEL_SUMS_H

#include <float.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>

#include "_processor.h"

/* The sum of this many bytes fits in 16 bits, and that of their squares in 32: 255 * 257 < 2**16. */
enum { TILE = 1024, MOST_IMAGES_AT_ONCE = 257 };

/* Each tile of pixels is summed over all images before the next tile, in narrow integers, so that
   its sums stay in the L1 cache. At most MOST_IMAGES_AT_ONCE images. */
BODY void add_bytes_of(const uint8_t *images, size_t count, size_t pixels,
                       uint64_t *restrict total, uint64_t *restrict total_of_squares)
{
    for (size_t start = 0; start < pixels; start += TILE) {
        const size_t size = pixels - start < TILE ? pixels - start : TILE;
        uint16_t sums[TILE] = {0};
        uint32_t squares[TILE] = {0};
        for (size_t n = 0; n < count; n++) {
            const uint8_t *restrict tile = images + n * pixels + start;
            for (size_t i = 0; i < size; i++) {
                const uint16_t pixel = tile[i];
                sums[i] = (uint16_t)(sums[i] + pixel);
                squares[i] += (uint16_t)(pixel * pixel);
            }
        }
        for (size_t i = 0; i < size; i++) {
            total[start + i] += sums[i];
            total_of_squares[start + i] += squares[i];
        }
    }
}

#if defined(MURA_X86)
FOR_AVX2 static void add_bytes_by_avx2(const uint8_t *images, size_t count, size_t pixels,
                                       uint64_t *total, uint64_t *total_of_squares)
{
    add_bytes_of(images, count, pixels, total, total_of_squares);
}
#endif

/* Add `count` contiguous images of `pixels` bytes to the totals. */
static void add_bytes(const uint8_t *images, size_t count, size_t pixels, uint64_t *total,
                      uint64_t *total_of_squares, int instructions)
{
    while (count > 0) {
        const size_t some = count < MOST_IMAGES_AT_ONCE ? count : MOST_IMAGES_AT_ONCE;
#if defined(MURA_X86)
        if (instructions >= AVX2)
            add_bytes_by_avx2(images, some, pixels, total, total_of_squares);
        else
#endif
            add_bytes_of(images, some, pixels, total, total_of_squares);
        images += some * pixels;
        count -= some;
    }
    (void)instructions;
}

/* Return a + b, rounded, and write the rounding error to `lost` (Knuth, The Art of Computer
   Programming, volume 2, section 4.2.2, theorem B). Exact for any two numbers. */
BODY double two_sum(double a, double b, double *lost)
{
    const double rounded = a + b;
    const double of_b = rounded - a;
    *lost = (a - (rounded - of_b)) + (b - of_b);
    return rounded;
}

/* Add a term to a pair and return the remainder that doesn't fit in it, which is nearly always 0. */
BODY double add_to_pair(double term, double *rounded, double *lost)
{
    double taken, beyond;
    *rounded = two_sum(*rounded, term, &taken);
    *lost = two_sum(*lost, taken, &beyond);
    return beyond;
}

BODY int any_is_not_zero(const double *values, size_t count)
{
    int any = 0;
    for (size_t i = 0; i < count; i++)
        any |= values[i] != 0;
    return any;
}

/* Add `count` terms to `count` pairs, writing the remainders to `beyond`; returns whether any
   remainder isn't 0. */
static int add_to_pairs(const double *terms, size_t count, double *restrict rounded,
                        double *restrict lost, double *restrict beyond)
{
    for (size_t i = 0; i < count; i++)
        beyond[i] = add_to_pair(terms[i], rounded + i, lost + i);
    return any_is_not_zero(beyond, count);
}

/* The same for float32 pixels and their squares, which are exact in float64. */
BODY int add_reals_of(const float *restrict pixels, size_t count, double *restrict rounded,
                      double *restrict lost, double *restrict beyond,
                      double *restrict square_rounded, double *restrict square_lost,
                      double *restrict square_beyond)
{
    for (size_t i = 0; i < count; i++)
        beyond[i] = add_to_pair(pixels[i], rounded + i, lost + i);
    for (size_t i = 0; i < count; i++)
        square_beyond[i] =
            add_to_pair((double)pixels[i] * pixels[i], square_rounded + i, square_lost + i);
    return any_is_not_zero(beyond, count) | any_is_not_zero(square_beyond, count);
}

#if defined(MURA_X86)
FOR_AVX2 static int add_reals_by_avx2(const float *pixels, size_t count, double *rounded,
                                      double *lost, double *beyond, double *square_rounded,
                                      double *square_lost, double *square_beyond)
{
    return add_reals_of(pixels, count, rounded, lost, beyond, square_rounded, square_lost,
                        square_beyond);
}
#endif

static int add_reals(const float *pixels, size_t count, double *rounded, double *lost,
                     double *beyond, double *square_rounded, double *square_lost,
                     double *square_beyond, int instructions)
{
#if defined(MURA_X86)
    if (instructions >= AVX2)
        return add_reals_by_avx2(pixels, count, rounded, lost, beyond, square_rounded, square_lost,
                                 square_beyond);
#endif
    (void)instructions;
    return add_reals_of(pixels, count, rounded, lost, beyond, square_rounded, square_lost,
                        square_beyond);
}

/* The correctly rounded square root of (count * squares - total * total) / (count * divisor), or -1
   if long double isn't precise enough to decide the rounding. */
static double nearest_deviation(uint64_t count, uint64_t divisor, uint64_t total, uint64_t squares)
{
#if defined(__SIZEOF_INT128__) && LDBL_MANT_DIG >= 64
    typedef unsigned __int128 wide;
    const wide spread = (wide)count * squares - (wide)total * total;
    const long double root = sqrtl((long double)spread / (long double)((wide)count * divisor));
    /* Two conversions and a quotient, whose errors the root halves, and the root itself: at most
       2.5 units of 2**-64. The slack allows 4. */
    const long double slack = root * 0x1p-62L;
    const double lower = (double)(root - slack), upper = (double)(root + slack);
    return lower == upper ? lower : -1.0;
#else
    (void)count, (void)divisor, (void)total, (void)squares;
    return -1.0;
#endif
}

/* W. Kahan, "Further remarks on reducing truncation errors", Communications of the ACM 8, 1965. */
static inline void add_by_kahan(double term, double *sum, double *compensation)
{
    const double mended = term - *compensation;
    const double next = *sum + mended;
    *compensation = (next - *sum) - mended;
    *sum = next;
}

#endif
