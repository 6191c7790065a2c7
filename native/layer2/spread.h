/* SPDX-License-Identifier: MIT */
/*
 * Frames for more than one peer: a group's, and those to an address that nobody is known to have.
 *
 * They wait in a store of their own while copies are made, so many a turn, each for its peer and
 * sealed for it alone; each frame begins at another peer. What finds no place is dropped as a
 * whole, so that nobody hears half of it; frames of peers have half of the places, and those of one
 * half of that. Worker 0's.
 */
#ifndef TL_SPREAD_H
#define TL_SPREAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/packet.h"
#include "base/stats.h"

enum {
    SPREAD_FRAMES = 32,
    SPREAD_OF_PEERS = SPREAD_FRAMES / 2,
    SPREAD_OF_ONE = SPREAD_OF_PEERS / 2,
    SPREAD_COPIES = 64,   /* a turn ... */
    SPREAD_VISITS = 1024, /* ... and peers that were looked at */
    SPREAD_EACH = 64 << 10,
    SPREAD_WAIT_MS = 1000, /* to a peer without a session goes one frame in so long */
};

struct bridge;
struct peer;
struct worker;

/* A frame that waits. Members [at, end) are next, then [0, begin): those that were there when it
 * came. */
struct flood {
    const struct peer *from; /* NULL: the device, or one that is no more */
    uint32_t len;
    uint32_t begin, end, at;
    bool is_round; /* it has come to the last member, and goes on from the first */
    bool of_peer;
    uint8_t place;
};

struct spread {
    uint8_t *bytes; /* SPREAD_EACH for each place: address space */
    struct flood flood[SPREAD_FRAMES];
    uint32_t n, of_peers;
    uint32_t places; /* set of those in use */
    uint32_t turn;   /* where the next one begins */
};

/* 0 or -ENOMEM. */
int spread_new(struct spread *spread);
void spread_free(struct spread *spread);

/* A frame for all members but `from`. DROP_TAKEN: a copy of it waits; else DROP_FLOOD_FULL. */
enum drop spread_put(struct worker *w, const struct packet *p, const struct peer *from);
/* Copies of what waits, as far as the queue out has room. True where there are more. */
bool spread_turn(struct worker *w);

/* Member `place` is taken out. */
void spread_leave(struct spread *spread, uint32_t place);
/* The peer is no more. */
void spread_forget(struct spread *spread, const struct peer *peer);

#endif
