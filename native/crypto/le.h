/* SPDX-License-Identifier: MIT */
/* Little-endian loads and stores, any alignment. */
#ifndef TL_LE_H
#define TL_LE_H

#include <stdint.h>
#include <string.h>

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define LE32(x) __builtin_bswap32(x)
#define LE64(x) __builtin_bswap64(x)
#else
#define LE32(x) (x)
#define LE64(x) (x)
#endif

static inline uint32_t le32_load(const uint8_t *p) {
    uint32_t x;
    memcpy(&x, p, sizeof x);
    return LE32(x);
}

static inline void le32_store(uint8_t *p, uint32_t x) {
    x = LE32(x);
    memcpy(p, &x, sizeof x);
}

static inline uint64_t le64_load(const uint8_t *p) {
    uint64_t x;
    memcpy(&x, p, sizeof x);
    return LE64(x);
}

static inline void le64_store(uint8_t *p, uint64_t x) {
    x = LE64(x);
    memcpy(p, &x, sizeof x);
}

/* The same where the caller knows that p is a multiple of 4: one instruction on MIPS, not two. */
static inline uint32_t le32_load_aligned(const uint8_t *p) {
    return le32_load(__builtin_assume_aligned(p, 4));
}

static inline void le32_store_aligned(uint8_t *p, uint32_t x) {
    le32_store(__builtin_assume_aligned(p, 4), x);
}

#endif
