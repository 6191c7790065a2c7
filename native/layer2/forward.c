/* SPDX-License-Identifier: MIT */
/* Frames of one peer that go on to others. */
#include "layer2/forward.h"

#include "inside/ether.h"
#include "layer2/bridge.h"
#include "path/passing.h"
#include "path/tx.h"

/* What was put into the queue out since the last time gets its sessions. */
static void send_on(struct worker *w) {
    struct bridge *b = w->plane->bridge;
    if (w->out.n > b->onward)
        tx_onward(w, &w->out, b->onward);
    b->onward = w->out.n;
}

static bool has_room(struct worker *w) {
    if (w->out.n < w->out.max)
        return true;
    send_on(w);
    tx_write(w);
    w->plane->bridge->onward = w->out.n;
    return w->out.n < w->out.max;
}

static enum drop send_to(struct worker *w, const struct packet *p, struct peer *peer) {
    if (!has_room(w))
        return DROP_FORWARD_FULL;
    struct packet *copy = buf_copy(&w->pool, &w->out, p->data, p->len);
    if (!copy)
        return DROP_FORWARD_FULL;
    copy->way = way_of(peer);
    w->stats.counts[COUNT_FORWARDED]++;
    return DROP_TAKEN;
}

enum where { TO_DEVICE, TO_PEER, TO_ALL };

/* What is behind its sender itself, as far as we know, goes to the device as it ever did. */
static enum where where_to(const struct worker *w, const struct packet *p, struct peer **to) {
    bool is_inside;
    if (ether_is_group(p->data))
        return TO_ALL;
    *to = bridge_find(w->plane, p->data, w->now, &is_inside);
    if (*to)
        return *to == peer_of(p) ? TO_DEVICE : TO_PEER;
    return is_inside || fdb_is_own(w->plane->bridge->fdb, p->data) ? TO_DEVICE : TO_ALL;
}

static enum drop go_on(struct worker *w, const struct packet *p, enum where where,
                       struct peer *to) {
    if (where == TO_PEER)
        return send_to(w, p, to);
    if (w->plane->bridge->n_members > 1)
        return spread_put(w, p, peer_of(p));
    return DROP_TAKEN;
}

static void count_drop(struct worker *w, enum drop why) {
    if (why < DROPS)
        w->stats.drops[why]++;
}

static enum drop judge_one(struct worker *w, struct packet *p, const struct packet *before) {
    struct peer *to = NULL;
    enum drop why = DROP_NONE;
    (void)before;
    enum where where = where_to(w, p, &to);
    if (where == TO_DEVICE)
        return DROP_NONE;
    if (CREW_OF(w->plane) && w->id)
        why = passing_across(w, p);
    else
        why = go_on(w, p, where, to);
    if (where == TO_ALL) { /* the device has it in any case */
        count_drop(w, why);
        return DROP_NONE;
    }
    if (why == DROP_TAKEN)
        packet_release(p);
    return why;
}

void forward_all(struct worker *w) {
    if (!w->plane->bridge->forwards || !w->in.n)
        return;
    if (w->id == 0)
        forward_begin(w);
    judge_each(w, &w->in, 0, judge_one);
    if (w->id == 0)
        send_on(w);
}

void forward_begin(struct worker *w) {
    w->plane->bridge->onward = w->out.n;
}

void forward_passed(struct worker *w, const struct packet *p) {
    struct peer *to = NULL;
    enum where where = where_to(w, p, &to);
    enum drop why = where == TO_DEVICE ? DROP_TAKEN : go_on(w, p, where, to);
    count_drop(w, why);
}

void forward_end(struct worker *w) {
    send_on(w);
}
