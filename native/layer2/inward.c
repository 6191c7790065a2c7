/* SPDX-License-Identifier: MIT */
/* Messages to frames for the device. Once per packet. */
#include "layer2/inward.h"

#include "base/bytes.h"
#include "crypto/aead.h"
#include "inside/ether.h"
#include "layer2/bridge.h"
#include "layer2/control.h"
#include "layer2/parts.h"
#include "path/rx.h"
#include "path/session.h"
#include "tunlite.h"

enum { HEADER = sizeof(struct message_transport) };

/* ---- opened -----------------------------------------------------------------------------------
 */

/* In the clear nothing proves who sent it. It must come from where the peer is, and not before its
 * session is known to be one that the peer has: whoever sends a recorded initiation anew knows the
 * index that answers it. */
static bool is_bare_taken(const struct packet *p) {
    return (p->session->initiator || p->session->is_heard) &&
           rx_same_place(p->endpoint, &peer_of(p)->way.endpoint);
}

/* A session takes its mode's type and what is sealed. */
enum drop inward_admit(struct worker *w, struct packet *p, const struct packet *before) {
    (void)w, (void)before;
    p->mode = (uint8_t)(p->data[0] - MESSAGE_TRANSPORT);
    if (p->mode == MODE_ON)
        return DROP_NONE;
    if (p->mode != p->session->mode)
        return DROP_WRONG_MODE;
    return p->mode == MODE_OFF && !is_bare_taken(p) ? DROP_BARE_REFUSED : DROP_NONE;
}

/* Neighbours of one mode at once. */
void inward_open(struct worker *w, struct queue *q) {
    const struct aead *aead = w->plane->aead;
    for (uint32_t i = 0; i < q->n; i++) {
        struct packet *p = &q->p[i];
        p->data += HEADER;
        p->len -= p->mode == MODE_OFF ? HEADER : TRANSPORT_OVERHEAD;
        w->ops[i] =
            (struct aead_op){p->session->receive_key, p->data, p->data, p->counter, p->len, false};
    }
    for (uint32_t i = 0, end; i < q->n; i = end) {
        uint8_t mode = q->p[i].mode;
        for (end = i + 1; end < q->n && q->p[end].mode == mode; end++)
            ;
        if (mode == MODE_ON)
            aead->open(w->ops + i, end - i);
        else if (mode == MODE_AUTHENTIC)
            aead->verify(w->ops + i, end - i);
    }
}

enum drop inward_authentic(struct worker *w, struct packet *p, const struct packet *before) {
    return p->mode == MODE_OFF ? DROP_NONE : rx_is_authentic(w, p, before);
}

/* ---- heard ------------------------------------------------------------------------------------
 */

static enum drop taken(struct packet *p) {
    packet_release(p);
    return DROP_TAKEN;
}

/* Not proved: it is counted for its peer, and says nothing of him. */
static enum drop hear_bare(const struct packet *p) {
    p->way->rx_bytes += (uint64_t)p->len + HEADER;
    return DROP_NONE;
}

/* Neither a frame nor a keepalive; only what is sealed may be that. */
static enum drop hear_other(struct worker *w, struct packet *p) {
    rx_heard(w, peer_of(p), p->endpoint, (uint64_t)p->len + TRANSPORT_OVERHEAD);
    rx_confirmed(w, p->session);
    if (p->len < FRAME_HEADER)
        return DROP_RECEIVED_BAD_LENGTH;
    enum drop why = p->mode == MODE_ON ? control_take(w, p) : DROP_RECEIVED_BAD_CONTROL;
    return why == DROP_NONE ? taken(p) : why;
}

enum drop inward_hear(struct worker *w, struct packet *p, const struct packet *before) {
    if (p->mode == MODE_OFF)
        return hear_bare(p);
    struct session *s = p->session;
    s->is_heard = true;
    bool is_keepalive = p->len == 0 && p->mode == MODE_ON;
    if (!is_keepalive && (p->len < FRAME_HEADER || p->data[0] == FRAME_CONTROL))
        return hear_other(w, p);
    enum drop why = rx_hear(w, p, before);
    if (why == DROP_NONE && s->mode == MODE_OFF && !s->initiator)
        control_confirm(w, peer_of(p));
    return why;
}

/* ---- frames -----------------------------------------------------------------------------------
 */

static enum drop take_whole(struct worker *w, struct packet *p) {
    parts_passed(w->parts, session_tail(p->session), p->counter, p->mode != MODE_OFF);
    if (p->data[0] != FRAME_WHOLE || p->data[1] != 0)
        return DROP_RECEIVED_BAD_FRAME;
    p->data += FRAME_HEADER;
    p->len -= FRAME_HEADER;
    return DROP_NONE;
}

static void note_lost(struct worker *w) {
    w->stats.drops[DROP_PARTS_FULL] += w->parts->full;
    w->stats.drops[DROP_PARTS_LOST] += w->parts->lost;
    w->parts->full = w->parts->lost = 0;
}

/* The frame that this part completes takes its place. */
static enum drop complete(struct worker *w, struct packet *p, const struct part *part,
                          uint32_t len) {
    struct parts_slots *slots = session_tail(p->session);
    struct packet frame;
    if (!buf_carve(&w->pool, &frame, len)) {
        w->stats.counts[COUNT_POOL_SHORT]++;
        parts_give_up(w->parts, slots, part);
        return DROP_PARTS_FULL;
    }
    parts_join(w->parts, slots, part, frame.data);
    packet_release(p);
    p->data = frame.data;
    p->slab = frame.slab;
    p->len = len;
    w->stats.counts[COUNT_FRAMES_JOINED]++;
    return DROP_NONE;
}

static enum drop take_part(struct worker *w, struct packet *p) {
    const struct part part = {.counter = p->counter,
                              .data = p->data + FRAME_HEADER,
                              .len = p->len - FRAME_HEADER,
                              .head = p->data[1],
                              .sealed = p->mode != MODE_OFF};
    uint32_t len, trailer = part.sealed ? AEAD_TAG_LEN : 0;
    uint32_t behind = (uint32_t)(w->in.p + w->in.n - p);
    w->stats.counts[COUNT_PARTS_READ]++;
    if (parts_gather(p, behind, trailer, w->parts->frame_max)) {
        w->stats.counts[COUNT_FRAMES_JOINED]++;
        return take_whole(w, p);
    }
    switch (parts_take(w->parts, session_tail(p->session), &part, &len)) {
    case PART_COMPLETES:
        return complete(w, p, &part, len);
    case PART_KEPT:
        return taken(p);
    case PART_TWICE:
        return DROP_REPLAYED;
    default:
        return DROP_RECEIVED_BAD_PART;
    }
}

/* One that parts_gather has taken the bytes of. */
static enum drop take_gathered(struct worker *w, struct packet *p) {
    w->stats.counts[COUNT_PARTS_READ]++;
    return taken(p);
}

enum drop inward_join(struct worker *w, struct packet *p, const struct packet *before) {
    (void)before;
    if (!p->len)
        return take_gathered(w, p);
    enum drop why = p->data[0] == FRAME_PART ? take_part(w, p) : take_whole(w, p);
    if (w->parts->full | w->parts->lost)
        note_lost(w);
    return why;
}

/* Its source is where its peer is, from now on. */
static enum drop learn(struct worker *w, const struct packet *p) {
    uint64_t *counts = w->stats.counts;
    uint32_t from = peer_of(p)->id | (p->session->mode == MODE_OFF ? FDB_OPEN : 0);
    switch (fdb_learn(w->plane->bridge->fdb, p->data + ETHER_SOURCE, from, w->now)) {
    case FDB_FIXED:
    case FDB_NONE:
        return DROP_SOURCE_NOT_ALLOWED;
    case FDB_LEARNED:
        counts[COUNT_FDB_LEARNED]++;
        break;
    case FDB_HELD:
        counts[COUNT_FDB_HELD]++;
        break;
    case FDB_FULL:
        counts[COUNT_FDB_FULL]++;
        break;
    case FDB_KNOWN:
        break;
    }
    return DROP_NONE;
}

/* A peer that has left sends what was under way, to one place each; a standby is told, which is
 * sealed: no answer to what may be in the clear is longer than it. */
static enum drop not_in_use(struct worker *w, const struct packet *p) {
    if (bridge_use_of(peer_of(p), w->now) == TL_USE_LEFT)
        return ether_is_group(p->data) ? DROP_NOT_IN_USE : DROP_NONE;
    if (p->mode != MODE_OFF || p->len >= AEAD_TAG_LEN)
        control_refuse(w, peer_of(p));
    return DROP_NOT_IN_USE;
}

enum drop inward_check(struct worker *w, struct packet *p, const struct packet *before) {
    struct peer *peer = peer_of(p);
    if (p->len < ETHER_HEADER || p->len > w->inside.mtu + ETHER_FRONT_MAX)
        return DROP_RECEIVED_BAD_LENGTH;
    if (peer->trunk->use != TL_USE_ON)
        return not_in_use(w, p);
    if (bridge_is_gone(peer))
        bridge_set_gone(peer, false);
    if (before && before->way == p->way &&
        ether_same(before->data + ETHER_SOURCE, p->data + ETHER_SOURCE))
        return DROP_NONE;
    return learn(w, p);
}
