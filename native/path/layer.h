/* SPDX-License-Identifier: MIT */
/* What the layer of a plane makes of a packet: a row of steps, NULL where it has no such. */
#ifndef TL_LAYER_H
#define TL_LAYER_H

#include "path/judge.h"

struct layer {
    uint32_t more; /* bytes of its handshake messages beyond WireGuard's (wire.h) */
    /* Of the device: well formed, and none of our own datagrams that came round. */
    judge *validate;
    judge *route; /* to whose peer it goes */
    /* To messages, of packets [from, n), which have a session and lie side by side with what goes
     * to the same peer: what stands in front of a frame, and parts. */
    void (*cut)(struct worker *w, struct queue *q, uint32_t from);
    /* Header, and the seal that its mode asks for. */
    void (*seal)(struct worker *w, struct queue *q, uint32_t from);
    /* What comes on a session: whether the mode is the session's. */
    judge *admit;
    /* Leaves what stands behind the header, and in w->ops whether it is authentic. */
    void (*open)(struct worker *w, struct queue *q);
    judge *authentic; /* and not replayed */
    judge *hear;      /* what it says of its peer; whether it is for the device */
    judge *join;      /* frames of what stands in front of them, and of parts */
    judge *check;     /* well formed, and its peer may send it */
    /* Of those that are for the device: copies for other peers; some are for those alone. */
    void (*forward)(struct worker *w);
    /* Worker 0, once a turn: more copies of what goes to many. True while there are more. */
    bool (*spread)(struct worker *w);
    /* To the sender of a packet that nobody can be given. */
    void (*answer)(struct worker *w, const struct packet *p);
};

extern const struct layer layer2, layer3;
/* Layer 3 outside, frames at the device: an IP packet holds each. */
extern const struct layer layer3_vxlan;

/* What layer 3 has for `check`. */
judge layer3_check;

#endif
