/* SPDX-License-Identifier: MIT */
/* Constant-time helpers for secrets. */
#ifndef TL_CT_H
#define TL_CT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#ifdef TL_CT_CHECK
#include <valgrind/memcheck.h>
#endif

/* Marks bytes computed from secrets as public where the constant-time check runs (ct_check.c under
 * valgrind, which would report a branch on them); nothing in any other build. */
static inline void ct_public(void *p, size_t len) {
#ifdef TL_CT_CHECK
    (void)VALGRIND_MAKE_MEM_DEFINED(p, len);
#else
    (void)p, (void)len;
#endif
}

/* Compares without a branch on the bytes. The outcome is public: a sender learns it anyway. */
static inline bool ct_equal(const uint8_t *a, const uint8_t *b, size_t len) {
    uint32_t diff = 0;
    for (size_t i = 0; i < len; i++)
        diff |= (uint32_t)(a[i] ^ b[i]);
    bool equal = ((diff - 1) >> 31) != 0; /* diff <= 255 */
    ct_public(&equal, sizeof equal);
    return equal;
}

/* Overwrites with zeros in a way that the compiler may not drop: the asm may read the bytes. */
static inline void ct_wipe(void *p, size_t len) {
    memset(p, 0, len);
    __asm__ __volatile__("" : : "r"(p) : "memory");
}

#endif
