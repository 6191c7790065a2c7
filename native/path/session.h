/* SPDX-License-Identifier: MIT */
/* Sessions by receiver index. One worker owns each, named by the index's low bits. */
#ifndef TL_SESSION_H
#define TL_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/wire.h"
#include "path/replay.h"

/* Where several workers are built: routers have one core and little room. */
#if defined(__x86_64__) || defined(__aarch64__)
enum { CREW = 1 };
#else
enum { CREW = 0 };
#endif

struct peer;

/* Reserved while its handshake runs, then live. Ages in ms of CLOCK_BOOTTIME. */
struct session {
    /* Every worker may read these in a turn, whosever the session is, and changes are atomic. */
    struct session *next; /* in its bucket */
    uint32_t index;       /* ours */
    bool live;
    /* The owner's. */
    struct peer *peer;
    struct session *next_gone;
    uint32_t remote; /* theirs */
    bool initiator;
    uint8_t mode;  /* enum mode */
    bool is_heard; /* something authentic came on it; layer 2 alone asks */
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

/* Chained hash. Python's thread alone changes it: workers meanwhile find what they find, for each
 * change of a chain is one store. Whoever found a session that is taken out then reads nothing of
 * it but the atomic fields, until his turn ends. */
struct sessions {
    struct session **bucket;
    uint32_t mask;
    uint32_t n;
    uint32_t tail; /* bytes behind each session's window that are another room's (session_tail) */
    uint64_t serial;
    struct session *gone;    /* taken out and wiped of late */
    struct session *leaving; /* the same, before: freed by the next sessions_reclaim */
};

/* 0 or -ENOMEM. */
int sessions_new(struct sessions *table);
void sessions_free(struct sessions *table);

/* Whether chains have become long. */
bool sessions_are_crowded(const struct sessions *table);
/* Makes room for as many again, unless the memory is not there. No worker is in a turn. */
void sessions_widen(struct sessions *table);

/* Draws a free index and reserves it. NULL: -ENOMEM. */
struct session *session_reserve(struct sessions *table, struct peer *peer, uint32_t owner,
                                uint32_t replay_bits);
/* Its keys are there: it receives. Its owner is in no turn. */
void session_go_live(struct sessions *table, struct session *session);
/* Takes it out and wipes it. Its owner is in no turn. */
void session_drop(struct sessions *table, struct session *session);
/* Frees what was taken out before the call before this one: every turn of then has ended. */
void sessions_reclaim(struct sessions *table);
/* Drops all of this peer's. */
void sessions_forget(struct sessions *table, const struct peer *peer);

/* Whether it is one of ours that receives, or sends too. */
bool session_lives(const struct sessions *table, uint32_t index);
/* NULL: none. The caller looks further only at one of its own. */
struct session *session_by_index(const struct sessions *table, uint32_t index);

/* Zeros when it begins. */
static inline void *session_tail(struct session *session) {
    return session->ring + session->replay.words;
}

/* Of anyone's. */
static inline bool session_is_live(const struct session *session) {
    return __atomic_load_n(&session->live, __ATOMIC_RELAXED);
}

#endif
