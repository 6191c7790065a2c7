/* SPDX-License-Identifier: MIT */
/* The timed loops of bench_crypto.py, in C so that no Python is between two batches. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "crypto/aead.h"

enum { BATCH_MAX = 64, LONGEST = 16384, HEADER = 16 };

/* -- libsodium as one more implementation; its functions come from PyNaCl -- */

typedef int sodium_seal(unsigned char *, unsigned long long *, const unsigned char *,
                        unsigned long long, const unsigned char *, unsigned long long,
                        const unsigned char *, const unsigned char *, const unsigned char *);
typedef int sodium_open(unsigned char *, unsigned long long *, unsigned char *,
                        const unsigned char *, unsigned long long, const unsigned char *,
                        unsigned long long, const unsigned char *, const unsigned char *);

static sodium_seal *seal_fn;
static sodium_open *open_fn;

static bool always(void) {
    return true;
}

static void make_nonce(uint8_t nonce[12], uint64_t counter) {
    memset(nonce, 0, 4);
    for (int i = 0; i < 8; i++)
        nonce[4 + i] = (uint8_t)(counter >> (8 * i));
}

static void seal_sodium(struct aead_op *ops, size_t n) {
    for (size_t i = 0; i < n; i++) {
        uint8_t nonce[12];
        make_nonce(nonce, ops[i].counter);
        seal_fn(ops[i].dst, NULL, ops[i].src, ops[i].len, NULL, 0, NULL, nonce, ops[i].key);
    }
}

static void authenticate_sodium(struct aead_op *ops, size_t n) {
    for (size_t i = 0; i < n; i++) {
        uint8_t nonce[12];
        make_nonce(nonce, ops[i].counter);
        seal_fn(ops[i].dst + ops[i].len, NULL, NULL, 0, ops[i].src, ops[i].len, NULL, nonce,
                ops[i].key);
    }
}

static void open_sodium(struct aead_op *ops, size_t n) {
    for (size_t i = 0; i < n; i++) {
        uint8_t nonce[12];
        make_nonce(nonce, ops[i].counter);
        ops[i].ok = open_fn(ops[i].dst, NULL, NULL, ops[i].src, ops[i].len + AEAD_TAG_LEN, NULL, 0,
                            nonce, ops[i].key) == 0;
    }
}

static void verify_sodium(struct aead_op *ops, size_t n) {
    for (size_t i = 0; i < n; i++) {
        uint8_t nonce[12];
        make_nonce(nonce, ops[i].counter);
        ops[i].ok = open_fn(NULL, NULL, NULL, ops[i].src + ops[i].len, AEAD_TAG_LEN, ops[i].src,
                            ops[i].len, nonce, ops[i].key) == 0;
    }
}

static const struct aead sodium = {"libsodium",         always,       seal_sodium, open_sodium,
                                   authenticate_sodium, verify_sodium};

const struct aead *bench_sodium(void *seal, void *open) {
    seal_fn = (sodium_seal *)seal;
    open_fn = (sodium_open *)open;
    return &sodium;
}

/* -- measuring -- */

static double now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

enum what { SEAL, OPEN, AUTHENTICATE, VERIFY };

/* Nanoseconds per packet: the best of what fits into `ms` milliseconds, of batches of `batch`
 * packets of `len` bytes, opened to another place, all else in place. Below 0: it does not work. */
double bench_run(const struct aead *a, int what, uint32_t len, uint32_t batch, double ms) {
    void (*const all[])(struct aead_op *, size_t) = {a->seal, a->open, a->authenticate, a->verify};
    static const uint8_t key[AEAD_KEY_LEN] = {1, 2, 3};
    size_t room = HEADER + LONGEST + AEAD_TAG_LEN;
    struct aead_op ops[BATCH_MAX];
    double best = -1;
    if (len > LONGEST || batch > BATCH_MAX)
        return -1;
    uint8_t *data = calloc(batch * 2, room);
    if (data == NULL)
        return -1;
    for (uint32_t i = 0; i < batch; i++) {
        uint8_t *p = data + i * room + HEADER;
        ops[i] = (struct aead_op){key, p, p, i, len, false};
    }
    if (what == OPEN || what == VERIFY)
        all[what - 1](ops, batch);
    for (uint32_t i = 0; what == OPEN && i < batch; i++)
        ops[i].dst += batch * room;
    for (double end = now_ns() + ms * 1e6; now_ns() < end;) {
        double start = now_ns();
        all[what](ops, batch);
        double took = (now_ns() - start) / batch;
        if (best < 0 || took < best)
            best = took;
    }
    for (uint32_t i = 0; (what == OPEN || what == VERIFY) && i < batch; i++)
        if (!ops[i].ok)
            best = -1;
    free(data);
    return best;
}
