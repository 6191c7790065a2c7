/* SPDX-License-Identifier: MIT */
/*
 * MIPS has no carry flag: adding a word into 64 bits takes three instructions. Its multiplier does
 * the same in one: maddu adds a product to the 64-bit pair HI:LO, so the words are multiplied by 1.
 * The multiplier works beside the loads and stores that stand between two maddu. Once per packet.
 */
#if defined(__mips__) && __mips == 32 && __mips_isa_rev < 6

#include "base/bytes.h"
#include "inside/checksum.h"

enum { STEP = 32 };

/* The sum of `n` bytes (a multiple of STEP, not 0) at a 4-byte aligned address. */
static uint64_t sum_aligned(const uint8_t *p, size_t n) {
    uint32_t high, low, a, b, c, d;
    const uint8_t *end = p + n;
    __asm__ volatile(".set push\n\t"
                     ".set noreorder\n\t"
                     "mult $0, $0\n"
                     "1:\n\t"
                     "lw %[a], 0(%[p])\n\t"
                     "lw %[b], 4(%[p])\n\t"
                     "lw %[c], 8(%[p])\n\t"
                     "maddu %[a], %[one]\n\t"
                     "lw %[d], 12(%[p])\n\t"
                     "maddu %[b], %[one]\n\t"
                     "lw %[a], 16(%[p])\n\t"
                     "maddu %[c], %[one]\n\t"
                     "lw %[b], 20(%[p])\n\t"
                     "maddu %[d], %[one]\n\t"
                     "lw %[c], 24(%[p])\n\t"
                     "maddu %[a], %[one]\n\t"
                     "lw %[d], 28(%[p])\n\t"
                     "maddu %[b], %[one]\n\t"
                     "addiu %[p], %[p], 32\n\t"
                     "maddu %[c], %[one]\n\t"
                     "bne %[p], %[end], 1b\n\t"
                     "maddu %[d], %[one]\n\t"
                     "mfhi %[high]\n\t"
                     "mflo %[low]\n\t"
                     ".set pop"
                     : [p] "+r"(p), [a] "=&r"(a), [b] "=&r"(b), [c] "=&r"(c), [d] "=&r"(d),
                       [high] "=&r"(high), [low] "=&r"(low)
                     : [end] "r"(end), [one] "r"(1)
                     : "hi", "lo", "memory");
    return (uint64_t)high << 32 | low;
}

/* The same, and a copy to a 4-byte aligned address. */
static uint64_t copy_aligned(uint8_t *dst, const uint8_t *p, size_t n) {
    uint32_t high, low, a, b, c, d;
    const uint8_t *end = p + n;
    __asm__ volatile(".set push\n\t"
                     ".set noreorder\n\t"
                     "mult $0, $0\n"
                     "1:\n\t"
                     "lw %[a], 0(%[p])\n\t"
                     "lw %[b], 4(%[p])\n\t"
                     "lw %[c], 8(%[p])\n\t"
                     "lw %[d], 12(%[p])\n\t"
                     "maddu %[a], %[one]\n\t"
                     "sw %[a], 0(%[dst])\n\t"
                     "maddu %[b], %[one]\n\t"
                     "sw %[b], 4(%[dst])\n\t"
                     "maddu %[c], %[one]\n\t"
                     "sw %[c], 8(%[dst])\n\t"
                     "maddu %[d], %[one]\n\t"
                     "sw %[d], 12(%[dst])\n\t"
                     "lw %[a], 16(%[p])\n\t"
                     "lw %[b], 20(%[p])\n\t"
                     "lw %[c], 24(%[p])\n\t"
                     "lw %[d], 28(%[p])\n\t"
                     "maddu %[a], %[one]\n\t"
                     "sw %[a], 16(%[dst])\n\t"
                     "maddu %[b], %[one]\n\t"
                     "sw %[b], 20(%[dst])\n\t"
                     "maddu %[c], %[one]\n\t"
                     "sw %[c], 24(%[dst])\n\t"
                     "maddu %[d], %[one]\n\t"
                     "sw %[d], 28(%[dst])\n\t"
                     "addiu %[p], %[p], 32\n\t"
                     "bne %[p], %[end], 1b\n\t"
                     "addiu %[dst], %[dst], 32\n\t"
                     "mfhi %[high]\n\t"
                     "mflo %[low]\n\t"
                     ".set pop"
                     : [p] "+r"(p), [dst] "+r"(dst), [a] "=&r"(a), [b] "=&r"(b), [c] "=&r"(c),
                       [d] "=&r"(d), [high] "=&r"(high), [low] "=&r"(low)
                     : [end] "r"(end), [one] "r"(1)
                     : "hi", "lo", "memory");
    return (uint64_t)high << 32 | low;
}

static unsigned misaligned(const uint8_t *p) {
    return (unsigned)((uintptr_t)p & 3);
}

/* The whole words that sum_aligned and copy_aligned leave, up to 7. */
static uint32_t load_aligned(const uint8_t *p) {
    uint32_t word;
    memcpy(&word, __builtin_assume_aligned(p, 4), sizeof word);
    return word;
}

static uint64_t sum_rest(const uint8_t *p, size_t n) {
    uint64_t sum = 0;
    for (size_t i = 0; i + 4 <= n; i += 4)
        sum += load_aligned(p + i);
    return sum;
}

static uint64_t copy_rest(uint8_t *restrict dst, const uint8_t *restrict src, size_t n) {
    uint64_t sum = 0;
    for (size_t i = 0; i + 4 <= n; i += 4) {
        uint32_t word = load_aligned(src + i);
        memcpy(__builtin_assume_aligned(dst + i, 4), &word, sizeof word);
        sum += word;
    }
    return sum;
}

static uint32_t fold(uint64_t sum) {
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffffffff) + (sum >> 32);
    uint32_t native = checksum_fold((uint32_t)(sum & 0xffff) + (uint32_t)(sum >> 16));
    return be16((uint16_t)native);
}

static uint32_t mips32_sum(const uint8_t *p, size_t n) {
    uint32_t first = 0;
    if (misaligned(p) == 2 && n >= 2) {
        first = load_be16(p);
        p += 2;
        n -= 2;
    }
    size_t steps = n & ~(size_t)(STEP - 1), words = n & ~(size_t)3;
    if (misaligned(p) != 0 || steps == 0)
        return checksum_fold(first + checksum_sum(p, n));
    uint32_t sum = first + fold(sum_aligned(p, steps) + sum_rest(p + steps, words - steps));
    return checksum_fold(words == n ? sum : sum + checksum_sum(p + words, n - words));
}

static uint32_t mips32_copy(uint8_t *dst, const uint8_t *src, size_t n) {
    uint32_t first = 0;
    if (misaligned(src) == 2 && n >= 2) {
        first = load_be16(src);
        memcpy(dst, src, 2);
        src += 2;
        dst += 2;
        n -= 2;
    }
    size_t steps = n & ~(size_t)(STEP - 1), words = n & ~(size_t)3;
    if (misaligned(src) != 0 || misaligned(dst) != 0 || steps == 0)
        return checksum_fold(first + checksum_portable.copy(dst, src, n));
    uint64_t whole = copy_aligned(dst, src, steps);
    uint32_t sum = first + fold(whole + copy_rest(dst + steps, src + steps, words - steps));
    if (words != n)
        sum += checksum_portable.copy(dst + words, src + words, n - words);
    return checksum_fold(sum);
}

static bool always(void) {
    return true;
}

const struct checksum checksum_mips32 = {
    .name = "mips32",
    .available = always,
    .sum = mips32_sum,
    .copy = mips32_copy,
};

#else
typedef int checksum_mips32_is_elsewhere;
#endif
