/* SPDX-License-Identifier: MIT */
/*
 * Poly1305 of as many packets as there are lanes, one after the other by POLY1305_ALONE: for
 * vectors of two 64-bit lanes, which a CPU's own 64 x 64 -> 128 bit products equal. The functions
 * are those of poly1305_team.h.
 */
#ifndef TL_POLY1305_EACH_H
#define TL_POLY1305_EACH_H

#include <stdbool.h>

#include "crypto/lanes.h"
#include "crypto/poly1305.h"

struct team {
    struct {
        const uint8_t *data;
        uint32_t len;
        bool clear;
        uint8_t tag[POLY1305_TAG];
    } lanes[LANES];
    struct poly1305 sum;
    uint32_t n;
};

static void add_lane(struct team *t, const uint8_t *data, uint32_t len, bool clear) {
    t->lanes[t->n].data = data;
    t->lanes[t->n].clear = clear;
    t->lanes[t->n++].len = len;
}

static void run_team(struct team *t, const uint8_t keys[LANES][64]) {
    for (uint32_t i = 0; i < t->n; i++) {
        POLY1305_ALONE.init(&t->sum, keys[i]);
        poly1305_padded(&POLY1305_ALONE, &t->sum, t->lanes[i].data, t->lanes[i].len);
        poly1305_lengths(&POLY1305_ALONE, &t->sum, t->lanes[i].clear ? t->lanes[i].len : 0,
                         t->lanes[i].clear ? 0 : t->lanes[i].len);
        POLY1305_ALONE.final(&t->sum, t->lanes[i].tag);
    }
}

static void take_tag(const struct team *t, size_t lane, uint8_t tag[POLY1305_TAG]) {
    memcpy(tag, t->lanes[lane].tag, POLY1305_TAG);
}

#endif
