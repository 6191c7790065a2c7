/* SPDX-License-Identifier: MIT */
/* ICMP for packets that nobody can be given. Once per packet. */
#include "path/unreachable.h"

#include "base/bytes.h"
#include "inside/checksum.h"
#include "path/rx.h"
#include "path/worker.h"

enum {
    V4_HEADER = 20,
    V4_MAX = 576, /* RFC 1812 4.3.2.3: an answer's length */
    V6_HEADER = 40,
    V6_MAX = 1280, /* RFC 4443 2.4 */
    ICMP_HEADER = 8,
    TOS_CONTROL = 0xc0, /* internetwork control, as Linux has it */
    TTL = 64,
    DONT_FRAGMENT = 0x4000,
    V6_CHAIN_MAX = 8, /* extension headers looked through */
};

enum { /* of IP protocol numbers and next headers */
       HOP_BY_HOP = 0,
       ICMP = 1,
       ROUTING = 43,
       FRAGMENT = 44,
       AUTHENTICATION = 51,
       ICMPV6 = 58,
       DESTINATION_OPTIONS = 60,
};

enum { /* of ICMP types and codes */
       UNREACHABLE = 3,
       UNREACHABLE_HOST = 1,
       V6_UNREACHABLE = 1,
       V6_UNREACHABLE_ADDRESS = 3,
       V6_INFORMATION = 128, /* the first type that is no error */
       V6_REDIRECT = 137,
};

/* Unreachable, source quench, redirect, time exceeded, parameter problem. */
static const uint32_t errors4 = 1U << 3 | 1U << 4 | 1U << 5 | 1U << 11 | 1U << 12;

static bool is_one_host4(const uint8_t *address) {
    return address[0] != 0 && address[0] < 224;
}

static bool is_answered4(const uint8_t *ip, uint32_t len) {
    uint32_t header = (ip[0] & 15U) * 4;
    if (header < V4_HEADER || len < header || (load_be16(ip + 6) & 0x1fff) != 0 ||
        !is_one_host4(ip + 12) || !is_one_host4(ip + 16))
        return false;
    return ip[9] != ICMP || (len > header && (ip[header] > 31 || !(errors4 >> ip[header] & 1)));
}

/* Bytes of the extension header that the 8 bytes at `at` begin. */
static uint32_t extension_len(uint8_t kind, const uint8_t *at) {
    if (kind == FRAGMENT)
        return 8;
    return kind == AUTHENTICATION ? (at[1] + 2U) * 4 : (at[1] + 1U) * 8;
}

static bool is_extension(uint8_t next) {
    return next == HOP_BY_HOP || next == ROUTING || next == FRAGMENT || next == AUTHENTICATION ||
           next == DESTINATION_OPTIONS;
}

/* Of what stands behind the fixed header. */
static bool is_answered_chain(const uint8_t *ip, uint32_t len) {
    uint32_t at = V6_HEADER;
    uint8_t next = ip[6];
    for (unsigned i = 0; is_extension(next); i++) {
        if (i == V6_CHAIN_MAX || at + 8 > len)
            return false;
        if (next == FRAGMENT && load_be16(ip + at + 2) >> 3 != 0)
            return false;
        uint32_t more = extension_len(next, ip + at);
        next = ip[at];
        at += more;
    }
    return next != ICMPV6 || (at < len && ip[at] >= V6_INFORMATION && ip[at] != V6_REDIRECT);
}

static bool is_answered6(const uint8_t *ip, uint32_t len) {
    static const uint8_t unspecified[16];
    return ip[8] != 0xff && ip[24] != 0xff && memcmp(ip + 8, unspecified, 16) != 0 &&
           is_answered_chain(ip, len);
}

static bool has_token(struct worker *w) {
    uint64_t *until = &w->unreachable_until, now = w->now;
    if (*until < now)
        *until = now;
    if (*until - now >= UNREACHABLE_BURST)
        return false;
    ++*until;
    return true;
}

static uint32_t least(uint32_t a, uint32_t b) {
    return a < b ? a : b;
}

/* An empty packet for a header, ICMP's, and as much of `about` as fits: where ICMP's starts. */
static uint8_t *carve(struct worker *w, struct packet *answer, const struct packet *about,
                      uint32_t header, uint32_t most) {
    uint32_t quoted = least(about->len, most - header - ICMP_HEADER);
    uint32_t len = header + ICMP_HEADER + quoted;
    if (!buf_carve(&w->pool, answer, len))
        return NULL;
    answer->len = len;
    memset(answer->data, 0, header + ICMP_HEADER);
    memcpy(answer->data + header + ICMP_HEADER, about->data, quoted);
    return answer->data + header;
}

static bool make4(struct worker *w, struct packet *answer, const struct packet *about) {
    uint8_t *icmp = carve(w, answer, about, V4_HEADER, V4_MAX), *ip = answer->data;
    if (!icmp)
        return false;
    ip[0] = 0x45;
    ip[1] = TOS_CONTROL;
    store_be16(ip + 2, (uint16_t)answer->len);
    store_be16(ip + 6, DONT_FRAGMENT);
    ip[8] = TTL;
    ip[9] = ICMP;
    memcpy(ip + 12, about->data + 16, 4);
    memcpy(ip + 16, about->data + 12, 4);
    store_be16(ip + 10, checksum_finish(checksum_sum(ip, V4_HEADER)));
    icmp[0] = UNREACHABLE;
    icmp[1] = UNREACHABLE_HOST;
    store_be16(icmp + 2, checksum_finish(checksum_sum(icmp, answer->len - V4_HEADER)));
    return true;
}

static bool make6(struct worker *w, struct packet *answer, const struct packet *about) {
    uint8_t *icmp = carve(w, answer, about, V6_HEADER, V6_MAX), *ip = answer->data;
    if (!icmp)
        return false;
    uint32_t len = answer->len - V6_HEADER;
    store_be32(ip, 6U << 28 | TOS_CONTROL << 20);
    store_be16(ip + 4, (uint16_t)len);
    ip[6] = ICMPV6;
    ip[7] = TTL;
    memcpy(ip + 8, about->data + 24, 16);
    memcpy(ip + 24, about->data + 8, 16);
    icmp[0] = V6_UNREACHABLE;
    icmp[1] = V6_UNREACHABLE_ADDRESS;
    store_be16(icmp + 2, checksum_finish(checksum_sum(ip + 8, 32 + len) + len + ICMPV6));
    return true;
}

void unreachable_answer(struct worker *w, const struct packet *p) {
    bool is4 = p->data[0] >> 4 == 4;
    if (w->in.n > 0 || !(is4 ? is_answered4(p->data, p->len) : is_answered6(p->data, p->len)) ||
        !has_token(w))
        return;
    if (!(is4 ? make4 : make6)(w, &w->in.p[0], p))
        return;
    w->in.n = 1;
    rx_write(w);
}
