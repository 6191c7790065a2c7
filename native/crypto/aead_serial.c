/* SPDX-License-Identifier: MIT */
/* The AEAD one packet after the other. Once per packet. */
#include "crypto/aead_serial.h"

#include <string.h>

#include "crypto/ct.h"

/*
 * Everything secret that is in memory while a batch runs; wiped once per batch, not per packet.
 * What stays behind is what compilers spill: words of key stream and of the Poly1305 sum in dead
 * stack below us and in registers, overwritten by the next batch. Reaching them takes reading this
 * process's memory, where the session keys themselves are.
 */
struct work {
    struct chacha20 cipher;
    struct poly1305 poly;
    uint8_t poly_key[CHACHA20_BLOCK];
    uint8_t tag[AEAD_TAG_LEN];
};

/* Key stream block 0 keys Poly1305, the message starts at block 1. */
static void begin(const struct aead_parts *parts, struct work *w, const struct aead_op *op) {
    static const uint8_t zeros[CHACHA20_BLOCK];
    uint32_t nonce[3] = {0, (uint32_t)op->counter, (uint32_t)(op->counter >> 32)};
    chacha20_init(&w->cipher, op->key, nonce);
    parts->xor_stream(&w->cipher, w->poly_key, zeros, sizeof zeros);
    parts->poly->init(&w->poly, w->poly_key);
}

/* Over what is encrypted; in the clear, over associated data. */
static void make_tag(const struct aead_parts *parts, struct work *w, const uint8_t *data,
                     size_t len) {
    poly1305_padded(parts->poly, &w->poly, data, len);
    poly1305_lengths(parts->poly, &w->poly, parts->clear ? len : 0, parts->clear ? 0 : len);
    parts->poly->final(&w->poly, w->tag);
}

void aead_serial_seal(const struct aead_parts *parts, struct aead_op *ops, size_t n) {
    struct work w;
    for (size_t i = 0; i < n; i++) {
        struct aead_op *op = &ops[i];
        begin(parts, &w, op);
        if (!parts->clear)
            parts->xor_stream(&w.cipher, op->dst, op->src, op->len);
        make_tag(parts, &w, op->dst, op->len);
        memcpy(op->dst + op->len, w.tag, AEAD_TAG_LEN);
        op->ok = true;
    }
    ct_wipe(&w, sizeof w);
}

void aead_serial_open(const struct aead_parts *parts, struct aead_op *ops, size_t n) {
    struct work w;
    for (size_t i = 0; i < n; i++) {
        struct aead_op *op = &ops[i];
        begin(parts, &w, op);
        make_tag(parts, &w, op->src, op->len);
        op->ok = ct_equal(w.tag, op->src + op->len, AEAD_TAG_LEN);
        if (op->ok && !parts->clear)
            parts->xor_stream(&w.cipher, op->dst, op->src, op->len);
    }
    ct_wipe(&w, sizeof w);
}
