/* SPDX-License-Identifier: MIT */
/*
 * The table of addresses (FDB): which peer an Ethernet address is behind, learned from the frames
 * that peers send.
 *
 * Any worker finds and learns, by relaxed stores of one word; only a peer's owner learns of that
 * peer. Rows lie in sets, chosen by a keyed hash, so nobody can aim at a set. A set that is full
 * gives up a row of the peer that has more rows than who comes has: filling the table harms only
 * who fills it. Worker 0 sweeps what is aged, and corrects counts that workers got wrong between
 * them.
 */
#ifndef TL_FDB_H
#define TL_FDB_H

#include <stdbool.h>
#include <stdint.h>

enum {
    FDB_NOBODY = 0xffff, /* the number of no peer */
    FDB_OPEN =
        1 << 16, /* beside a peer's number: its frames are in the clear, and may be anybody's */
    FDB_AGE_MS = 300 * 1000,
    FDB_MOVES = 3,            /* so often ... */
    FDB_MOVES_MS = 10 * 1000, /* ... in so long moves none */
    FDB_HELD_MS = 30 * 1000,  /* that is then held so long where it was first */
    FDB_SWEEP_MS = 1000,
};

/* What a frame's source did to the table. */
enum fdb_verdict {
    FDB_KNOWN,   /* nothing, or its stamp */
    FDB_LEARNED, /* a new one, or one that moved */
    FDB_HELD,    /* it stays where it was first, or is protected */
    FDB_FIXED,   /* it is pinned elsewhere, or our own */
    FDB_FULL,    /* there is no room for one more of this peer */
    FDB_NONE,    /* a group's address, or none: nobody sends from it */
};

struct fdb;

/* `rows` in all, a power of two from 8 on, and `per_peer`. 0 or -ENOMEM. */
int fdb_new(struct fdb **fdb, uint32_t rows, uint32_t per_peer);
void fdb_free(struct fdb *fdb);

/* Our own address: it is learned of nobody. All workers are held, as for those below, up to
 * fdb_forget. */
void fdb_own(struct fdb *fdb, const uint8_t *mac);
bool fdb_is_own(const struct fdb *fdb, const uint8_t *mac);
/* These addresses, rows of 6 bytes and a peer's number (little endian), never move and never age:
 * in place of those before. 0, -EINVAL (one named twice, a group's, our own, or no peer) or
 * -ENOMEM. */
int fdb_pin(struct fdb *fdb, const uint8_t *rows, uint32_t n);
/* Nothing is pinned to this peer any more. */
void fdb_unpin(struct fdb *fdb, uint32_t peer);
/* Nothing that was learned is behind it, nor comes back to it. */
void fdb_forget(struct fdb *fdb, uint32_t peer);

/* A frame came from this peer (and FDB_OPEN) with this source. What is not open is not moved to who
 * is, within its age, but where a series of moves began. */
enum fdb_verdict fdb_learn(struct fdb *fdb, const uint8_t *mac, uint32_t from, uint64_t now);
/* Whom a frame to this address goes to; FDB_NOBODY: it is not known. */
uint32_t fdb_find(const struct fdb *fdb, const uint8_t *mac, uint64_t now);

/* Worker 0, where FDB_SWEEP_MS or more have passed. */
void fdb_sweep(struct fdb *fdb, uint64_t now);

/* One row, as told to Python. */
enum { FDB_ROW_PINNED = 1, FDB_ROW_HELD = 2 };
struct fdb_row {
    uint8_t mac[6];
    uint16_t peer;
    uint32_t age_ms;
    uint32_t flags; /* set of FDB_ROW_* */
};
/* The next row from place *at on, which moves behind it; false: there is none. */
bool fdb_next(const struct fdb *fdb, uint32_t *at, uint64_t now, struct fdb_row *row);
/* How many rows a peer has. */
uint32_t fdb_count(const struct fdb *fdb, uint32_t peer);

#endif
