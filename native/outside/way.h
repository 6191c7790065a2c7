/* SPDX-License-Identifier: MIT */
/* The way to somebody outside: where he is, what went and came, and whether several datagrams to
 * him may go out as one UDP_SEGMENT send (io_send.c). */
#ifndef TL_WAY_H
#define TL_WAY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/events.h"
#include "base/packet.h"

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

#endif
