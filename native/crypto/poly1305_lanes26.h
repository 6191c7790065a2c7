/* SPDX-License-Identifier: MIT */
/*
 * Poly1305 in 64-bit lanes with five 26-bit limbs, where vectors have 32 x 32 -> 64 bit products:
 * the including file defines a type `factor` for the low halves of a vec64, narrow(vec64), and
 * multiply(a, b) and multiply_add(sum, a, b) of two factors.
 *
 * Between blocks h[i] < 2^26 + 2^7; with the block added h[i] < 2^27, and s = 5 r < 2^28.4, so a
 * sum of five products stays below 2^57.8 and every operand below 2^32.
 */
#ifndef TL_POLY1305_LANES26_H
#define TL_POLY1305_LANES26_H

#include "crypto/lanes.h"

struct accumulator {
    vec64 h[5];
    factor r[5];
    factor s[5]; /* 5 r[i]; s[0] is not used */
};

INLINE void limbs26(vec64 x[5], vec64 low, vec64 high) {
    const vec64 mask = vec64_all(0x3ffffff);
    x[0] = low & mask;
    x[1] = (low >> 26) & mask;
    x[2] = (low >> 52 | high << 12) & mask;
    x[3] = (high >> 14) & mask;
    x[4] = high >> 40;
}

/* r is clamped here. */
INLINE void accumulator_init(struct accumulator *a, vec64 low, vec64 high) {
    vec64 r[5];
    limbs26(r, low & 0x0ffffffc0fffffff, high & 0x0ffffffc0ffffffc);
    for (int i = 0; i < 5; i++) {
        a->h[i] = vec64_all(0);
        a->r[i] = narrow(r[i]);
        a->s[i] = narrow(r[i] + (r[i] << 2));
    }
}

/* Lanes with a zero in `keep` start over. */
INLINE void accumulator_keep(struct accumulator *a, vec64 keep) {
    for (int i = 0; i < 5; i++)
        a->h[i] &= keep;
}

/* h = (h + block) r; `top` is 1 where the block counts, else 0 (and so are low and high). */
INLINE void accumulator_block(struct accumulator *a, vec64 low, vec64 high, vec64 top) {
    const vec64 mask = vec64_all(0x3ffffff);
    const factor *r = a->r;
    const factor *s = a->s;
    factor h[5];
    vec64 d[5];
    limbs26(d, low, high);
    d[4] |= top << 24;
#pragma GCC unroll 5
    for (int i = 0; i < 5; i++)
        h[i] = narrow(d[i] + a->h[i]);
#pragma GCC unroll 5
    for (int i = 0; i < 5; i++) {
        d[i] = multiply(h[0], r[i]);
#pragma GCC unroll 5
        for (int j = 1; j < 5; j++)
            d[i] = multiply_add(d[i], h[j], j <= i ? r[i - j] : s[5 + i - j]);
    }
    /* Two carry chains side by side, 0 to 3 and 3 to 1. */
    d[1] += d[0] >> 26, d[0] &= mask;
    d[4] += d[3] >> 26, d[3] &= mask;
    d[2] += d[1] >> 26, d[1] &= mask;
    vec64 carry = d[4] >> 26;
    d[0] += carry + (carry << 2), d[4] &= mask;
    d[3] += d[2] >> 26, d[2] &= mask;
    d[1] += d[0] >> 26, d[0] &= mask;
    d[4] += d[3] >> 26, d[3] &= mask;
#pragma GCC unroll 5
    for (int i = 0; i < 5; i++)
        a->h[i] = d[i];
}

/* h, below 2^130, as words of 64, 64 and 2 bits. */
INLINE void accumulator_words(const struct accumulator *a, vec64 words[3]) {
    const vec64 mask = vec64_all(0x3ffffff);
    vec64 h[5];
    memcpy(h, a->h, sizeof h);
    for (int i = 0; i < 2; i++) {
        for (int j = 0; j < 4; j++)
            h[j + 1] += h[j] >> 26, h[j] &= mask;
        vec64 carry = h[4] >> 26;
        h[0] += carry + (carry << 2), h[4] &= mask;
    }
    words[0] = h[0] | h[1] << 26 | h[2] << 52;
    words[1] = h[2] >> 12 | h[3] << 14 | h[4] << 40;
    words[2] = h[4] >> 24;
}

#endif
