/* SPDX-License-Identifier: MIT */
/* What the layer of a plane makes of a packet: a row of judges, NULL where it has no such step. */
#ifndef TL_LAYER_H
#define TL_LAYER_H

#include "path/judge.h"

struct layer {
    /* Of the device: well formed, and none of our own datagrams that came round. */
    judge *validate;
    judge *route; /* to whose peer it goes */
    judge *check; /* opened: well formed, and its peer may send it */
    /* To the sender of a packet that nobody can be given. */
    void (*answer)(struct worker *w, const struct packet *p);
};

extern const struct layer layer2, layer3;

#endif
