/* SPDX-License-Identifier: MIT */
/* The few fields of an inside packet's IP header that the packet path looks at. */
#ifndef TL_IP_H
#define TL_IP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/packet.h"

struct peer;
struct routes;

enum ip_verdict { IP_OK, IP_BAD_VERSION, IP_BAD_LENGTH };

/* Whether the packet holds what its header says; `len` becomes the IP length (which is how padding
 * goes) and `tos` the ECN field. */
enum ip_verdict ip_check(const uint8_t *ip, uint32_t *len, uint8_t *tos);

/* The peer that a checked packet goes to, or NULL. */
struct peer *ip_route(const struct routes *routes, const uint8_t *ip);
/* Whether the peer may send a checked packet. */
bool ip_allow(const struct routes *routes, const uint8_t *ip, const struct peer *peer);
/* The UDP header in a checked packet, NULL where it has none or fewer than `need` bytes are there.
 * Of a fragmented datagram only the first packet has it. */
const uint8_t *ip_udp(const uint8_t *ip, uint32_t len, uint32_t need);
/* Where it goes: 4 or 16 bytes. */
const uint8_t *ip_destination(const uint8_t *ip, uint32_t *len);

bool ip_same_destination(const uint8_t *a, const uint8_t *b);
bool ip_same_source(const uint8_t *a, const uint8_t *b);

static inline uint8_t ip_ecn(const uint8_t *ip) {
    return (ip[0] >> 4 == 4 ? ip[1] : ip[1] >> 4) & TOS_ECN;
}
/* RFC 6040 4.2: what the outer ECN field does to the inner one. True when CE was on a packet that
 * is not ECN-capable (delivered as it is: the RFC would drop it). */
bool ip_decapsulate_ecn(uint8_t *ip, uint8_t outer);

#endif
