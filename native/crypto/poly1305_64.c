/* SPDX-License-Identifier: MIT */
/*
 * Poly1305 with 64-bit words and 128-bit accumulators, for 64-bit CPUs. The same sums as
 * poly1305_32.c with half as many words: r < 2^60, s[1] = 5/4 r[1] < 1.25 * 2^60, s[0] = 5 r[0];
 * d < 3.5 * 2^124 + 2^65, so h[2] = e r[0] + carry + 1 < 7 * 2^60. Once per packet.
 */
#include <string.h>

#include "crypto/le.h"
#include "crypto/poly1305.h"

#ifdef __SIZEOF_INT128__

__extension__ typedef unsigned __int128 uint128;

static void init(struct poly1305 *s, const uint8_t key[POLY1305_KEY]) {
    memset(s->w64.h, 0, sizeof s->w64.h);
    s->w64.r[0] = le64_load(key) & 0x0ffffffc0fffffff;
    s->w64.r[1] = le64_load(key + 8) & 0x0ffffffc0ffffffc;
    s->w64.s[0] = s->w64.r[0] * 5;
    s->w64.s[1] = s->w64.r[1] + (s->w64.r[1] >> 2);
    for (int i = 0; i < 4; i++)
        s->pad[i] = le32_load(key + 16 + 4 * i);
}

/* h = h r + m, where m has its 17th byte in `top`. */
static inline __attribute__((always_inline)) void multiply_add(uint64_t h[3], const uint64_t r[2],
                                                               const uint64_t s[2],
                                                               const uint64_t m[2], uint64_t top) {
    uint64_t q = h[2] >> 2;
    uint64_t e = h[2] & 3;
    uint128 d0 = (uint128)h[0] * r[0] + (uint128)h[1] * s[1] + (uint128)q * s[0] + m[0];
    uint128 d1 = (uint128)h[0] * r[1] + (uint128)h[1] * r[0] + (uint128)h[2] * s[1] + m[1];
    d1 += d0 >> 64;
    h[0] = (uint64_t)d0;
    h[1] = (uint64_t)d1;
    h[2] = e * r[0] + (uint64_t)(d1 >> 64) + top;
}

static void blocks(struct poly1305 *p, const uint8_t *m, size_t n) {
    uint64_t h[3] = {p->w64.h[0], p->w64.h[1], p->w64.h[2]};
    uint64_t r[2] = {p->w64.r[0], p->w64.r[1]};
    uint64_t s[2] = {p->w64.s[0], p->w64.s[1]};
    for (; n > 0; n--, m += POLY1305_BLOCK) {
        uint64_t w[2] = {le64_load(m), le64_load(m + 8)};
        multiply_add(h, r, s, w, 1);
    }
    memcpy(p->w64.h, h, sizeof h);
}

/* h + x where x < 2^64, carried through all words. */
static void add_small(uint64_t h[3], uint64_t x) {
    uint128 carry = x;
    for (int i = 0; i < 3; i++) {
        carry += h[i];
        h[i] = (uint64_t)carry;
        carry >>= 64;
    }
}

static void final(struct poly1305 *s, uint8_t tag[POLY1305_TAG]) {
    static const uint64_t none[2] = {0};
    uint64_t h[3];
    memcpy(h, s->w64.h, sizeof h);
    multiply_add(h, s->w64.r, s->w64.s, none, 0);
    for (int i = 0; i < 2; i++) { /* the first may carry into 2^130 once more */
        uint64_t q = h[2] >> 2;
        h[2] &= 3;
        add_small(h, q * 5);
    }
    /* h < 2^130 now. Subtracts p when h >= p, that is when h + 5 reaches 2^130. */
    uint64_t g[3];
    memcpy(g, h, sizeof g);
    add_small(g, 5);
    uint64_t mask = 0 - (g[2] >> 2);
    uint128 carry = 0;
    for (int i = 0; i < 2; i++) {
        carry += (h[i] & ~mask) | (g[i] & mask);
        carry += s->pad[2 * i] | (uint64_t)s->pad[2 * i + 1] << 32;
        le64_store(tag + 8 * i, (uint64_t)carry);
        carry >>= 64;
    }
}

const struct poly1305_impl poly1305_64 = {init, blocks, final};

#else
typedef int poly1305_64_needs_int128; /* an empty file is not ISO C */
#endif
