/* SPDX-License-Identifier: MIT */
/*
 * How fast a peer may be, each way: a token bucket of bytes inside (IP packets, or frames), judged
 * packet by packet, so super-packets count by their bytes. A packet goes on while there is a token
 * left and takes as many as it has bits, more than there are where need be: what is owed is waited
 * for. So the rate holds for packets of any length, also those longer than all that a bucket holds.
 *
 * What finds no token waits in a short queue of the peer, for dropping alone would make TCP over a
 * short way stop for its 200 ms each time, of which a bucket holds 100. What finds the queue full
 * is dropped. All that waits one way is in one ring (stage.h), whose oldest makes room.
 */
#ifndef TL_RATE_H
#define TL_RATE_H

#include <stdbool.h>
#include <stdint.h>

#include "path/judge.h"
#include "path/stage.h"

enum { RATE_BURST_MS = 100 };
#define RATE_MIN UINT64_C(1000) /* bits a second */
#define RATE_MAX UINT64_C(1000000000000)

struct peer;

/* One way; its peer's owner's, as all of a peer. */
struct rate {
    uint64_t bits;         /* a second; 0: any */
    uint64_t filled;       /* when, ms */
    int64_t level;         /* thousandths of bits; below 0: owed */
    struct staged waiting; /* in the ring of that way */
    struct peer *peer;
    struct rate *next; /* list of those that have waiting ones */
    bool is_listed;
};

struct rates {
    struct rate way[RATE_WAYS];
};

/* Bits a second of each way, 0: any. Both ways' or none. 0, -EINVAL or -ENOMEM. */
int rate_set(struct worker *w, struct peer *peer, const uint64_t bits[RATE_WAYS]);
/* Drops what waits, and forgets its rates. */
void rate_forget(struct worker *w, struct peer *peer);
void rate_free(struct worker *w);

/* Steps of tx.h and rx.h, run where some peer has such a rate: what goes on, and what waits. */
judge rate_in, rate_out;
/* Appends those that waited and may go on. */
void rate_release(struct worker *w, struct queue *q, enum rate_way way);

/* Whether a peer has had a rate that way. */
static inline bool rate_is_used(const struct worker *w, enum rate_way way) {
    return w->pace[way].ring.ring != NULL;
}

/* ms until one that waits may go on; UINT64_MAX: nothing waits. */
uint64_t rate_patience(const struct worker *w, enum rate_way way);

#endif
