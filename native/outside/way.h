/* SPDX-License-Identifier: MIT */
/* The way to somebody outside: where he is, what went and came, and whether several datagrams to
 * him may go out as one UDP_SEGMENT send. */
#ifndef TL_WAY_H
#define TL_WAY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/events.h"
#include "base/packet.h"

struct outside;

/* Of a way's endpoint; all zero when that is new. */
struct way_runs {
    bool is_known;        /* its interface has been looked at */
    bool is_single;       /* one datagram a send, until the endpoint changes */
    uint32_t limit;       /* datagrams of this length or more go out one by one ... */
    uint64_t limit_until; /* ... until then, ms; 0: no limit */
};

/* A peer begins with his. */
struct way {
    struct raised raised;
    struct endpoint endpoint;
    struct way_runs runs;
    uint64_t refused;    /* bytes, by a full socket ... */
    uint32_t refused_at; /* ... the time that it was so (struct full) */
    /* What record_peer shows: bytes as wg(8) counts, stamps in ms, 0 for never. */
    uint64_t rx_bytes, tx_bytes;
    uint64_t sent_any, sent_data;
    uint64_t received_any, received_data;
    uint64_t first_unanswered, first_unreplied;
};

/* Whether this packet may begin or join a send of several. */
bool way_takes_runs(struct outside *o, const struct packet *p);

/* A send of several that began with this packet failed. True: notes what to do without, and they
 * are to be sent again, one by one. False: the failure has nothing to do with their number. */
bool way_refused(struct outside *o, const struct packet *p, int err);

#endif
