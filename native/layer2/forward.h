/* SPDX-License-Identifier: MIT */
/* Frames of one peer that go on to others, where the configuration says so (ForwardPeers). Worker 0
 * sends them on: the others pass theirs to it. */
#ifndef TL_FORWARD_H
#define TL_FORWARD_H

#include "path/judge.h"

/* Of what came in and is for the device (path/layer.h). */
void forward_all(struct worker *w);
/* Worker 0: one that another worker passed, with the peer that sent it; a copy of it goes on. What
 * comes before and behind several of those. */
void forward_begin(struct worker *w);
void forward_passed(struct worker *w, const struct packet *p);
void forward_end(struct worker *w);

#endif
