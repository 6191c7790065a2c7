/* SPDX-License-Identifier: MIT */
/* Events of peers. */
#include "base/events.h"

#include "path/plane.h"
#include "tunlite.h"

void events_raise(struct events *events, struct peer *peer, uint32_t bits) {
    bits &= peer->armed;
    if (!bits)
        return;
    peer->armed &= ~bits;
    if (!peer->pending) {
        peer->next_event = NULL;
        if (events->first)
            events->last->next_event = peer;
        else
            events->first = peer;
        events->last = peer;
    }
    peer->pending |= bits;
}

struct peer *events_take(struct events *events, uint32_t *bits) {
    struct peer *peer = events->first;
    if (!peer)
        return NULL;
    events->first = peer->next_event;
    *bits = peer->pending;
    peer->pending = 0;
    if (!peer->confirmed) /* the session that it was raised for went meanwhile */
        *bits &= ~(uint32_t)TL_PEER_CONFIRMED;
    return peer;
}

void events_forget(struct events *events, struct peer *peer) {
    struct peer *before = NULL;
    for (struct peer *p = events->first; p; before = p, p = p->next_event) {
        if (p != peer)
            continue;
        if (before)
            before->next_event = p->next_event;
        else
            events->first = p->next_event;
        if (events->last == p)
            events->last = before;
        break;
    }
    peer->pending = 0;
}
