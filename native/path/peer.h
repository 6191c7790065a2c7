/* SPDX-License-Identifier: MIT */
/* One peer: where it is, its sessions, what waits for it, and what is told of it. */
#ifndef TL_PEER_H
#define TL_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/packet.h"
#include "outside/way.h"
#include "path/stage.h"

struct echo;
struct rates;
struct session;
struct trunk;

struct peer {
    struct way way;          /* first: a packet points to it */
    uint32_t id;             /* its handle */
    uint32_t owner;          /* the worker that alone touches what follows */
    struct session *sending; /* NULL: none can send */
    /* Newer than that one and proved by a packet: what CONFIRMED means. NULL: none. */
    struct session *confirmed;
    struct staged staged;
    struct echo *echo;   /* NULL: Python asked for none */
    struct rates *rates; /* NULL: it may be as fast as it can */
    struct trunk *trunk; /* what layer 2 knows of it (bridge.h); NULL on layer 3 */
    uint32_t gathered;   /* its place while tx.c gathers a batch */
    struct peer *next_gathered;
    uint32_t place;  /* loop.c's, as are these two: a peer whose session sends is found */
    uint32_t remote; /* by the index that it carries */
    struct peer *next_remote;
    struct peer *next_ready; /* list of those whose staged packets can go */
    bool is_ready;
};

/* NULL: nothing. It is in no list and no table any more. */
void peer_free(struct peer *peer);

/* NULL for nobody's. */
static inline struct peer *peer_of(const struct packet *p) {
    return (struct peer *)(void *)p->way;
}

static inline struct way *way_of(struct peer *peer) {
    return (struct way *)(void *)peer;
}
_Static_assert(offsetof(struct peer, way) == 0, "a way is told from nobody by its address");

#endif
