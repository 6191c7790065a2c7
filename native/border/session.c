/* SPDX-License-Identifier: MIT */
/* The border's functions about handshakes and sessions. */
#include <errno.h>

#include "base/bytes.h"
#include "base/wire.h"
#include "border/handles.h"
#include "layer2/bridge.h"
#include "layer2/parts.h"
#include "path/layer.h"
#include "path/loop.h"
#include "path/tx.h"
#include "tunlite.h"
#include "turn/crew.h"
#include "turn/worker.h"

int tl_index_new(int plane, int peer, unsigned char *index4) {
    struct plane *p = handle_plane(plane);
    if (!p)
        return -EBADF;
    struct peer *whose = handle_peer(p, peer);
    if (!whose)
        return -ENOENT;
    crew_reclaim(p);
    if (sessions_are_crowded(&p->sessions)) {
        HOLD hold = hold_all(p);
        sessions_widen(&p->sessions);
    }
    const struct session *s = session_reserve(&p->sessions, whose, whose->owner, p->replay_bits);
    if (!s)
        return -ENOMEM;
    store_le32(index4, s->index);
    return 0;
}

static struct session *find(const struct plane *plane, const unsigned char *index4) {
    return session_by_index(&plane->sessions, load_le32(index4));
}

static void forget(struct plane *p, struct session *s) {
    bool all = p->bridge && s->peer->sending == s; /* the table of addresses is everybody's */
    HOLD hold = all ? hold_all(p) : hold_one(p, s->peer->owner);
    if (s->peer->sending == s) {
        s->peer->sending = NULL;
        loop_session(p, s->peer);
        if (p->bridge)
            bridge_forget(p->bridge, s->peer);
    }
    if (s->peer->confirmed == s)
        s->peer->confirmed = NULL;
    if (p->bridge)
        parts_forget(p->worker[s->peer->owner].parts, session_tail(s));
    session_drop(&p->sessions, s);
}

int tl_index_free(int plane, const unsigned char *index4) {
    struct plane *p = handle_plane(plane);
    if (!p)
        return -EBADF;
    struct session *s = find(p, index4);
    if (!s)
        return -ENOENT;
    forget(p, s);
    crew_reclaim(p);
    return 0;
}

int tl_handshake(int plane, unsigned char *out, int out_len) {
    struct plane *p = handle_plane(plane);
    if (!p)
        return -EBADF;
    const struct handshake *h = admission_peek(&p->worker->admission);
    if (!h)
        return 0;
    if (out_len < (int)(sizeof(struct record_endpoint) + h->len))
        return -ENOSPC;
    handle_put_endpoint(out, &h->from);
    memcpy(out + sizeof(struct record_endpoint), h->message, h->len);
    int len = (int)h->len | (h->proved ? TL_PROVED : 0);
    admission_next(&p->worker->admission);
    return len;
}

/* The peer's own source address, when this is the place it is known at. */
static void take_source(struct endpoint *to, const struct peer *peer) {
    static const uint8_t none[16];
    const struct endpoint *known = &peer->way.endpoint;
    if (to->family == known->family && memcmp(to->addr, known->addr, sizeof to->addr) == 0 &&
        memcmp(to->local, none, sizeof none) == 0)
        memcpy(to->local, known->local, sizeof to->local);
}

static int ask_for_cookie(struct plane *p, const struct endpoint *to, struct bytes message) {
    struct worker *w = p->worker;
    bool sound = message.len == sizeof(struct message_initiation) + p->layer->more &&
                 message.p[0] == MESSAGE_INITIATION;
    if (!sound || !w->admission.has_identity)
        return -EINVAL;
    HOLD hold = hold_one(p, w->id);
    worker_tick(w);
    admission_answer(w, to, message.p);
    tx_write(w);
    return 0;
}

int tl_send(int plane, int peer, const unsigned char *endpoint48, const unsigned char *message,
            int message_len) {
    struct plane *p = handle_plane(plane);
    struct endpoint to;
    if (!p)
        return -EBADF;
    struct peer *whose = peer >= 0 ? handle_peer(p, peer) : NULL;
    if (peer >= 0 && !whose)
        return -ENOENT;
    if (!handle_endpoint(&to, endpoint48) || message_len < 4 || message_len > HANDSHAKE_MAX)
        return -EINVAL;
    if (!to.family)
        return -EDESTADDRREQ;
    if (peer == TL_NEEDS_COOKIE)
        return ask_for_cookie(p, &to, (struct bytes){message, (size_t)message_len});
    struct worker *w = &p->worker[whose ? whose->owner : 0];
    HOLD hold = hold_one(p, w->id);
    if (to.way == WAY_LOOPS) {
        w->stats.drops[DROP_ROUTING_LOOP]++;
        return -ELOOP;
    }
    if (whose)
        take_source(&to, whose);
    worker_tick(w);
    if (!tx_urgent(w, whose, &to, (struct bytes){message, (size_t)message_len}))
        return -EAGAIN;
    w->outside.message_error = 0;
    tx_write(w);
    return -w->outside.message_error;
}

#define FIELD(record, field) ((record) + offsetof(struct record_session, field))

static uint64_t age_limit(const struct session *s, const unsigned char *field) {
    return s->born_ms + load_le32(field);
}

static void fill(struct session *s, const unsigned char *r) {
    s->remote = load_le32(FIELD(r, remote));
    s->born_ms = load_le64(FIELD(r, born_ms));
    s->initiator = load_le32(FIELD(r, initiator)) != 0;
    s->pad = load_le32(FIELD(r, pad));
    s->mode = (uint8_t)load_le32(FIELD(r, mode));
    s->rekey_at = age_limit(s, FIELD(r, rekey_ms));
    s->rekey_received_at = age_limit(s, FIELD(r, rekey_received_ms));
    s->reject_at = age_limit(s, FIELD(r, reject_ms));
    s->rekey_messages = load_le64(FIELD(r, rekey_messages));
    s->reject_messages = load_le64(FIELD(r, reject_messages));
    memcpy(s->send_key, FIELD(r, send_key), sizeof s->send_key);
    memcpy(s->receive_key, FIELD(r, receive_key), sizeof s->receive_key);
}

int tl_session_new(int plane, const unsigned char *session, int session_len) {
    struct plane *p = handle_plane(plane);
    if (!p)
        return -EBADF;
    if (session_len != sizeof(struct record_session))
        return -EINVAL;
    struct session *s = find(p, FIELD(session, index));
    uint32_t pad = load_le32(FIELD(session, pad));
    if (!s)
        return -ENOENT;
    HOLD hold = hold_one(p, s->peer->owner);
    if (s->live)
        return -EEXIST;
    if (pad != 1 && pad != 16)
        return -EINVAL;
    if (load_le32(FIELD(session, mode)) > (p->bridge ? MODE_OFF : MODE_ON))
        return -EINVAL;
    fill(s, session);
    session_go_live(&p->sessions, s);
    return 0;
}

int tl_session_use(int plane, const unsigned char *index4) {
    struct plane *p = handle_plane(plane);
    if (!p)
        return -EBADF;
    struct session *s = find(p, index4);
    if (!s || !s->live)
        return -ENOENT;
    struct worker *w = &p->worker[s->peer->owner];
    HOLD hold = hold_one(p, w->id);
    s->peer->sending = s;
    s->peer->confirmed = NULL;
    loop_session(p, s->peer);
    if (p->bridge)
        bridge_set_gone(s->peer, false); /* it may have begun anew, and know of no bye */
    tx_mark_ready(w, s->peer);
    worker_flush(w);
    return 0;
}
