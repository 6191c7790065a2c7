/* SPDX-License-Identifier: MIT */
/* The loop of every step that judges. Once per packet. */
#include "path/judge.h"

#include <stddef.h>

#include "base/buf.h"

void judge_each(struct worker *w, struct queue *q, uint32_t from, judge *step) {
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
