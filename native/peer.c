/* SPDX-License-Identifier: MIT */
/* A peer's endpoint and stamps. */
#include <string.h>

#include "plane.h"
#include "tunlite.h"

static bool same_place(const struct endpoint *a, const struct endpoint *b) {
    return a->family == b->family && a->port == b->port && a->scope == b->scope &&
           memcmp(a->addr, b->addr, sizeof a->addr) == 0;
}

void peer_heard(struct worker *w, struct peer *peer, const struct endpoint *from, uint64_t bytes) {
    if (peer->endpoint.ifindex != from->ifindex)
        peer->path = (struct path){0};
    if (!same_place(&peer->endpoint, from)) {
        peer->path = (struct path){0};
        events_raise(&w->events, peer, TL_PEER_ROAMED);
        w->stats.counts[COUNT_ROAMED]++;
    }
    peer->endpoint = *from;
    peer->rx_bytes += bytes;
    peer->received_any = w->io.now;
    peer->first_unanswered = 0;
}
