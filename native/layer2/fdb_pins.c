/* SPDX-License-Identifier: MIT */
/* Addresses that are never learned: pinned ones and our own. */
#include <errno.h>
#include <stdlib.h>

#include "layer2/fdb_row.h"

enum { PIN_SIZE = 8 };

uint32_t fdb_pinned(const struct fdb *fdb, uint64_t mac) {
    uint32_t at = 0; /* the last pin at or before it lies in [at, at + n) */
    for (uint32_t n = fdb->n_pins; n > 1;) {
        uint32_t half = n / 2;
        at += fdb->pin[at + half] >> 16 <= mac ? half : 0;
        n -= half;
    }
    return fdb->n_pins && fdb->pin[at] >> 16 == mac ? fdb_peer_in(fdb->pin[at]) : FDB_NOBODY;
}

static void unlearn(struct fdb *fdb, uint64_t mac) {
    struct row r = fdb_row_of(fdb, mac);
    if (r.at)
        row_clear(fdb, &r);
}

void fdb_own(struct fdb *fdb, const uint8_t *mac) {
    fdb->own = ether_number(mac);
    unlearn(fdb, fdb->own);
}

bool fdb_is_own(const struct fdb *fdb, const uint8_t *mac) {
    return fdb->own && ether_number(mac) == fdb->own;
}

static int compare(const void *left, const void *right) {
    const uint64_t *a = left, *b = right;
    return (*a > *b) - (*a < *b);
}

static bool is_pin(const struct fdb *fdb, const uint8_t *row, uint32_t peer) {
    return !ether_is_group(row) && ether_number(row) && !fdb_is_own(fdb, row) && peer != FDB_NOBODY;
}

static int parse(const struct fdb *fdb, uint64_t *pin, const uint8_t *rows, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        const uint8_t *row = rows + (size_t)i * PIN_SIZE;
        uint32_t peer = load_le16(row + ETHER_ADDRESS);
        if (!is_pin(fdb, row, peer))
            return -EINVAL;
        pin[i] = fdb_word(ether_number(row), peer);
    }
    qsort(pin, n, sizeof *pin, compare);
    for (uint32_t i = 1; i < n; i++)
        if (pin[i] >> 16 == pin[i - 1] >> 16)
            return -EINVAL;
    return 0;
}

int fdb_pin(struct fdb *fdb, const uint8_t *rows, uint32_t n) {
    uint64_t *pin = malloc(((size_t)n + 1) * sizeof *pin);
    int err = pin ? parse(fdb, pin, rows, n) : -ENOMEM;
    if (err) {
        free(pin);
        return err;
    }
    free(fdb->pin);
    fdb->pin = pin;
    fdb->n_pins = n;
    for (uint32_t i = 0; i < n; i++)
        unlearn(fdb, pin[i] >> 16);
    return 0;
}

void fdb_unpin(struct fdb *fdb, uint32_t peer) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < fdb->n_pins; i++)
        if (fdb_peer_in(fdb->pin[i]) != peer)
            fdb->pin[kept++] = fdb->pin[i];
    fdb->n_pins = kept;
}
