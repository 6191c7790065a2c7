/* SPDX-License-Identifier: MIT */
/* Sessions by receiver index. One worker owns each, named by the index's low bits. */
#ifndef TL_SESSION_H
#define TL_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "replay.h"

enum {
    SESSION_OWNER_BITS = 4, /* of a receiver index: up to 16 workers */
};

struct peer;

/* Reserved while its handshake runs, then live. Ages in ms of CLOCK_BOOTTIME. */
struct session {
    struct session *next; /* in its bucket */
    struct peer *peer;
    uint32_t index;  /* ours */
    uint32_t remote; /* theirs */
    bool live;
    bool initiator;
    uint32_t pad;
    uint64_t serial; /* counts sessions as they become live: the greater the newer */
    uint64_t born_ms;
    uint64_t rekey_at; /* sending asks for a new session from then on */
    uint64_t rekey_received_at;
    uint64_t reject_at; /* neither direction works from then on */
    uint64_t rekey_messages;
    uint64_t reject_messages;
    uint64_t send_counter; /* the next */
    uint8_t send_key[32];
    uint8_t receive_key[32];
    struct replay replay;
    uint64_t ring[]; /* replay's */
};

/* The sessions that one worker owns: chained hash, grown by whoever adds. */
struct sessions {
    struct session **bucket;
    uint32_t mask;
    uint32_t n;
    uint64_t serial;
};

/* 0 or -ENOMEM. */
int sessions_new(struct sessions *table);
void sessions_free(struct sessions *table);

/* Draws a free index and reserves it. NULL: -ENOMEM. */
struct session *session_reserve(struct sessions *table, struct peer *peer, uint32_t owner,
                                uint32_t replay_bits);
/* Takes it out and wipes it. */
void session_drop(struct sessions *table, struct session *session);
/* Drops all of this peer's. */
void sessions_forget(struct sessions *table, const struct peer *peer);

struct session *session_by_index(const struct sessions *table, uint32_t index);

#endif
