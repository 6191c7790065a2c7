/* SPDX-License-Identifier: MIT */
/* Inside to outside. Once per packet. */
#include "path/tx.h"

#include "base/bytes.h"
#include "path/full.h"
#include "path/layer.h"
#include "path/loop.h"
#include "path/passing.h"
#include "path/peer.h"
#include "path/plane.h"
#include "path/rate.h"
#include "tunlite.h"

static struct session *sending_session(const struct worker *w, const struct peer *peer) {
    struct session *s = peer->sending;
    bool can = s && w->now < s->reject_at && s->send_counter < s->reject_messages;
    return can ? s : NULL;
}

bool tx_can_send(const struct worker *w, const struct peer *peer) {
    return sending_session(w, peer) != NULL;
}

static void stage_packet(struct worker *w, struct packet *p) {
    int dropped = stage_push(&w->stage, &peer_of(p)->staged, p);
    w->stats.drops[DROP_STAGE_FULL] += (uint64_t)(dropped < 0 ? 1 : dropped);
    w->stats.counts[COUNT_STAGED]++;
    if (!sending_session(w, peer_of(p)))
        events_raise(&w->events, &peer_of(p)->way.raised, TL_PEER_WANTS_SESSION);
    packet_release(p);
}

/* Its sender is told by the layer. */
static enum drop nobody_gets(struct worker *w, const struct packet *p, enum drop why) {
    if (w->plane->layer->answer)
        w->plane->layer->answer(w, p);
    return why;
}

/* Step 4. The counter is drawn here, so that a batch stops where the session is used up. */
static enum drop find_session(struct worker *w, struct packet *p, const struct packet *before) {
    (void)before;
    struct peer *peer = peer_of(p);
    const struct endpoint *to = &peer->way.endpoint;
    if (!to->family)
        return nobody_gets(w, p, DROP_NO_ENDPOINT);
    if (to->way == WAY_LOOPS)
        return nobody_gets(w, p, DROP_ROUTING_LOOP);
    p->session = peer->staged.n ? NULL : sending_session(w, peer);
    if (!p->session) {
        stage_packet(w, p);
        return DROP_TAKEN;
    }
    p->counter = p->session->send_counter++;
    return DROP_NONE;
}

static void ask_for_rekey(struct worker *w, struct session *s) {
    if (s->send_counter >= s->rekey_messages || (s->initiator && w->now >= s->rekey_at))
        events_raise(&w->events, &s->peer->way.raised, TL_PEER_REKEY);
}

static inline uint32_t align_to(uint32_t n, uint32_t multiple) {
    return (n + multiple - 1) / multiple * multiple;
}

/* Zeros behind the packet up to a multiple of `pad`, but not past the MTU (paper 5.4.6). */
static uint32_t pad(const struct worker *w, const struct packet *p) {
    uint32_t most = p->len > w->packet_max ? p->len : w->packet_max;
    uint32_t len = align_to(p->len, p->session->pad);
    if (len > most)
        len = most;
    memset(p->data + p->len, 0, len - p->len);
    return len;
}

/* Step 6 for one packet: fills the AEAD's order and turns the packet into the message. */
static struct aead_op put_header(struct worker *w, struct packet *p) {
    struct session *s = p->session;
    uint32_t len = pad(w, p);
    struct aead_op op = {s->send_key, p->data, p->data, p->counter, len, true};
    uint8_t *header = p->data - sizeof(struct message_transport);
    store_le32(header, MESSAGE_TRANSPORT);
    store_le32(header + offsetof(struct message_transport, receiver), s->remote);
    store_le64(header + offsetof(struct message_transport, counter), op.counter);
    p->data = header;
    p->len = len + TRANSPORT_OVERHEAD;
    p->endpoint = &peer_of(p)->way.endpoint;
    return op;
}

void tx_seal(struct worker *w, struct queue *q, uint32_t from) {
    for (uint32_t i = from; i < q->n; i++)
        w->ops[i - from] = put_header(w, &q->p[i]);
    if (q->n > from)
        w->plane->aead->seal(w->ops, q->n - from);
}

/* Steps 6 and 7; a session that is old asks for the next one. */
static void seal(struct worker *w, struct queue *q, uint32_t from) {
    if (w->plane->layer->cut)
        w->plane->layer->cut(w, q, from);
    w->plane->layer->seal(w, q, from);
    for (uint32_t i = from; i < q->n; i++)
        if (i == from || q->p[i].session != q->p[i - 1].session)
            ask_for_rekey(w, q->p[i].session);
}

/* Step 5. The peers of packets [from, n), in order of appearance, with their counts; how many runs.
 */
static uint32_t count_peers(struct worker *w, const struct queue *q, uint32_t from,
                            uint32_t *n_peers) {
    struct peer **last = &w->gathering;
    uint32_t runs = 0;
    *n_peers = 0;
    for (uint32_t i = from; i < q->n; i++) {
        struct peer *peer = peer_of(&q->p[i]);
        runs += i == from || peer != peer_of(&q->p[i - 1]);
        if (peer->gathered++ == 0) {
            *last = peer;
            last = &peer->next_gathered;
            ++*n_peers;
        }
    }
    *last = NULL;
    return runs;
}

/* What goes to one peer is put side by side, in order, so that it can leave as one send. */
static void gather(struct worker *w, struct queue *q, uint32_t from) {
    uint32_t n_peers, at = from;
    uint32_t runs = count_peers(w, q, from, &n_peers);
    for (struct peer *peer = w->gathering; peer; peer = peer->next_gathered) {
        uint32_t n = peer->gathered;
        peer->gathered = at;
        at += n;
    }
    if (runs > n_peers) {
        memcpy(w->spare, q->p, from * sizeof *q->p);
        for (uint32_t i = from; i < q->n; i++)
            w->spare[peer_of(&q->p[i])->gathered++] = q->p[i];
        struct packet *gathered = w->spare;
        w->spare = q->p;
        q->p = gathered;
    }
    for (struct peer *peer = w->gathering; peer; peer = peer->next_gathered)
        peer->gathered = 0;
}

/* Steps 4 to 7. */
static void send_on(struct worker *w, struct queue *q, uint32_t from) {
    if (w->outside.full[IO_V4].since || w->outside.full[IO_V6].since)
        judge_each(w, q, from, full_admit);
    judge_each(w, q, from, find_session);
    gather(w, q, from);
    seal(w, q, from);
}

void tx_routed(struct worker *w, struct queue *q, uint32_t from) {
    if (rate_is_used(w, RATE_OUT))
        judge_each(w, q, from, rate_out);
    send_on(w, q, from);
}

bool tx_paced(struct worker *w, struct queue *q) {
    uint32_t from = q->n;
    if (!w->pace[RATE_OUT].first)
        return false;
    rate_release(w, q, RATE_OUT);
    bool is_full = q->n >= q->max;
    send_on(w, q, from);
    return is_full;
}

void tx_onward(struct worker *w, struct queue *q, uint32_t from) {
    if (CREW_OF(w->plane))
        judge_each(w, q, from, passing_inside);
    tx_routed(w, q, from);
}

void tx_batch(struct worker *w, struct queue *q, uint32_t from) {
    judge_each(w, q, from, w->plane->layer->validate);
    judge_each(w, q, from, w->plane->layer->route);
    tx_onward(w, q, from);
}

bool tx_quiet(struct worker *w, struct queue *q, struct peer *peer, struct bytes inside) {
    struct session *s = sending_session(w, peer);
    const struct endpoint *to = &peer->way.endpoint;
    if (!s || !to->family || to->way == WAY_LOOPS || q->n >= q->max + w->parts_room)
        return false;
    struct packet *p = buf_copy(&w->pool, q, inside.p, (uint32_t)inside.len);
    if (!p)
        return false;
    p->way = way_of(peer);
    p->session = s;
    p->counter = s->send_counter++;
    p->is_quiet = true;
    w->plane->layer->seal(w, q, q->n - 1);
    if (!inside.len)
        ask_for_rekey(w, s);
    return true;
}

void tx_mark_ready(struct worker *w, struct peer *peer) {
    if (peer->is_ready)
        return;
    peer->is_ready = true;
    peer->next_ready = NULL;
    if (w->ready_first)
        w->ready_last->next_ready = peer;
    else
        w->ready_first = peer;
    w->ready_last = peer;
}

void tx_forget(struct worker *w, struct peer *peer) {
    struct peer *before = NULL;
    for (struct peer *p = w->ready_first; p; before = p, p = p->next_ready) {
        if (p != peer)
            continue;
        if (before)
            before->next_ready = p->next_ready;
        else
            w->ready_first = p->next_ready;
        if (w->ready_last == p)
            w->ready_last = before;
        break;
    }
    peer->is_ready = false;
}

static void append_staged(struct worker *w, struct queue *q, struct peer *peer) {
    struct session *s = sending_session(w, peer);
    while (s && peer->staged.n && q->n < q->max && s->send_counter < s->reject_messages) {
        struct packet *p = &q->p[q->n];
        if (!buf_carve(&w->pool, p, stage_peek(&w->stage, &peer->staged)))
            return;
        stage_pop(&w->stage, &peer->staged, p);
        p->way = way_of(peer);
        p->session = s;
        p->counter = s->send_counter++;
        q->n++;
    }
}

/* True when a peer still has some that could go. */
static bool append_all_staged(struct worker *w, struct queue *q) {
    while (w->ready_first) {
        struct peer *peer = w->ready_first;
        append_staged(w, q, peer);
        if (peer->staged.n && sending_session(w, peer))
            return true;
        if (peer->staged.n)
            events_raise(&w->events, &peer->way.raised, TL_PEER_WANTS_SESSION);
        tx_forget(w, peer);
    }
    return false;
}

bool tx_ready(struct worker *w, struct queue *q) {
    uint32_t from = q->n;
    bool more = append_all_staged(w, q);
    seal(w, q, from);
    return more;
}

uint32_t tx_urgent_room(const struct worker *w) {
    return URGENT_MAX - w->urgent.queue.n;
}

/* A message's bytes stay where they are while packets move up in the queue. */
static struct handshake *free_message(struct urgent *urgent) {
    for (uint32_t i = 0; i < URGENT_MAX; i++) {
        bool used = false;
        for (uint32_t k = 0; k < urgent->queue.n; k++)
            used |= urgent->queue.p[k].data == urgent->message[i].message;
        if (!used)
            return &urgent->message[i];
    }
    return NULL;
}

bool tx_urgent(struct worker *w, struct peer *peer, const struct endpoint *to,
               struct bytes message) {
    struct queue *q = &w->urgent.queue;
    struct handshake *h = free_message(&w->urgent);
    if (!h) {
        w->stats.drops[DROP_SEND_QUEUE_FULL]++;
        return false;
    }
    h->from = *to;
    h->len = (uint16_t)message.len;
    memcpy(h->message, message.p, message.len);
    q->p[q->n++] = (struct packet){.data = h->message,
                                   .len = h->len,
                                   .way = way_of(peer),
                                   .endpoint = &h->from,
                                   .tos = HANDSHAKE_TOS};
    return true;
}

/* False where packets are left: their socket is full. */
static bool write_queue(struct worker *w, struct queue *q) {
    bool again = true;
    for (unsigned tries = 0; again && tries < IO_SOCKETS; tries++) {
        if (!q->n || w->outside.ops->write(&w->outside, q) != IO_BLOCKED)
            return true;
        again = full_sort(w, q);
    }
    return !q->n;
}

bool tx_write_urgent(struct worker *w) {
    return write_queue(w, &w->urgent.queue);
}

/* A socket that has no room for handshake messages gets no data before them; the other one does. */
bool tx_write(struct worker *w) {
    bool went = tx_write_urgent(w);
    if (!w->out.n)
        return went;
    bool same = !went && io_socket_of(&w->out.p[0]) == io_socket_of(&w->urgent.queue.p[0]);
    if (same && !full_sort(w, &w->out))
        return false;
    return write_queue(w, &w->out) && went;
}
