/* SPDX-License-Identifier: MIT */
/* The replay window (RFC 6479). Once per packet. */
#include "path/replay.h"

bool replay_accept(struct replay *replay, uint64_t counter) {
    uint64_t window = (uint64_t)(replay->words - 1) * 64;
    uint32_t mask = replay->words - 1;
    uint64_t word = counter / 64;

    if (counter >= replay->next) {
        uint64_t top = replay->next ? (replay->next - 1) / 64 : 0;
        uint64_t fresh = word - top;
        for (uint64_t i = 1; i <= fresh && i <= replay->words; i++)
            replay->ring[(top + i) & mask] = 0;
        replay->next = counter + 1;
    } else if (replay->next - counter > window) {
        return false;
    }
    uint64_t bit = 1ULL << (counter % 64);
    uint64_t *marks = &replay->ring[word & mask];
    bool seen = *marks & bit;
    *marks |= bit;
    return !seen;
}
