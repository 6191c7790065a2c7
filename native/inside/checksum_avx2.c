/* SPDX-License-Identifier: MIT */
/* The checksum in AVX2's 32 bytes at a time. Once per packet. */
#if defined(__x86_64__)

#define VECTOR_BYTES 32
#define VECTOR_TARGET __attribute__((target("avx2")))
#include "inside/checksum_vector.h"

#include <cpuid.h>

/* The CPU has it and the kernel saves the registers (XCR0 bits 1 and 2). Asked of the CPU itself:
 * __builtin_cpu_supports needs a run-time library that the static builds do not have. */
static bool has_avx2(void) {
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || (c & bit_OSXSAVE) == 0)
        return false;
    unsigned low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (low & 6) == 6 && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_AVX2) != 0;
}

const struct checksum checksum_avx2 = {
    .name = "avx2",
    .available = has_avx2,
    .sum = vector_sum,
    .copy = vector_copy,
};

#else
typedef int checksum_avx2_is_elsewhere;
#endif
