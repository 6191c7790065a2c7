/* SPDX-License-Identifier: MIT */
/* Packets to the worker that owns their peer or session, where there are several (turn/crew.h). */
#ifndef TL_PASSING_H
#define TL_PASSING_H

#include "path/lane.h"
#include "path/peer.h"
#include "path/plane.h"

/* Calls of what follows stand behind it, so that builds without CREW have nothing of them. */
#define CREW_OF(plane) (CREW && (plane)->n_workers > 1)

enum { PASSING_INSIDE = 1 << 20 }; /* bytes of a lane for packets of the device */

/* A worker's beside 0, between the two. */
struct passing {
    struct lane inside;  /* packets of the device, from worker 0 */
    struct lane outside; /* datagrams that came to worker 0 */
    struct lane up;      /* datagrams, to worker 0 */
    struct lane across;  /* layer 2: frames of its peers for others, to worker 0 */
};

/* 0 or -ENOMEM; passing_free either way. */
int passing_new(struct worker *w);
void passing_free(struct worker *w);

/* Judges: pass on what is not for this worker. */
enum drop passing_inside(struct worker *w, struct packet *p, const struct packet *before);
enum drop passing_outside(struct worker *w, struct packet *p, const struct packet *before);
/* A copy of a frame that its peer sends to others; DROP_TAKEN, or DROP_WORKER_FULL. */
enum drop passing_across(struct worker *w, const struct packet *p);
/* Wakes this worker. */
void passing_ring(const struct worker *w);

/* Drops the datagrams between this worker and worker 0: neither turns. */
void passing_drop(struct worker *w);
/* Nothing that was passed belongs to this peer any more. All are held. */
void passing_forget(struct plane *plane, const struct peer *peer);

#endif
