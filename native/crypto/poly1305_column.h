/* SPDX-License-Identifier: MIT */
/* One column of a schoolbook multiplication: five products and two words, below 2^64 in all. */
#ifndef TL_POLY1305_COLUMN_H
#define TL_POLY1305_COLUMN_H

#include <stdint.h>

#if defined(__mips__) && !defined(__mips64) && __mips_isa_rev >= 1 && __mips_isa_rev < 6

/*
 * MIPS32 has a 64-bit accumulator, HI and LO. clang moves it to general registers and back for
 * every product (five instructions for one); this keeps it where it is. A word is added as its
 * product with 1: one instruction instead of three.
 */
static inline uint64_t column(const uint32_t a[5], const uint32_t b[5], uint32_t x, uint32_t y) {
    uint32_t low;
    uint32_t high;
    __asm__("multu %[a0], %[b0]\n\t"
            "maddu %[a1], %[b1]\n\t"
            "maddu %[a2], %[b2]\n\t"
            "maddu %[a3], %[b3]\n\t"
            "maddu %[a4], %[b4]\n\t"
            "maddu %[x], %[one]\n\t"
            "maddu %[y], %[one]\n\t"
            "mflo %[low]\n\t"
            "mfhi %[high]"
            : [low] "=r"(low), [high] "=r"(high)
            : [a0] "r"(a[0]), [b0] "r"(b[0]), [a1] "r"(a[1]), [b1] "r"(b[1]), [a2] "r"(a[2]),
              [b2] "r"(b[2]), [a3] "r"(a[3]), [b3] "r"(b[3]), [a4] "r"(a[4]), [b4] "r"(b[4]),
              [x] "r"(x), [y] "r"(y), [one] "r"(1)
            : "hi", "lo");
    return (uint64_t)high << 32 | low;
}

#else

static inline uint64_t column(const uint32_t a[5], const uint32_t b[5], uint32_t x, uint32_t y) {
    uint64_t sum = x;
    sum += y;
    for (int i = 0; i < 5; i++)
        sum += (uint64_t)a[i] * b[i];
    return sum;
}

#endif

#endif
