/* SPDX-License-Identifier: MIT */
/* Echoes of our own and their answers. */
#include "path/echo.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "inside/checksum.h"
#include "inside/ip.h"
#include "path/plane.h"

enum {
    V4_HEADER = 20,
    V4_FRAGMENT = 6,
    V4_PROTOCOL = 9,
    V4_ADDRESSES = 12,
    V6_HEADER = 40,
    V6_NEXT = 6,
    V6_ADDRESSES = 8,
    ICMP_HEADER = 8,
    ICMP_IDENTIFIER = 4,
    ICMP = 1,
    ICMPV6 = 58,
    REQUEST = 8,
    ANSWER = 0,
    V6_REQUEST = 128,
    V6_ANSWER = 129,
    NOT_WHOLE = 0x3fff, /* more fragments, or not the first */
};

/* Of the last request. */
struct echo {
    uint32_t len; /* of the IP packet; its answer is as long */
    uint8_t packet[ECHO_MAX];
};

/* Where ICMP begins in a checked packet of a fixed header only, with a right checksum; NULL where
 * it is none. */
static const uint8_t *icmp_of(const uint8_t *ip, uint32_t len) {
    bool is4 = ip[0] >> 4 == 4;
    uint32_t header = is4 ? V4_HEADER : V6_HEADER;
    uint32_t from = is4 ? header : V6_ADDRESSES;
    if (len < header + ICMP_HEADER || ip[is4 ? V4_PROTOCOL : V6_NEXT] != (is4 ? ICMP : ICMPV6))
        return NULL;
    if (is4 && (ip[0] != 0x45 || load_be16(ip + V4_FRAGMENT) & NOT_WHOLE ||
                checksum_finish(checksum_sum(ip, header))))
        return NULL;
    uint32_t pseudo = is4 ? 0 : len - header + ICMPV6;
    return checksum_finish(checksum_sum(ip + from, len - from) + pseudo) ? NULL : ip + header;
}

int echo_expect(struct echo **echo, struct bytes request) {
    uint32_t len = (uint32_t)request.len;
    uint8_t tos;
    if (request.len > ECHO_MAX || ip_check(request.p, &len, &tos) != IP_OK || len != request.len)
        return -EINVAL;
    const uint8_t *icmp = icmp_of(request.p, len);
    if (!icmp || icmp[0] != (request.p[0] >> 4 == 4 ? REQUEST : V6_REQUEST) || icmp[1] != 0)
        return -EINVAL;
    if (!*echo)
        *echo = malloc(sizeof **echo);
    if (!*echo)
        return -ENOMEM;
    (*echo)->len = len;
    memcpy((*echo)->packet, request.p, len);
    return 0;
}

/* It comes from where the request went, and goes to where that came from. */
static bool turns_round(const uint8_t *answer, const uint8_t *request) {
    bool is4 = request[0] >> 4 == 4;
    uint32_t at = is4 ? V4_ADDRESSES : V6_ADDRESSES, n = is4 ? 4 : 16;
    return memcmp(answer + at, request + at + n, n) == 0 &&
           memcmp(answer + at + n, request + at, n) == 0;
}

/* But for the sequence number. */
static bool same_echo(const uint8_t *answer, const uint8_t *request, uint32_t len) {
    uint32_t data = ICMP_HEADER;
    return memcmp(answer + ICMP_IDENTIFIER, request + ICMP_IDENTIFIER, 2) == 0 &&
           memcmp(answer + data, request + data, len - data) == 0;
}

bool echo_matches(const struct worker *w, const struct packet *p) {
    const struct peer *peer = peer_of(p);
    const uint8_t *ip = p->data, *request = peer->echo->packet;
    uint32_t len = p->len, header = request[0] >> 4 == 4 ? V4_HEADER : V6_HEADER;
    uint8_t tos;
    if (ip_check(ip, &len, &tos) != IP_OK || len != peer->echo->len ||
        ip[0] >> 4 != request[0] >> 4 || !turns_round(ip, request))
        return false;
    const uint8_t *icmp = icmp_of(ip, len);
    return icmp && icmp[0] == (header == V4_HEADER ? ANSWER : V6_ANSWER) && icmp[1] == 0 &&
           same_echo(icmp, request + header, len - header) && ip_allow(w->plane->routes, ip, peer);
}
