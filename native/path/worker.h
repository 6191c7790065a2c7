/* SPDX-License-Identifier: MIT */
/*
 * What one worker owns: its I/O, buffers, queues and counters, and its peers with their sessions.
 * Nobody else touches them while it turns.
 */
#ifndef TL_WORKER_H
#define TL_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/events.h"
#include "base/feature.h"
#include "base/packet.h"
#include "base/stats.h"
#include "inside/device.h"
#include "outside/io.h"
#include "path/admission.h"
#include "path/stage.h"

struct aead_op;
struct mate;
struct parts;
struct passing;
struct peer;
struct plane;
struct rate;

enum {
    URGENT_MAX = 16,
    BATCH_MIN = 8,
};

/* Handshake messages on their way out have room of their own: a full socket does not lose them. */
struct urgent {
    struct queue queue;
    struct packet packet[URGENT_MAX];
    struct handshake message[URGENT_MAX];
};

enum rate_way { RATE_IN, RATE_OUT, RATE_WAYS };

/* What waits for tokens, one way (rate.h). */
struct pace {
    struct stage ring; /* made when a peer gets a rate */
    struct rate *first;
    uint64_t due; /* ms: before it no packet may go on */
};

struct worker {
    struct plane *plane;
    uint32_t id;
    struct inside inside;
    struct outside outside;
    struct feature_state offload[FEATURE_AEADS];
    uint64_t now;        /* of this turn, ms */
    uint32_t wrapping;   /* bytes in front of what the device's MTU counts, inside the tunnel */
    uint32_t packet_max; /* both together: padding goes no further */
    struct pool pool;
    struct stats stats;
    struct stage stage;
    struct pace pace[RATE_WAYS];
    struct events events;
    struct admission admission;
    struct urgent urgent;
    struct queue out;        /* sealed or to be sealed; what the socket did not take stays */
    struct queue in;         /* opened or to be opened; what the device did not take stays */
    struct queue handshakes; /* of the turn */
    uint32_t parts_room;     /* places of `out` beyond its max: for what frames are cut into */
    struct parts *parts;     /* layer 2: what waits for its other parts; NULL on layer 3 */
    uint32_t floods;         /* worker 0: frames that still go to more peers */
    struct aead_op *ops;     /* one for each packet of a batch */
    struct peer *ready_first, *ready_last; /* peers with a session again, packets still staged */
    struct packet *spare; /* as `out`, or `urgent` where that is more: what they are sorted into */
    struct peer *gathering;       /* list of a batch's peers */
    uint32_t batch_max;           /* packets, super-packets or datagrams of one turn */
    uint32_t batch_out, batch_in; /* adapt to what a turn finds */
    uint32_t slot_usual;          /* outside.slot while no longer datagram has been seen */
    uint64_t slot_until;          /* ms; 0: it is the usual one */
    uint64_t unreachable_until;   /* ms; ahead by one for each answer of late */
    bool device_gone;             /* stopped polling it */
    bool tell_device_gone;        /* TL_WOKE_DEVICE_GONE, once */
    bool pool_told;               /* TL_WOKE_POOL, once until tl_plane_grow */
    bool starved;                 /* the turn found no buffers to read into */
    bool lanes_full;   /* worker 0: another is behind, the device is not read until it rings */
    int bell;          /* eventfd; -1: there is only one worker */
    struct mate *mate; /* crew.c's; NULL likewise */
    struct passing *passing; /* NULL for worker 0 too */
};

/* Nobody can read from it any more, or write to it. */
static inline void worker_lost_device(struct worker *w) {
    w->tell_device_gone |= !w->device_gone;
    w->device_gone = true;
}

#endif
