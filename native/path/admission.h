/* SPDX-License-Identifier: MIT */
/*
 * Handshake messages before Python sees them (paper 5.3 and 5.4.4 to 5.4.7). The steps, in order:
 *
 *   1. mac1 (an initiation of the layer that we are not ends then, counted, and is told of once a
 *      minute); for an answer, that its receiver index is one of a handshake of ours, or for a
 *      cookie reply, which anybody can forge who sees that index, of a response that left just now
 *   2. under load (the ring was over 1/8 full within the last second, or 1/16 of it is this
 *      address's): no valid mac2 is answered with a cookie, which is smaller than the question
 *   3. under load: a token bucket for each address that mac2 proved, by IPv4 address or IPv6 /64,
 *      and three quarters of what is load in the ring at once: one alone makes no load for all.
 *      Addresses that are not proved are never limited: they may be forged.
 *   4. the ring, for tl_handshake, which is told of each message whether mac2 was right; cookie
 *      replies have an eighth of it and are no load
 */
#ifndef TL_ADMISSION_H
#define TL_ADMISSION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/packet.h"
#include "base/wire.h"

enum {
    LOAD_HOLD_MS = 1000,
    LOAD_SECRET_MS = 120 * 1000, /* paper 5.4.7: the cookie secret changes every two minutes */
    LOAD_BURST = 5,              /* handshakes an address may do at once */
    LOAD_COOKIE_MS = 5000,       /* a cookie answers a response no longer: the other side has begun
                                    anew by then */
    LOAD_TOLD_MS = 60 * 1000,    /* between initiations of the other layer that Python is shown */
    LOAD_SHARE = 8,              /* an eighth of the ring: load, or all its cookie replies */
    LOAD_SETS = 256,             /* token buckets: sets of LOAD_WAYS, the longest unused goes */
    LOAD_WAYS = 4,
};

struct handshake {
    struct endpoint from;
    uint16_t len;
    bool proved; /* mac2: whoever sent it gets what is sent to that address */
    uint8_t message[HANDSHAKE_MAX];
};

struct bucket {
    uint64_t key; /* MAC of the address; 0: empty */
    uint64_t at;  /* ms */
    uint64_t tokens;
};

struct admission {
    struct handshake *ring;
    uint64_t *from; /* MAC of each one's address; 0: a cookie reply */
    uint32_t size;  /* a power of two */
    uint32_t head, tail;
    uint32_t cookies; /* replies among what is in it */
    uint64_t loaded_until;
    uint64_t told_until; /* of the other layer's */
    uint32_t per_second;
    bool has_identity;
    uint8_t mac1_key[32];
    uint8_t cookie_key[32];
    uint8_t secret[32];
    uint64_t secret_until;
    uint8_t nonce[24];         /* random, then a counter: unique is all that XChaCha20 asks for */
    uint8_t bucket_secret[32]; /* of this run; shown to nobody, unlike the nonce */
    struct bucket bucket[LOAD_SETS][LOAD_WAYS];
};

struct worker;

/* 0 or -ENOMEM; size is a power of two. */
int admission_new(struct admission *a, uint32_t size, uint32_t per_second);
void admission_free(struct admission *a);

/* A batch of handshake messages of the right type and length. Releases all of them. */
void admission_batch(struct worker *w, struct queue *q);

/* Answers an initiation that was in the ring with a cookie, load or not. */
void admission_answer(struct worker *w, const struct endpoint *to, const uint8_t *message);

/* The oldest message, or NULL; admission_next removes it. */
const struct handshake *admission_peek(const struct admission *a);
void admission_next(struct admission *a);

#endif
