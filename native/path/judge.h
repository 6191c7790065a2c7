/* SPDX-License-Identifier: MIT */
/* A step of a batch judges one packet after the other. */
#ifndef TL_JUDGE_H
#define TL_JUDGE_H

#include <stdint.h>

#include "base/packet.h"
#include "base/stats.h"
#include "path/worker.h"

/* DROP_NONE: it goes on. DROP_TAKEN: the judge has kept or released it. Any other is counted and
 * the packet released. `before`: the last one that goes on, NULL where there is none yet. */
typedef enum drop judge(struct worker *w, struct packet *p, const struct packet *before);

/* Those of [from, n) that go on stay in the queue, in order. */
void judge_each(struct worker *w, struct queue *q, uint32_t from, judge *step);

#endif
