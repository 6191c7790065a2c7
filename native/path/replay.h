/* SPDX-License-Identifier: MIT */
/* The replay window (RFC 6479): which of the latest counters have been received. */
#ifndef TL_REPLAY_H
#define TL_REPLAY_H

#include <stdbool.h>
#include <stdint.h>

enum { REPLAY_BITS_MIN = 128, REPLAY_BITS_MAX = 8192 };

/* A ring of words; one word of it is always in the making, so `bits - 64` counters are judged. */
struct replay {
    uint64_t next;  /* the highest counter accepted, plus 1 */
    uint32_t words; /* a power of two */
    uint64_t *ring;
};

/* Only after authentication: true once for each counter within the window, and marks it. */
bool replay_accept(struct replay *replay, uint64_t counter);

#endif
