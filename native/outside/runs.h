/* SPDX-License-Identifier: MIT */
/*
 * Whether runs of datagrams come by one socket (UDP_GRO). Each may be 64 KB, so there are few slots
 * for a receive; where senders are many and none sends several at once, a call brings one datagram
 * to four. Then UDP_GRO is switched off, and on again when neighbours become alike.
 *
 * The kernel cuts runs as it queues them, and tells their segments' size only while UDP_GRO is on.
 * So it is switched right after a read that blocked, when nothing is queued, and what slipped in
 * between the two calls is looked at until one more read has blocked.
 */
#ifndef TL_RUNS_H
#define TL_RUNS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/packet.h"

struct outside;

enum { RUNS_DECIDE = 128, RUNS_SWITCH_MS = 60 * 1000 };

struct runs {
    bool off;           /* UDP_GRO is */
    bool drains;        /* and runs may still be queued */
    uint32_t futile;    /* how often in a row none came although it was switched on */
    uint64_t switch_at; /* ms; not before */
    /* of the latest messages: */
    uint32_t messages, datagrams;
    uint32_t in_full; /* came by reads that used all their slots */
    uint32_t alike;   /* while off: sender and length as those of the one before */
    uint32_t len;     /* of the one before */
};

/* Whether a slot must hold a run. */
bool runs_may_come(const struct outside *o, const struct runs *r);
/* A message of so many datagrams came; `before`: the sender of the message before it, or NULL. */
void runs_note(struct runs *r, const struct packet *p, uint32_t datagrams,
               const struct endpoint *before);
/* A read brought all that was there. */
void runs_blocked(struct outside *o, struct runs *r, int fd);
/* A message without a segment's size, while `drains`: how many datagrams it seems to be. */
uint32_t runs_unsized(const struct packet *p);

#endif
