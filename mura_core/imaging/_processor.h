/* Vector instruction sets, and the macros that compile a function for more than one of them.

   Wheels are built for the baseline processor of their platform. Functions that benefit are compiled
   again for AVX2, and `instructions` selects one at run time (see cpu.py). Both versions do the same
   arithmetic in the same order, so their results are bit-identical. */

#ifndef MURA_PROCESSOR_H
#define MURA_PROCESSOR_H

enum { SCALAR = 0, SSE2 = 1, AVX2 = 2 };

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define MURA_X86 1
#define FOR_AVX2 __attribute__((target("avx2")))
#endif

/* For functions that are inlined into a version for each instruction set. */
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

/* Not used by the extensions, but by oneDNN, which computes TensorFlow's convolutions. */
static inline int processor_has_avx512(void)
{
#if defined(MURA_X86)
    return __builtin_cpu_supports("avx512f") != 0;
#else
    return 0;
#endif
}

#endif
