/* SPDX-License-Identifier: MIT */
/* Token buckets, and what waits for tokens. Once per packet. */
#include "path/rate.h"

#include <errno.h>
#include <stdlib.h>

#include "base/buf.h"
#include "path/peer.h"

enum {
    /* Nothing is owed for longer: 65,535 bytes at RATE_MIN are 525 s. */
    OWED_MAX_MS = 1 << 20,
    PER_BYTE = 8 * 1000,
    /* Enough for the acknowledgements of one TCP flow to go on; and, as the clock has milliseconds,
     * what comes in ten of them. */
    WAITING_MIN = 16,
    WAITING_MS = 10,
    USUAL_BYTES = 1400,
    RING_SHARE = 4, /* a ring is as long as the one of stage.h, times this: `Memory` in all */
};
_Static_assert(UINT64_C(65535) * PER_BYTE / RATE_MIN < OWED_MAX_MS, "all is paid by then");
_Static_assert(RATE_MAX *OWED_MAX_MS < INT64_MAX / 2, "64 bits hold it");

static void fill(struct rate *r, uint64_t now) {
    uint64_t ms = now - r->filled;
    if (ms > OWED_MAX_MS)
        ms = OWED_MAX_MS;
    int64_t most = (int64_t)(r->bits * RATE_BURST_MS);
    r->level += (int64_t)(r->bits * ms);
    if (r->level > most)
        r->level = most;
    r->filled = now;
}

static bool has_tokens(struct rate *r, uint64_t now) {
    if (!r->bits)
        return true;
    if (now > r->filled)
        fill(r, now);
    return r->level > 0;
}

static void take(struct rate *r, uint32_t bytes) {
    if (r->bits)
        r->level -= (int64_t)bytes * PER_BYTE;
}

/* When it has tokens again, as far as is known at r->filled. */
static uint64_t due_at(const struct rate *r) {
    if (!r->bits || r->level > 0)
        return r->filled;
    return r->filled + (uint64_t)-r->level / r->bits + 1;
}

static void list(struct pace *pace, struct rate *r) {
    uint64_t due = due_at(r);
    if (!pace->first || due < pace->due)
        pace->due = due;
    if (r->is_listed)
        return;
    r->is_listed = true;
    r->next = pace->first;
    pace->first = r;
}

static uint32_t waiting_max(const struct rate *r) {
    uint64_t usual = r->bits * WAITING_MS / (USUAL_BYTES * (uint64_t)PER_BYTE);
    return WAITING_MIN + (uint32_t)usual;
}

static enum drop judge_rate(struct worker *w, struct packet *p, enum rate_way way) {
    static const enum drop drops[RATE_WAYS] = {DROP_RATE_IN, DROP_RATE_OUT};
    if (!peer_of(p)->rates)
        return DROP_NONE;
    struct rate *r = &peer_of(p)->rates->way[way];
    if (!r->waiting.n && has_tokens(r, w->now)) {
        take(r, p->len);
        return DROP_NONE;
    }
    if (r->waiting.n >= waiting_max(r))
        return drops[way];
    int dropped = stage_push(&w->pace[way].ring, &r->waiting, p);
    if (dropped < 0)
        return drops[way];
    w->stats.drops[drops[way]] += (uint64_t)dropped;
    list(&w->pace[way], r);
    packet_release(p);
    return DROP_TAKEN;
}

enum drop rate_in(struct worker *w, struct packet *p, const struct packet *before) {
    (void)before;
    return judge_rate(w, p, RATE_IN);
}

enum drop rate_out(struct worker *w, struct packet *p, const struct packet *before) {
    (void)before;
    return judge_rate(w, p, RATE_OUT);
}

/* False where there are no buffers. */
static bool release_one(struct worker *w, struct queue *q, struct rate *r, struct stage *ring) {
    while (r->waiting.n && q->n < q->max && has_tokens(r, w->now)) {
        struct packet *p = &q->p[q->n];
        if (!buf_carve(&w->pool, p, stage_peek(ring, &r->waiting)))
            return false;
        stage_pop(ring, &r->waiting, p);
        p->way = way_of(r->peer);
        take(r, p->len);
        q->n++;
    }
    return true;
}

void rate_release(struct worker *w, struct queue *q, enum rate_way way) {
    struct pace *pace = &w->pace[way];
    if (w->now < pace->due)
        return;
    struct rate *r = pace->first;
    pace->first = NULL;
    for (struct rate *next; r; r = next) {
        next = r->next;
        r->is_listed = false;
        if (!release_one(w, q, r, &pace->ring))
            w->starved = true;
        if (r->waiting.n)
            list(pace, r);
    }
}

uint64_t rate_patience(const struct worker *w, enum rate_way way) {
    const struct pace *pace = &w->pace[way];
    if (!pace->first)
        return UINT64_MAX;
    return pace->due > w->now ? pace->due - w->now : 0;
}

static bool is_rate(uint64_t bits) {
    return !bits || (bits >= RATE_MIN && bits <= RATE_MAX);
}

static int new_ring(struct worker *w, enum rate_way way) {
    if (rate_is_used(w, way))
        return 0;
    return stage_new(&w->pace[way].ring, w->stage.size * RING_SHARE, UINT32_MAX);
}

/* One that is as before keeps its tokens; else a full bucket. */
static void set(struct rate *r, struct peer *peer, uint64_t bits, uint64_t now) {
    r->peer = peer;
    if (r->bits == bits)
        return;
    r->bits = bits;
    r->filled = now;
    r->level = (int64_t)(bits * RATE_BURST_MS);
}

int rate_set(struct worker *w, struct peer *peer, const uint64_t bits[RATE_WAYS]) {
    if (!is_rate(bits[RATE_IN]) || !is_rate(bits[RATE_OUT]))
        return -EINVAL;
    if (!peer->rates && !bits[RATE_IN] && !bits[RATE_OUT])
        return 0;
    for (enum rate_way way = RATE_IN; way < RATE_WAYS; way++)
        if (new_ring(w, way))
            return -ENOMEM;
    if (!peer->rates)
        peer->rates = calloc(1, sizeof *peer->rates);
    if (!peer->rates)
        return -ENOMEM;
    for (enum rate_way way = RATE_IN; way < RATE_WAYS; way++) {
        set(&peer->rates->way[way], peer, bits[way], w->now);
        w->pace[way].due = 0; /* what waits may go at once */
    }
    return 0;
}

static void unlist(struct pace *pace, struct rate *r) {
    for (struct rate **at = &pace->first; *at; at = &(*at)->next) {
        if (*at == r) {
            *at = r->next;
            return;
        }
    }
}

void rate_forget(struct worker *w, struct peer *peer) {
    if (!peer->rates)
        return;
    for (enum rate_way way = RATE_IN; way < RATE_WAYS; way++) {
        struct rate *r = &peer->rates->way[way];
        w->stats.drops[DROP_PEER_GONE] += stage_flush(&w->pace[way].ring, &r->waiting);
        unlist(&w->pace[way], r);
    }
    free(peer->rates);
    peer->rates = NULL;
}

void rate_free(struct worker *w) {
    for (enum rate_way way = RATE_IN; way < RATE_WAYS; way++)
        if (rate_is_used(w, way))
            stage_free(&w->pace[way].ring);
}
