/* SPDX-License-Identifier: MIT */
/*
 * Datagrams of our own that come back out of the device, because the way to a peer's endpoint leads
 * into it: sealed again they would multiply, by fragmentation, until nobody else gets through.
 *
 * Ours is what came from our own port and is an initiation or response with a sender index of ours,
 * or goes to the present endpoint of a peer and carries the index that this peer's sending session
 * carries. What was under way when an endpoint moved goes round once more and is known then.
 */
#ifndef TL_LOOP_H
#define TL_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/packet.h"

struct peer;
struct plane;
struct worker;

/* struct endpoint.way */
#define WAY_LOOPS UINT32_MAX

/* Whether a checked packet of the device is such a datagram. Worker 0 alone asks. */
bool loop_is_own(const struct plane *plane, const uint8_t *ip, uint32_t len);

/* The peer's place is now `to`. Its owner tells. */
void loop_moved(struct peer *peer, const struct endpoint *to);
/* Another session sends for the peer, or none. Between turns of worker 0. */
void loop_session(struct plane *plane, struct peer *peer);
/* The plane has room for more peers. 0 or -ENOMEM. */
int loop_grow(struct plane *plane, uint32_t n_peers);

#endif
