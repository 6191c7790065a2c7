/* SPDX-License-Identifier: MIT */
/* Whether several datagrams to a peer may go out as one UDP_SEGMENT send. */
#ifndef TL_PATH_H
#define TL_PATH_H

#include <stdbool.h>
#include <stdint.h>

struct outside;
struct packet;

/* The way to a peer's endpoint; all zero when the endpoint is new. */
struct path {
    bool is_known;        /* its interface has been looked at */
    bool is_single;       /* one datagram a send, until the endpoint changes */
    uint32_t limit;       /* datagrams of this length or more go out one by one ... */
    uint64_t limit_until; /* ... until then, ms; 0: no limit */
};

/* Whether this packet may begin or join a send of several. */
bool path_takes_runs(struct outside *o, const struct packet *p);

/* A send of several that began with this packet failed. True: notes what to do without, and they
 * are to be sent again, one by one. False: the failure has nothing to do with their number. */
bool path_refused(struct outside *o, const struct packet *p, int err);

#endif
