/* SPDX-License-Identifier: MIT */
/*
 * The checksum in vector lanes, compiled once per instruction set: the including file defines
 * VECTOR_BYTES and VECTOR_TARGET (an attribute, or nothing) and uses vector_sum and vector_copy.
 *
 * Every 32-bit lane adds up the low and the high halves of its words apart, so nothing carries:
 * CHECKSUM_BYTES_MAX / VECTOR_BYTES words of 16 bits fit in 32 bits.
 */
#include <string.h>

#include "inside/checksum.h"

typedef uint32_t vector __attribute__((vector_size(VECTOR_BYTES)));

enum { VECTOR_STEP = 4 * VECTOR_BYTES, VECTOR_LANES = VECTOR_BYTES / 4 };

struct vector_total {
    vector low, high;
};

VECTOR_TARGET static inline vector vector_load(const uint8_t *p) {
    vector v;
    memcpy(&v, p, sizeof v);
    return v;
}

VECTOR_TARGET static inline vector vector_move(uint8_t *dst, const uint8_t *src) {
    vector v = vector_load(src);
    memcpy(dst, &v, sizeof v);
    return v;
}

VECTOR_TARGET static inline void vector_add(struct vector_total *t, vector v) {
    t->low += v & 0xffff;
    t->high += v >> 16;
}

/* Halves sit in memory order, as native 16-bit words: swapped once, at the end. */
VECTOR_TARGET static inline uint32_t vector_fold(const struct vector_total *t) {
    uint32_t lanes[4][VECTOR_LANES];
    memcpy(lanes, t, sizeof lanes);
    uint64_t sum = 0;
    for (unsigned i = 0; i < 4; i++)
        for (unsigned j = 0; j < VECTOR_LANES; j++)
            sum += lanes[i][j];
    uint32_t folded = checksum_fold((uint32_t)(sum & 0xffff) + (uint32_t)(sum >> 16 & 0xffff) +
                                    (uint32_t)(sum >> 32));
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    folded = __builtin_bswap16((uint16_t)folded);
#endif
    return folded;
}

VECTOR_TARGET static uint32_t vector_sum(const uint8_t *p, size_t n) {
    struct vector_total t[2] = {0};
    size_t i = 0;
    for (; i + VECTOR_STEP <= n; i += VECTOR_STEP)
        for (size_t j = 0; j < 4; j++)
            vector_add(&t[j % 2], vector_load(p + i + j * VECTOR_BYTES));
    for (; i + VECTOR_BYTES <= n; i += VECTOR_BYTES)
        vector_add(t, vector_load(p + i));
    return checksum_fold(vector_fold(t) + checksum_sum(p + i, n - i));
}

VECTOR_TARGET static uint32_t vector_copy(uint8_t *restrict dst, const uint8_t *restrict src,
                                          size_t n) {
    struct vector_total t[2] = {0};
    size_t i = 0;
    for (; i + VECTOR_STEP <= n; i += VECTOR_STEP)
        for (size_t j = 0; j < 4; j++)
            vector_add(&t[j % 2],
                       vector_move(dst + i + j * VECTOR_BYTES, src + i + j * VECTOR_BYTES));
    for (; i + VECTOR_BYTES <= n; i += VECTOR_BYTES)
        vector_add(t, vector_move(dst + i, src + i));
    return checksum_fold(vector_fold(t) + checksum_portable.copy(dst + i, src + i, n - i));
}
