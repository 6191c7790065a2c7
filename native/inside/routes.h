/* SPDX-License-Identifier: MIT */
/*
 * Allowed IPs: which peer an address belongs to, by the longest prefix that covers it.
 *
 * Where packets go and who may send are the same table, until a row says of its peer that it stands
 * by: then who may send is another one, whose entries name all peers with that very prefix.
 *
 * The table is built whole when it is published, so it need not be a tree: overlapping prefixes are
 * flattened into ranges that do not overlap, sorted by their first address, and a lookup is a
 * binary search. That is 8 bytes an IPv4 range and about 2 ranges a prefix, with no pointers to
 * follow.
 */
#ifndef TL_ROUTES_H
#define TL_ROUTES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/packet.h"

struct peer;
struct routes;
struct plane;

/* rows: record_route each, checked; a prefix named twice goes to the later row's peer that does not
 * stand by. `peers` maps a row's handle to the peer. Returns 0, -EINVAL (a row), -ENOENT (a peer)
 * or -ENOMEM. */
int routes_build(struct routes **table, const uint8_t *rows, uint32_t n, struct peer *const *peers,
                 uint32_t n_peers);
void routes_free(struct routes *table);

/* The peer that packets to an address of 4 or 16 bytes in network order go to, or NULL. */
struct peer *routes_lookup4(const struct routes *table, const uint8_t *addr);
struct peer *routes_lookup6(const struct routes *table, const uint8_t *addr);
/* Whether the peer may send from it. */
bool routes_allow4(const struct routes *table, const uint8_t *addr, const struct peer *peer);
bool routes_allow6(const struct routes *table, const uint8_t *addr, const struct peer *peer);

/* Nothing belongs to this peer any more. */
void routes_forget(struct routes *table, const struct peer *peer);

#endif
