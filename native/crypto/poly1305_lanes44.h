/* SPDX-License-Identifier: MIT */
/*
 * Poly1305 in 64-bit lanes with limbs of 44, 44 and 42 bits, where vectors have 52 x 52 -> 104 bit
 * products (AVX-512 IFMA): the including file defines multiply_low(d, a, b) and multiply_high(d, a,
 * b), which add the low and the high 52 bits of a product to d.
 *
 * A product that lands at 2^132 comes back 20-fold, as 2^130 = 5. r[2] < 2^36 and r[1] < 2^44 by
 * clamping, so 20 r[1] < 2^48.4. Between blocks h[0] < 2^44 + 2^50.4, h[1] < 2^44, h[2] < 2^42:
 * all operands are below 2^52, also with the block added, and the sums far below 2^64.
 */
#ifndef TL_POLY1305_LANES44_H
#define TL_POLY1305_LANES44_H

#include "crypto/lanes.h"

struct accumulator {
    vec64 h[3];
    vec64 r[3];
    vec64 s[3]; /* 20 r[i]; s[0] is not used */
};

INLINE void limbs44(vec64 x[3], vec64 low, vec64 high) {
    const vec64 mask = vec64_all(0xfffffffffff);
    x[0] = low & mask;
    x[1] = (low >> 44 | high << 20) & mask;
    x[2] = high >> 24;
}

/* r is clamped here. */
INLINE void accumulator_init(struct accumulator *a, vec64 low, vec64 high) {
    limbs44(a->r, low & 0x0ffffffc0fffffff, high & 0x0ffffffc0ffffffc);
    for (int i = 0; i < 3; i++) {
        a->h[i] = vec64_all(0);
        a->s[i] = (a->r[i] << 4) + (a->r[i] << 2);
    }
}

/* Lanes with a zero in `keep` start over. */
INLINE void accumulator_keep(struct accumulator *a, vec64 keep) {
    for (int i = 0; i < 3; i++)
        a->h[i] &= keep;
}

/* h = (h + block) r; `top` is 1 where the block counts, else 0 (and so are low and high). */
INLINE void accumulator_block(struct accumulator *a, vec64 low, vec64 high, vec64 top) {
    const vec64 *r = a->r;
    const vec64 *s = a->s;
    const vec64 zero = vec64_all(0);
    vec64 h[3];
    limbs44(h, low, high);
    h[2] |= top << 40;
    h[0] += a->h[0], h[1] += a->h[1], h[2] += a->h[2];
    /* h[0] is ready last: its products come last. */
    vec64 low0 = multiply_low(multiply_low(zero, h[1], s[2]), h[2], s[1]);
    vec64 high0 = multiply_high(multiply_high(zero, h[1], s[2]), h[2], s[1]);
    vec64 low1 = multiply_low(multiply_low(zero, h[1], r[0]), h[2], s[2]);
    vec64 high1 = multiply_high(multiply_high(zero, h[1], r[0]), h[2], s[2]);
    vec64 low2 = multiply_low(multiply_low(zero, h[1], r[1]), h[2], r[0]);
    vec64 high2 = multiply_high(multiply_high(zero, h[1], r[1]), h[2], r[0]);
    low0 = multiply_low(low0, h[0], r[0]);
    high0 = multiply_high(high0, h[0], r[0]);
    low1 = multiply_low(low1, h[0], r[1]);
    high1 = multiply_high(high1, h[0], r[1]);
    low2 = multiply_low(low2, h[0], r[2]);
    high2 = multiply_high(high2, h[0], r[2]);
    low1 += (high0 << 8) + (low0 >> 44);
    low2 += (high1 << 8) + (low1 >> 44);
    vec64 carry = (high2 << 10) + (low2 >> 42);
    a->h[0] = (low0 & 0xfffffffffff) + (carry + (carry << 2));
    a->h[1] = low1 & 0xfffffffffff;
    a->h[2] = low2 & 0x3ffffffffff;
}

/* h, below 2^130, as words of 64, 64 and 2 bits. */
INLINE void accumulator_words(const struct accumulator *a, vec64 words[3]) {
    vec64 h[3];
    memcpy(h, a->h, sizeof h);
    for (int i = 0; i < 2; i++) {
        h[1] += h[0] >> 44, h[0] &= 0xfffffffffff;
        h[2] += h[1] >> 44, h[1] &= 0xfffffffffff;
        vec64 carry = h[2] >> 42;
        h[0] += carry + (carry << 2), h[2] &= 0x3ffffffffff;
    }
    words[0] = h[0] | h[1] << 44;
    words[1] = h[1] >> 20 | h[2] << 24;
    words[2] = h[2] >> 40;
}

#endif
