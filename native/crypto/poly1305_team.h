/* SPDX-License-Identifier: MIT */
/*
 * Poly1305 of as many packets as there are lanes. A lane is a packet, because its key is the
 * packet's own, and all packets end together: h = (h + 0) r stays 0 in a lane that has not begun,
 * so a shorter packet begins later.
 *
 * The including file defines LANES, and struct accumulator with its functions by
 * poly1305_lanes26.h or poly1305_lanes44.h.
 *
 * What runs once or twice a packet is not unrolled: routers count the bytes.
 */
#ifndef TL_POLY1305_TEAM_H
#define TL_POLY1305_TEAM_H

#include <stdbool.h>

#include "crypto/lanes.h"
#include "crypto/le.h"
#include "crypto/poly1305.h"

enum {
    STEP = 8 * PACKETS,                  /* bytes of a packet that make a square of 64-bit words */
    STEP_BLOCKS = STEP / POLY1305_BLOCK, /* 1, 2 or 4 */
    TAIL_BLOCKS = STEP_BLOCKS < 2 ? 2 : STEP_BLOCKS, /* hold the padded block and the lengths */
    TAIL_STEPS = TAIL_BLOCKS / STEP_BLOCKS,
    GROUPS = LANES / PACKETS, /* two: each hides the latency of the other's multiplications */
};

/* The blocks of a packet count from its first; block `blocks - 1` holds the lengths. */
struct lane {
    const uint8_t *data;
    uint32_t len;
    uint32_t blocks;
    uint32_t begin; /* step of its first block */
    uint32_t pad;   /* blocks before that block, in the step */
    bool clear;     /* associated data: its length is the first of the two */
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

/* n < 64. Two pieces that may overlap: no call, and no loop over bytes. */
INLINE void copy_short(uint8_t *dst, const uint8_t *src, size_t n) {
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

/* Blocks `first` (which may be before the packet) and up as they are authenticated. */
ONCE void copy_blocks(uint8_t *out, size_t size, const struct lane *l, int32_t first) {
    memset(out, 0, size);
    size_t skip = first < 0 ? (size_t)-first * POLY1305_BLOCK : 0;
    size_t from = first < 0 ? 0 : (size_t)first * POLY1305_BLOCK;
    if (skip < size && from < l->len) {
        size_t n = l->len - from;
        if (n > size - skip)
            n = size - skip;
        if (n >= STEP)
            memcpy(out + skip, l->data + from, n);
        else
            copy_short(out + skip, l->data + from, n);
    }
    size_t last = ((size_t)l->blocks - 1) * POLY1305_BLOCK; /* the lengths, of which one is 0 */
    if (skip + last < from + size)
        le64_store(out + skip + last - from + (l->clear ? 0 : 8), l->len);
}

static void add_lane(struct team *t, const uint8_t *data, uint32_t len, bool clear) {
    struct lane *l = &t->lanes[t->n++];
    l->data = data;
    l->len = len;
    l->clear = clear;
    l->blocks = (len + POLY1305_BLOCK - 1) / POLY1305_BLOCK + 1;
    uint32_t steps = (l->blocks + STEP_BLOCKS - 1) / STEP_BLOCKS;
    l->pad = steps * STEP_BLOCKS - l->blocks;
    copy_blocks(l->head, sizeof l->head, l, -(int32_t)l->pad);
    copy_blocks(l->tail, sizeof l->tail, l, (int32_t)l->blocks - TAIL_BLOCKS);
    l->begin = steps; /* from the end, until all are known */
}

/* The key of packet i is 32 bytes at keys[i]; lanes that are not used take what they find. */
static void set_poly_keys(struct team *t, const uint8_t keys[LANES][64]) {
#pragma GCC unroll 1
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

/* load_step() where a step is not one of many. */
ONCE void load_one_step(vec64 v[PACKETS], const uint8_t *const data[PACKETS]) {
    load_step(v, data, 0);
}

/* Adds a step from its block `first` on; tops: see accumulator_block(), NULL: all count. */
ONCE void add_one_step(struct accumulator *sum, const vec64 v[PACKETS], int first,
                       const vec64 *tops) {
#pragma GCC unroll 1
    for (int b = first; b < STEP_BLOCKS; b++)
        accumulator_block(sum, v[2 * b], v[2 * b + 1], tops != NULL ? tops[b] : vec64_all(1));
}

static uint32_t groups_used(const struct team *t) {
    return (t->n + PACKETS - 1) / PACKETS;
}

/* A lane's bytes for a step at a border: copies, padded where its packet begins or ends. */
static const uint8_t *border_data(const struct team *t, uint32_t lane, uint32_t step) {
    const struct lane *l = &t->lanes[lane];
    if (step + TAIL_STEPS >= t->steps)
        return l->tail + (step + TAIL_STEPS - t->steps) * STEP;
    if (step == l->begin)
        return l->head;
    return l->data + (step - l->begin) * STEP - l->pad * POLY1305_BLOCK;
}

/* A step where all packets, which have the same number of blocks, begin or end. */
ONCE void common_border_step(struct team *t, uint32_t step) {
    int pad = step == 0 ? (int)t->lanes[0].pad : 0;
    for (uint32_t g = 0; g < groups_used(t); g++) {
        const uint8_t *data[PACKETS];
        vec64 v[PACKETS];
        for (uint32_t i = 0; i < PACKETS; i++)
            data[i] = border_data(t, g * PACKETS + i < t->n ? g * PACKETS + i : 0, step);
        load_one_step(v, data);
        add_one_step(&t->sums[g], v, pad, NULL);
    }
}

/* A step where a packet begins or all end: 2^128 is added only to the blocks that there are. */
SMALL void border_step(struct team *t, uint32_t step) {
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
        load_one_step(v, data);
        add_one_step(&t->sums[g], v, 0, top.v);
    }
}

/* `n` steps from data[] on, of the first group alone. */
SMALL void sum_up_first(struct team *t, const uint8_t *data[PACKETS], uint32_t n) {
    for (; n > 0; n--) {
        vec64 v[PACKETS];
        load_one_step(v, data);
        add_one_step(&t->sums[0], v, 0, NULL);
        for (int i = 0; i < PACKETS; i++)
            data[i] += STEP;
    }
}

/*
 * `n` steps from data[] on. Both groups take turns after each block: near enough for a core to see
 * both chains of multiplications. The sums are copied because the bytes that are read could
 * otherwise be the sums, as far as C knows.
 */
ONCE void sum_up_both(struct team *t, const uint8_t *const data[LANES], uint32_t n) {
    const vec64 top = vec64_all(1);
    struct accumulator a = t->sums[0];
    struct accumulator b = t->sums[1];
    for (size_t at = 0; at < (size_t)n * STEP; at += STEP) {
        vec64 v[PACKETS];
        vec64 w[PACKETS];
        load_step(v, data, at);
        load_step(w, data + PACKETS, at);
#pragma GCC unroll 1
        for (int i = 0; i < STEP_BLOCKS; i++) {
            accumulator_block(&a, v[2 * i], v[2 * i + 1], top);
            accumulator_block(&b, w[2 * i], w[2 * i + 1], top);
        }
    }
    t->sums[0] = a;
    t->sums[1] = b;
}

/* Steps inside all packets that have begun; a lane that has not sums up another packet's bytes and
 * starts over at its own. */
SMALL void inner_steps(struct team *t, uint32_t step, uint32_t end) {
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
        sum_up_both(t, data, end - step);
    else
        sum_up_first(t, data, end - step);
}

/* words = (h mod 2^130 - 5) + words mod 2^128: the tags. */
static void finish(struct team *t) {
#pragma GCC unroll 1
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

static void run_team(struct team *t, const uint8_t keys[LANES][64]) {
    set_poly_keys(t, keys);
    t->steps = 0;
    bool common = true;
    for (uint32_t i = 0; i < t->n; i++)
        if (t->lanes[i].begin > t->steps)
            t->steps = t->lanes[i].begin;
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

static void take_tag(const struct team *t, size_t lane, uint8_t tag[POLY1305_TAG]) {
    le64_store(tag, t->words[0].word[lane]);
    le64_store(tag + 8, t->words[1].word[lane]);
}

#endif
