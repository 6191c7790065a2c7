/* SPDX-License-Identifier: MIT */
/*
 * Vectors of LANES 32-bit words, with gcc's and clang's vector extensions, and the transpositions
 * that take packets into lanes and out. Included by one file per instruction set, which defines
 * LANES as 4, 8 or 16. Little endian only.
 */
#ifndef TL_LANES_H
#define TL_LANES_H

#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

/*
 * The executables for routers are made by clang, and the one for x86_64 holds four ciphers made of
 * these files. There, what is called from more than one place is laid out once, and what runs
 * seldom is built for size where a compiler can.
 */
#ifdef __clang__
#define ONCE static __attribute__((noinline))
#define SMALL static __attribute__((noinline, minsize))
#elif defined(__x86_64__)
#define ONCE static __attribute__((noinline))
#define SMALL ONCE
#else
#define ONCE INLINE
#define SMALL static
#endif

enum { PACKETS = LANES / 2 };

typedef uint32_t vec32 __attribute__((vector_size(LANES * 4)));
typedef uint64_t vec64 __attribute__((vector_size(LANES * 4)));

INLINE vec64 vec64_load(const uint8_t *p) {
    vec64 v;
    memcpy(&v, p, sizeof v);
    return v;
}

INLINE vec64 vec64_all(uint64_t x) {
    return (vec64){0} + x;
}

/* Within each 128-bit part: words 0 and 1, or 2 and 3, of both; 64-bit words 0, or 1, of both. */
#if LANES == 16
#define LOW32(a, b)                                                                                \
    __builtin_shufflevector(a, b, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29)
#define HIGH32(a, b)                                                                               \
    __builtin_shufflevector(a, b, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31)
#define LOW64(a, b) __builtin_shufflevector(a, b, 0, 8, 2, 10, 4, 12, 6, 14)
#define HIGH64(a, b) __builtin_shufflevector(a, b, 1, 9, 3, 11, 5, 13, 7, 15)
#define EVEN128(a, b) __builtin_shufflevector(a, b, 0, 1, 4, 5, 8, 9, 12, 13)
#define ODD128(a, b) __builtin_shufflevector(a, b, 2, 3, 6, 7, 10, 11, 14, 15)
#elif LANES == 8
#define LOW32(a, b) __builtin_shufflevector(a, b, 0, 8, 1, 9, 4, 12, 5, 13)
#define HIGH32(a, b) __builtin_shufflevector(a, b, 2, 10, 3, 11, 6, 14, 7, 15)
#define LOW64(a, b) __builtin_shufflevector(a, b, 0, 4, 2, 6)
#define HIGH64(a, b) __builtin_shufflevector(a, b, 1, 5, 3, 7)
#define EVEN128(a, b) __builtin_shufflevector(a, b, 0, 1, 4, 5)
#define ODD128(a, b) __builtin_shufflevector(a, b, 2, 3, 6, 7)
#else
#define LOW32(a, b) __builtin_shufflevector(a, b, 0, 4, 1, 5)
#define HIGH32(a, b) __builtin_shufflevector(a, b, 2, 6, 3, 7)
#define LOW64(a, b) __builtin_shufflevector(a, b, 0, 2)
#define HIGH64(a, b) __builtin_shufflevector(a, b, 1, 3)
#endif

/* v[0..LANES/4-1], 128-bit parts as elements: rows become columns. */
INLINE void transpose128(vec64 *v) {
#if LANES == 16
    vec64 a = EVEN128(v[0], v[1]), b = ODD128(v[0], v[1]);
    vec64 c = EVEN128(v[2], v[3]), d = ODD128(v[2], v[3]);
    v[0] = EVEN128(a, c), v[1] = EVEN128(b, d);
    v[2] = ODD128(a, c), v[3] = ODD128(b, d);
#elif LANES == 8
    vec64 a = EVEN128(v[0], v[1]), b = ODD128(v[0], v[1]);
    v[0] = a, v[1] = b;
#else
    (void)v; /* one row, one column */
#endif
}

/*
 * Sixteen words of LANES blocks, word by word, become pieces of blocks: y[k][i + p] is what stands
 * at 16 i in block 4 p + k, where i counts in steps of PARTS and p < PARTS.
 */
enum { PARTS = LANES / 4 };

/* The first half, for words 4 i to 4 i + 3: piece i of each 128-bit part. */
INLINE void transpose_quad(vec64 y[4][4], const vec32 x[16], int i) {
    const vec32 *w = x + 4 * i;
    vec64 low01 = (vec64)LOW32(w[0], w[1]), high01 = (vec64)HIGH32(w[0], w[1]);
    vec64 low23 = (vec64)LOW32(w[2], w[3]), high23 = (vec64)HIGH32(w[2], w[3]);
    y[0][i] = LOW64(low01, low23);
    y[1][i] = HIGH64(low01, low23);
    y[2][i] = LOW64(high01, high23);
    y[3][i] = HIGH64(high01, high23);
}

/* The second half, for blocks k, 4 + k and so on. */
INLINE void transpose_parts(vec64 y[4]) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; i += PARTS)
        transpose128(y + i);
}

/* PACKETS rows of 64-bit words become columns. */
INLINE void transpose64(vec64 v[PACKETS]) {
    vec64 low[PACKETS / 2];
    vec64 high[PACKETS / 2];
#pragma GCC unroll 4
    for (int i = 0; i < PACKETS / 2; i++) {
        low[i] = LOW64(v[2 * i], v[2 * i + 1]);
        high[i] = HIGH64(v[2 * i], v[2 * i + 1]);
    }
    transpose128(low);
    transpose128(high);
#pragma GCC unroll 4
    for (int i = 0; i < PACKETS / 2; i++) {
        v[2 * i] = low[i];
        v[2 * i + 1] = high[i];
    }
}

#endif
