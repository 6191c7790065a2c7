/* SPDX-License-Identifier: MIT */
/* What other workers passed on. Once per packet. */
#include "turn/take.h"

#if defined(__x86_64__) || defined(__aarch64__)

#include "layer2/forward.h"
#include "path/full.h"
#include "path/passing.h"
#include "path/rx.h"
#include "path/tx.h"

enum {
    INSIDE_ROOM = PASSING_INSIDE / 2, /* twice what a turn reads: room for the records' headers */
};

static bool copy(struct worker *w, struct queue *q, const struct passed *r) {
    struct packet *p = buf_copy(&w->pool, q, lane_bytes(r), r->len);
    if (!p) {
        w->starved = true;
        w->stats.counts[COUNT_POOL_SHORT]++;
        return false;
    }
    p->tos = r->tos;
    p->way = r->way;
    return true;
}

/* A batch of datagrams; their endpoints stay in the lane until they are done. */
static bool take_outside(struct worker *w, struct lane *lane) {
    uint32_t at = lane_first(lane);
    const struct passed *r;
    if (w->in.n) /* the device is full */
        return false;
    while (w->in.n < w->in.max && (r = lane_next(lane, &at)) && copy(w, &w->in, r)) {
        w->in.p[w->in.n - 1].endpoint = (struct endpoint *)(uintptr_t)&r->endpoint;
        at += r->size;
    }
    bool more = w->in.n == w->in.max;
    rx_batch(w);
    lane_done(lane, at);
    return rx_write(w) && more;
}

static bool take_inside(struct worker *w) {
    struct lane *lane = &w->passing->inside;
    uint32_t at = lane_first(lane), bytes = 0, from = w->out.n;
    const struct passed *r;
    if (w->out.n && !full_reads_on(w)) /* the socket is full */
        return false;
    while (w->out.n < w->out.max && bytes < w->outside.turn_bytes && (r = lane_next(lane, &at))) {
        if (!r->way)
            w->stats.drops[DROP_PEER_GONE]++;
        else if (!copy(w, &w->out, r))
            break;
        bytes += r->size;
        at += r->size;
    }
    bool more = w->out.n == w->out.max || bytes >= w->outside.turn_bytes;
    if (lane_done(lane, at))
        passing_ring(w->plane->worker);
    tx_routed(w, &w->out, from);
    return tx_write(w) && more;
}

/* Frames of its peers for others. */
static void take_across(struct worker *w, struct lane *lane) {
    uint32_t at = lane_first(lane);
    for (const struct passed *r; (r = lane_next(lane, &at)); at += r->size) {
        const struct packet p = {
            .data = (uint8_t *)(uintptr_t)lane_bytes(r), .len = r->len, .way = r->way};
        if (r->way)
            forward_passed(w, &p);
        else
            w->stats.drops[DROP_PEER_GONE]++;
    }
    lane_done(lane, at);
}

static void take_all_across(struct worker *w) {
    forward_begin(w);
    for (uint32_t i = 1; i < w->plane->n_workers; i++)
        take_across(w, &w->plane->worker[i].passing->across);
    forward_end(w);
}

/* Whether a turn of worker 0 has room in every lane. */
static bool lanes_full(struct worker *w) {
    for (uint32_t i = 1; i < w->plane->n_workers; i++)
        if (!lane_has_room(&w->plane->worker[i].passing->inside, INSIDE_ROOM))
            return true;
    return false;
}

/* True also where a lane has room again: the device was not read in this turn, and no descriptor
 * tells of the rest of a super-packet. */
static bool turn_first(struct worker *w) {
    bool more = false, was_full = w->lanes_full;
    if (w->plane->bridge)
        take_all_across(w);
    for (uint32_t i = 1; i < w->plane->n_workers; i++)
        more |= take_outside(w, &w->plane->worker[i].passing->up);
    for (uint32_t i = 1; i < w->plane->n_workers; i++) {
        struct passing *to = w->plane->worker[i].passing;
        bool inside = lane_has_news(&to->inside), outside = lane_has_news(&to->outside);
        if (inside || outside)
            passing_ring(&w->plane->worker[i]);
    }
    w->lanes_full = lanes_full(w);
    return more || (was_full && !w->lanes_full);
}

static bool turn_other(struct worker *w) {
    bool more = take_outside(w, &w->passing->outside);
    more |= take_inside(w);
    bool news = lane_has_news(&w->passing->up);
    if (w->plane->bridge)
        news |= lane_has_news(&w->passing->across);
    if (news)
        passing_ring(w->plane->worker);
    return more;
}

/* What this puts out, or has for many, goes in the next turn's writing: nothing else may bring one.
 */
bool take_turn(struct worker *w) {
    uint32_t out = w->out.n, floods = w->floods;
    bool more = w->id ? turn_other(w) : turn_first(w);
    return more || w->out.n > out || w->floods > floods;
}

#endif
