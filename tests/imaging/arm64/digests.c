/* Digests of what the extensions' C code makes of the same pseudo-random input on any processor. */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "_pixel_sums.h"
#include "_resize.h"
#include "_unfilter.h"

static uint64_t state = 88172645463325252u;

static uint32_t next(void) /* Marsaglia 2003, xorshift64 */
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 32);
}

static void say(const char *name, const void *bytes, size_t count)
{
    uint64_t digest = 14695981039346656037u; /* FNV-1a */
    for (size_t i = 0; i < count; i++)
        digest = (digest ^ ((const uint8_t *)bytes)[i]) * 1099511628211u;
    printf("%s %016llx\n", name, (unsigned long long)digest);
}

static void fill(uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        bytes[i] = (uint8_t)next();
}

static void say_resized(int instructions)
{
    enum { HEIGHT = 61, WIDTH = 53, SIZE = 30, TAPS = 5 };
    static uint8_t bytes[2 * HEIGHT * WIDTH], rounded[SIZE * SIZE];
    static float levels[SIZE * SIZE], weights[2][SIZE * TAPS];
    static ptrdiff_t first[2][SIZE];
    const size_t length[2] = {HEIGHT, WIDTH};
    for (int axis = 0; axis < 2; axis++)
        for (size_t i = 0; i < SIZE; i++) {
            float sum = 0;
            first[axis][i] = (ptrdiff_t)(i * (length[axis] - TAPS) / (SIZE - 1));
            for (size_t k = 0; k < TAPS; k++)
                sum += weights[axis][i * TAPS + k] = (float)(next() % 1000) / 999.0f;
            for (size_t k = 0; k < TAPS; k++)
                weights[axis][i * TAPS + k] /= sum;
        }
    const struct weights down = {first[0], weights[0], SIZE, TAPS};
    const struct weights across = {first[1], weights[1], SIZE, TAPS};
    fill(bytes, sizeof bytes);
    resize_uint8(bytes, HEIGHT, WIDTH, &down, &across, levels, NULL, instructions);
    say("levels of uint8", levels, sizeof levels);
    resize_uint8(bytes, HEIGHT, WIDTH, &down, &across, NULL, rounded, instructions);
    say("rounded uint8", rounded, sizeof rounded);
    static uint16_t words[HEIGHT * WIDTH];
    for (size_t i = 0; i < HEIGHT * WIDTH; i++)
        words[i] = (uint16_t)next();
    resize_uint16(words, HEIGHT, WIDTH, &down, &across, levels, NULL, instructions);
    say("levels of uint16", levels, sizeof levels);
}

static void say_sums(int instructions)
{
    enum { IMAGES = 300, PIXELS = 1500 };
    static uint8_t images[IMAGES * PIXELS];
    static uint64_t total[2][PIXELS];
    static double deviation[PIXELS];
    fill(images, sizeof images);
    add_bytes(images, IMAGES, PIXELS, total[0], total[1], instructions);
    say("integer sums", total, sizeof total);
    static double sums[4][PIXELS], beyond[2][PIXELS], kahan[2][PIXELS];
    static float reals[PIXELS];
    for (int n = 0; n < 40; n++) {
        for (size_t i = 0; i < PIXELS; i++) {
            const float unit = (float)(1u << (next() % 31));
            reals[i] = ((float)(int32_t)next() / 2147483648.0f) * (n % 2 ? unit : 1.0f / unit);
            add_by_kahan(reals[i], &kahan[0][i], &kahan[1][i]);
        }
        add_reals(reals, PIXELS, sums[0], sums[1], beyond[0], sums[2], sums[3], beyond[1],
                  instructions);
        say("beyond", beyond, sizeof beyond);
    }
    say("real sums", sums, sizeof sums);
    say("sums by Kahan", kahan, sizeof kahan);
    /* -1 where long double is too short to tell: the caller then computes exactly. */
    for (size_t i = 0; i < PIXELS; i++) {
        const double nearest = nearest_deviation(IMAGES, IMAGES - 1, total[0][i], total[1][i]);
        deviation[i] = nearest < 0 ? 0 : nearest;
    }
    (void)deviation;
}

static void say_planes(int instructions)
{
    enum { HEIGHT = 70, WIDTH = 45 };
    for (size_t pixel_bytes = 1; pixel_bytes <= 4; pixel_bytes++) {
        const size_t row_bytes = 1 + WIDTH * pixel_bytes;
        uint8_t *rows = malloc(HEIGHT * row_bytes);
        static uint8_t plane[HEIGHT * WIDTH];
        fill(rows, HEIGHT * row_bytes);
        for (size_t y = 0; y < HEIGHT; y++)
            rows[y * row_bytes] %= 5;
        for (size_t channel = 0; channel < pixel_bytes; channel++) {
            undo_filters(rows, HEIGHT, WIDTH, pixel_bytes, channel, plane, instructions);
            say("plane", plane, sizeof plane);
        }
        if (pixel_bytes >= 3)
            printf("equal %d\n",
                   channels_are_equal(rows, HEIGHT, WIDTH, pixel_bytes, instructions));
        free(rows);
    }
}

int main(void)
{
    const int instructions = best_instructions();
    say_resized(instructions);
    say_sums(instructions);
    say_planes(instructions);
    return 0;
}
