/* SPDX-License-Identifier: MIT */
/*
 * A socket that stays full. It is full from the send that it did not take until poll(2) reports
 * room, which is half of its buffer. Its packets wait, and the device with them, so that senders
 * slow down; but one slow way must not stop all peers: after FULL_MS the device is read on, and
 * what is dropped belongs to the peer of whose bytes that socket refused the most meanwhile. Not to
 * the one that handed it the most: behind a fast way more goes through, and waits for nothing.
 */
#ifndef TL_FULL_H
#define TL_FULL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/packet.h"
#include "base/stats.h"

struct worker;

enum {
    FULL_MS = 20,
    FULL_RETRY_MS = 5, /* poll(2) tells of no single place */
};

/* Whether the device is read although packets wait. */
bool full_reads_on(const struct worker *w);
/* How long to wait for a socket at most, in ms. */
uint64_t full_patience(const struct worker *w);
/* Judges a new packet, with its peer and not yet sealed, while a socket is full. */
enum drop full_admit(struct worker *w, struct packet *p, const struct packet *before);
/* A write of the queue ended at a full socket. Packets for the other one are moved to the front,
 * and after FULL_MS room is made in w->out. True where the other one's can be tried. */
bool full_sort(struct worker *w, struct queue *q);
void full_forget(struct worker *w, const struct way *way);

#endif
