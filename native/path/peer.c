/* SPDX-License-Identifier: MIT */
/* A peer's endpoint and stamps. */
#include <string.h>

#include "path/plane.h"
#include "tunlite.h"

static bool same_place(const struct endpoint *a, const struct endpoint *b) {
    return a->family == b->family && a->port == b->port && a->scope == b->scope &&
           memcmp(a->addr, b->addr, sizeof a->addr) == 0;
}

/* What comes by a link that the route has left tells neither source nor link. */
static void move(struct worker *w, struct peer *peer, const struct endpoint *from) {
    uint32_t way = peer->endpoint.way;
    bool moved = !same_place(&peer->endpoint, from), left = way && way == from->ifindex;
    if (left && !moved)
        return;
    if (moved || peer->endpoint.ifindex != from->ifindex)
        peer->path = (struct path){0};
    peer->endpoint = *from;
    peer->endpoint.way = moved && way == WAY_LOOPS ? 0 : way;
    if (left)
        memset(peer->endpoint.local, 0, sizeof peer->endpoint.local);
    if (!moved)
        return;
    loop_moved(peer, from);
    events_raise(&w->events, peer, TL_PEER_ROAMED);
    w->stats.counts[COUNT_ROAMED]++;
}

void peer_heard(struct worker *w, struct peer *peer, const struct endpoint *from, uint64_t bytes) {
    move(w, peer, from);
    peer->rx_bytes += bytes;
    peer->received_any = w->now;
    peer->first_unanswered = 0;
}
