/* SPDX-License-Identifier: MIT */
/* The checksum in vectors of 16 bytes: SSE2, NEON. Once per packet. */
#if defined(__SSE2__) || defined(__ARM_NEON)

#define VECTOR_BYTES 16
#define VECTOR_TARGET
#include "inside/checksum_vector.h"

/* The whole executable is built for a CPU that has it. */
static bool always(void) {
    return true;
}

const struct checksum checksum_vec128 = {
    .name = "vec128",
    .available = always,
    .sum = vector_sum,
    .copy = vector_copy,
};

#else
typedef int checksum_vec128_is_elsewhere;
#endif
