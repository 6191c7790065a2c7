/* SPDX-License-Identifier: MIT */
/* Addresses that are new, or behind another peer than before. */
#include "layer2/fdb_row.h"

static bool is_full(const struct fdb *fdb, uint32_t peer) {
    return fdb_count(fdb, peer) >= fdb->per_peer;
}

static void move_to(struct fdb *fdb, struct row *r, uint32_t peer) {
    fdb_count_add(fdb, fdb_peer_in(r->word), -1);
    fdb_count_add(fdb, peer, 1);
    r->word = fdb_word(r->word >> 16, peer);
    row_put(r);
}

/* The series is at its end: back to where it was first, unless that peer has no room any more. */
static void hold(struct fdb *fdb, struct row *r, uint32_t tick) {
    uint32_t first = r->notes.first;
    r->notes.since = tick;
    if (fdb_peer_in(r->word) != first && is_full(fdb, first))
        row_clear(fdb, r);
    else
        move_to(fdb, r, first);
}

/* What is protected is not taken by what anybody may have made up, unless it is back where it was
 * at the beginning of a series: else a liar had what is `open` for as long as he likes. */
static bool may_move(const struct row *r, uint32_t to, const struct fdb_notes *now) {
    return !now->open || r->notes.open ||
           (row_is_within(r, now->heard, FDB_TICKS_MOVES) && r->notes.first == to);
}

enum fdb_verdict fdb_move(struct fdb *fdb, struct row *r, uint32_t to,
                          const struct fdb_notes *now) {
    uint32_t tick = now->heard;
    if (row_is_held(r, tick) || !may_move(r, to, now))
        return FDB_HELD;
    if (is_full(fdb, to))
        return FDB_FULL;
    if (!row_is_within(r, tick, FDB_TICKS_MOVES)) /* nor after a hold, which is longer */
        r->notes = (struct fdb_notes){.since = tick, .first = fdb_peer_in(r->word)};
    r->notes.heard = tick;
    r->notes.open = now->open;
    if (++r->notes.moves == FDB_MOVES) {
        hold(fdb, r, tick);
        return FDB_HELD;
    }
    move_to(fdb, r, to);
    return FDB_LEARNED;
}

/* The row for one more of this peer: a free one, else the oldest of who has the most of them, but
 * of others only if they have more than the peer has. */
static struct row choose(const struct fdb *fdb, struct fdb_set *set, uint32_t peer, uint32_t tick) {
    struct row best = {.at = NULL};
    uint32_t most = 0, mine = fdb_count(fdb, peer);
    for (uint32_t way = 0; way < FDB_WAYS; way++) {
        struct row r = row_read(set, way);
        if (!row_is_live(&r, tick) && !is_full(fdb, peer))
            return r;
        uint32_t holder = fdb_peer_in(r.word), has = fdb_count(fdb, holder);
        if (!r.word || (holder != peer && has <= mine))
            continue;
        if (has > most || (has == most && row_age(&r, tick) > row_age(&best, tick))) {
            best = r;
            most = has;
        }
    }
    return best;
}

enum fdb_verdict fdb_add(struct fdb *fdb, const struct row *aged, uint64_t word,
                         const struct fdb_notes *now) {
    if (aged->at)
        row_clear(fdb, aged);
    struct row r = choose(fdb, fdb_set_of(fdb, word >> 16), fdb_peer_in(word), now->heard);
    if (!r.at)
        return FDB_FULL;
    row_clear(fdb, &r);
    fdb_count_add(fdb, fdb_peer_in(word), 1);
    r.word = word;
    r.notes = *now;
    row_put(&r);
    return FDB_LEARNED;
}
