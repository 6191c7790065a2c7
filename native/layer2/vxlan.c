/* SPDX-License-Identifier: MIT */
/* Frames in UDP. */
#include "layer2/vxlan.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/os.h"
#include "inside/ether.h"
#include "inside/ip.h"
#include "inside/offload_fields.h"

enum {
    TTL = 64, /* net.ipv4.ip_default_ttl, which a vxlan without one takes; IPv6 likewise */
    TOS = 1,
    VXLAN_SIZE = 8,
    VNI = 4,        /* offset; 24 bits, then 8 of zero */
    ECN6_SHIFT = 4, /* in the second byte */
    PORT_MIN =
        32768, /* net.ipv4.ip_local_port_range, whose last the kernel's formula never gives */
    PORT_MAX = 60999,
};
#define FLAGS UINT32_C(0x08000000) /* there is a VNI, and nothing else */

static uint32_t ip_size(const struct vxlan *v) {
    return v->ends.family == 4 ? IP4_MIN : IP6_MIN;
}

static uint32_t address_size(const struct vxlan *v) {
    return v->ends.family == 4 ? 4 : 16;
}

/* Of the source; the destination stands behind it. */
static uint32_t addresses(const struct vxlan *v) {
    return v->ends.family == 4 ? IP4_ADDRESSES : IP6_ADDRESSES;
}

/* ---- the headers ---------------------------------------------------------------------------- */

static void put_ip4(uint8_t *ip) {
    ip[0] = 0x45;
    ip[IP4_TTL] = TTL;
    ip[IP4_PROTOCOL] = PROTOCOL_UDP;
}

static void put_ip6(uint8_t *ip) {
    ip[0] = 0x60;
    ip[IP6_NEXT] = PROTOCOL_UDP;
    ip[IP6_HOP_LIMIT] = TTL;
}

static void put_headers(struct vxlan *v) {
    uint8_t *ip = v->headers, *udp = ip + ip_size(v);
    if (v->ends.family == 4)
        put_ip4(ip);
    else
        put_ip6(ip);
    memcpy(ip + addresses(v), v->ends.local, address_size(v));
    memcpy(ip + addresses(v) + address_size(v), v->ends.remote, address_size(v));
    store_be16(udp + L4_TARGET_PORT, v->ends.port);
    store_be32(udp + UDP_MIN, FLAGS);
    store_be32(udp + UDP_MIN + VNI, v->ends.vni << 8);
}

static void put_sums(struct vxlan *v) {
    uint32_t size = ip_size(v);
    v->size = size + UDP_MIN + VXLAN_SIZE;
    v->ip_sum = checksum_words(v->headers, size);
    v->udp_sum = checksum_words(v->headers + addresses(v), 2 * address_size(v)) + PROTOCOL_UDP +
                 checksum_words(v->headers + size, UDP_MIN + VXLAN_SIZE);
    v->udp_sum = checksum_fold(v->udp_sum);
}

int vxlan_set(struct vxlan *v, const struct vxlan_ends *ends) {
    static const uint8_t none[sizeof ends->remote];
    if ((ends->family != 4 && ends->family != 6) || ends->vni > VXLAN_VNI_MAX || !ends->port)
        return -EINVAL;
    *v = (struct vxlan){.ends = *ends, .checksum = checksum_choose()};
    v->follows = memcmp(ends->remote, none, sizeof none) == 0;
    os_random((uint8_t *)&v->secret, sizeof v->secret);
    os_random((uint8_t *)&v->id, sizeof v->id);
    put_headers(v);
    put_sums(v);
    return 0;
}

void vxlan_face(struct vxlan *v, const uint8_t *remote) {
    memcpy(v->ends.remote, remote, sizeof v->ends.remote);
    memset(v->headers, 0, sizeof v->headers);
    put_headers(v);
    put_sums(v);
}

/* ---- out ------------------------------------------------------------------------------------ */

static uint32_t mix(uint32_t h, const uint8_t *p, uint32_t n) {
    for (uint32_t i = 0; i < n; i += 4) {
        h = (h ^ load_be32(p + i)) * 0x9e3779b1;
        h ^= h >> 15;
    }
    return h;
}

/* Of TCP and UDP in whole packets. */
static bool has_ports(const uint8_t *ip, uint32_t size, uint32_t len) {
    uint8_t protocol = ip[size == IP4_MIN ? IP4_PROTOCOL : IP6_NEXT];
    bool is_part = size == IP4_MIN && load_be16(ip + IP4_FRAGMENT) & IP4_MF_AND_OFFSET;
    bool is_plain = size == IP6_MIN || ip[0] == 0x45;
    return (protocol == PROTOCOL_TCP || protocol == PROTOCOL_UDP) && is_plain && !is_part &&
           len >= size + L4_PORTS_LEN;
}

/* One number for each flow: addresses of Ethernet, and of IP with ports where it is plain. `at`: of
 * the IP packet, 0: none. */
static uint32_t flow_of(const struct vxlan *v, const uint8_t *frame, uint32_t len, uint32_t at) {
    uint32_t h = mix(v->secret, frame, 2 * ETHER_ADDRESS);
    const uint8_t *ip = frame + at;
    uint32_t size = ip[0] >> 4 == 4 ? IP4_MIN : IP6_MIN, left = len - at;
    if (!at || left < size)
        return h;
    if (size == IP4_MIN)
        h = mix(h, ip + IP4_ADDRESSES, IP4_ADDRESSES_LEN);
    else
        h = mix(h, ip + IP6_ADDRESSES, IP6_ADDRESSES_LEN);
    return has_ports(ip, size, left) ? mix(h, ip + size, L4_PORTS_LEN) : h;
}

/* As udp_flow_src_port() of the kernel does it. */
static uint16_t port_of(uint32_t flow) {
    flow ^= flow << 16;
    return (uint16_t)(PORT_MIN + ((uint64_t)flow * (PORT_MAX - PORT_MIN) >> 32));
}

/* As the kernel's INET_ECN_encapsulate(): CE does not go out again. */
static uint8_t ecn_of(const uint8_t *frame, uint32_t len, uint32_t at) {
    if (!at || len - at < 2)
        return ECN_NOT_ECT;
    uint8_t ecn = ip_ecn(frame + at);
    return ecn == ECN_CE ? ECN_ECT0 : ecn;
}

static void finish_ip4(struct vxlan *v, uint8_t *ip, uint32_t len, uint8_t ecn) {
    uint16_t id = v->id++;
    ip[TOS] = ecn;
    store_be16(ip + IP4_LENGTH, (uint16_t)len);
    store_be16(ip + IP4_ID, id);
    store_be16(ip + IP4_CHECKSUM, checksum_finish(v->ip_sum + len + id + ecn));
}

static void finish_ip6(uint8_t *ip, uint32_t len, uint8_t ecn) {
    ip[TOS] = (uint8_t)(ecn << ECN6_SHIFT);
    store_be16(ip + IP6_LENGTH, (uint16_t)(len - IP6_MIN));
}

/* The length stands in the pseudo header too. */
static void finish_udp(const struct vxlan *v, uint8_t *udp, uint32_t len, uint16_t port) {
    store_be16(udp, port);
    store_be16(udp + UDP_LENGTH, (uint16_t)len);
    if (!v->ends.sums)
        return;
    uint32_t headers = UDP_MIN + VXLAN_SIZE;
    uint32_t frame = v->checksum->sum(udp + headers, len - headers);
    uint16_t sum = checksum_finish(v->udp_sum + 2 * len + port + frame);
    store_be16(udp + UDP_CHECKSUM, sum ? sum : 0xffff);
}

void vxlan_wrap(struct vxlan *v, struct packet *p) {
    uint32_t at = ether_ip(p->data, p->len);
    uint16_t port = port_of(flow_of(v, p->data, p->len, at));
    uint8_t ecn = ecn_of(p->data, p->len, at);
    p->data -= v->size;
    p->len += v->size;
    p->tos = ecn;
    memcpy(p->data, v->headers, v->size);
    finish_udp(v, p->data + ip_size(v), p->len - ip_size(v), port);
    if (v->ends.family == 4)
        finish_ip4(v, p->data, p->len, ecn);
    else
        finish_ip6(p->data, p->len, ecn);
}

/* ---- in ------------------------------------------------------------------------------------- */

/* Whether it is UDP, or may be a part of it, to our address. */
static bool is_ours(const struct vxlan *v, const uint8_t *ip) {
    bool is_v4 = ip[0] >> 4 == 4;
    uint8_t protocol = ip[is_v4 ? IP4_PROTOCOL : IP6_NEXT];
    return is_v4 == (v->ends.family == 4) &&
           (protocol == PROTOCOL_UDP || (!is_v4 && protocol == IP6_FRAGMENT)) &&
           memcmp(ip + addresses(v) + address_size(v), v->ends.local, address_size(v)) == 0;
}

static bool is_fragment(const uint8_t *ip) {
    return ip[0] >> 4 == 4 ? load_be16(ip + IP4_FRAGMENT) & IP4_MF_AND_OFFSET
                           : ip[IP6_NEXT] == IP6_FRAGMENT;
}

/* Nobody behind us looks at either checksum. */
static bool is_right(const struct vxlan *v, const uint8_t *ip, const uint8_t *udp, uint32_t len) {
    uint32_t size = (uint32_t)(udp - ip);
    if (v->ends.family == 4 && checksum_fold(checksum_words(ip, size)) != 0xffff)
        return false;
    if (!load_be16(udp + UDP_CHECKSUM)) /* over IPv6 too: RFC 6936 */
        return true;
    uint32_t pseudo = checksum_words(ip + addresses(v), 2 * address_size(v)) + PROTOCOL_UDP + len;
    return checksum_fold(pseudo + v->checksum->sum(udp, len)) == 0xffff;
}

/* What the IP header says of congestion goes on to the one in the frame. True: it cannot. */
static bool decapsulate_ecn(const uint8_t *outer, uint8_t *frame, uint32_t len) {
    uint32_t at = ether_ip(frame, len);
    uint32_t least = at && frame[at] >> 4 == 4 ? IP4_MIN : IP6_MIN;
    return at && len - at >= least && ip_decapsulate_ecn(frame + at, ip_ecn(outer));
}

static bool is_sound(const struct vxlan *v, const uint8_t *udp, const struct packet *p) {
    uint32_t len = load_be16(udp + UDP_LENGTH);
    return len >= UDP_MIN + VXLAN_SIZE + ETHER_HEADER &&
           len <= p->len - (uint32_t)(udp - p->data) && is_right(v, p->data, udp, len) &&
           load_be32(udp + UDP_MIN) == FLAGS && !udp[UDP_MIN + VXLAN_SIZE - 1];
}

enum vxlan_verdict vxlan_unwrap(const struct vxlan *v, struct packet *p) {
    const uint8_t *ip = p->data, *udp = ip_udp(ip, p->len, UDP_MIN);
    if (!is_ours(v, ip))
        return VXLAN_OTHER;
    if (is_fragment(ip) || !udp)
        return VXLAN_BAD;
    if (load_be16(udp + L4_TARGET_PORT) != v->ends.port)
        return VXLAN_OTHER;
    if (!is_sound(v, udp, p))
        return VXLAN_BAD;
    if (load_be32(udp + UDP_MIN + VNI) >> 8 != v->ends.vni)
        return VXLAN_WRONG_VNI;
    p->data += (udp - ip) + UDP_MIN + VXLAN_SIZE;
    p->len = load_be16(udp + UDP_LENGTH) - UDP_MIN - VXLAN_SIZE;
    return decapsulate_ecn(ip, p->data, p->len) ? VXLAN_MARKED : VXLAN_FRAME;
}
