/* SPDX-License-Identifier: MIT */
/* Events of peers: raised only while armed, which disarms them; a list of the peers that have some.
 */
#ifndef TL_EVENTS_H
#define TL_EVENTS_H

#include <stdint.h>

struct peer;

/* The peers with pending events, in the order of their first one. */
struct events {
    struct peer *first, *last;
};

void events_raise(struct events *events, struct peer *peer, uint32_t bits);
/* Takes the first peer off, NULL when there is none; `bits` receives what is pending for it. */
struct peer *events_take(struct events *events, uint32_t *bits);
void events_forget(struct events *events, struct peer *peer);

#endif
