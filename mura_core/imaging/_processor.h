/* Which vector instructions there are, and how a function is compiled for more than the least.

   Wheels are built for the least processor of their platform. What pays is compiled once more for
   AVX2 and chosen while the program runs, by `instructions` (see cpu.py). Both
   compilations do the same arithmetic in the same order: they give the same bits. */

#ifndef MURA_PROCESSOR_H
#define MURA_PROCESSOR_H

enum { SCALAR = 0, SSE2 = 1, AVX2 = 2 };

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define MURA_X86 1
#define FOR_AVX2 __attribute__((target("avx2")))
#endif

/* The body of a function that is compiled more than once. */
#if defined(__GNUC__)
#define BODY static inline __attribute__((always_inline))
#define MAY_BE_UNUSED __attribute__((unused))
#else
#define BODY static inline
#define MAY_BE_UNUSED
#endif

static inline int best_instructions(void)
{
#if defined(MURA_X86)
    return __builtin_cpu_supports("avx2") ? AVX2 : SSE2;
#else
    return SCALAR;
#endif
}

/* Of no use to us, but oneDNN, by which TensorFlow convolves, has it. */
static inline int processor_has_avx512(void)
{
#if defined(MURA_X86)
    return __builtin_cpu_supports("avx512f") != 0;
#else
    return 0;
#endif
}

#endif
