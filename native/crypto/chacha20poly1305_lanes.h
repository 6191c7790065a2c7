/* SPDX-License-Identifier: MIT */
/*
 * ChaCha20-Poly1305 in vector lanes, across the packets of a batch. Included once by the file of
 * each instruction set, which defines before it:
 *
 *   LANES              32-bit lanes of a vector: 4, 8 or 16
 *   rotate_left(x, n)  of a vec32, n = 16, 12, 8 or 7
 *   struct accumulator and its functions, by poly1305_lanes26.h or poly1305_lanes44.h
 *   POLY1305_ALONE     a poly1305_impl for packets that come alone
 *
 * As many packets as there are lanes are worked on together; the bytes of sixteen full packets fit
 * in the L1 cache from the cipher to the tag.
 */
#ifndef TL_CHACHA20POLY1305_LANES_H
#define TL_CHACHA20POLY1305_LANES_H

#include "crypto/aead_serial.h"
#include "crypto/chacha20_lanes.h"
#include "crypto/ct.h"

enum {
    WINDOW = 64, /* packets that are sorted by length where lengths differ */
    FEW = 3,     /* fewer packets than this leave too many lanes idle */
};

enum task { OPEN, SEAL, VERIFY, AUTHENTICATE };

struct work {
    struct cipher cipher;
    struct team team;
    uint8_t keys[LANES][BLOCK];
};

static bool makes_tags(enum task task) {
    return task == SEAL || task == AUTHENTICATE;
}

static void run_tags(struct work *w, struct aead_op *const *ops, size_t n, enum task task) {
    struct team *t = &w->team;
    t->n = 0;
    for (size_t i = 0; i < n; i++)
        add_lane(t, task == SEAL ? ops[i]->dst : ops[i]->src, ops[i]->len, task >= VERIFY);
    run_team(t, (const uint8_t(*)[BLOCK])w->keys);
    for (size_t i = 0; i < n; i++) {
        uint8_t tag[AEAD_TAG_LEN];
        take_tag(t, i, tag);
        if (makes_tags(task))
            memcpy(ops[i]->dst + ops[i]->len, tag, sizeof tag);
        else
            ops[i]->ok = ct_equal(tag, ops[i]->src + ops[i]->len, sizeof tag);
    }
}

/* Up to LANES packets. */
static void run_together(struct work *w, struct aead_op *const *ops, size_t n, enum task task) {
    set_packets(&w->cipher, ops, n);
    make_keys(&w->cipher, w->keys);
    for (size_t i = 0; i < n && makes_tags(task); i++)
        ops[i]->ok = true;
    if (task == SEAL)
        xor_packets(&w->cipher, ops, n);
    run_tags(w, ops, n, task);
    if (task == OPEN)
        xor_packets(&w->cipher, ops, n);
}

/* Longest first, so that packets of one length are authenticated together. */
static void sort_by_length(struct aead_op **ops, size_t n) {
    for (size_t i = 1; i < n; i++) {
        struct aead_op *op = ops[i];
        size_t j = i;
        for (; j > 0 && ops[j - 1]->len < op->len; j--)
            ops[j] = ops[j - 1];
        ops[j] = op;
    }
}

static void run_alone(struct aead_op *op, enum task task) {
    static const struct aead_parts sealed = {xor_stream, &POLY1305_ALONE, false};
    static const struct aead_parts clear = {xor_stream, &POLY1305_ALONE, true};
    const struct aead_parts *parts = task >= VERIFY ? &clear : &sealed;
    if (makes_tags(task))
        aead_serial_seal(parts, op, 1);
    else
        aead_serial_open(parts, op, 1);
}

/* Secrets that are left behind: what the compiler spilled; see aead_serial.c. */
SMALL void run(struct aead_op *all, size_t n, enum task task) {
    struct work w;
    bool used = false;
    while (n > 0) {
        struct aead_op *ops[WINDOW];
        size_t window = n < WINDOW ? n : WINDOW;
        for (size_t i = 0; i < window; i++)
            ops[i] = &all[i];
        if (window > LANES)
            sort_by_length(ops, window);
        for (size_t i = 0; i < window;) {
            size_t chunk = window - i < LANES ? window - i : LANES;
            if (chunk >= FEW) {
                used = true;
                run_together(&w, ops + i, chunk, task);
                i += chunk;
            } else {
                run_alone(ops[i++], task);
            }
        }
        all += window;
        n -= window;
    }
    if (used)
        ct_wipe(&w, sizeof w);
}

static void seal_batch(struct aead_op *ops, size_t n) {
    run(ops, n, SEAL);
}

static void open_batch(struct aead_op *ops, size_t n) {
    run(ops, n, OPEN);
}

static void authenticate_batch(struct aead_op *ops, size_t n) {
    run(ops, n, AUTHENTICATE);
}

static void verify_batch(struct aead_op *ops, size_t n) {
    run(ops, n, VERIFY);
}

#endif
