/* SPDX-License-Identifier: MIT */
/*
 * memcpy for MIPS. zig's own writes one word a turn, by two half-stores where it only might be
 * misaligned: 1.6 instructions a byte, of about 30 that a packet's byte costs in all.
 */
#include <stddef.h>
#include <stdint.h>

#ifdef __mips__

enum { WORD = 4, TURN = 8 * WORD };

typedef uint32_t __attribute__((may_alias)) word;
typedef struct {
    uint32_t w;
} __attribute__((packed, may_alias)) loose_word;

static inline void copy_turn(word *to, const word *from) {
    word a = from[0], b = from[1], c = from[2], d = from[3];
    word e = from[4], f = from[5], g = from[6], h = from[7];
    to[0] = a;
    to[1] = b;
    to[2] = c;
    to[3] = d;
    to[4] = e;
    to[5] = f;
    to[6] = g;
    to[7] = h;
}

static inline void copy_turn_loose(word *to, const loose_word *from) {
    for (int i = 0; i < TURN / WORD; i++) {
        to[i] = from[i].w;
    }
}

void *memcpy(void *restrict target, const void *restrict source, size_t n) {
    unsigned char *to = target;
    const unsigned char *from = source;
    if (n >= TURN) {
        for (; (uintptr_t)to % WORD; n--) {
            *to++ = *from++;
        }
        if ((uintptr_t)from % WORD == 0) {
            for (; n >= TURN; n -= TURN, to += TURN, from += TURN) {
                copy_turn((word *)to, (const word *)from);
            }
        } else {
            for (; n >= TURN; n -= TURN, to += TURN, from += TURN) {
                copy_turn_loose((word *)to, (const loose_word *)from);
            }
        }
    }
    for (; n >= WORD; n -= WORD, to += WORD, from += WORD) {
        ((loose_word *)to)->w = ((const loose_word *)from)->w;
    }
    for (; n; n--) {
        *to++ = *from++;
    }
    return target;
}

#endif
