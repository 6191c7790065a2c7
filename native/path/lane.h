/* SPDX-License-Identifier: MIT */
/*
 * Packets on their way from one worker to another, in order: a ring of records of any length with
 * one producer and one consumer, and no lock. Both see it through `head` and `tail` alone: what
 * lies between them is the consumer's, the rest the producer's.
 */
#ifndef TL_LANE_H
#define TL_LANE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/packet.h"

/* A record; the packet's bytes stand LANE_HEADER behind its begin. */
struct passed {
    uint32_t size; /* of the record, a multiple of LANE_ALIGN */
    uint32_t len;  /* of the packet; LANE_FILLER: none, the ring begins anew */
    struct endpoint endpoint;
    struct way *way;
    uint8_t tos;
};

enum { LANE_ALIGN = 16, LANE_HEADER = 80 };
#define LANE_FILLER UINT32_MAX

struct lane {
    uint8_t *ring;
    uint32_t size; /* a power of two */
    uint8_t apart[64];
    atomic_uint head; /* the producer's: where the next record goes, never wrapped */
    uint32_t told;    /* head when the consumer was last woken */
    uint8_t apart2[64];
    atomic_uint tail;   /* the consumer's: the oldest record */
    atomic_bool wanted; /* the producer waits for room */
};

/* 0 or -ENOMEM. It costs memory where it has been written to. */
int lane_new(struct lane *lane, uint32_t size);
void lane_free(struct lane *lane);

/* The producer: copies the packet; false where there is no room. */
bool lane_push(struct lane *lane, const struct packet *p);
/* Whether that many bytes are free; where not, lane_done will say that somebody waits. */
bool lane_has_room(struct lane *lane, uint32_t bytes);
/* Whether the consumer is to be woken: once for all that was pushed. */
bool lane_has_news(struct lane *lane);

/* The consumer: the record at `at`, NULL where there is none; the first one is at lane_first, the
 * next `size` behind. It stays valid until lane_done, which says whether the producer waits. */
uint32_t lane_first(const struct lane *lane);
const struct passed *lane_next(const struct lane *lane, uint32_t *at);
bool lane_done(struct lane *lane, uint32_t at);
static inline const uint8_t *lane_bytes(const struct passed *r) {
    return (const uint8_t *)r + LANE_HEADER;
}

/* While neither of them runs: no record belongs to this peer any more. */
void lane_forget(struct lane *lane, const struct way *way);

#endif
