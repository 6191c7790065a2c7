/* SPDX-License-Identifier: MIT */
/*
 * ChaCha20-Poly1305 in vector lanes, across the packets of a batch. Included once by the file of
 * each instruction set, which defines before it:
 *
 *   LANES              32-bit lanes of a vector: 4, 8 or 16
 *   rotate_left(x, n)  of a vec32, n = 16, 12, 8 or 7
 *   POLY1305_ALONE     a poly1305_impl for packets that come alone
 *   struct accumulator and its functions, by poly1305_lanes26.h or poly1305_lanes44.h
 *
 * As many packets as there are lanes are worked on together.
 * ChaCha20: a lane is a packet as far as all of them reach. From there on it is a 64-byte block of
 * any of them, so that all lanes work whatever the lengths are.
 * Poly1305: a lane is a packet, because its key is the packet's own, and all packets end together:
 * h = (h + 0) r stays 0 in a lane that has not begun, so a shorter packet begins later.
 */
#ifndef TL_CHACHA20POLY1305_LANES_H
#define TL_CHACHA20POLY1305_LANES_H

#include "aead_serial.h"
#include "ct.h"
#include "lanes.h"
#include "le.h"

enum {
    STEP = 8 * PACKETS,                  /* bytes of a packet that make a square of 64-bit words */
    STEP_BLOCKS = STEP / POLY1305_BLOCK, /* 1, 2 or 4 */
    TAIL_BLOCKS = STEP_BLOCKS < 2 ? 2 : STEP_BLOCKS, /* hold the padded block and the lengths */
    TAIL_STEPS = TAIL_BLOCKS / STEP_BLOCKS,
    GROUPS = LANES / PACKETS, /* two: each hides the latency of the other's multiplications */
    WINDOW = 64,              /* packets that are sorted by length where lengths differ */
    FEW = 4,                  /* fewer packets than this leave too many lanes idle */
    BLOCK = CHACHA20_BLOCK,
};

/* -- ChaCha20 -- */

union rows {
    vec32 v[16];
    uint32_t word[16][LANES];
};

/* A block of each of LANES packets on its way out. */
struct outgoing {
    vec32 words[16]; /* the key stream as the rounds leave it */
    vec64 pieces[4][4];
    const uint8_t *src[LANES];
    uint8_t *dst[LANES];
    size_t at;
};

struct cipher {
    union rows packets; /* a lane is a packet; counters are 0 */
    vec32 begun[16];   /* the same after that part of the rounds which the counter does not reach */
    union rows blocks; /* a lane is a block; also the keys of `packets` */
    uint8_t stream[LANES][BLOCK];
    struct outgoing out;
};

#define QUARTER_ROUND(a, b, c, d)                                                                  \
    do {                                                                                           \
        x[a] += x[b], x[d] = rotate_left(x[d] ^ x[a], 16);                                         \
        QUARTER_ROUND_REST(a, b, c, d);                                                            \
    } while (0)

#define QUARTER_ROUND_REST(a, b, c, d)                                                             \
    do {                                                                                           \
        x[c] += x[d], x[b] = rotate_left(x[b] ^ x[c], 12);                                         \
        x[a] += x[b], x[d] = rotate_left(x[d] ^ x[a], 8);                                          \
        x[c] += x[d], x[b] = rotate_left(x[b] ^ x[c], 7);                                          \
    } while (0)

/* begin_rounds and end_rounds: as in chacha20.c. */
INLINE void begin_rounds(vec32 x[16]) {
    x[0] += x[4];
    QUARTER_ROUND(1, 5, 9, 13);
    QUARTER_ROUND(2, 6, 10, 14);
    QUARTER_ROUND(3, 7, 11, 15);
    x[1] += x[6];
    x[2] += x[7], x[13] = rotate_left(x[13] ^ x[2], 16);
}

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
        vec64 v = y[j] ^ vec64_load(o->src[lane] + at);
        memcpy(o->dst[lane] + at, &v, sizeof v);
    }
}

/* The rest of the rounds; at the same time a block before this one goes out, unless o is NULL. */
INLINE void end_rounds(vec32 x[16], struct outgoing *o) {
    x[12] = rotate_left(x[12] ^ x[0], 16);
    QUARTER_ROUND_REST(0, 4, 8, 12);
    QUARTER_ROUND(0, 5, 10, 15);
    x[12] = rotate_left(x[12] ^ x[1], 16);
    QUARTER_ROUND_REST(1, 6, 11, 12);
    QUARTER_ROUND_REST(2, 7, 8, 13);
    QUARTER_ROUND(3, 4, 9, 14);
    for (int i = 0; i < 9; i++) {
        if (o != NULL && i < WRITES)
            write_part(o, i);
        QUARTER_ROUND(0, 4, 8, 12);
        QUARTER_ROUND(1, 5, 9, 13);
        QUARTER_ROUND(2, 6, 10, 14);
        QUARTER_ROUND(3, 7, 11, 15);
        QUARTER_ROUND(0, 5, 10, 15);
        QUARTER_ROUND(1, 6, 11, 12);
        QUARTER_ROUND(2, 7, 8, 13);
        QUARTER_ROUND(3, 4, 9, 14);
    }
}

/* words = block `counter` of each packet's key stream. */
INLINE void run_packets(const struct cipher *c, vec32 words[16], uint32_t counter,
                        struct outgoing *o) {
    vec32 x[16];
    vec32 count = (vec32){0} + counter;
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++)
        x[i] = c->begun[i];
    x[12] = count;
    end_rounds(x, o);
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++)
        words[i] = x[i] + (i == 12 ? count : c->packets.v[i]);
}

INLINE void store_blocks(uint8_t out[LANES][BLOCK], const vec32 words[16]) {
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

/* c->stream = a block of key stream for each lane of c->blocks. */
static void run_blocks(struct cipher *c) {
    vec32 x[16];
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++)
        x[i] = c->blocks.v[i];
    begin_rounds(x);
    end_rounds(x, NULL);
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++)
        x[i] += c->blocks.v[i];
    store_blocks(c->stream, x);
}

/* Keys and counters of up to LANES packets; what is in the other lanes does not matter. */
static void set_packets(struct cipher *c, struct aead_op *const *ops, size_t n) {
    static const uint32_t expand[4] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
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
    memcpy(c->begun, r->v, sizeof c->begun);
    begin_rounds(c->begun);
    memcpy(&c->blocks, r, sizeof c->blocks);
}

/* Key stream block 0 of each packet, whose first half is its Poly1305 key. */
static void make_keys(const struct cipher *c, uint8_t keys[LANES][BLOCK]) {
    vec32 words[16];
    run_packets(c, words, 0, NULL);
    store_blocks(keys, words);
}

/* The first `n` whole blocks of LANES packets, n >= 1. */
static void xor_together(struct cipher *c, struct aead_op *const *ops, uint32_t n) {
    struct outgoing *o = &c->out;
    for (size_t i = 0; i < LANES; i++) {
        o->src[i] = ops[i]->src;
        o->dst[i] = ops[i]->dst;
    }
    o->at = 0;
    run_packets(c, o->words, 1, NULL);
    for (uint32_t block = 1; block < n; block++) {
        run_packets(c, o->words, block + 1, o);
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

INLINE void copy_short(uint8_t *dst, const uint8_t *src, size_t n) {
    /* Two pieces that may overlap: no call, and no loop over bytes. */
    if (n >= 32) {
        uint8_t a[32], b[32];
        memcpy(a, src, 32), memcpy(b, src + n - 32, 32);
        memcpy(dst, a, 32), memcpy(dst + n - 32, b, 32);
    } else if (n >= 16) {
        uint8_t a[16], b[16];
        memcpy(a, src, 16), memcpy(b, src + n - 16, 16);
        memcpy(dst, a, 16), memcpy(dst + n - 16, b, 16);
    } else if (n >= 8) {
        uint64_t a = le64_load(src), b = le64_load(src + n - 8);
        le64_store(dst, a), le64_store(dst + n - 8, b);
    } else if (n >= 4) {
        uint32_t a = le32_load(src), b = le32_load(src + n - 4);
        le32_store(dst, a), le32_store(dst + n - 4, b);
    } else {
        for (size_t i = 0; i < n; i++)
            dst[i] = src[i];
    }
}

INLINE void xor_whole(uint8_t *dst, const uint8_t *src, const uint8_t *stream) {
#pragma GCC unroll 4
    for (size_t i = 0; i < BLOCK; i += sizeof(vec64)) {
        vec64 v = vec64_load(src + i) ^ vec64_load(stream + i);
        memcpy(dst + i, &v, sizeof v);
    }
}

/* Up to one block, n >= 1. */
static void xor_block(uint8_t *dst, const uint8_t *src, const uint8_t *stream, size_t n) {
    if (n >= BLOCK) {
        xor_whole(dst, src, stream);
    } else {
        for (; n >= 8; n -= 8, dst += 8, src += 8, stream += 8)
            le64_store(dst, le64_load(src) ^ le64_load(stream));
        for (size_t i = 0; i < n; i++)
            dst[i] = src[i] ^ stream[i];
    }
}

static void run_slots(struct cipher *c, struct aead_op *const *ops, const struct slot *slots,
                      size_t n) {
    bool one_key = true;
    for (size_t i = 0; i < n; i++) {
        const struct aead_op *op = ops[slots[i].packet];
        one_key = one_key && op->key == ops[0]->key;
        c->blocks.word[12][i] = slots[i].at / BLOCK + 1;
        c->blocks.word[14][i] = (uint32_t)op->counter;
        c->blocks.word[15][i] = (uint32_t)(op->counter >> 32);
    }
    if (one_key && n > 0) /* another set of slots may have had other keys */
        for (int i = 4; i < 12; i++)
            c->blocks.v[i] = (vec32){0} + c->packets.word[i][0];
    else
        for (size_t i = 0; i < n; i++)
            for (int j = 4; j < 12; j++)
                c->blocks.word[j][i] = c->packets.word[j][slots[i].packet];
    run_blocks(c);
    for (size_t i = 0; i < n; i++) {
        const struct aead_op *op = ops[slots[i].packet];
        uint32_t at = slots[i].at;
        xor_block(op->dst + at, op->src + at, c->stream[i], op->len - at);
    }
}

/* The messages of those packets that are ok. */
static void xor_packets(struct cipher *c, struct aead_op *const *ops, size_t n) {
    uint32_t together = n == LANES ? UINT32_MAX : 0; /* blocks that all have */
    for (size_t i = 0; i < n; i++) {
        uint32_t blocks = ops[i]->ok ? ops[i]->len / BLOCK : 0;
        if (blocks < together)
            together = blocks;
    }
    if (together > 0)
        xor_together(c, ops, together);
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
static void xor_stream(struct chacha20 *s, uint8_t *dst, const uint8_t *src, size_t len) {
    enum { SHORT = LANES <= 4 ? BLOCK : 3 * BLOCK };
    if (len > SHORT) {
        struct cipher c;
        for (int i = 0; i < 16; i++)
            c.blocks.v[i] = (vec32){0} + s->word[i];
        while (len > SHORT) {
            for (uint32_t lane = 0; lane < LANES; lane++)
                c.blocks.word[12][lane] = s->word[12] + lane;
            run_blocks(&c);
            for (size_t i = 0; i < LANES && len > 0; i++) {
                size_t n = len < BLOCK ? len : BLOCK;
                xor_block(dst, src, c.stream[i], n);
                dst += n, src += n, len -= n;
                s->word[12]++;
            }
        }
        ct_wipe(&c, sizeof c);
    }
    if (len > 0)
        chacha20_xor(s, dst, src, len);
}

/* -- Poly1305 -- */

/* The blocks of a packet count from its first; block `blocks - 1` holds the lengths. */
struct lane {
    const uint8_t *data;
    uint32_t len;
    uint32_t blocks;
    uint32_t begin; /* step of its first block */
    uint32_t pad;   /* blocks before that block, in the step */
    uint8_t head[STEP];
    uint8_t tail[TAIL_STEPS * STEP];
};

struct team {
    struct accumulator sums[GROUPS];
    struct lane lanes[LANES];
    uint32_t n; /* lanes in use */
    uint32_t steps;
    union {
        vec64 v[GROUPS];
        uint64_t word[LANES];
    } words[2];
};

/* Blocks `first` (which may be before the packet) and up as they are authenticated. */
static void copy_blocks(uint8_t *out, size_t size, const struct lane *l, int32_t first) {
    memset(out, 0, size);
    size_t skip = first < 0 ? (size_t)-first * POLY1305_BLOCK : 0;
    size_t from = first < 0 ? 0 : (size_t)first * POLY1305_BLOCK;
    if (skip < size && from < l->len) {
        size_t n = l->len - from;
        if (n > size - skip)
            n = size - skip;
        if (n >= BLOCK)
            memcpy(out + skip, l->data + from, BLOCK);
        else
            copy_short(out + skip, l->data + from, n);
    }
    size_t last = ((size_t)l->blocks - 1) * POLY1305_BLOCK; /* the lengths: no associated data */
    if (skip + last < from + size)
        le64_store(out + skip + last - from + 8, l->len);
}

static void add_lane(struct team *t, const uint8_t *data, uint32_t len) {
    struct lane *l = &t->lanes[t->n++];
    l->data = data;
    l->len = len;
    l->blocks = (len + POLY1305_BLOCK - 1) / POLY1305_BLOCK + 1;
    uint32_t steps = (l->blocks + STEP_BLOCKS - 1) / STEP_BLOCKS;
    l->pad = steps * STEP_BLOCKS - l->blocks;
    copy_blocks(l->head, sizeof l->head, l, -(int32_t)l->pad);
    copy_blocks(l->tail, sizeof l->tail, l, (int32_t)l->blocks - TAIL_BLOCKS);
    l->begin = steps; /* from the end, until all are known */
    if (steps > t->steps)
        t->steps = steps;
}

/* The key of packet i is 32 bytes at keys[i]; lanes that are not used take what they find. */
static void set_poly_keys(struct team *t, const uint8_t keys[LANES][BLOCK]) {
    for (uint32_t g = 0; g < GROUPS; g++) {
        vec64 k[PACKETS < 4 ? 4 : PACKETS]; /* r in the first two, what is added in the next */
#pragma GCC unroll 2
        for (int j = 0; j < 4; j += PACKETS) {
#pragma GCC unroll 8
            for (int i = 0; i < PACKETS; i++)
                k[j + i] = vec64_load(keys[(int)g * PACKETS + i] + 8 * j);
            transpose64(k + j);
        }
        accumulator_init(&t->sums[g], k[0], k[1]);
        t->words[0].v[g] = k[2];
        t->words[1].v[g] = k[3];
    }
}

/* One step of one group: STEP bytes of each packet. */
INLINE void load_step(vec64 v[PACKETS], const uint8_t *const data[PACKETS], size_t at) {
#pragma GCC unroll 8
    for (int i = 0; i < PACKETS; i++)
        v[i] = vec64_load(data[i] + at);
    transpose64(v);
}

static uint32_t groups_used(const struct team *t) {
    return (t->n + PACKETS - 1) / PACKETS;
}

/* Lane `lane`'s bytes for a step at a border: copies that are padded where a packet begins or ends.
 */
static const uint8_t *border_data(const struct team *t, uint32_t lane, uint32_t step) {
    const struct lane *l = &t->lanes[lane];
    if (step + TAIL_STEPS >= t->steps)
        return l->tail + (step + TAIL_STEPS - t->steps) * STEP;
    if (step == l->begin)
        return l->head;
    return l->data + (step - l->begin) * STEP - l->pad * POLY1305_BLOCK;
}

/* A step where all packets, which have the same number of blocks, begin or end. */
static void common_border_step(struct team *t, uint32_t step) {
    int pad = step == 0 ? (int)t->lanes[0].pad : 0;
    for (uint32_t g = 0; g < groups_used(t); g++) {
        const uint8_t *data[PACKETS];
        vec64 v[PACKETS];
        for (uint32_t i = 0; i < PACKETS; i++)
            data[i] = border_data(t, g * PACKETS + i < t->n ? g * PACKETS + i : 0, step);
        load_step(v, data, 0);
        for (int b = pad; b < STEP_BLOCKS; b++)
            accumulator_block(&t->sums[g], v[2 * b], v[2 * b + 1], vec64_all(1));
    }
}

/* A step where a packet begins or all end: 2^128 is added only to the blocks that there are. */
static void border_step(struct team *t, uint32_t step) {
    static const uint8_t zeros[STEP];
    for (uint32_t g = 0; g < groups_used(t); g++) {
        const uint8_t *data[PACKETS];
        vec64 v[PACKETS];
        union {
            vec64 v[STEP_BLOCKS + 1];
            uint64_t word[STEP_BLOCKS + 1][PACKETS];
        } top; /* and, last, all ones in the lanes that go on */
        for (uint32_t i = 0; i < PACKETS; i++) {
            uint32_t lane = g * PACKETS + i;
            const struct lane *l = &t->lanes[lane];
            bool used = lane < t->n && step >= l->begin;
            uint32_t pad = !used ? STEP_BLOCKS : step == l->begin ? l->pad : 0;
            for (uint32_t b = 0; b < STEP_BLOCKS; b++)
                top.word[b][i] = b >= pad;
            top.word[STEP_BLOCKS][i] = 0 - (uint64_t)(used && step > l->begin);
            data[i] = used ? border_data(t, lane, step) : zeros;
        }
        accumulator_keep(&t->sums[g], top.v[STEP_BLOCKS]);
        load_step(v, data, 0);
        for (int b = 0; b < STEP_BLOCKS; b++)
            accumulator_block(&t->sums[g], v[2 * b], v[2 * b + 1], top.v[b]);
    }
}

/*
 * `n` steps from data[] on. Both groups take turns after each block: near enough for a core to see
 * both chains of multiplications. The sums are copied because the bytes that are read could
 * otherwise be the sums, as far as C knows.
 */
INLINE void sum_up(struct team *t, const uint8_t *const data[LANES], uint32_t n, bool both) {
    const vec64 top = vec64_all(1);
    struct accumulator a = t->sums[0];
    struct accumulator b = t->sums[1];
    for (size_t at = 0; at < (size_t)n * STEP; at += STEP) {
        vec64 v[PACKETS];
        vec64 w[PACKETS] = {0};
        load_step(v, data, at);
        if (both)
            load_step(w, data + PACKETS, at);
#pragma GCC unroll 4
        for (int i = 0; i < STEP_BLOCKS; i++) {
            accumulator_block(&a, v[2 * i], v[2 * i + 1], top);
            if (both)
                accumulator_block(&b, w[2 * i], w[2 * i + 1], top);
        }
    }
    t->sums[0] = a;
    t->sums[1] = b;
}

/* Steps inside all packets that have begun; a lane that has not sums up another packet's bytes and
 * starts over at its own. */
static void inner_steps(struct team *t, uint32_t step, uint32_t end) {
    const uint8_t *data[LANES];
    const uint8_t *any = NULL;
    for (uint32_t i = 0; i < LANES; i++) {
        const struct lane *l = &t->lanes[i];
        data[i] = NULL;
        if (i < t->n && step > l->begin)
            any = data[i] = l->data + (step - l->begin) * STEP - l->pad * POLY1305_BLOCK;
    }
    for (uint32_t i = 0; i < LANES; i++)
        if (data[i] == NULL)
            data[i] = any;
    if (groups_used(t) == GROUPS)
        sum_up(t, data, end - step, true);
    else
        sum_up(t, data, end - step, false);
}

/* words = (h mod 2^130 - 5) + words mod 2^128: the tags. */
static void finish(struct team *t) {
    for (uint32_t g = 0; g < groups_used(t); g++) {
        vec64 h[3];
        accumulator_words(&t->sums[g], h);
        /* p is subtracted where h + 5 reaches 2^130. A comparison gives all ones, that is -1. */
        vec64 low = h[0] + 5;
        vec64 high = h[1] - (vec64)(low < h[0]);
        vec64 over = 0 - ((h[2] - (vec64)(high < h[1])) >> 2);
        low = (h[0] & ~over) | (low & over);
        high = (h[1] & ~over) | (high & over);
        vec64 sum = low + t->words[0].v[g];
        t->words[1].v[g] += high - (vec64)(sum < low);
        t->words[0].v[g] = sum;
    }
}

static void run_team(struct team *t) {
    bool common = true;
    for (uint32_t i = 0; i < t->n; i++) {
        t->lanes[i].begin = t->steps - t->lanes[i].begin;
        common = common && t->lanes[i].blocks == t->lanes[0].blocks;
    }
    uint32_t tail = t->steps > TAIL_STEPS ? t->steps - TAIL_STEPS : 0;
    for (uint32_t step = 0; step < t->steps;) {
        uint32_t next = tail; /* the first border from here on */
        for (uint32_t i = 0; i < t->n; i++)
            if (t->lanes[i].begin >= step && t->lanes[i].begin < next)
                next = t->lanes[i].begin;
        if (next > step) {
            inner_steps(t, step, next);
            step = next;
        } else if (common) {
            common_border_step(t, step++);
        } else {
            border_step(t, step++);
        }
    }
    finish(t);
}

/* -- the AEAD -- */

struct work {
    struct cipher cipher;
    struct team team;
    uint8_t keys[LANES][BLOCK];
};

static void authenticate(struct work *w, struct aead_op *const *ops, size_t n, bool sealing) {
    struct team *t = &w->team;
    t->n = t->steps = 0;
    for (size_t i = 0; i < n; i++)
        add_lane(t, sealing ? ops[i]->dst : ops[i]->src, ops[i]->len);
    set_poly_keys(t, (const uint8_t(*)[BLOCK])w->keys);
    run_team(t);
    for (size_t i = 0; i < n; i++) {
        uint8_t tag[AEAD_TAG_LEN];
        le64_store(tag, t->words[0].word[i]);
        le64_store(tag + 8, t->words[1].word[i]);
        if (sealing)
            memcpy(ops[i]->dst + ops[i]->len, tag, sizeof tag);
        else
            ops[i]->ok = ct_equal(tag, ops[i]->src + ops[i]->len, sizeof tag);
    }
}

/* Up to LANES packets. */
static void run_together(struct work *w, struct aead_op *const *ops, size_t n, bool sealing) {
    set_packets(&w->cipher, ops, n);
    make_keys(&w->cipher, w->keys);
    if (sealing) {
        for (size_t i = 0; i < n; i++)
            ops[i]->ok = true;
        xor_packets(&w->cipher, ops, n);
        authenticate(w, ops, n, sealing);
    } else {
        authenticate(w, ops, n, sealing);
        xor_packets(&w->cipher, ops, n);
    }
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

static const struct aead_parts alone = {xor_stream, &POLY1305_ALONE};

/* Secrets that are left behind: what the compiler spilled; see aead_serial.c. */
static void run(struct aead_op *all, size_t n, bool sealing) {
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
                run_together(&w, ops + i, chunk, sealing);
                i += chunk;
            } else if (sealing) {
                aead_serial_seal(&alone, ops[i++], 1);
            } else {
                aead_serial_open(&alone, ops[i++], 1);
            }
        }
        all += window;
        n -= window;
    }
    if (used)
        ct_wipe(&w, sizeof w);
}

static void seal_batch(struct aead_op *ops, size_t n) {
    run(ops, n, true);
}

static void open_batch(struct aead_op *ops, size_t n) {
    run(ops, n, false);
}

#endif
