/* SPDX-License-Identifier: MIT */
/* Constant-time helpers for secrets. */
#ifndef TL_CT_H
#define TL_CT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Compares without a branch on the bytes. */
static inline bool ct_equal(const uint8_t *a, const uint8_t *b, size_t len) {
    uint32_t diff = 0;
    for (size_t i = 0; i < len; i++)
        diff |= (uint32_t)(a[i] ^ b[i]);
    return ((diff - 1) >> 31) != 0; /* diff <= 255 */
}

/* Overwrites with zeros in a way that the compiler may not drop: the asm may read the bytes. */
static inline void ct_wipe(void *p, size_t len) {
    memset(p, 0, len);
    __asm__ __volatile__("" : : "r"(p) : "memory");
}

#endif
