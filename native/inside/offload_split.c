/* SPDX-License-Identifier: MIT */
/*
 * One super-packet into segments:
 *   begin: header of the frame -> front -> IP header -> extension headers -> transport header, each
 *          found in the bytes that are really there; then the sums that all segments share;
 *   next:  headers copied, payload copied and summed in one pass, the differing fields put in.
 * Once per packet.
 */
#include "inside/offload.h"

#include "base/bytes.h"
#include "inside/offload_fields.h"

/* Loose and strict source routes: the checksum covers the last address, not the one in the header.
 */
enum { OPTION_END = 0, OPTION_NOP = 1, OPTION_LSRR = 131, OPTION_SSRR = 137 };

static uint32_t padded(const struct offload_room *room, uint32_t len) {
    uint32_t up = (len + room->pad - 1) & ~(uint32_t)(room->pad - 1);
    if (up > room->mtu)
        up = room->mtu;
    return up > len ? up : len;
}

uint32_t offload_padded(const struct offload_room *room, uint32_t len) {
    return padded(room, len);
}

static bool has_source_route(const uint8_t *options, uint32_t len) {
    for (uint32_t i = 0; i < len && options[i] != OPTION_END;) {
        if (options[i] == OPTION_LSRR || options[i] == OPTION_SSRR)
            return true;
        uint32_t step = 1;
        if (options[i] != OPTION_NOP)
            step = i + 1 < len && options[i + 1] >= 2 ? options[i + 1] : len;
        i += step;
    }
    return false;
}

/* Each finder returns the transport protocol and sets s->l4, or returns a refusal. */
static int find_transport4(struct offload_split *s) {
    const uint8_t *ip = s->packet;
    uint32_t header = (uint32_t)(ip[0] & 15) * 4;
    if (s->len < IP4_MIN || s->len < header)
        return OFFLOAD_SHORT;
    if (header < IP4_MIN || load_be16(ip + IP4_LENGTH) != s->len)
        return OFFLOAD_LENGTH;
    if ((load_be16(ip + IP4_FRAGMENT) & IP4_MF_AND_OFFSET) != 0 ||
        has_source_route(ip + IP4_MIN, header - IP4_MIN))
        return OFFLOAD_UNSPLITTABLE;
    s->l4 = (uint16_t)header;
    return ip[IP4_PROTOCOL];
}

static int find_transport6(struct offload_split *s) {
    const uint8_t *ip = s->packet;
    if (s->len < IP6_MIN)
        return OFFLOAD_SHORT;
    if (load_be16(ip + IP6_LENGTH) + (uint32_t)IP6_MIN != s->len)
        return OFFLOAD_LENGTH;
    uint32_t at = IP6_MIN;
    uint8_t next = ip[IP6_NEXT];
    while (next == IP6_HOP_BY_HOP || next == IP6_ROUTING || next == IP6_DESTINATION) {
        if (at + 8 > s->len)
            return OFFLOAD_SHORT;
        /* while segments are left, the checksum covers the last address of the route */
        if (next == IP6_ROUTING && ip[at + 3] != 0)
            return OFFLOAD_UNSPLITTABLE;
        next = ip[at];
        at += 8 + (uint32_t)ip[at + 1] * 8;
        if (at > OFFLOAD_HEADERS_MAX)
            return OFFLOAD_UNSPLITTABLE;
    }
    if (at > s->len)
        return OFFLOAD_SHORT;
    s->l4 = (uint16_t)at;
    return next == PROTOCOL_TCP || next == PROTOCOL_UDP ? next : OFFLOAD_UNSPLITTABLE;
}

static int check_tcp(struct offload_split *s) {
    const uint8_t *tcp = s->packet + s->l4;
    if (s->len < s->l4 + (uint32_t)TCP_MIN)
        return OFFLOAD_SHORT;
    uint16_t flags = load_be16(tcp + TCP_FLAGS);
    uint32_t header = (uint32_t)(flags >> 12) * 4;
    if (header < TCP_MIN)
        return OFFLOAD_LENGTH;
    if (s->len < s->l4 + header)
        return OFFLOAD_SHORT;
    if ((flags & (TCP_SYN | TCP_RST)) != 0)
        return OFFLOAD_UNSPLITTABLE;
    s->payload = (uint16_t)(s->l4 + header);
    return 0;
}

static int check_udp(struct offload_split *s) {
    if (s->len < s->l4 + (uint32_t)UDP_MIN)
        return OFFLOAD_SHORT;
    if (load_be16(s->packet + s->l4 + UDP_LENGTH) != s->len - s->l4)
        return OFFLOAD_LENGTH;
    s->payload = (uint16_t)(s->l4 + UDP_MIN);
    return 0;
}

/* Finds the headers of a super-packet of this type, and that they are whole. */
static int check_headers(struct offload_split *s, uint8_t gso_type) {
    if (!s->is_ip)
        return OFFLOAD_TYPE;
    uint8_t version = s->packet[0] >> 4;
    uint8_t type = gso_type & (uint8_t)~VNET_GSO_ECN;
    s->is_tcp = type == VNET_GSO_TCPV4 || type == VNET_GSO_TCPV6;
    s->is_ipv4 = version == 4;
    bool fits = s->is_tcp ? version == (type == VNET_GSO_TCPV4 ? 4 : 6)
                          : gso_type == VNET_GSO_UDP_L4 && (version == 4 || version == 6);
    if (!fits)
        return OFFLOAD_TYPE;
    int protocol = s->is_ipv4 ? find_transport4(s) : find_transport6(s);
    if (protocol < 0)
        return protocol;
    if (protocol != (s->is_tcp ? PROTOCOL_TCP : PROTOCOL_UDP))
        return OFFLOAD_TYPE;
    return s->is_tcp ? check_tcp(s) : check_udp(s);
}

/* A checksum that the kernel left to us: the field holds the sum of the pseudo header. The same
 * 0xffff for 0 as skb_checksum_help: for UDP 0 means none, for others both are right. */
static int complete_checksum(const struct offload_split *s, uint8_t *frame) {
    struct offload_header h = offload_header_load(frame);
    uint8_t *at = frame + OFFLOAD_HEADER;
    uint32_t start = h.csum_start, field = start + h.csum_offset, len = s->front + s->len;
    uint32_t least = s->front;
    if (s->is_ip)
        least += s->packet[0] >> 4 == 4 ? (uint32_t)(s->packet[0] & 15) * 4 : IP6_MIN;
    if (start < least || field + 2 > len)
        return OFFLOAD_CHECKSUM;
    uint16_t check = checksum_finish(s->checksum->sum(at + start, len - start));
    store_be16(at + field, check ? check : 0xffff);
    return 1;
}

/* Where IP begins, if it is there. */
static int find_ip(struct offload_split *s, const uint8_t *frame, uint32_t len) {
    const uint8_t *at = frame + OFFLOAD_HEADER;
    if (len < OFFLOAD_HEADER + (s->is_ethernet ? ETHER_HEADER : 1))
        return OFFLOAD_SHORT;
    len -= OFFLOAD_HEADER;
    s->is_ip = true;
    s->front = 0;
    if (s->is_ethernet) {
        s->is_ip = ether_ip(at, len) != 0;
        s->front = (uint16_t)ether_look(at, len).at;
    }
    s->packet = at + s->front;
    s->len = len - s->front;
    return s->len > OFFLOAD_PACKET_MAX ? OFFLOAD_LENGTH : 0;
}

/* The sums over what all segments have in common. */
static void sum_headers(struct offload_split *s) {
    const uint8_t *ip = s->packet, *l4 = ip + s->l4;
    if (s->is_ipv4) {
        uint32_t sum = checksum_words(ip, s->l4);
        sum = checksum_without(sum, load_be16(ip + IP4_LENGTH));
        sum = checksum_without(sum, load_be16(ip + IP4_ID));
        s->ip_sum = checksum_without(sum, load_be16(ip + IP4_CHECKSUM));
        s->l4_sum = checksum_words(ip + IP4_ADDRESSES, IP4_ADDRESSES_LEN);
        s->id = load_be16(ip + IP4_ID);
    } else {
        s->l4_sum = checksum_words(ip + IP6_ADDRESSES, IP6_ADDRESSES_LEN);
    }
    if (s->is_tcp) { /* ports; acknowledgement; window; options */
        s->l4_sum += PROTOCOL_TCP + checksum_words(l4, TCP_SEQ) +
                     checksum_words(l4 + TCP_ACKED, 4) + load_be16(l4 + TCP_WINDOW) +
                     checksum_words(l4 + TCP_MIN, (uint32_t)s->payload - s->l4 - TCP_MIN);
    } else {
        s->l4_sum += PROTOCOL_UDP + checksum_words(l4, L4_PORTS_LEN);
    }
}

int offload_split_begin(struct offload_split *s, uint8_t *frame, uint32_t len) {
    int refused = find_ip(s, frame, len);
    if (refused != 0)
        return refused;
    struct offload_header h = offload_header_load(frame);
    s->done = true;
    bool is_partial = (h.flags & VNET_NEEDS_CSUM) != 0;
    if (h.gso_type == VNET_GSO_NONE)
        return is_partial ? complete_checksum(s, frame) : 1;

    refused = check_headers(s, h.gso_type);
    if (refused != 0)
        return refused;
    if (h.gso_size == 0)
        return OFFLOAD_LENGTH;
    if (is_partial && (h.csum_start != s->front + s->l4 ||
                       h.csum_offset != (s->is_tcp ? TCP_CHECKSUM : UDP_CHECKSUM)))
        return OFFLOAD_CHECKSUM;
    if (s->len - s->payload <= h.gso_size)
        return is_partial ? complete_checksum(s, frame) : 1;
    s->done = false;
    s->gso_size = h.gso_size;
    s->index = 0;
    s->next = s->payload;
    sum_headers(s);
    return 2;
}

/* Fields of one segment. `sum` is that of its payload. */
static void put_tcp(const struct offload_split *s, uint8_t *tcp, uint32_t n, uint32_t sum) {
    uint32_t sent = s->next - s->payload;
    uint32_t seq = load_be32(tcp + TCP_SEQ) + sent;
    uint16_t flags = load_be16(tcp + TCP_FLAGS), urgent = load_be16(tcp + TCP_URGENT);
    if (s->next + n < s->len)
        flags &= (uint16_t) ~(TCP_FIN | TCP_PSH);
    if (sent != 0)
        flags &= (uint16_t)~TCP_CWR;
    if ((flags & TCP_URG) != 0) { /* it counts from this segment's sequence number */
        if (urgent <= sent)
            flags &= (uint16_t)~TCP_URG;
        urgent = urgent > sent ? (uint16_t)(urgent - sent) : 0;
    }
    store_be32(tcp + TCP_SEQ, seq);
    store_be16(tcp + TCP_FLAGS, flags);
    store_be16(tcp + TCP_URGENT, urgent);
    sum += s->l4_sum + (seq >> 16) + (seq & 0xffff) + flags + urgent + s->payload - s->l4 + n;
    store_be16(tcp + TCP_CHECKSUM, checksum_finish(sum));
}

static void put_udp(const struct offload_split *s, uint8_t *udp, uint32_t n, uint32_t sum) {
    uint16_t len = (uint16_t)(UDP_MIN + n);
    store_be16(udp + UDP_LENGTH, len);
    uint16_t check = checksum_finish(sum + s->l4_sum + len + len);
    store_be16(udp + UDP_CHECKSUM, check ? check : 0xffff);
}

static void put_ip(const struct offload_split *s, uint8_t *ip, uint32_t len) {
    if (!s->is_ipv4) {
        store_be16(ip + IP6_LENGTH, (uint16_t)(len - IP6_MIN));
        return;
    }
    uint16_t id = (uint16_t)(s->id + s->index);
    store_be16(ip + IP4_LENGTH, (uint16_t)len);
    store_be16(ip + IP4_ID, id);
    store_be16(ip + IP4_CHECKSUM, checksum_finish(s->ip_sum + len + id));
}

/* The next segment, with `n` bytes of payload, to dst. */
static void put_segment(struct offload_split *s, uint8_t *dst, uint32_t n) {
    memcpy(dst, s->packet - s->front, (size_t)s->front + s->payload);
    dst += s->front;
    uint32_t sum = s->checksum->copy(dst + s->payload, s->packet + s->next, n);
    put_ip(s, dst, s->payload + n);
    if (s->is_tcp)
        put_tcp(s, dst + s->l4, n, sum);
    else
        put_udp(s, dst + s->l4, n, sum);
    s->index++;
    s->next += n;
    s->done = s->next == s->len;
}

int offload_split_next(struct offload_split *s, const struct offload_room *room,
                       struct offload_slice *slices, uint32_t max) {
    uint32_t count = 0, offset = room->headroom;
    while (!s->done && count < max) {
        uint32_t left = s->len - s->next;
        uint32_t n = left < s->gso_size ? left : s->gso_size;
        uint32_t len = (uint32_t)s->front + s->payload + n;
        uint32_t end = offset + padded(room, len) + room->tailroom;
        if (end > room->size)
            break;
        put_segment(s, room->data + offset, n);
        slices[count++] = (struct offload_slice){.offset = offset, .len = len};
        offset = end + room->headroom;
    }
    return count == 0 && !s->done ? OFFLOAD_ROOM : (int)count;
}
