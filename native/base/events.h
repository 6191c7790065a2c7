/* SPDX-License-Identifier: MIT */
/* What Python is to be told: raised only while armed, which disarms it; a list of those that have
 * something pending. */
#ifndef TL_EVENTS_H
#define TL_EVENTS_H

#include <stdint.h>

/* One's events: sets of TL_PEER_*. */
struct raised {
    struct raised *next; /* list of struct events */
    uint32_t armed;
    uint32_t pending;
};

/* Those with pending events, in the order of their first one. */
struct events {
    struct raised *first, *last;
};

void events_raise(struct events *events, struct raised *one, uint32_t bits);
/* Takes the first off, NULL when there is none; `bits` receives what is pending for it. */
struct raised *events_take(struct events *events, uint32_t *bits);
void events_forget(struct events *events, struct raised *one);

#endif
