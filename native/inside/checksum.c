/* SPDX-License-Identifier: MIT */
/* The Internet checksum in portable C, and which way of summing is the fastest here.
 * Once per packet. */
#include "inside/checksum.h"

#include "base/bytes.h"

/* 64-bit accumulators of 32-bit words need no carry: 2^32 words would have to meet. On a 32-bit CPU
 * an addition is three instructions, still less than four loads of bytes. */
static uint32_t load_native32(const uint8_t *p) {
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* A sum of native 32-bit words holds its bytes in memory order: one swap at the end is enough,
 * since swapping bytes commutes with adding in one's complement (RFC 1071, section 2). */
static uint32_t fold_native(uint64_t sum) {
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffffffff) + (sum >> 32);
    uint32_t folded = checksum_fold((uint32_t)(sum & 0xffff) + (uint32_t)(sum >> 16));
    return be16((uint16_t)folded);
}

/* The last 0 to 3 bytes as the word they begin, padded with zeros. */
static uint32_t load_tail(const uint8_t *p, size_t n) {
    uint8_t word[4] = {0};
    for (size_t i = 0; i < n; i++)
        word[i] = p[i];
    return load_native32(word);
}

uint32_t checksum_sum(const uint8_t *p, size_t n) {
    uint64_t a = 0, b = 0;
    for (; n >= 16; n -= 16, p += 16) {
        a += load_native32(p);
        b += load_native32(p + 4);
        a += load_native32(p + 8);
        b += load_native32(p + 12);
    }
    for (; n >= 4; n -= 4, p += 4)
        a += load_native32(p);
    return fold_native(a + b + load_tail(p, n));
}

static uint32_t portable_copy(uint8_t *restrict dst, const uint8_t *restrict src, size_t n) {
    uint64_t a = 0, b = 0;
    for (; n >= 16; n -= 16, src += 16, dst += 16) {
        uint32_t w[4];
        memcpy(w, src, sizeof w);
        memcpy(dst, w, sizeof w);
        a += w[0];
        b += w[1];
        a += w[2];
        b += w[3];
    }
    for (; n >= 4; n -= 4, src += 4, dst += 4) {
        a += load_native32(src);
        memcpy(dst, src, 4);
    }
    memcpy(dst, src, n);
    return fold_native(a + b + load_tail(src, n));
}

static bool everywhere(void) {
    return true;
}

const struct checksum checksum_portable = {
    .name = "portable",
    .available = everywhere,
    .sum = checksum_sum,
    .copy = portable_copy,
};

const struct checksum *const checksum_list[] = {
#if defined(__x86_64__)
    &checksum_avx2,
#endif
#if defined(__SSE2__) || defined(__ARM_NEON)
    &checksum_vec128,
#endif
#if defined(__mips__) && __mips == 32 && __mips_isa_rev < 6
    &checksum_mips32,
#endif
    &checksum_portable, NULL,
};

const struct checksum *checksum_choose(void) {
    size_t i = 0;
    while (!checksum_list[i]->available())
        i++;
    return checksum_list[i];
}

uint16_t checksum_update(uint16_t check, uint16_t from, uint16_t to) {
    return checksum_finish((uint32_t)(uint16_t)~check + (uint16_t)~from + to);
}

void checksum_set_ecn(uint8_t *ip, uint8_t ecn) {
    uint16_t from = load_be16(ip);
    if (ip[0] >> 4 == 4) {
        uint16_t to = (uint16_t)((from & ~0x3) | ecn);
        store_be16(ip, to);
        store_be16(ip + 10, checksum_update(load_be16(ip + 10), from, to));
    } else {
        store_be16(ip, (uint16_t)((from & ~0x30) | ecn << 4));
    }
}
