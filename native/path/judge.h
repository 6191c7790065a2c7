/* SPDX-License-Identifier: MIT */
/* A step of a batch judges one packet after the other. */
#ifndef TL_JUDGE_H
#define TL_JUDGE_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/packet.h"
#include "base/stats.h"
#include "path/worker.h"

/* DROP_NONE: it goes on. DROP_TAKEN: the judge has kept or released it. Any other is counted and
 * the packet released. `before`: the last one that goes on, NULL where there is none yet. */
typedef enum drop judge(struct worker *w, struct packet *p, const struct packet *before);

/* Those of [from, n) that go on stay in the queue, in order. Inline, so that a judge whose name
 * stands at the call is part of the loop. */
static inline __attribute__((always_inline)) void judge_each(struct worker *w, struct queue *q,
                                                             uint32_t from, judge *step) {
    uint32_t kept = from;
    for (uint32_t i = from; i < q->n; i++) {
        struct packet *p = &q->p[i];
        enum drop why = step(w, p, kept > from ? &q->p[kept - 1] : NULL);
        if (why == DROP_NONE) {
            if (kept != i)
                q->p[kept] = *p;
            kept++;
        } else if (why != DROP_TAKEN) {
            w->stats.drops[why]++;
            packet_release(p);
        }
    }
    q->n = kept;
}

#endif
