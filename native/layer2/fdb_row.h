/* SPDX-License-Identifier: MIT */
/*
 * Rows of the table of addresses. A row is two words. The first is an address and its peer, 0 for
 * no row:
 *
 *     48 bits address | 16 bits peer
 *
 * and the second when it was heard, and a series of moves that began where it was first:
 *
 *     23 bits heard | 1 bit open | 22 bits since | 2 bits moves | 16 bits the peer where it was
 * first
 *
 * Times are ticks. `since` is when the series began or, at FDB_MOVES of them, when it ended: it is
 * held from then on. `open`: whoever it was heard of last has frames in the clear, which prove
 * nothing. They wrap after days, and the sweep clears what is older than minutes. The
 * words of a row may be of two stores: then a row looks aged, or young, once.
 */
#ifndef TL_FDB_ROW_H
#define TL_FDB_ROW_H

#include <stddef.h>

#include "inside/ether.h"
#include "layer2/fdb.h"
#include "path/session.h"

enum {
    FDB_TICK_SHIFT = 6, /* of 64 ms */
    FDB_TICKS_AGE = FDB_AGE_MS >> FDB_TICK_SHIFT,
    FDB_TICKS_MOVES = FDB_MOVES_MS >> FDB_TICK_SHIFT,
    FDB_TICKS_HELD = FDB_HELD_MS >> FDB_TICK_SHIFT,
    FDB_TICKS_EARLY = 4096 >> FDB_TICK_SHIFT, /* of one worker's time before another's, at most */
    FDB_HEARD_MASK = (1 << 23) - 1,
    FDB_SINCE_MASK = (1 << 22) - 1,
    FDB_WAYS = 8,
};
_Static_assert(FDB_MOVES == 3, "two bits");

struct fdb_set {
    uint64_t word[FDB_WAYS]; /* a cache line */
    uint64_t notes[FDB_WAYS];
};

struct fdb {
    struct fdb_set *set;
    uint32_t mask;     /* of sets */
    uint32_t per_peer; /* rows at most */
    uint16_t *count;   /* rows of each peer: address space */
    uint32_t counted;  /* no peer from this number on has had one */
    uint64_t *pin;     /* sorted first words */
    uint32_t n_pins;
    uint32_t secret[2];
    uint64_t own; /* 0: none */
};

/* The second word, apart. */
struct fdb_notes {
    uint32_t heard, open, since, moves, first;
};

/* One as it was read. */
struct row {
    uint64_t *at; /* NULL: there is none */
    uint64_t word;
    struct fdb_notes notes;
};

/* 64 bits at once only where there is somebody to see halves: 32-bit CPUs cannot. */
static inline uint64_t fdb_get(const uint64_t *at) {
    return CREW ? __atomic_load_n(at, __ATOMIC_RELAXED) : *at;
}

static inline void fdb_put(uint64_t *at, uint64_t value) {
    if (CREW)
        __atomic_store_n(at, value, __ATOMIC_RELAXED);
    else
        *at = value;
}

static inline uint32_t fdb_ticks(uint64_t now) {
    return (uint32_t)(now >> FDB_TICK_SHIFT);
}

static inline uint32_t fdb_peer_in(uint64_t word) {
    return (uint32_t)word & 0xffff;
}

static inline uint64_t fdb_word(uint64_t mac, uint32_t peer) {
    return mac << 16 | peer;
}

static inline struct row row_read(struct fdb_set *set, uint32_t way) {
    uint64_t notes = fdb_get(&set->notes[way]);
    return (struct row){.at = &set->word[way],
                        .word = fdb_get(&set->word[way]),
                        .notes = {.heard = (uint32_t)(notes >> 41),
                                  .open = (uint32_t)(notes >> 40) & 1,
                                  .since = (uint32_t)(notes >> 18) & FDB_SINCE_MASK,
                                  .moves = (uint32_t)(notes >> 16) & 3,
                                  .first = (uint32_t)notes & 0xffff}};
}

static inline void row_put(const struct row *r) {
    const struct fdb_notes *n = &r->notes;
    fdb_put(r->at + FDB_WAYS,
            (uint64_t)(n->heard & FDB_HEARD_MASK) << 41 | (uint64_t)n->open << 40 |
                (uint64_t)(n->since & FDB_SINCE_MASK) << 18 | (uint64_t)n->moves << 16 | n->first);
    fdb_put(r->at, r->word);
}
_Static_assert(offsetof(struct fdb_set, notes) == FDB_WAYS * sizeof(uint64_t), "row_put");

/* A worker's time is that at which its turn began, and another may have written what is later. */
static inline uint32_t fdb_passed(uint32_t from, uint32_t tick, uint32_t mask) {
    uint32_t passed = (tick - from) & mask;
    return CREW && passed > mask - FDB_TICKS_EARLY ? 0 : passed;
}

static inline uint32_t row_age(const struct row *r, uint32_t tick) {
    return fdb_passed(r->notes.heard, tick, FDB_HEARD_MASK);
}

static inline bool row_is_live(const struct row *r, uint32_t tick) {
    return r->word && row_age(r, tick) < FDB_TICKS_AGE;
}

/* Whether a series goes on, or the hold at its end. */
static inline bool row_is_within(const struct row *r, uint32_t tick, uint32_t span) {
    return r->notes.moves && fdb_passed(r->notes.since, tick, FDB_SINCE_MASK) < span;
}

static inline bool row_is_held(const struct row *r, uint32_t tick) {
    return r->notes.moves == FDB_MOVES && row_is_within(r, tick, FDB_TICKS_HELD);
}

/* Not one step: where two workers do it at once, the sweep finds the right number again. */
static inline void fdb_count_add(struct fdb *fdb, uint32_t peer, int change) {
    int n = (int)fdb_count(fdb, peer) + change;
    __atomic_store_n(&fdb->count[peer], (uint16_t)(n < 0 ? 0 : n), __ATOMIC_RELAXED);
    if (CREW && peer >= __atomic_load_n(&fdb->counted, __ATOMIC_RELAXED))
        __atomic_store_n(&fdb->counted, peer + 1, __ATOMIC_RELAXED);
}

static inline void row_clear(struct fdb *fdb, const struct row *r) {
    if (!r->word)
        return;
    fdb_count_add(fdb, fdb_peer_in(r->word), -1);
    fdb_put(r->at, 0);
}

struct fdb_set *fdb_set_of(const struct fdb *fdb, uint64_t mac);
/* The row of an address, aged or not. */
struct row fdb_row_of(const struct fdb *fdb, uint64_t mac);
/* A row that is not aged is heard of another peer. `now`: its tick as `heard`, and `open`. */
enum fdb_verdict fdb_move(struct fdb *fdb, struct row *r, uint32_t to, const struct fdb_notes *now);
/* An address has no row but an aged one. */
enum fdb_verdict fdb_add(struct fdb *fdb, const struct row *aged, uint64_t word,
                         const struct fdb_notes *now);
/* FDB_NOBODY: it is not pinned. */
uint32_t fdb_pinned(const struct fdb *fdb, uint64_t mac);

#endif
