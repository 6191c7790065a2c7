/* SPDX-License-Identifier: MIT */
/* The same random numbers for the same seed: xorshift64*. */
#ifndef TL_CHANCE_H
#define TL_CHANCE_H

#include <stdint.h>

static uint64_t state; /* the seed; never 0 */

static inline uint32_t any(uint32_t below) {
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return (uint32_t)((state * 0x2545f4914f6cdd1dULL) >> 33) % below;
}

#endif
