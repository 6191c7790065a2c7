/* SPDX-License-Identifier: MIT */
/*
 * One device, many peers: which of them frames go to, and what layer 2 knows of each.
 *
 * A peer is in use, stands by, or has left: then it is no longer flooded to, and for LEFT_MS more
 * gets what is known to be behind it. Python says which, between the turns of worker 0 and while
 * the peer's owner is held; so worker 0 reads it of any peer, and the owner of its own.
 */
#ifndef TL_BRIDGE_H
#define TL_BRIDGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/wire.h"
#include "layer2/fdb.h"
#include "layer2/spread.h"
#include "path/peer.h"
#include "path/plane.h"

enum {
    BRIDGE_DEVICE = FDB_NOBODY - 1,    /* what the table has for the device, where we forward */
    BRIDGE_PEERS_MAX = BRIDGE_DEVICE,  /* handles of peers are below */
    BRIDGE_PAYLOAD_MIN = 576 - 60 - 8, /* RFC 791: what every way carries */
    BRIDGE_PAYLOAD_FIRST = 1280 - 48,  /* until it is measured */
    BRIDGE_LEFT_MS = 5000,
    BRIDGE_BYE_MS = 1000,
    BRIDGE_SEAL_MS = 2000, /* while frames go in the clear */
    BRIDGE_ANSWER_MS = 1000,
};

/* What layer 2 knows of a peer. */
struct trunk {
    uint8_t use;   /* TL_USE_* */
    bool is_gone;  /* it said bye, and neither frame nor session came since; any worker's */
    bool has_echo; /* Python's last one is not answered yet */
    uint8_t echo[CONTROL_ECHO_BODY];
    uint8_t probes;      /* Python's path probes that may still be answered */
    uint64_t left_until; /* ms */
    uint32_t frame_max;  /* what it takes */
    uint32_t payload_max;
    uint32_t path_number, path_len; /* of its last answer to a path probe */
    uint64_t answers;   /* ms; ahead by 1000 / CONTROL_A_SECOND for each answer of late */
    uint64_t bye_at;    /* ms; when it was last told that its frames are not taken */
    uint64_t sealed_at; /* ms; ... that our endpoint is where it is, while frames go in the clear */
    uint64_t answered_at; /* ms; ... that its sealed frames come */
    uint64_t flooded_at;  /* worker 0's: while it has no session */
};

struct bridge {
    struct fdb *fdb;
    bool forwards;        /* frames of one peer go on to others */
    struct peer **member; /* those in use, as they came */
    uint32_t n_members;
    uint32_t room;       /* places of it: one for each peer */
    struct peer *only;   /* all frames go there: nobody else is in use, or has just left */
    uint64_t left_until; /* of the last one that left */
    uint64_t sweep_at;
    struct spread spread;
    uint32_t onward; /* of worker 0's queue: copies behind it have no session yet */
};

/* `rows` and `per_peer`: of the table. 0 or -ENOMEM. */
int bridge_new(struct bridge **bridge, uint32_t rows, uint32_t per_peer);
void bridge_free(struct bridge *bridge);

/* A new peer is in use. 0 or -ENOMEM. All workers are held, as for the next three. */
int bridge_add(struct bridge *bridge, struct peer *peer, uint64_t now);
void bridge_remove(struct bridge *bridge, struct peer *peer, uint64_t now);
/* TL_USE_*. */
void bridge_use(struct bridge *bridge, struct peer *peer, uint8_t how, uint64_t now);
/* Its session is at its end. */
void bridge_forget(struct bridge *bridge, const struct peer *peer);
/* Worker 0, once a turn. */
void bridge_tick(struct bridge *bridge, uint64_t now);

/* TL_USE_* of now. */
uint8_t bridge_use_of(const struct peer *peer, uint64_t now);

static inline bool bridge_is_gone(const struct peer *peer) {
    return __atomic_load_n(&peer->trunk->is_gone, __ATOMIC_RELAXED);
}

static inline void bridge_set_gone(struct peer *peer, bool gone) {
    __atomic_store_n(&peer->trunk->is_gone, gone, __ATOMIC_RELAXED);
}

/* The peer that an address is behind and that takes frames; NULL: nobody's, or it is the device's
 * (which `is_inside`, unless NULL, tells). */
struct peer *bridge_find(const struct plane *plane, const uint8_t *address, uint64_t now,
                         bool *is_inside);

#endif
