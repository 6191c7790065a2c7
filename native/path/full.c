/* SPDX-License-Identifier: MIT */
/* A socket that stays full. */
#include "path/full.h"

#include <string.h>

#include "outside/way.h"
#include "path/peer.h"
#include "path/worker.h"

/* Of the way's endpoint: packets have one of their own only when they are sealed. */
static struct full *full_of(struct worker *w, const struct way *way) {
    return &w->outside.full[way->endpoint.family == 4 ? IO_V4 : IO_V6];
}

static bool is_long(const struct worker *w, const struct full *full) {
    return full->since && w->now - full->since > FULL_MS;
}

bool full_reads_on(const struct worker *w) {
    bool any = false;
    for (unsigned i = 0; i < IO_SOCKETS; i++) {
        const struct full *full = &w->outside.full[i];
        if (full->since && !is_long(w, full))
            return false;
        any |= full->since != 0;
    }
    return any;
}

uint64_t full_patience(const struct worker *w) {
    bool waits = w->out.n || w->urgent.queue.n;
    uint64_t ms = UINT64_MAX;
    for (unsigned i = 0; i < IO_SOCKETS && waits; i++) {
        const struct full *full = &w->outside.full[i];
        uint64_t left = FULL_RETRY_MS;
        if (full->since && !is_long(w, full))
            left = full->since + FULL_MS + 1 - w->now;
        if (full->since && left < ms)
            ms = left;
    }
    return ms;
}

static uint64_t refused(const struct full *full, const struct way *way) {
    return way->refused_at == full->times ? way->refused : 0;
}

/* Once, however often it is tried. */
static void count(struct full *full, struct packet *p) {
    struct way *way = p->way;
    if (p->is_refused)
        return;
    p->is_refused = true;
    way->refused = refused(full, way) + p->len;
    way->refused_at = full->times;
    if (!full->most || way->refused > refused(full, full->most))
        full->most = way;
}

static void drop(struct worker *w, struct packet *p) {
    w->stats.drops[DROP_WAY_FULL]++;
    packet_release(p);
}

enum drop full_admit(struct worker *w, struct packet *p, const struct packet *before) {
    (void)before;
    struct full *full = full_of(w, p->way);
    return is_long(w, full) && p->way == full->most ? DROP_WAY_FULL : DROP_NONE;
}

/* Packets of the full socket go behind those of the other one. */
static uint32_t move_back(struct worker *w, struct queue *q, unsigned which) {
    uint32_t n = 0;
    memcpy(w->spare, q->p, q->n * sizeof *q->p);
    for (unsigned full = 0; full <= 1; full++)
        for (uint32_t i = 0; i < q->n; i++)
            if ((io_socket_of(&w->spare[i]) == which) == full)
                q->p[n++] = w->spare[i];
    for (n = 0; n < q->n && io_socket_of(&q->p[n]) != which; n++)
        ;
    return n;
}

/* Of the ways in [from, n), the one with the most bytes. */
static const struct way *worst(const struct full *full, const struct queue *q, uint32_t from) {
    const struct way *found = NULL;
    for (uint32_t i = from; i < q->n; i++)
        if (!found || refused(full, q->p[i].way) > refused(full, found))
            found = q->p[i].way;
    return found;
}

static void drop_of(struct worker *w, struct queue *q, uint32_t from, const struct way *way) {
    uint32_t kept = from;
    for (uint32_t i = from; i < q->n; i++) {
        if (q->p[i].way == way)
            drop(w, &q->p[i]);
        else
            q->p[kept++] = q->p[i];
    }
    q->n = kept;
}

/* All of the one with the most bytes; then of the next, until a batch can be read. */
static void make_room(struct worker *w, struct queue *q, struct full *full, uint32_t from) {
    const struct way *way;
    while ((way = worst(full, q, from)) && (way == full->most || q->n > q->max / 2))
        drop_of(w, q, from, way);
}

bool full_sort(struct worker *w, struct queue *q) {
    unsigned which = io_socket_of(&q->p[0]);
    struct full *full = &w->outside.full[which];
    uint32_t from = move_back(w, q, which);
    if (q == &w->out) {
        for (uint32_t i = from; i < q->n; i++)
            count(full, &q->p[i]);
        if (is_long(w, full))
            make_room(w, q, full, from);
    }
    return from > 0;
}

void full_forget(struct worker *w, const struct way *way) {
    for (unsigned i = 0; i < IO_SOCKETS; i++)
        if (w->outside.full[i].most == way)
            w->outside.full[i].most = NULL;
}
