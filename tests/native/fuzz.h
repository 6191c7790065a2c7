/* SPDX-License-Identifier: MIT */
/* What fuzzers of the whole plane draw alike: keys, bytes, and the records of the border. */
#ifndef TL_FUZZ_H
#define TL_FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/wire.h"
#include "chance.h"
#include "tunlite.h"

static const uint8_t send_key[32] = {1}, receive_key[32] = {2};
static const uint8_t mac1_key[32] = {3}, cookie_key[32] = {4};

static inline void die(const char *what, int got) {
    fprintf(stderr, "%s: %d\n", what, got);
    abort();
}

static inline void fill(uint8_t *out, uint32_t len) {
    for (uint32_t i = 0; i < len; i++)
        out[i] = (uint8_t)any(256);
}

/* record_options: what is automatic, and `n` numbers from the first one on. */
static inline void put_numbers(uint8_t *r, const uint32_t *numbers, uint32_t n) {
    memset(r, 0, sizeof(struct record_options));
    memcpy(r, "auto", 4);
    memcpy(r + 16, "auto", 4);
    for (uint32_t i = 0; i < n; i++)
        store_le32(r + 40 + i * 4, numbers[i]);
}

/* A session of our index with the keys of all, born `now`; its limits are as drawn. */
static inline struct record_session drawn_session(const uint8_t *index, uint32_t remote,
                                                  uint64_t now) {
    struct record_session r = {0};
    memcpy(r.index, index, sizeof r.index);
    store_le32(r.remote, remote);
    store_le64(r.born_ms, now);
    memcpy(r.send_key, send_key, sizeof r.send_key);
    memcpy(r.receive_key, receive_key, sizeof r.receive_key);
    store_le32(r.initiator, any(2));
    store_le32(r.rekey_ms, any(200000));
    store_le32(r.rekey_received_ms, any(200000));
    store_le32(r.reject_ms, any(200000));
    store_le64(r.rekey_messages, any(1000));
    store_le64(r.reject_messages, any(10) ? UINT64_MAX - 8193 : any(1000));
    return r;
}

/* Makes it, and perhaps sends on it. */
static inline void begin_session(int plane, const struct record_session *r) {
    tl_session_new(plane, (const uint8_t *)r, sizeof *r);
    if (any(3))
        tl_session_use(plane, r->index);
}

#endif
