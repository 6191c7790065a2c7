/* SPDX-License-Identifier: MIT */
/* A peer's endpoint and stamps. */
#include "path/heard.h"

#include <string.h>

#include "path/loop.h"
#include "path/peer.h"
#include "path/worker.h"
#include "tunlite.h"

static bool same_place(const struct endpoint *a, const struct endpoint *b) {
    return a->family == b->family && a->port == b->port && a->scope == b->scope &&
           memcmp(a->addr, b->addr, sizeof a->addr) == 0;
}

/* What comes by a link that the route has left tells neither source nor link. */
static void move(struct worker *w, struct peer *peer, const struct endpoint *from) {
    uint32_t way = peer->way.endpoint.way;
    bool moved = !same_place(&peer->way.endpoint, from), left = way && way == from->ifindex;
    if (left && !moved)
        return;
    if (moved || peer->way.endpoint.ifindex != from->ifindex)
        peer->way.runs = (struct way_runs){0};
    peer->way.endpoint = *from;
    peer->way.endpoint.way = moved && way == WAY_LOOPS ? 0 : way;
    if (left)
        memset(peer->way.endpoint.local, 0, sizeof peer->way.endpoint.local);
    if (!moved)
        return;
    loop_moved(peer, from);
    events_raise(&w->events, &peer->way.raised, TL_PEER_ROAMED);
    w->stats.counts[COUNT_ROAMED]++;
}

void heard_from(struct worker *w, struct peer *peer, const struct endpoint *from, uint64_t bytes) {
    move(w, peer, from);
    peer->way.rx_bytes += bytes;
    peer->way.received_any = w->now;
    peer->way.first_unanswered = 0;
}
