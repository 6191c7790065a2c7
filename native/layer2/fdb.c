/* SPDX-License-Identifier: MIT */
/* Addresses, found and learned: some 250 instructions of MIPS, so this is compiled for size. */
#include "layer2/fdb.h"

#include "layer2/fdb_row.h"

enum { TICKS_FRESH = 1024 >> FDB_TICK_SHIFT }; /* heard so lately: not stamped again */

static uint32_t rotate(uint32_t v, unsigned by) {
    return v << by | v >> (32 - by);
}

static void sip_round(uint32_t v[4]) {
    v[0] += v[1];
    v[1] = rotate(v[1], 5) ^ v[0];
    v[0] = rotate(v[0], 16);
    v[2] += v[3];
    v[3] = rotate(v[3], 8) ^ v[2];
    v[0] += v[3];
    v[3] = rotate(v[3], 7) ^ v[0];
    v[2] += v[1];
    v[1] = rotate(v[1], 13) ^ v[2];
    v[2] = rotate(v[2], 16);
}

/* HalfSipHash-1-3: words of 32 bits, for an address is short and a router's CPU narrow. */
static uint32_t hash(const uint32_t secret[2], uint64_t mac) {
    const uint32_t word[2] = {(uint32_t)mac, 6u << 24 | (uint32_t)(mac >> 32)};
    uint32_t v[4] = {secret[0], secret[1], 0x6c796765 ^ secret[0], 0x74656462 ^ secret[1]};
    for (unsigned i = 0; i < 2; i++) {
        v[3] ^= word[i];
        sip_round(v);
        v[0] ^= word[i];
    }
    v[2] ^= 0xff;
    for (unsigned i = 0; i < 3; i++)
        sip_round(v);
    return v[1] ^ v[3];
}

struct fdb_set *fdb_set_of(const struct fdb *fdb, uint64_t mac) {
    return &fdb->set[hash(fdb->secret, mac) & fdb->mask];
}

struct row fdb_row_of(const struct fdb *fdb, uint64_t mac) {
    struct fdb_set *set = fdb_set_of(fdb, mac);
    for (uint32_t way = 0; way < FDB_WAYS; way++) {
        if (fdb_get(&set->word[way]) >> 16 != mac)
            continue;
        struct row r = row_read(set, way);
        if (r.word >> 16 == mac) /* no other worker has put another there meanwhile */
            return r;
    }
    return (struct row){.at = NULL};
}

uint32_t fdb_find(const struct fdb *fdb, const uint8_t *address, uint64_t now) {
    uint64_t mac = ether_number(address);
    uint32_t pinned = fdb->n_pins ? fdb_pinned(fdb, mac) : FDB_NOBODY;
    if (pinned != FDB_NOBODY)
        return pinned;
    struct row r = fdb_row_of(fdb, mac);
    return r.at && row_is_live(&r, fdb_ticks(now)) ? fdb_peer_in(r.word) : FDB_NOBODY;
}

static void hear(struct row *r, const struct fdb_notes *now) {
    if (row_age(r, now->heard) < TICKS_FRESH)
        return;
    r->notes.heard = now->heard;
    r->notes.open = now->open;
    row_put(r);
}

static enum fdb_verdict learn(struct fdb *fdb, uint64_t word, const struct fdb_notes *now) {
    struct row r = fdb_row_of(fdb, word >> 16);
    if (!r.at || !row_is_live(&r, now->heard))
        return fdb_add(fdb, &r, word, now);
    if (r.word != word)
        return fdb_move(fdb, &r, fdb_peer_in(word), now);
    hear(&r, now);
    return FDB_KNOWN;
}

enum fdb_verdict fdb_learn(struct fdb *fdb, const uint8_t *address, uint32_t from, uint64_t now) {
    uint64_t mac = ether_number(address);
    uint32_t peer = from & 0xffff;
    const struct fdb_notes notes = {.heard = fdb_ticks(now), .open = from / FDB_OPEN};
    if (ether_is_group(address) || !mac)
        return FDB_NONE;
    if (mac == fdb->own)
        return FDB_FIXED;
    uint32_t pinned = fdb->n_pins ? fdb_pinned(fdb, mac) : FDB_NOBODY;
    if (pinned != FDB_NOBODY)
        return pinned == peer ? FDB_KNOWN : FDB_FIXED;
    return learn(fdb, fdb_word(mac, peer), &notes);
}
