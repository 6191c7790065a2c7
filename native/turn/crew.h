/* SPDX-License-Identifier: MIT */
/*
 * Several workers. Worker 0 turns in the thread that called tl_run, as when it is the only one; the
 * others have a thread each. docs/dataplane.md, "Workers", says who does what. What keeps them
 * apart:
 *
 *   - a peer belongs to one worker for its life: only that one's turns touch the peer, its
 * sessions' counters and windows, and what waits for it
 *   - packets go from worker 0 to the owners, and datagrams that came to the wrong socket to worker
 *     0 and from there to the owner, by lanes (lane.h); a bell (eventfd) says that something is
 * there
 *   - Python's calls hold the workers whose things they touch: those are between two turns then
 *   - tables that all read change only while all are held; but sessions by index, which every
 *     handshake changes, are published by one store and, once taken out, freed when each worker has
 *     ended the turn in which it may have found them
 */
#ifndef TL_CREW_H
#define TL_CREW_H

#include "path/passing.h"
#include "path/plane.h"

/* Whether this kernel and engine can have several: 0, an enum reason, or -errno. */
int32_t crew_refusal(const struct io_ops *engine);

/* Beside the workers' own things. 0 or -errno. */
int crew_new(struct plane *plane);
void crew_free(struct plane *plane);
/* The threads begin, where they do not run: 0 or -errno. */
int crew_start(struct plane *plane);
/* They end; the next crew_start begins them anew. For changes of what a thread waits for. */
void crew_stop(struct plane *plane);

/* Workers [first, end) of a plane are held; NULL: there is nobody to hold. */
struct hold {
    struct plane *plane;
    uint32_t first, end;
};
void crew_hold(struct hold *hold);
void crew_release(struct hold *hold);

static inline struct hold hold_some(struct plane *plane, uint32_t first, uint32_t end) {
    struct hold hold = {0};
    if (CREW_OF(plane)) {
        hold = (struct hold){plane, first, end};
        crew_hold(&hold);
    }
    return hold;
}

static inline struct hold hold_one(struct plane *plane, uint32_t owner) {
    return hold_some(plane, owner, owner + 1);
}

static inline struct hold hold_all(struct plane *plane) {
    return hold_some(plane, 0, plane->n_workers);
}

static inline void hold_end(struct hold *hold) {
    if (CREW && hold->plane)
        crew_release(hold);
}

/* They go on when the variable goes out of scope. */
#define HOLD __attribute__((cleanup(hold_end))) struct hold

/* Whether each of the others has ended the turn that it was in when this last said so. */
bool crew_passed(struct plane *plane);

/* Frees sessions that were taken out: those that a worker may have found in its turn are for the
 * next call. */
static inline void crew_reclaim(struct plane *plane) {
    struct sessions *table = &plane->sessions;
    while ((table->gone || table->leaving) && (!CREW_OF(plane) || crew_passed(plane)))
        sessions_reclaim(table);
}

/* TL_WOKE_* of the workers beside 0, and that Python has been told them. */
int crew_woke(const struct plane *plane);
void crew_told(struct plane *plane, int set);

#endif
