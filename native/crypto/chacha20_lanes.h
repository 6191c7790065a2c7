/* SPDX-License-Identifier: MIT */
/*
 * ChaCha20 in vector lanes. A lane is a packet as far as all packets reach; from there on it is a
 * 64-byte block of any of them, so that all lanes work whatever the lengths are.
 *
 * The including file defines LANES and rotate_left(x, n) of a vec32, n = 16, 12, 8 or 7.
 */
#ifndef TL_CHACHA20_LANES_H
#define TL_CHACHA20_LANES_H

#include "crypto/aead.h"
#include "crypto/chacha20.h"
#include "crypto/ct.h"
#include "crypto/lanes.h"
#include "crypto/le.h"

#define WORD vec32
#define ROTATE(x, n) rotate_left(x, n)
#include "crypto/chacha20_rounds.h"

enum {
    BLOCK = CHACHA20_BLOCK,
    MOST = LANES - LANES / 4 + 1, /* from so many packets on, lanes of their own are faster */
};

union rows {
    vec32 v[16];
    uint32_t word[16][LANES];
};

/* A lane is a block. */
struct blocks {
    union rows rows;
    vec32 words[16]; /* the key stream as the rounds leave it */
    uint8_t stream[LANES][BLOCK];
};

/* A block of each of LANES packets on its way out. */
struct outgoing {
    vec32 words[16]; /* likewise */
    vec64 pieces[4][4];
    const uint8_t *src[LANES];
    uint8_t *dst[LANES]; /* NULL: the lane has no packet */
    size_t at;
};

struct cipher {
    union rows packets; /* a lane is a packet; counters are of the block made last, at first 0 */
    vec32 begun[16]; /* the same after that part of the rounds which the counter does not reach */
    struct outgoing out;
    struct blocks blocks; /* for what the packets have not in common */
};

enum { WRITES = 8 };

/*
 * One of the WRITES parts of: transpose the key stream, add it to the packets. All shuffles go
 * through one port of an x86 core and wait for the last round; they are spread over the rounds of
 * the next block, which keep another port busier.
 */
INLINE void write_part(struct outgoing *o, int part) {
    if (part < 4) {
        transpose_quad(o->pieces, o->words, part);
        return;
    }
    int k = part - 4;
    vec64 y[4] = {o->pieces[k][0], o->pieces[k][1], o->pieces[k][2], o->pieces[k][3]};
    transpose_parts(y);
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) {
        int lane = 4 * (j % PARTS) + k;
        size_t at = o->at + 16 * (size_t)(j / PARTS * PARTS);
        if (o->dst[lane] == NULL)
            continue;
        vec64 v = y[j] ^ vec64_load(o->src[lane] + at);
        memcpy(o->dst[lane] + at, &v, sizeof v);
    }
}

/* What run_rows() begins with. */
ONCE void begin_rows(vec32 begun[16], const union rows *rows) {
    vec32 x[16];
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++)
        x[i] = rows->v[i];
    begin_rounds(x);
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++)
        begun[i] = x[i];
}

/* words = a block of key stream for each lane. Unless o is NULL, the words that are in o go out at
 * the same time; `words` may be the same place. */
ONCE void run_rows(vec32 words[16], const vec32 begun[16], const union rows *rows,
                   struct outgoing *o) {
    vec32 x[16];
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++)
        x[i] = begun[i];
    x[12] = rows->v[12];
    go_on_with_counter(x);
    for (int i = 0; i < 9; i++) {
        if (o != NULL && i < WRITES)
            write_part(o, i);
        double_round(x);
    }
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++)
        words[i] = x[i] + rows->v[i];
}

ONCE void store_blocks(uint8_t out[LANES][BLOCK], const vec32 words[16]) {
    vec64 y[4][4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++)
        transpose_quad(y, words, i);
#pragma GCC unroll 4
    for (int k = 0; k < 4; k++) {
        transpose_parts(y[k]);
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++)
            memcpy(out[4 * (j % PARTS) + k] + 16 * (j / PARTS * PARTS), &y[k][j], sizeof(vec64));
    }
}

/* stream = a block of key stream for each lane. */
static void run_blocks(struct blocks *b) {
    begin_rows(b->words, &b->rows);
    run_rows(b->words, b->words, &b->rows, NULL);
    store_blocks(b->stream, b->words);
}

/* Keys and counters of up to LANES packets; what is in the other lanes does not matter. */
SMALL void set_packets(struct cipher *c, struct aead_op *const *ops, size_t n) {
    union rows *r = &c->packets;
    size_t same = 1;
    while (same < n && ops[same]->key == ops[0]->key)
        same++;
    for (int i = 0; i < 4; i++)
        r->v[i] = (vec32){0} + expand[i];
    for (int i = 0; i < 8; i++)
        r->v[4 + i] = (vec32){0} + le32_load(ops[0]->key + 4 * i);
    for (size_t lane = same; lane < n; lane++)
        for (int i = 0; i < 8; i++)
            r->word[4 + i][lane] = le32_load(ops[lane]->key + 4 * i);
    for (int i = 12; i < 16; i++)
        r->v[i] = (vec32){0};
    for (size_t lane = 0; lane < n; lane++) {
        r->word[14][lane] = (uint32_t)ops[lane]->counter;
        r->word[15][lane] = (uint32_t)(ops[lane]->counter >> 32);
    }
    begin_rows(c->begun, r);
    memcpy(&c->blocks.rows, r, sizeof c->blocks.rows);
}

/* Key stream block 0 of each packet, whose first half is its Poly1305 key. */
static void make_keys(struct cipher *c, uint8_t keys[LANES][BLOCK]) {
    run_rows(c->out.words, c->begun, &c->packets, NULL);
    store_blocks(keys, c->out.words);
}

/* The first `blocks` whole blocks of n packets, blocks >= 1. */
static void xor_together(struct cipher *c, struct aead_op *const *ops, size_t n, uint32_t blocks) {
    struct outgoing *o = &c->out;
    for (size_t i = 0; i < LANES; i++) {
        o->src[i] = i < n ? ops[i]->src : NULL;
        o->dst[i] = i < n ? ops[i]->dst : NULL;
    }
    o->at = 0;
    c->packets.v[12] = (vec32){0} + 1;
    run_rows(o->words, c->begun, &c->packets, NULL);
    for (uint32_t block = 1; block < blocks; block++) {
        c->packets.v[12] += 1;
        run_rows(o->words, c->begun, &c->packets, o);
        o->at += BLOCK;
    }
    for (int i = 0; i < WRITES; i++)
        write_part(o, i);
}

/* A block of a packet, in a lane of its own. */
struct slot {
    uint32_t packet;
    uint32_t at; /* its first byte */
};

INLINE void xor_whole(uint8_t *dst, const uint8_t *src, const uint8_t *stream) {
#pragma GCC unroll 4
    for (size_t i = 0; i < BLOCK; i += sizeof(vec64)) {
        vec64 v = vec64_load(src + i) ^ vec64_load(stream + i);
        memcpy(dst + i, &v, sizeof v);
    }
}

/* Up to one block, n >= 1. */
ONCE void xor_block(uint8_t *dst, const uint8_t *src, const uint8_t *stream, size_t n) {
    if (n >= BLOCK) {
        xor_whole(dst, src, stream);
    } else {
        for (; n >= 8; n -= 8, dst += 8, src += 8, stream += 8)
            le64_store(dst, le64_load(src) ^ le64_load(stream));
        for (size_t i = 0; i < n; i++)
            dst[i] = src[i] ^ stream[i];
    }
}

SMALL void run_slots(struct cipher *c, struct aead_op *const *ops, const struct slot *slots,
                     size_t n) {
    union rows *r = &c->blocks.rows;
    bool one_key = true;
    for (size_t i = 0; i < n; i++) {
        const struct aead_op *op = ops[slots[i].packet];
        one_key = one_key && op->key == ops[0]->key;
        r->word[12][i] = slots[i].at / BLOCK + 1;
        r->word[14][i] = (uint32_t)op->counter;
        r->word[15][i] = (uint32_t)(op->counter >> 32);
    }
    if (one_key && n > 0) /* another set of slots may have had other keys */
        for (int i = 4; i < 12; i++)
            r->v[i] = (vec32){0} + c->packets.word[i][0];
    else
        for (size_t i = 0; i < n; i++)
            for (int j = 4; j < 12; j++)
                r->word[j][i] = c->packets.word[j][slots[i].packet];
    run_blocks(&c->blocks);
    for (size_t i = 0; i < n; i++) {
        const struct aead_op *op = ops[slots[i].packet];
        uint32_t at = slots[i].at;
        xor_block(op->dst + at, op->src + at, c->blocks.stream[i], op->len - at);
    }
}

/* The messages of those packets that are ok. */
static void xor_packets(struct cipher *c, struct aead_op *const *ops, size_t n) {
    uint32_t together = n >= MOST ? UINT32_MAX : 0; /* blocks that all have */
    for (size_t i = 0; i < n; i++) {
        uint32_t blocks = ops[i]->ok ? ops[i]->len / BLOCK : 0;
        if (blocks < together)
            together = blocks;
    }
    if (together > 0)
        xor_together(c, ops, n, together);
    struct slot slots[LANES];
    size_t used = 0;
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t at = together * BLOCK; ops[i]->ok && at < ops[i]->len; at += BLOCK) {
            slots[used++] = (struct slot){i, at};
            if (used == LANES) {
                run_slots(c, ops, slots, used);
                used = 0;
            }
        }
    }
    if (used > 0)
        run_slots(c, ops, slots, used);
}

/* One packet's stream, for the few that come alone; a short end is cheaper without vectors. */
SMALL void xor_stream(struct chacha20 *s, uint8_t *dst, const uint8_t *src, size_t len) {
    enum { SHORT = LANES <= 4 ? BLOCK : 3 * BLOCK };
    if (len > SHORT) {
        struct blocks b;
        for (int i = 0; i < 16; i++)
            b.rows.v[i] = (vec32){0} + s->word[i];
        while (len > SHORT) {
            for (uint32_t lane = 0; lane < LANES; lane++)
                b.rows.word[12][lane] = s->word[12] + lane;
            run_blocks(&b);
            for (size_t i = 0; i < LANES && len > 0; i++) {
                size_t n = len < BLOCK ? len : BLOCK;
                xor_block(dst, src, b.stream[i], n);
                dst += n, src += n, len -= n;
                s->word[12]++;
            }
        }
        ct_wipe(&b, sizeof b);
    }
    if (len > 0)
        chacha20_xor(s, dst, src, len);
}

#endif
