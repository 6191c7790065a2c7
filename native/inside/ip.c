/* SPDX-License-Identifier: MIT */
/* IP header fields. Once per packet. */
#include "inside/ip.h"

#include <string.h>

#include "base/bytes.h"
#include "inside/checksum.h"
#include "inside/routes.h"

enum {
    V4_HEADER = 20,
    V4_LENGTH = 2,
    V4_FRAGMENT = 6,
    V4_OFFSET = 0x1fff,
    V4_PROTOCOL = 9,
    V4_SOURCE = 12,
    V4_DESTINATION = 16,
    V6_HEADER = 40,
    V6_LENGTH = 4,
    V6_PROTOCOL = 6,
    V6_FRAGMENT_HEADER = 8,
    V6_OFFSET = 0xfff8,
    V6_SOURCE = 8,
    V6_DESTINATION = 24,
    PROTOCOL_UDP = 17,
    PROTOCOL_FRAGMENT = 44,
};

enum ip_verdict ip_check(const uint8_t *ip, uint32_t *len, uint8_t *tos) {
    uint32_t least, total;
    if (*len < 1)
        return IP_BAD_LENGTH;
    switch (ip[0] >> 4) {
    case 4:
        least = V4_HEADER;
        if (*len < least)
            return IP_BAD_LENGTH;
        total = load_be16(ip + V4_LENGTH);
        break;
    case 6:
        least = V6_HEADER;
        if (*len < least)
            return IP_BAD_LENGTH;
        total = (uint32_t)load_be16(ip + V6_LENGTH) + V6_HEADER;
        break;
    default:
        return IP_BAD_VERSION;
    }
    if (total < least || total > *len)
        return IP_BAD_LENGTH;
    *len = total;
    *tos = ip_ecn(ip);
    return IP_OK;
}

struct peer *ip_route(const struct routes *routes, const uint8_t *ip) {
    return ip[0] >> 4 == 4 ? routes_lookup4(routes, ip + V4_DESTINATION)
                           : routes_lookup6(routes, ip + V6_DESTINATION);
}

bool ip_allow(const struct routes *routes, const uint8_t *ip, const struct peer *peer) {
    return ip[0] >> 4 == 4 ? routes_allow4(routes, ip + V4_SOURCE, peer)
                           : routes_allow6(routes, ip + V6_SOURCE, peer);
}

const uint8_t *ip_destination(const uint8_t *ip, uint32_t *len) {
    bool is_v4 = ip[0] >> 4 == 4;
    *len = is_v4 ? 4 : 16;
    return ip + (is_v4 ? V4_DESTINATION : V6_DESTINATION);
}

const uint8_t *ip_udp(const uint8_t *ip, uint32_t len, uint32_t need) {
    uint32_t at = V6_HEADER;
    uint8_t protocol = ip[V6_PROTOCOL];
    if (ip[0] >> 4 == 4) {
        at = (ip[0] & 15u) * 4;
        protocol = load_be16(ip + V4_FRAGMENT) & V4_OFFSET ? 0 : ip[V4_PROTOCOL];
    } else if (protocol == PROTOCOL_FRAGMENT && len >= V6_HEADER + V6_FRAGMENT_HEADER) {
        at += V6_FRAGMENT_HEADER;
        protocol = load_be16(ip + V6_HEADER + 2) & V6_OFFSET ? 0 : ip[V6_HEADER];
    }
    return protocol == PROTOCOL_UDP && at >= V4_HEADER && len >= at + need ? ip + at : NULL;
}

bool ip_same_destination(const uint8_t *a, const uint8_t *b) {
    if (a[0] >> 4 != b[0] >> 4)
        return false;
    return a[0] >> 4 == 4 ? memcmp(a + V4_DESTINATION, b + V4_DESTINATION, 4) == 0
                          : memcmp(a + V6_DESTINATION, b + V6_DESTINATION, 16) == 0;
}

bool ip_same_source(const uint8_t *a, const uint8_t *b) {
    if (a[0] >> 4 != b[0] >> 4)
        return false;
    return a[0] >> 4 == 4 ? memcmp(a + V4_SOURCE, b + V4_SOURCE, 4) == 0
                          : memcmp(a + V6_SOURCE, b + V6_SOURCE, 16) == 0;
}

bool ip_decapsulate_ecn(uint8_t *ip, uint8_t outer) {
    uint8_t inner = ip_ecn(ip);
    if (outer == ECN_CE && inner == ECN_NOT_ECT)
        return true;
    bool changes = (outer == ECN_CE && inner != ECN_CE) || (outer == ECN_ECT1 && inner == ECN_ECT0);
    if (!changes)
        return false;
    checksum_set_ecn(ip, outer);
    return false;
}
