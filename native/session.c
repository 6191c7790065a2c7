/* SPDX-License-Identifier: MIT */
/* Sessions by receiver index. */
#include "session.h"

#include <errno.h>
#include <stdlib.h>

#include "ct.h"
#include "os.h"

enum { BUCKETS_FIRST = 64 };

/* Indexes are random but for the owner's bits: those above them spread well enough. */
static struct session **bucket_of(const struct sessions *table, uint32_t index) {
    return &table->bucket[(index >> SESSION_OWNER_BITS) & table->mask];
}

int sessions_new(struct sessions *table) {
    *table = (struct sessions){.mask = BUCKETS_FIRST - 1};
    table->bucket = calloc(BUCKETS_FIRST, sizeof(struct session *));
    return table->bucket ? 0 : -ENOMEM;
}

static void wipe_and_free(struct session *session) {
    ct_wipe(session, sizeof *session + session->replay.words * sizeof *session->ring);
    free(session);
}

void sessions_free(struct sessions *table) {
    for (uint32_t i = 0; table->bucket && i <= table->mask; i++)
        while (table->bucket[i])
            session_drop(table, table->bucket[i]);
    free(table->bucket);
}

/* Keeps about one session a bucket; not having the memory only makes the chains longer. */
static void widen(struct sessions *table) {
    struct sessions wide = {.mask = table->mask * 2 + 1, .n = table->n, .serial = table->serial};
    if (table->n <= table->mask)
        return;
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

struct session *session_by_index(const struct sessions *table, uint32_t index) {
    struct session *s = *bucket_of(table, index);
    while (s && s->index != index)
        s = s->next;
    return s;
}

struct session *session_reserve(struct sessions *table, struct peer *peer, uint32_t owner,
                                uint32_t replay_bits) {
    uint32_t words = replay_bits / 64;
    struct session *s = calloc(1, sizeof *s + words * sizeof *s->ring);
    if (!s)
        return NULL;
    s->peer = peer;
    s->replay.words = words;
    s->replay.ring = s->ring;
    do {
        os_random((uint8_t *)&s->index, sizeof s->index);
        s->index = (s->index & ~((1u << SESSION_OWNER_BITS) - 1)) | owner;
    } while (session_by_index(table, s->index));
    widen(table);
    s->next = *bucket_of(table, s->index);
    *bucket_of(table, s->index) = s;
    table->n++;
    return s;
}

void session_drop(struct sessions *table, struct session *session) {
    struct session **at = bucket_of(table, session->index);
    while (*at != session)
        at = &(*at)->next;
    *at = session->next;
    table->n--;
    wipe_and_free(session);
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
