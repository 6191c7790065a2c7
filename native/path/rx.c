/* SPDX-License-Identifier: MIT */
/* Outside to inside. Once per packet. */
#include "path/rx.h"

#include "base/bytes.h"
#include "crypto/aead.h"
#include "path/echo.h"
#include "path/layer.h"
#include "path/loop.h"
#include "path/passing.h"
#include "path/peer.h"
#include "path/plane.h"
#include "path/rate.h"
#include "tunlite.h"

/* The other layer's initiations are judged further only to be told of. */
static bool is_others(const struct worker *w, const struct packet *p) {
    uint32_t other = sizeof(struct message_initiation) + LAYER2_MORE - w->plane->layer->more;
    return p->data[0] == MESSAGE_INITIATION && p->len == other;
}

static enum drop handshake(struct worker *w, struct packet *p, uint32_t len) {
    if (p->len != len && !is_others(w, p))
        return DROP_BAD_LENGTH;
    w->handshakes.p[w->handshakes.n++] = *p;
    return DROP_TAKEN;
}

/* Step 1. */
static enum drop classify(struct worker *w, struct packet *p, const struct packet *before) {
    (void)before;
    if (p->endpoint->ifindex == w->plane->link && w->plane->link)
        return DROP_ROUTING_LOOP;
    if (p->len < 4)
        return DROP_TOO_SHORT;
    const struct layer *layer = w->plane->layer;
    switch (load_le32(p->data)) {
    case MESSAGE_TRANSPORT:
        return p->len >= TRANSPORT_OVERHEAD ? DROP_NONE : DROP_TOO_SHORT;
    case MESSAGE_INITIATION:
        return handshake(w, p, sizeof(struct message_initiation) + layer->more);
    case MESSAGE_RESPONSE:
        return handshake(w, p, sizeof(struct message_response) + layer->more);
    case MESSAGE_COOKIE:
        return handshake(w, p, sizeof(struct message_cookie));
    case MESSAGE_AUTHENTIC:
    case MESSAGE_BARE:
        if (layer->admit) /* the shortest frame in the clear is as long as a keepalive */
            return p->len >= TRANSPORT_OVERHEAD ? DROP_NONE : DROP_TOO_SHORT;
        return DROP_BAD_TYPE;
    default:
        return DROP_BAD_TYPE;
    }
}

/* Step 2. */
static enum drop find_session(struct worker *w, struct packet *p, const struct packet *before) {
    uint32_t index = load_le32(p->data + offsetof(struct message_transport, receiver));
    p->counter = load_le64(p->data + offsetof(struct message_transport, counter));
    if (before && before->session->index == index)
        p->session = before->session;
    else
        p->session = session_by_index(&w->plane->sessions, index);
    if (!p->session || !p->session->live)
        return DROP_UNKNOWN_INDEX;
    if (w->now >= p->session->reject_at)
        return DROP_SESSION_EXPIRED;
    if (p->counter >= p->session->reject_messages)
        return DROP_COUNTER_EXHAUSTED;
    p->way = way_of(p->session->peer);
    return DROP_NONE;
}

void rx_open(struct worker *w, struct queue *q) {
    for (uint32_t i = 0; i < q->n; i++) {
        struct packet *p = &q->p[i];
        p->data += sizeof(struct message_transport);
        p->len -= TRANSPORT_OVERHEAD;
        w->ops[i] =
            (struct aead_op){p->session->receive_key, p->data, p->data, p->counter, p->len, false};
    }
    if (q->n)
        w->plane->aead->open(w->ops, q->n);
}

enum drop rx_is_authentic(struct worker *w, struct packet *p, const struct packet *before) {
    (void)before;
    if (!w->ops[p - w->in.p].ok)
        return DROP_NOT_AUTHENTIC;
    return replay_accept(&p->session->replay, p->counter) ? DROP_NONE : DROP_REPLAYED;
}

bool rx_same_place(const struct endpoint *a, const struct endpoint *b) {
    return a->family == b->family && a->port == b->port && a->scope == b->scope &&
           memcmp(a->addr, b->addr, sizeof a->addr) == 0;
}

/* What comes by a link that the route has left tells neither source nor link. */
static void move(struct worker *w, struct peer *peer, const struct endpoint *from) {
    uint32_t way = peer->way.endpoint.way;
    bool moved = !rx_same_place(&peer->way.endpoint, from), left = way && way == from->ifindex;
    if (left && !moved)
        return;
    if (moved || peer->way.endpoint.ifindex != from->ifindex)
        peer->way.runs = (struct way_runs){0};
    peer->way.endpoint = *from;
    peer->way.endpoint.way = moved && way == WAY_LOOPS ? 0 : way;
    if (left)
        memset(peer->way.endpoint.local, 0, sizeof peer->way.endpoint.local);
    if (!moved)
        return;
    loop_moved(peer, from);
    events_raise(&w->events, &peer->way.raised, TL_PEER_ROAMED);
    w->stats.counts[COUNT_ROAMED]++;
}

void rx_heard(struct worker *w, struct peer *peer, const struct endpoint *from, uint64_t bytes) {
    move(w, peer, from);
    peer->way.rx_bytes += bytes;
    peer->way.received_any = w->now;
    peer->way.first_unanswered = 0;
}

/* A session newer than the one that sends has been proved by the other side's using it. */
void rx_confirmed(struct worker *w, struct session *s) {
    struct peer *peer = s->peer;
    if (!peer->sending || s->serial > peer->sending->serial) {
        peer->confirmed = s;
        events_raise(&w->events, &peer->way.raised, TL_PEER_CONFIRMED);
    }
}

static void ask_for_rekey(struct worker *w, struct session *s) {
    struct peer *peer = s->peer;
    if (s == peer->sending && s->initiator && w->now >= s->rekey_received_at)
        events_raise(&w->events, &peer->way.raised, TL_PEER_REKEY);
}

/* Of step 5: stamps; a keepalive ends. */
static enum drop take_data(struct worker *w, struct packet *p) {
    struct way *way = p->way;
    ask_for_rekey(w, p->session);
    if (p->len == 0) {
        w->stats.counts[COUNT_KEEPALIVES_READ]++;
        packet_release(p);
        return DROP_TAKEN;
    }
    way->received_data = w->now;
    if (!way->first_unreplied)
        way->first_unreplied = w->now;
    events_raise(&w->events, &way->raised, TL_PEER_ACTIVE);
    return DROP_NONE;
}

enum drop rx_hear(struct worker *w, struct packet *p, const struct packet *before) {
    (void)before;
    rx_heard(w, peer_of(p), p->endpoint, (uint64_t)p->len + TRANSPORT_OVERHEAD);
    rx_confirmed(w, p->session);
    if (echo_is_answer(w, p)) {
        w->stats.counts[COUNT_ECHOES_ANSWERED]++;
        events_raise(&w->events, &p->way->raised, TL_PEER_ECHO);
        packet_release(p);
        return DROP_TAKEN;
    }
    return take_data(w, p);
}

/* What is for the device; it may be for other peers too. */
static void for_device(struct worker *w) {
    if (w->plane->layer->forward)
        w->plane->layer->forward(w);
}

void rx_batch(struct worker *w) {
    const struct layer *layer = w->plane->layer;
    judge_each(w, &w->in, 0, classify);
    if (CREW_OF(w->plane)) {
        judge_each(w, &w->handshakes, 0, passing_outside);
        judge_each(w, &w->in, 0, passing_outside);
    }
    admission_batch(w, &w->handshakes);
    judge_each(w, &w->in, 0, find_session);
    if (layer->admit)
        judge_each(w, &w->in, 0, layer->admit);
    layer->open(w, &w->in);
    judge_each(w, &w->in, 0, layer->authentic);
    judge_each(w, &w->in, 0, layer->hear);
    if (layer->join)
        judge_each(w, &w->in, 0, layer->join);
    judge_each(w, &w->in, 0, layer->check);
    if (rate_is_used(w, RATE_IN))
        judge_each(w, &w->in, 0, rate_in);
    for_device(w);
}

bool rx_paced(struct worker *w) {
    if (!w->pace[RATE_IN].first)
        return true;
    rate_release(w, &w->in, RATE_IN);
    for_device(w);
    return rx_write(w);
}

bool rx_write(struct worker *w) {
    if (!w->in.n)
        return true;
    enum io_status status = w->inside.ops->write(&w->inside, &w->in);
    if (status == IO_GONE)
        worker_lost_device(w);
    return status != IO_BLOCKED;
}
