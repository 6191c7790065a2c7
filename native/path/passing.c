/* SPDX-License-Identifier: MIT */
/* Packets to the worker that owns their peer or session. Once per packet. */
#include "path/passing.h"

#if defined(__x86_64__) || defined(__aarch64__)

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/wire.h"

enum {
    OWNER_MASK = (1 << INDEX_OWNER_BITS) - 1,
    OUTSIDE_SIZE = 128 << 10,
};

int passing_new(struct worker *w) {
    w->passing = calloc(1, sizeof *w->passing);
    if (!w->passing)
        return -ENOMEM;
    int err = lane_new(&w->passing->inside, PASSING_INSIDE);
    if (!err)
        err = lane_new(&w->passing->outside, OUTSIDE_SIZE);
    if (!err)
        err = lane_new(&w->passing->up, OUTSIDE_SIZE);
    return err || !w->plane->bridge ? err : lane_new(&w->passing->across, OUTSIDE_SIZE);
}

void passing_free(struct worker *w) {
    if (!w->passing)
        return;
    lane_free(&w->passing->inside);
    lane_free(&w->passing->outside);
    lane_free(&w->passing->up);
    lane_free(&w->passing->across);
    free(w->passing);
}

void passing_ring(const struct worker *w) {
    uint64_t once = 1;
    if (write(w->bell, &once, sizeof once) < 0) {
        /* EAGAIN: it has been rung 2^64 times and not been heard */
    }
}

static enum drop pass(struct worker *w, struct lane *lane, struct packet *p) {
    if (!lane_push(lane, p))
        return DROP_WORKER_FULL;
    w->stats.counts[COUNT_PASSED]++;
    packet_release(p);
    return DROP_TAKEN;
}

enum drop passing_inside(struct worker *w, struct packet *p, const struct packet *before) {
    (void)before;
    uint32_t owner = peer_of(p)->owner;
    return owner == w->id ? DROP_NONE : pass(w, &w->plane->worker[owner].passing->inside, p);
}

/* Handshakes are worker 0's. A forged index may name a worker that is none. */
static uint32_t owner_of(const struct worker *w, const struct packet *p) {
    if (p->data[0] < MESSAGE_TRANSPORT)
        return 0;
    uint32_t owner = load_le32(p->data + offsetof(struct message_transport, receiver)) & OWNER_MASK;
    return owner < w->plane->n_workers ? owner : 0;
}

enum drop passing_outside(struct worker *w, struct packet *p, const struct packet *before) {
    (void)before;
    uint32_t owner = owner_of(w, p);
    if (owner == w->id)
        return DROP_NONE;
    return pass(w, w->id ? &w->passing->up : &w->plane->worker[owner].passing->outside, p);
}

enum drop passing_across(struct worker *w, const struct packet *p) {
    if (!lane_push(&w->passing->across, p))
        return DROP_WORKER_FULL;
    w->stats.counts[COUNT_PASSED]++;
    return DROP_TAKEN;
}

/* Datagrams at the wrong worker have not far to go, and the next sockets may give their followers
 * to the right one at once: they would come behind those. */
static void drop_all(struct worker *w, struct lane *lane) {
    uint32_t at = lane_first(lane);
    for (const struct passed *r; (r = lane_next(lane, &at)); at += r->size)
        w->stats.drops[DROP_WORKER_FULL]++;
    lane_done(lane, at);
}

void passing_drop(struct worker *w) {
    drop_all(w->plane->worker, &w->passing->up);
    drop_all(w, &w->passing->outside);
}

void passing_forget(struct plane *plane, const struct peer *peer) {
    if (!peer->owner)
        return;
    struct passing *passing = plane->worker[peer->owner].passing;
    lane_forget(&passing->inside, &peer->way);
    lane_forget(&passing->across, &peer->way);
}

#endif
