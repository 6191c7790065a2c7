/* SPDX-License-Identifier: MIT */
/* Whether runs of datagrams come by one socket. */
#include "outside/runs.h"

#include <string.h>

#include "base/bytes.h"
#include "base/wire.h"
#include "outside/io.h"

enum { FUTILE_MAX = 6 }; /* an hour */

bool runs_may_come(const struct outside *o, const struct runs *r) {
    return o->offload[FEATURE_UDP_GRO].on && (!r->off || r->drains);
}

static bool same_sender(const struct endpoint *a, const struct endpoint *b) {
    return a->port == b->port && memcmp(a->addr, b->addr, sizeof a->addr) == 0;
}

void runs_note(struct runs *r, const struct packet *p, uint32_t datagrams,
               const struct endpoint *before) {
    r->messages++;
    r->datagrams += datagrams;
    if (!r->off)
        return;
    r->alike += before && p->len == r->len && same_sender(p->endpoint, before);
    r->len = p->len;
}

static void switch_to(struct outside *o, struct runs *r, int fd, bool on) {
    if (o->calls->gro(o, fd, on))
        return;
    r->off = r->drains = !on;
    r->switch_at = o->now + ((uint64_t)RUNS_SWITCH_MS << (on ? 0 : r->futile));
    o->stats->counts[COUNT_RUNS_SWITCHED]++;
}

void runs_blocked(struct outside *o, struct runs *r, int fd) {
    r->drains = false;
    if (!o->offload[FEATURE_UDP_GRO].on || r->messages < RUNS_DECIDE)
        return;
    bool come = r->datagrams > r->messages + r->messages / 4;
    if (come)
        r->futile = 0;
    if (o->now >= r->switch_at && r->off && r->alike >= r->messages / 2) {
        r->futile += r->futile < FUTILE_MAX;
        switch_to(o, r, fd, true);
    } else if (o->now >= r->switch_at && !r->off && !come && r->in_full >= r->messages / 2) {
        switch_to(o, r, fd, false);
    }
    r->messages = r->datagrams = r->in_full = r->alike = 0;
}

/* The least that stands before the second message. */
static uint32_t first_length(const struct packet *p) {
    switch (load_le32(p->data)) {
    case MESSAGE_INITIATION:
        return sizeof(struct message_initiation);
    case MESSAGE_RESPONSE:
        return sizeof(struct message_response);
    case MESSAGE_COOKIE:
        return sizeof(struct message_cookie);
    default:
        return TRANSPORT_OVERHEAD;
    }
}

/* The second message of a run begins with a type: ciphertext does at one place of 2^29. */
uint32_t runs_unsized(const struct packet *p) {
    for (uint32_t at = p->len < 4 ? p->len : first_length(p); at + 4 <= p->len; at++) {
        uint32_t type = load_le32(p->data + at);
        if (type >= MESSAGE_INITIATION && type <= MESSAGE_BARE)
            return (p->len + at - 1) / at;
    }
    return 1;
}
