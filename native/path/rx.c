/* SPDX-License-Identifier: MIT */
/* Outside to inside. Once per packet. */
#include "path/rx.h"

#include "base/bytes.h"
#include "crypto/aead.h"
#include "inside/ip.h"
#include "inside/routes.h"
#include "path/heard.h"
#include "path/passing.h"
#include "path/peer.h"
#include "path/plane.h"
#include "tunlite.h"

/* Step 1 for one datagram: why it is refused, or DROP_NONE. */
static enum drop classify(const struct worker *w, const struct packet *p) {
    if (p->endpoint->ifindex == w->plane->link && w->plane->link)
        return DROP_ROUTING_LOOP;
    if (p->len < 4)
        return DROP_TOO_SHORT;
    switch (load_le32(p->data)) {
    case MESSAGE_INITIATION:
        return p->len == sizeof(struct message_initiation) ? DROP_NONE : DROP_BAD_LENGTH;
    case MESSAGE_RESPONSE:
        return p->len == sizeof(struct message_response) ? DROP_NONE : DROP_BAD_LENGTH;
    case MESSAGE_COOKIE:
        return p->len == sizeof(struct message_cookie) ? DROP_NONE : DROP_BAD_LENGTH;
    case MESSAGE_TRANSPORT:
        return p->len >= TRANSPORT_OVERHEAD ? DROP_NONE : DROP_TOO_SHORT;
    default:
        return DROP_BAD_TYPE;
    }
}

static uint32_t classify_all(struct worker *w, struct queue *q, uint32_t from) {
    uint32_t kept = from;
    for (uint32_t i = from; i < q->n; i++) {
        struct packet *p = &q->p[i];
        enum drop why = classify(w, p);
        if (why != DROP_NONE) {
            w->stats.drops[why]++;
            packet_release(p);
        } else if (p->data[0] == MESSAGE_TRANSPORT) {
            q->p[kept++] = *p;
        } else {
            w->handshakes.p[w->handshakes.n++] = *p;
        }
    }
    return kept;
}

/* Moves a packet behind those that go on, or counts and releases it: how many more go on. */
static uint32_t keep(struct worker *w, struct packet *to, struct packet *p, enum drop why) {
    if (why == DROP_NONE) {
        *to = *p;
        return 1;
    }
    w->stats.drops[why]++;
    packet_release(p);
    return 0;
}

/* Step 2 for one message. */
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

static uint32_t find_sessions(struct worker *w, struct queue *q, uint32_t from) {
    uint32_t kept = from;
    for (uint32_t i = from; i < q->n; i++) {
        struct packet *p = &q->p[i];
        enum drop why = find_session(w, p, kept > from ? &q->p[kept - 1] : NULL);
        kept += keep(w, &q->p[kept], p, why);
    }
    return kept;
}

/* Steps 3 and 4. What is kept is the plaintext, its length without the overhead. */
static uint32_t open_all(struct worker *w, struct queue *q, uint32_t from) {
    uint32_t kept = from;
    for (uint32_t i = from; i < q->n; i++) {
        struct packet *p = &q->p[i];
        p->data += sizeof(struct message_transport);
        p->len -= TRANSPORT_OVERHEAD;
        w->ops[i - from] =
            (struct aead_op){p->session->receive_key, p->data, p->data, p->counter, p->len, false};
    }
    if (q->n > from)
        w->plane->aead->open(w->ops, q->n - from);
    for (uint32_t i = from; i < q->n; i++) {
        struct packet *p = &q->p[i];
        enum drop why = DROP_NONE;
        if (!w->ops[i - from].ok)
            why = DROP_NOT_AUTHENTIC;
        else if (!replay_accept(&p->session->replay, p->counter))
            why = DROP_REPLAYED;
        kept += keep(w, &q->p[kept], p, why);
    }
    return kept;
}

/* A session newer than the one that sends has been proved by the other side's using it. */
static void tell_session(struct worker *w, struct session *s) {
    struct peer *peer = s->peer;
    if (!peer->sending || s->serial > peer->sending->serial) {
        peer->confirmed = s;
        events_raise(&w->events, &peer->way.raised, TL_PEER_CONFIRMED);
    }
    if (s == peer->sending && s->initiator && w->now >= s->rekey_received_at)
        events_raise(&w->events, &peer->way.raised, TL_PEER_REKEY);
}

/* Step 5. */
static uint32_t hear(struct worker *w, struct queue *q, uint32_t from) {
    uint32_t kept = from;
    for (uint32_t i = from; i < q->n; i++) {
        struct packet *p = &q->p[i];
        struct peer *peer = peer_of(p);
        heard_from(w, peer, p->endpoint, (uint64_t)p->len + TRANSPORT_OVERHEAD);
        tell_session(w, p->session);
        if (p->len == 0) {
            w->stats.counts[COUNT_KEEPALIVES_READ]++;
            packet_release(p);
            continue;
        }
        peer->way.received_data = w->now;
        if (!peer->way.first_unreplied)
            peer->way.first_unreplied = w->now;
        events_raise(&w->events, &peer->way.raised, TL_PEER_ACTIVE);
        q->p[kept++] = *p;
    }
    return kept;
}

/* Steps 6 and 7 for one packet of layer 3; `before` passed them. */
static enum drop check_inside(struct worker *w, struct packet *p, const struct packet *before) {
    uint8_t inner;
    switch (ip_check(p->data, &p->len, &inner)) {
    case IP_BAD_VERSION:
        return DROP_RECEIVED_BAD_VERSION;
    case IP_BAD_LENGTH:
        return DROP_RECEIVED_BAD_LENGTH;
    case IP_OK:
        break;
    }
    bool known = before && before->way == p->way && ip_same_source(before->data, p->data);
    if (!known && ip_route(w->plane->routes, p->data, IP_SOURCE) != peer_of(p))
        return DROP_SOURCE_NOT_ALLOWED;
    if (ip_decapsulate_ecn(p->data, p->tos & TOS_ECN))
        w->stats.counts[COUNT_ECN_CE_NOT_ECT]++;
    return DROP_NONE;
}

static uint32_t check_all(struct worker *w, struct queue *q, uint32_t from) {
    uint32_t kept = from;
    for (uint32_t i = from; i < q->n; i++) {
        struct packet *p = &q->p[i];
        enum drop why = DROP_NONE;
        if (w->plane->layer == TL_LAYER3)
            why = check_inside(w, p, kept > from ? &q->p[kept - 1] : NULL);
        else if (p->len < IP_ETHERNET_HEADER)
            why = DROP_RECEIVED_BAD_LENGTH;
        kept += keep(w, &q->p[kept], p, why);
    }
    return kept;
}

void rx_batch(struct worker *w, struct queue *q, uint32_t from) {
    q->n = classify_all(w, q, from);
    if (CREW_OF(w->plane)) {
        w->handshakes.n = passing_outside(w, &w->handshakes, 0);
        q->n = passing_outside(w, q, from);
    }
    admission_batch(w, &w->handshakes);
    q->n = find_sessions(w, q, from);
    q->n = open_all(w, q, from);
    q->n = hear(w, q, from);
    q->n = check_all(w, q, from);
}

bool rx_write(struct worker *w) {
    if (!w->in.n)
        return true;
    enum io_status status = w->inside.calls->write(&w->inside, &w->in);
    if (status == IO_GONE)
        worker_lost_device(w);
    return status != IO_BLOCKED;
}
