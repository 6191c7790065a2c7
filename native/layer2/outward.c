/* SPDX-License-Identifier: MIT */
/* Frames from the device to messages. Once per packet. */
#include "layer2/outward.h"

#include "base/bytes.h"
#include "crypto/aead.h"
#include "inside/ether.h"
#include "inside/ip.h"
#include "layer2/bridge.h"
#include "layer2/control.h"
#include "layer2/parts.h"
#include "path/loop.h"
#include "path/session.h"

enum { HEADER = sizeof(struct message_transport) };

enum drop outward_validate(struct worker *w, struct packet *p, const struct packet *before) {
    uint8_t tos;
    (void)before;
    if (p->len < ETHER_HEADER)
        return DROP_DEVICE_BAD_LENGTH;
    uint32_t at = ether_ip(p->data, p->len), len = p->len - at;
    if (at && ip_check(p->data + at, &len, &tos) == IP_OK &&
        loop_is_own(w->plane, p->data + at, len))
        return DROP_ROUTING_LOOP;
    return DROP_NONE;
}

/* Where frames of peers go on to others, the device's side is one more that addresses are on. */
static void learn_inside(const struct worker *w, const struct packet *p) {
    const struct bridge *b = w->plane->bridge;
    if (b->forwards)
        fdb_learn(b->fdb, p->data + ETHER_SOURCE, BRIDGE_DEVICE, w->now);
}

/* Its source is behind a peer: a bridge loop of others, unless it came over to our side. */
static bool is_of_peer(const struct worker *w, const struct packet *p) {
    return fdb_find(w->plane->bridge->fdb, p->data + ETHER_SOURCE, w->now) < BRIDGE_DEVICE;
}

/* By the table of addresses. Neighbours with the same destination share a lookup. */
enum drop outward_route(struct worker *w, struct packet *p, const struct packet *before) {
    const struct bridge *b = w->plane->bridge;
    struct peer *to = b->only;
    if (!before)
        w->stats.counts[COUNT_CAME_BACK] += is_of_peer(w, p);
    learn_inside(w, p);
    if (!to && !ether_is_group(p->data)) {
        if (before && ether_same(before->data, p->data))
            to = peer_of(before);
        else
            to = bridge_find(w->plane, p->data, w->now, NULL);
    }
    if (!to) {
        enum drop why = spread_put(w, p, NULL);
        if (why == DROP_TAKEN)
            packet_release(p);
        return why;
    }
    p->way = way_of(to);
    return DROP_NONE;
}

/* ---- to messages ------------------------------------------------------------------------------
 */

/* An initiator seals all until something sealed came back: so the other end has proved that it has
 * the session before anything is in the clear. */
static uint8_t mode_of(const struct session *s) {
    return s->mode == MODE_OFF && !s->is_heard ? MODE_ON : s->mode;
}

static uint32_t overhead(uint8_t mode) {
    return mode == MODE_OFF ? HEADER : TRANSPORT_OVERHEAD;
}

/* The two bytes in front of a frame, or of a part of one. */
static void put_head(struct packet *p, uint8_t kind, uint8_t head) {
    p->data -= FRAME_HEADER;
    p->len += FRAME_HEADER;
    p->data[0] = kind;
    p->data[1] = head;
}

/* Parts 1 and on, behind the first place of `to`; false where there are no buffers. */
static bool copy_parts(struct worker *w, struct packet *to, const struct parts_plan *plan,
                       const uint8_t *frame) {
    for (uint32_t i = 1; i < plan->n; i++) {
        struct packet copy;
        if (!buf_carve(&w->pool, &copy, plan->size)) {
            while (--i > 0)
                packet_release(&to[i]);
            return false;
        }
        to[i] = to[0];
        to[i].data = copy.data;
        to[i].slab = copy.slab;
        to[i].len = plan->size;
        to[i].counter = to[0].counter + i;
        parts_cut(to[i].data, plan, frame, i);
        put_head(&to[i], FRAME_PART, parts_head(plan, i));
    }
    return true;
}

/* What a frame becomes, in order. */
struct cutting {
    struct worker *w;
    struct packet *to; /* where the queue's packets go */
    uint32_t n, max;
    uint32_t more; /* counters that the session's frames took so far beyond one each */
    const struct session *session;
};

static enum drop cut_one(struct cutting *c, struct packet *p, uint32_t room) {
    struct parts_plan plan = parts_plan(p->len, room - FRAME_HEADER);
    if (!plan.n)
        return DROP_FRAME_TOO_LONG;
    struct packet *to = &c->to[c->n];
    if (c->max - c->n < plan.n)
        return DROP_CUT_FULL;
    to[0] = *p;
    if (!copy_parts(c->w, to, &plan, p->data))
        return DROP_CUT_FULL;
    to[0].len = plan.size;
    put_head(&to[0], FRAME_PART, parts_head(&plan, 0));
    c->n += plan.n;
    c->more += plan.n - 1;
    p->session->send_counter += plan.n - 1;
    c->w->stats.counts[COUNT_FRAMES_CUT]++;
    c->w->stats.counts[COUNT_PARTS_SENT] += plan.n;
    return DROP_NONE;
}

static enum drop make_message(struct cutting *c, struct packet *p) {
    const struct trunk *t = peer_of(p)->trunk;
    if (p->session != c->session) {
        c->session = p->session;
        c->more = 0;
    }
    p->counter += c->more;
    p->mode = mode_of(p->session);
    if (p->len > t->frame_max)
        return DROP_FRAME_TOO_LONG;
    uint32_t room = t->payload_max - overhead(p->mode);
    if (p->len + FRAME_HEADER > room)
        return cut_one(c, p, room);
    if (c->n == c->max) /* parts of others took all places */
        return DROP_CUT_FULL;
    put_head(p, FRAME_WHOLE, 0);
    c->to[c->n++] = *p;
    return DROP_NONE;
}

/* Whether all of them are whole, and become messages where they are. */
static bool are_whole(const struct queue *q, uint32_t from) {
    for (uint32_t i = from; i < q->n; i++) {
        const struct packet *p = &q->p[i];
        const struct trunk *t = peer_of(p)->trunk;
        if (p->len > t->frame_max ||
            p->len + FRAME_HEADER + overhead(mode_of(p->session)) > t->payload_max)
            return false;
    }
    return true;
}

/* Counters were drawn one a frame, in order; those behind a frame that is cut move on. */
void outward_cut(struct worker *w, struct queue *q, uint32_t from) {
    bool whole = are_whole(q, from);
    struct cutting c = {.w = w, .to = whole ? q->p : w->spare, .n = from};
    c.max = q->max + w->parts_room;
    if (!whole)
        memcpy(w->spare, q->p, from * sizeof *q->p);
    for (uint32_t i = from; i < q->n; i++) {
        enum drop why = make_message(&c, &q->p[i]);
        if (why == DROP_NONE)
            continue;
        w->stats.drops[why]++;
        packet_release(&q->p[i]);
    }
    w->spare = whole ? w->spare : q->p;
    q->p = c.to;
    q->n = c.n;
}

/* ---- seals ------------------------------------------------------------------------------------
 */

static struct aead_op put_header(struct packet *p) {
    const struct session *s = p->session;
    struct aead_op op = {s->send_key, p->data, p->data, p->counter, p->len, true};
    uint8_t *header = p->data - HEADER;
    store_le32(header, (uint32_t)MESSAGE_TRANSPORT + p->mode);
    store_le32(header + offsetof(struct message_transport, receiver), s->remote);
    store_le64(header + offsetof(struct message_transport, counter), op.counter);
    p->data = header;
    p->len += overhead(p->mode);
    p->endpoint = &peer_of(p)->way.endpoint;
    return op;
}

/* Neighbours of one mode at once. */
static void seal_all(struct worker *w, const struct queue *q, uint32_t from) {
    const struct aead *aead = w->plane->aead;
    for (uint32_t i = from, end; i < q->n; i = end) {
        uint8_t mode = q->p[i].mode;
        for (end = i + 1; end < q->n && q->p[end].mode == mode; end++)
            ;
        if (mode == MODE_ON)
            aead->seal(w->ops + i - from, end - i);
        else if (mode == MODE_AUTHENTIC)
            aead->authenticate(w->ops + i - from, end - i);
    }
}

void outward_seal(struct worker *w, struct queue *q, uint32_t from) {
    uint32_t end = q->n;
    bool is_bare = false;
    for (uint32_t i = from; i < end; i++) {
        is_bare |= q->p[i].mode == MODE_OFF;
        w->ops[i - from] = put_header(&q->p[i]);
    }
    seal_all(w, q, from);
    for (uint32_t i = from; is_bare && i < end; i++)
        if (q->p[i].mode == MODE_OFF)
            control_keep_place(w, peer_of(&q->p[i]));
}
