/* SPDX-License-Identifier: MIT */
/*
 * ChaCha20's rounds (RFC 8439 section 2.3) over 16 words that are each a WORD: a number, or a
 * vector with a lane for each of several blocks. The including file defines WORD, and ROTATE(x, n)
 * for n = 16, 12, 8, 7.
 */
#ifndef TL_CHACHA20_ROUNDS_H
#define TL_CHACHA20_ROUNDS_H

#include <stdint.h>

static const uint32_t expand[4] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};

#define QUARTER_ROUND(a, b, c, d)                                                                  \
    do {                                                                                           \
        x[a] += x[b], x[d] = ROTATE(x[d] ^ x[a], 16);                                              \
        QUARTER_ROUND_REST(a, b, c, d);                                                            \
    } while (0)

#define QUARTER_ROUND_REST(a, b, c, d)                                                             \
    do {                                                                                           \
        x[c] += x[d], x[b] = ROTATE(x[b] ^ x[c], 12);                                              \
        x[a] += x[b], x[d] = ROTATE(x[d] ^ x[a], 8);                                               \
        x[c] += x[d], x[b] = ROTATE(x[b] ^ x[c], 7);                                               \
    } while (0)

static inline __attribute__((always_inline)) void double_round(WORD x[16]) {
    QUARTER_ROUND(0, 4, 8, 12);
    QUARTER_ROUND(1, 5, 9, 13);
    QUARTER_ROUND(2, 6, 10, 14);
    QUARTER_ROUND(3, 7, 11, 15);
    QUARTER_ROUND(0, 5, 10, 15);
    QUARTER_ROUND(1, 6, 11, 12);
    QUARTER_ROUND(2, 7, 8, 13);
    QUARTER_ROUND(3, 4, 9, 14);
}

/* What the first double round can do before the block counter, word 12, is known: 41 of its 96
 * operations, once per message and not per block. */
static inline __attribute__((always_inline)) void begin_rounds(WORD x[16]) {
    x[0] += x[4];
    QUARTER_ROUND(1, 5, 9, 13);
    QUARTER_ROUND(2, 6, 10, 14);
    QUARTER_ROUND(3, 7, 11, 15);
    x[1] += x[6];
    x[2] += x[7], x[13] = ROTATE(x[13] ^ x[2], 16);
}

/* The other 55; nine double rounds are left. */
static inline __attribute__((always_inline)) void go_on_with_counter(WORD x[16]) {
    x[12] = ROTATE(x[12] ^ x[0], 16);
    QUARTER_ROUND_REST(0, 4, 8, 12);
    QUARTER_ROUND(0, 5, 10, 15);
    x[12] = ROTATE(x[12] ^ x[1], 16);
    QUARTER_ROUND_REST(1, 6, 11, 12);
    QUARTER_ROUND_REST(2, 7, 8, 13);
    QUARTER_ROUND(3, 4, 9, 14);
}

#endif
