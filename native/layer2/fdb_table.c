/* SPDX-License-Identifier: MIT */
/* The table of addresses as a whole: made, swept, told. */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/os.h"
#include "layer2/fdb_row.h"

enum { PEERS = 1 << 16 };

int fdb_new(struct fdb **out, uint32_t rows, uint32_t per_peer) {
    struct fdb *fdb = calloc(1, sizeof *fdb);
    if (!fdb)
        return -ENOMEM;
    fdb->mask = rows / FDB_WAYS - 1;
    fdb->per_peer = per_peer;
    fdb->set = os_reserve(rows / FDB_WAYS * sizeof *fdb->set);
    fdb->count = os_reserve(PEERS * sizeof *fdb->count);
    if (!fdb->set || !fdb->count) {
        fdb_free(fdb);
        return -ENOMEM;
    }
    os_random((uint8_t *)fdb->secret, sizeof fdb->secret);
    *out = fdb;
    return 0;
}

void fdb_free(struct fdb *fdb) {
    if (!fdb)
        return;
    if (fdb->set)
        munmap(fdb->set, (fdb->mask + 1) * sizeof *fdb->set);
    if (fdb->count)
        munmap(fdb->count, PEERS * sizeof *fdb->count);
    free(fdb->pin);
    free(fdb);
}

uint32_t fdb_count(const struct fdb *fdb, uint32_t peer) {
    return __atomic_load_n(&fdb->count[peer], __ATOMIC_RELAXED);
}

static uint32_t rows(const struct fdb *fdb) {
    return (fdb->mask + 1) * FDB_WAYS;
}

static struct row row_at(const struct fdb *fdb, uint32_t i) {
    return row_read(&fdb->set[i / FDB_WAYS], i % FDB_WAYS);
}

static void end_series(struct row *r) {
    r->notes = (struct fdb_notes){.heard = r->notes.heard, .open = r->notes.open};
    row_put(r);
}

void fdb_forget(struct fdb *fdb, uint32_t peer) {
    for (uint32_t i = 0; i < rows(fdb); i++) {
        struct row r = row_at(fdb, i);
        if (r.word && fdb_peer_in(r.word) == peer)
            row_clear(fdb, &r);
        else if (r.word && r.notes.moves && r.notes.first == peer)
            end_series(&r);
    }
    __atomic_store_n(&fdb->count[peer], 0, __ATOMIC_RELAXED);
}

/* A series that is over is forgotten: its time would wrap. */
static void sweep(struct fdb *fdb, struct row *r, uint32_t tick) {
    if (!r->word)
        return;
    if (!row_is_live(r, tick))
        row_clear(fdb, r);
    else if (r->notes.moves && !row_is_within(r, tick, FDB_TICKS_HELD))
        end_series(r);
}

static void count_anew(struct fdb *fdb) {
    uint32_t peers = __atomic_load_n(&fdb->counted, __ATOMIC_RELAXED);
    for (uint32_t peer = 0; peer < peers; peer++)
        __atomic_store_n(&fdb->count[peer], 0, __ATOMIC_RELAXED);
    for (uint32_t i = 0; i < rows(fdb); i++) {
        struct row r = row_at(fdb, i);
        if (r.word)
            fdb_count_add(fdb, fdb_peer_in(r.word), 1);
    }
}

void fdb_sweep(struct fdb *fdb, uint64_t now) {
    for (uint32_t i = 0; i < rows(fdb); i++) {
        struct row r = row_at(fdb, i);
        sweep(fdb, &r, fdb_ticks(now));
    }
    if (CREW)
        count_anew(fdb);
}

static void tell(struct fdb_row *row, uint64_t word) {
    *row = (struct fdb_row){.peer = (uint16_t)word};
    store_be16(row->mac, (uint16_t)(word >> 48));
    store_be32(row->mac + 2, (uint32_t)(word >> 16));
}

bool fdb_next(const struct fdb *fdb, uint32_t *at, uint64_t now, struct fdb_row *row) {
    while (*at < rows(fdb)) {
        struct row r = row_at(fdb, (*at)++);
        if (!row_is_live(&r, fdb_ticks(now)))
            continue;
        tell(row, r.word);
        row->age_ms = row_age(&r, fdb_ticks(now)) << FDB_TICK_SHIFT;
        row->flags = row_is_held(&r, fdb_ticks(now)) ? FDB_ROW_HELD : 0;
        return true;
    }
    uint32_t pin = *at - rows(fdb);
    if (pin >= fdb->n_pins)
        return false;
    ++*at;
    tell(row, fdb->pin[pin]);
    row->flags = FDB_ROW_PINNED;
    return true;
}
