/* SPDX-License-Identifier: MIT */
/* Handshake messages before Python sees them. */
#include "path/admission.h"

#include <errno.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/os.h"
#include "crypto/aead.h"
#include "crypto/blake2s.h"
#include "crypto/ct.h"
#include "path/layer.h"
#include "path/plane.h"
#include "path/tx.h"

enum { MAC_LEN = 16, TOKEN = 1000 };

int admission_new(struct admission *a, uint32_t size, uint32_t per_second) {
    a->size = size;
    a->per_second = per_second;
    a->ring = calloc(size, sizeof *a->ring);
    os_random(a->nonce, sizeof a->nonce);
    os_random(a->bucket_secret, sizeof a->bucket_secret);
    a->from = calloc(size, sizeof *a->from);
    return a->ring && a->from ? 0 : -ENOMEM;
}

void admission_free(struct admission *a) {
    free(a->ring);
    free(a->from);
    ct_wipe(a->secret, sizeof a->secret);
    ct_wipe(a->bucket_secret, sizeof a->bucket_secret);
}

const struct handshake *admission_peek(const struct admission *a) {
    return a->head == a->tail ? NULL : &a->ring[a->tail & (a->size - 1)];
}

static bool is_cookie(const uint8_t *message) {
    return message[0] == MESSAGE_COOKIE;
}

/* A MAC of the IPv4 address or IPv6 /64: nobody can aim at a set, or at another's bucket. */
static uint64_t bucket_key(const struct admission *a, const struct endpoint *from) {
    uint8_t key[8];
    blake2s(key, sizeof key, a->bucket_secret, sizeof a->bucket_secret, from->addr,
            from->family == 4 ? 4 : 8);
    return load_le64(key) | 1;
}

void admission_next(struct admission *a) {
    a->cookies -= is_cookie(admission_peek(a)->message);
    a->tail++;
}

/* Where mac1 starts; mac2 follows it, and ends the message. */
static uint32_t mac1_at(uint32_t len) {
    return len - 2 * MAC_LEN;
}

static bool has_mac1(const struct worker *w, const struct packet *p) {
    uint8_t mac[MAC_LEN];
    uint32_t at = mac1_at(p->len);
    blake2s(mac, MAC_LEN, w->admission.mac1_key, 32, p->data, at);
    return ct_equal(mac, p->data + at, MAC_LEN);
}

/* A response ends a handshake of ours. A cookie may also answer a response that we sent, and the
 * session which that response began is live already. */
static bool is_expected(const struct worker *w, const struct packet *p) {
    bool cookie = is_cookie(p->data);
    uint32_t at = cookie ? offsetof(struct message_cookie, receiver)
                         : offsetof(struct message_response, receiver);
    const struct session *s = session_by_index(&w->plane->sessions, load_le32(p->data + at));
    if (!s || !s->live)
        return s != NULL;
    return cookie && !s->initiator && w->now < s->born_ms + LOAD_COOKIE_MS;
}

static bool is_our_layer(const struct worker *w, const struct packet *p) {
    return p->data[0] != MESSAGE_INITIATION ||
           p->len == sizeof(struct message_initiation) + w->plane->layer->more;
}

/* Step 1. A cookie has no mac1: it is authenticated by its own tag, in Python. */
static bool is_for_us(struct worker *w, const struct packet *p) {
    enum drop why = DROP_NONE;
    if (!is_cookie(p->data) && !has_mac1(w, p))
        why = DROP_BAD_MAC1;
    else if (p->data[0] != MESSAGE_INITIATION && !is_expected(w, p))
        why = DROP_UNKNOWN_INDEX;
    if (why == DROP_NONE)
        return true;
    w->stats.drops[why]++;
    return false;
}

/* Whenever the ring's fill is looked at. Cookie replies, forged perhaps, are no reason to ask
 * others for cookies. */
static void note_load(struct admission *a, uint64_t now) {
    if (a->head - a->tail - a->cookies > a->size / LOAD_SHARE)
        a->loaded_until = now + LOAD_HOLD_MS;
}

/* The cookie: MAC of the sender's address and port under a secret of ours. */
static void cookie_of(struct admission *a, uint8_t cookie[MAC_LEN], const struct endpoint *from,
                      uint64_t now) {
    uint8_t name[19] = {from->family};
    memcpy(name + 1, from->addr, 16);
    store_be16(name + 17, from->port);
    if (now >= a->secret_until) {
        os_random(a->secret, sizeof a->secret);
        a->secret_until = now + LOAD_SECRET_MS;
    }
    blake2s(cookie, MAC_LEN, a->secret, sizeof a->secret, name, sizeof name);
}

/* By mac2; it is zero from whoever has no cookie, which is seen without a hash. */
static bool is_proved(struct worker *w, const struct packet *p) {
    static const uint8_t none[MAC_LEN];
    uint8_t cookie[MAC_LEN], mac[MAC_LEN];
    if (is_cookie(p->data))
        return false;
    uint32_t at = mac1_at(p->len) + MAC_LEN;
    if (memcmp(p->data + at, none, MAC_LEN) == 0)
        return false;
    cookie_of(&w->admission, cookie, p->endpoint, w->now);
    blake2s(mac, MAC_LEN, cookie, MAC_LEN, p->data, at);
    return ct_equal(mac, p->data + at, MAC_LEN);
}

/* A batch brings more questions than there are places: what can go makes room first. */
static bool has_room(struct worker *w) {
    if (tx_urgent_room(w) <= TX_URGENT_RESERVED)
        tx_write_urgent(w);
    return tx_urgent_room(w) > TX_URGENT_RESERVED;
}

void admission_answer(struct worker *w, const struct endpoint *to, const uint8_t *question) {
    if (!has_room(w)) {
        w->stats.drops[DROP_COOKIE_FULL]++;
        return;
    }
    uint8_t message[sizeof(struct message_cookie)] = {MESSAGE_COOKIE}, cookie[MAC_LEN];
    uint8_t *nonce = w->admission.nonce;
    uint32_t len = question[0] == MESSAGE_INITIATION ? sizeof(struct message_initiation)
                                                     : sizeof(struct message_response);
    cookie_of(&w->admission, cookie, to, w->now);
    memcpy(message + offsetof(struct message_cookie, receiver), question + 4, 4);
    store_le64(nonce + 16, load_le64(nonce + 16) + 1);
    memcpy(message + offsetof(struct message_cookie, nonce), nonce, 24);
    xaead_seal_ad(message + offsetof(struct message_cookie, encrypted_cookie),
                  w->admission.cookie_key, nonce,
                  (struct bytes){question + mac1_at(len + w->plane->layer->more), MAC_LEN},
                  (struct bytes){cookie, MAC_LEN});
    tx_urgent(w, NULL, to, (struct bytes){message, sizeof message});
    w->stats.drops[DROP_COOKIE_SENT]++;
    w->stats.counts[COUNT_COOKIES_WRITTEN]++;
}

/* Step 3. Full buckets hold LOAD_BURST tokens and gain `per_second` a second. */
static bool has_token(struct admission *a, const struct endpoint *from, uint64_t now) {
    uint64_t key = bucket_key(a, from);
    struct bucket *set = a->bucket[(key >> 1) % LOAD_SETS], *b = &set[0];
    for (uint32_t i = 0; i < LOAD_WAYS; i++) {
        if (set[i].key == key) {
            b = &set[i];
            break;
        }
        if (set[i].at < b->at)
            b = &set[i];
    }
    if (b->key != key)
        *b = (struct bucket){key, now, LOAD_BURST * TOKEN};
    uint64_t gained = (now - b->at) * a->per_second;
    b->tokens = gained > LOAD_BURST * TOKEN - b->tokens ? LOAD_BURST * TOKEN : b->tokens + gained;
    b->at = now;
    if (b->tokens < TOKEN)
        return false;
    b->tokens -= TOKEN;
    return true;
}

/* Whether this address has so many quarters of what is load in the ring. */
static bool has_quarters(const struct admission *a, const struct packet *p, uint32_t quarters) {
    uint64_t key = bucket_key(a, p->endpoint);
    uint32_t most = a->size / LOAD_SHARE * quarters / 4, n = 0;
    for (uint32_t i = a->tail; i != a->head && n < most; i++)
        n += a->from[i & (a->size - 1)] == key;
    return n == most;
}

/* All who send have to prove their address, or this one has to. */
static bool is_loaded(struct admission *a, const struct packet *p, uint64_t now) {
    note_load(a, now);
    return now < a->loaded_until || has_quarters(a, p, 2);
}

/* Steps 2 and 3. A cookie reply is no question: it costs Python little and gets no answer. */
static bool is_admitted(struct worker *w, const struct packet *p, bool proved) {
    if (is_cookie(p->data) || !is_loaded(&w->admission, p, w->now))
        return true;
    if (!proved) {
        admission_answer(w, p->endpoint, p->data);
        return false;
    }
    if (has_quarters(&w->admission, p, 3) || !has_token(&w->admission, p->endpoint, w->now)) {
        w->stats.drops[DROP_RATE_LIMITED]++;
        return false;
    }
    return true;
}

static void ring_push(struct worker *w, const struct packet *p, bool proved) {
    struct admission *a = &w->admission;
    bool cookie = is_cookie(p->data);
    if (a->head - a->tail == a->size || (cookie && a->cookies == a->size / LOAD_SHARE)) {
        w->stats.drops[DROP_RING_FULL]++;
        return;
    }
    a->cookies += cookie;
    a->from[a->head & (a->size - 1)] = cookie ? 0 : bucket_key(a, p->endpoint);
    struct handshake *h = &a->ring[a->head++ & (a->size - 1)];
    h->from = *p->endpoint;
    h->len = (uint16_t)p->len;
    h->proved = proved;
    memcpy(h->message, p->data, p->len);
    note_load(a, w->now);
    w->stats.counts[COUNT_HANDSHAKES_READ]++;
}

/* An initiation of the other layer ends here. One a minute is handed up, to be told of. */
static void note_other(struct worker *w, const struct packet *p) {
    if (!has_mac1(w, p)) {
        w->stats.drops[DROP_BAD_LENGTH]++;
        return;
    }
    w->stats.drops[DROP_OTHER_LAYER]++;
    if (w->now < w->admission.told_until)
        return;
    w->admission.told_until = w->now + LOAD_TOLD_MS;
    ring_push(w, p, false);
}

void admission_batch(struct worker *w, struct queue *q) {
    for (uint32_t i = 0; i < q->n; i++) {
        struct packet *p = &q->p[i];
        if (!w->admission.has_identity)
            w->stats.drops[DROP_NO_IDENTITY]++;
        else if (!is_our_layer(w, p))
            note_other(w, p);
        else if (is_for_us(w, p)) {
            bool proved = is_proved(w, p);
            if (is_admitted(w, p, proved))
                ring_push(w, p, proved);
        }
        packet_release(p);
    }
    q->n = 0;
}
