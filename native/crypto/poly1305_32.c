/* SPDX-License-Identifier: MIT */
/*
 * Poly1305 with 32-bit words and 64-bit accumulators, for 32-bit CPUs.
 *
 * Clamping leaves r[i] < 2^28 and r[1..3] multiples of 4. With 2^130 = 5 (mod p), a product
 * h[j] r[i] that lands at 2^128 or above (i + j >= 4) comes back as h[j] s[i], s[i] = 5/4 r[i],
 * four words lower, and the sums below stay far under 2^64: h[0..3] < 2^32, h[4] < 2.1 * 2^30, r <
 * 2^28, s[1..3] < 1.25 * 2^28, s[0] < 5 * 2^28, each d < 5.5 * 2^60 + 2^33, hence its carry < 1.4 *
 * 2^30. Only h[4] * r[0] has no such way back: h[4] = 4 q + e, 4 q * 2^128 = 5 q, so q * s[0] goes
 * to the lowest word and e * r[0] (e < 4) stays at the top, again below 2.1 * 2^30 with the carry.
 * Once per packet.
 */
#include <string.h>

#include "crypto/le.h"
#include "crypto/poly1305.h"
#include "crypto/poly1305_column.h"

#define INLINE static inline __attribute__((always_inline))
#define HIGH(x) ((uint32_t)((x) >> 32))

static void init(struct poly1305 *s, const uint8_t key[POLY1305_KEY]) {
    memset(s->w32.h, 0, sizeof s->w32.h);
    s->w32.r[0] = le32_load(key) & 0x0fffffff;
    s->w32.s[0] = s->w32.r[0] * 5;
    for (int i = 1; i < 4; i++) {
        s->w32.r[i] = le32_load(key + 4 * i) & 0x0ffffffc;
        s->w32.s[i] = s->w32.r[i] + (s->w32.r[i] >> 2);
    }
    for (int i = 0; i < 4; i++)
        s->pad[i] = le32_load(key + 16 + 4 * i);
}

/* h = h r + m, where m has its 17th byte in `top`. The columns' other factors stand as they pair
 * with h[0..4], or with h[0..3] and q for the first. */
INLINE void multiply_add(uint32_t h[5], const uint32_t r[4], const uint32_t s[4],
                         const uint32_t m[4], uint32_t top) {
    uint32_t hq[5] = {h[0], h[1], h[2], h[3], h[4] >> 2};
    uint64_t d0 = column(hq, (uint32_t[]){r[0], s[3], s[2], s[1], s[0]}, m[0], 0);
    uint64_t d1 = column(h, (uint32_t[]){r[1], r[0], s[3], s[2], s[1]}, m[1], HIGH(d0));
    uint64_t d2 = column(h, (uint32_t[]){r[2], r[1], r[0], s[3], s[2]}, m[2], HIGH(d1));
    uint64_t d3 = column(h, (uint32_t[]){r[3], r[2], r[1], r[0], s[3]}, m[3], HIGH(d2));
    h[4] = (h[4] & 3) * r[0] + HIGH(d3) + top;
    h[0] = (uint32_t)d0;
    h[1] = (uint32_t)d1;
    h[2] = (uint32_t)d2;
    h[3] = (uint32_t)d3;
}

static void blocks(struct poly1305 *p, const uint8_t *m, size_t n) {
    uint32_t h[5];
    uint32_t r[4];
    uint32_t s[4];
    memcpy(h, p->w32.h, sizeof h);
    memcpy(r, p->w32.r, sizeof r);
    memcpy(s, p->w32.s, sizeof s);
    if (((uintptr_t)m & 3) == 0) {
        for (; n > 0; n--, m += POLY1305_BLOCK) {
            uint32_t w[4] = {le32_load_aligned(m), le32_load_aligned(m + 4),
                             le32_load_aligned(m + 8), le32_load_aligned(m + 12)};
            multiply_add(h, r, s, w, 1);
        }
    } else {
        for (; n > 0; n--, m += POLY1305_BLOCK) {
            uint32_t w[4] = {le32_load(m), le32_load(m + 4), le32_load(m + 8), le32_load(m + 12)};
            multiply_add(h, r, s, w, 1);
        }
    }
    memcpy(p->w32.h, h, sizeof h);
}

/* h + x where x < 2^32, carried through all words. */
static void add_small(uint32_t h[5], uint32_t x) {
    uint64_t carry = x;
    for (int i = 0; i < 5; i++) {
        carry += h[i];
        h[i] = (uint32_t)carry;
        carry >>= 32;
    }
}

static void final(struct poly1305 *s, uint8_t tag[POLY1305_TAG]) {
    static const uint32_t none[4] = {0};
    uint32_t h[5];
    memcpy(h, s->w32.h, sizeof h);
    multiply_add(h, s->w32.r, s->w32.s, none, 0);
    for (int i = 0; i < 2; i++) { /* the first may carry into 2^130 once more */
        uint32_t q = h[4] >> 2;
        h[4] &= 3;
        add_small(h, q * 5);
    }
    /* h < 2^130 now. Subtracts p when h >= p, that is when h + 5 reaches 2^130. */
    uint32_t g[5];
    memcpy(g, h, sizeof g);
    add_small(g, 5);
    uint32_t mask = 0 - (g[4] >> 2);
    uint64_t carry = 0;
    for (int i = 0; i < 4; i++) {
        carry += ((h[i] & ~mask) | (g[i] & mask));
        carry += s->pad[i];
        le32_store(tag + 4 * i, (uint32_t)carry);
        carry >>= 32;
    }
}

const struct poly1305_impl poly1305_32 = {init, blocks, final};
