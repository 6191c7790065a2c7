/* SPDX-License-Identifier: MIT */
/*
 * The Internet checksum (RFC 1071): sums over bytes, and changes of a finished checksum.
 *
 * A "sum" is the one's complement sum of big-endian 16-bit words, an odd last byte padded with a
 * zero, as a host number, not complemented. Sums of byte runs, and single 16-bit words, are joined
 * with plain +, as long as every run but the last has an even length and fewer than 65,536 terms
 * meet; checksum_finish folds and complements.
 */
#ifndef TL_CHECKSUM_H
#define TL_CHECKSUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

enum {
    CHECKSUM_BYTES_MAX = 1 << 20, /* of one run: the vector lanes hold no more */
};

/* What depends on the CPU. The sums are at most 0xffff. */
struct checksum {
    const char *name;
    bool (*available)(void);
    uint32_t (*sum)(const uint8_t *p, size_t n);
    /* copies n bytes too: one pass over the memory instead of two; no overlap */
    uint32_t (*copy)(uint8_t *dst, const uint8_t *src, size_t n);
};

/* Every implementation in this executable, best first; NULL ends the list. */
extern const struct checksum *const checksum_list[];

/* The first available one; never NULL. */
const struct checksum *checksum_choose(void);

/* For short runs: always there, and as quick for a few dozen bytes. */
uint32_t checksum_sum(const uint8_t *p, size_t n);

/* For headers, whose lengths are multiples of 4: not folded, two terms for each 4 bytes. */
static inline uint32_t checksum_words(const uint8_t *p, size_t n) {
    uint32_t sum = 0;
    for (size_t i = 0; i < n; i += 4) {
        uint32_t word = load_be32(p + i);
        sum += (word >> 16) + (word & 0xffff);
    }
    return sum;
}

/* Any joined sum, folded to 16 bits. */
static inline uint32_t checksum_fold(uint32_t sum) {
    sum = (sum & 0xffff) + (sum >> 16);
    return (sum & 0xffff) + (sum >> 16);
}

/* The value of a checksum field. A header that holds a right one sums up to 0xffff. */
static inline uint16_t checksum_finish(uint32_t sum) {
    return (uint16_t)~checksum_fold(sum);
}

/* A sum that holds `word` without it. */
static inline uint32_t checksum_without(uint32_t sum, uint16_t word) {
    return sum + (uint16_t)~word;
}

/* The checksum field `check` after a 16-bit word that it covers changed (RFC 1624, equation 3). */
uint16_t checksum_update(uint16_t check, uint16_t from, uint16_t to);

/* Sets the ECN field of an IPv4 or IPv6 packet to `ecn` (0..3, RFC 3168) and keeps an IPv4 header
 * checksum as right or as wrong as it was. At least the fixed IP header must be there. */
void checksum_set_ecn(uint8_t *ip, uint8_t ecn);

/* In files of their own; the name says where they can be available. */
extern const struct checksum checksum_avx2;     /* x86_64 */
extern const struct checksum checksum_vec128;   /* SSE2 on x86_64, NEON on ARM */
extern const struct checksum checksum_mips32;   /* MIPS32 release 1 to 5 */
extern const struct checksum checksum_portable; /* everywhere */

#endif
