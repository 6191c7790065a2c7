/* SPDX-License-Identifier: MIT */
/* A batch in each direction. */
#ifndef TL_TURN_H
#define TL_TURN_H

struct worker;

/* One turn: both directions, a batch each. `readable`: which ends poll(2) named. */
enum { TURN_DEVICE = 1, TURN_SOCKET = 2, TURN_LANES = 4 };
/* Returns the set of ends that may have more at once. */
unsigned turn(struct worker *w, unsigned readable);

#endif
