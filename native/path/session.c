/* SPDX-License-Identifier: MIT */
/* Sessions by receiver index. Once per packet. */
#include "path/session.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/os.h"
#include "crypto/ct.h"

enum {
    BUCKETS_FIRST = 64,
    /* Between taking a session out and asking whether a turn is on, and between beginning a turn
     * and finding a session: one of the two sees what the other did. */
    ORDER = CREW ? __ATOMIC_SEQ_CST : __ATOMIC_RELAXED,
};

/* Indexes are random but for the owner's bits: those above them spread well enough. */
static struct session **bucket_of(const struct sessions *table, uint32_t index) {
    return &table->bucket[(index >> INDEX_OWNER_BITS) & table->mask];
}

int sessions_new(struct sessions *table) {
    *table = (struct sessions){.mask = BUCKETS_FIRST - 1};
    table->bucket = calloc(BUCKETS_FIRST, sizeof(struct session *));
    return table->bucket ? 0 : -ENOMEM;
}

void sessions_free(struct sessions *table) {
    for (uint32_t i = 0; table->bucket && i <= table->mask; i++)
        while (table->bucket[i])
            session_drop(table, table->bucket[i]);
    free(table->bucket);
    sessions_reclaim(table);
    sessions_reclaim(table);
}

bool sessions_are_crowded(const struct sessions *table) {
    return table->n > table->mask;
}

void sessions_widen(struct sessions *table) {
    struct sessions wide = *table;
    wide.mask = table->mask * 2 + 1;
    wide.bucket = calloc((size_t)wide.mask + 1, sizeof(struct session *));
    if (!wide.bucket)
        return;
    for (uint32_t i = 0; i <= table->mask; i++) {
        for (struct session *s = table->bucket[i], *next; s; s = next) {
            next = s->next;
            s->next = *bucket_of(&wide, s->index);
            *bucket_of(&wide, s->index) = s;
        }
    }
    free(table->bucket);
    *table = wide;
}

static struct session *get(struct session *const *at) {
    return __atomic_load_n(at, ORDER);
}

static void put(struct session **at, struct session *session) {
    __atomic_store_n(at, session, ORDER);
}

struct session *session_by_index(const struct sessions *table, uint32_t index) {
    struct session *s = get(bucket_of(table, index));
    while (s && s->index != index)
        s = get(&s->next);
    return s;
}

struct session *session_reserve(struct sessions *table, struct peer *peer, uint32_t owner,
                                uint32_t replay_bits) {
    uint32_t words = replay_bits / 64;
    struct session *s = calloc(1, sizeof *s + words * sizeof *s->ring + table->tail);
    if (!s)
        return NULL;
    s->peer = peer;
    s->replay.words = words;
    s->replay.ring = s->ring;
    do {
        os_random((uint8_t *)&s->index, sizeof s->index);
        s->index = (s->index & ~((1u << INDEX_OWNER_BITS) - 1)) | owner;
    } while (session_by_index(table, s->index));
    s->next = *bucket_of(table, s->index);
    put(bucket_of(table, s->index), s);
    table->n++;
    return s;
}

void session_go_live(struct sessions *table, struct session *session) {
    session->serial = ++table->serial;
    __atomic_store_n(&session->live, true, __ATOMIC_RELAXED);
}

/* All but what another worker may be reading. */
static void wipe(struct session *s) {
    size_t from = offsetof(struct session, peer);
    __atomic_store_n(&s->live, false, __ATOMIC_RELAXED);
    ct_wipe((uint8_t *)s + from, sizeof *s + s->replay.words * sizeof *s->ring - from);
}

void session_drop(struct sessions *table, struct session *session) {
    struct session **at = bucket_of(table, session->index);
    while (*at != session)
        at = &(*at)->next;
    put(at, session->next);
    table->n--;
    wipe(session);
    session->next_gone = table->gone;
    table->gone = session;
}

void sessions_reclaim(struct sessions *table) {
    for (struct session *s = table->leaving, *next; s; s = next) {
        next = s->next_gone;
        free(s);
    }
    table->leaving = table->gone;
    table->gone = NULL;
}

void sessions_forget(struct sessions *table, const struct peer *peer) {
    for (uint32_t i = 0; i <= table->mask; i++) {
        for (struct session *s = table->bucket[i], *next; s; s = next) {
            next = s->next;
            if (s->peer == peer)
                session_drop(table, s);
        }
    }
}

bool session_lives(const struct sessions *table, uint32_t index) {
    const struct session *session = session_by_index(table, index);
    return session && session_is_live(session);
}
