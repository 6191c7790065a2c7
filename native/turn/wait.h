/* SPDX-License-Identifier: MIT */
/* What a worker waits for between two turns, and what Python has to be told after one. */
#ifndef TL_WAIT_H
#define TL_WAIT_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

struct worker;

enum {
    WAIT_CONTROL, /* Python's descriptors: worker 0 */
    WAIT_DEVICE,
    WAIT_V4,
    WAIT_V6,
    WAIT_BELL, /* rung by other workers */
    WAITS,
};

/* How long it may wait, ms: 0 when it has something to do, UINT64_MAX for ever. */
uint64_t wait_patience(const struct worker *w, uint64_t deadline, bool at_once);
/* Which descriptors to wait for; counts the wait. */
void wait_fill(struct worker *w, struct pollfd fds[WAITS], uint64_t ms);
/* 0 or -errno. */
int wait_poll(struct pollfd fds[WAITS], uint64_t ms);
/* What may be read without another look: the set of ends that turn() takes. */
unsigned wait_readable(struct worker *w, const struct pollfd fds[WAITS]);

/* TL_WOKE_*, as far as it does not depend on the wait. */
int wait_woke(const struct worker *w);
/* Python has been told these. */
void wait_told(struct worker *w, int set);

#endif
