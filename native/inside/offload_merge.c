/* SPDX-License-Identifier: MIT */
/*
 * Packets into super-packets, one pass in order of arrival:
 *   classify: is it a plain TCP or UDP packet, of which flow, may it be merged at all;
 *   find:     the newest group of its flow, in a small table that may forget (then a new group
 *             begins: less merging, never another order);
 *   join:     that group, when nothing that differs would be lost, checksums last; or a new one.
 * Then every group of several packets gets its header and its list of payloads. Once per packet.
 */
#include "inside/offload.h"

#include "base/bytes.h"
#include "inside/offload_fields.h"

enum packet_class {
    CLASS_STRANGER, /* of no flow that we merge: passes through */
    CLASS_BARRIER,  /* may belong to any flow (fragments): all groups end */
    CLASS_ALONE,    /* of a known flow, but not to be merged: the flow's group ends */
    CLASS_PLAIN,    /* may be merged */
};

/* One packet as classified. */
struct view {
    uint8_t *ip;
    uint32_t len; /* of the IP packet */
    uint8_t front;
    uint8_t l4;
    uint8_t payload;
    bool is_padded; /* behind the IP packet, as Ethernet frames are */
    bool is_ipv4;
    bool is_tcp;
    bool is_unsummed;
};

/* Of the packet that began the group. */
static uint8_t *ip_of(const struct offload_merge *m, const struct offload_group *g) {
    return (uint8_t *)m->in[g->head].iov_base + g->front;
}

static uint32_t payload_len(const struct view *v) {
    return v->len - v->payload;
}

static const uint8_t *addresses(const struct view *v) {
    return v->ip + (v->is_ipv4 ? IP4_ADDRESSES : IP6_ADDRESSES);
}

static uint32_t addresses_len(const struct view *v) {
    return v->is_ipv4 ? IP4_ADDRESSES_LEN : IP6_ADDRESSES_LEN;
}

/* memcmp for header fields: a few whole words, not worth a call. */
static bool is_equal(const uint8_t *a, const uint8_t *b, uint32_t len) {
    uint32_t differs = 0;
    for (uint32_t i = 0; i < len; i += 4)
        differs |= load_be32(a + i) ^ load_be32(b + i);
    return differs == 0;
}

/* ---- classify ---------------------------------------------------------------------------------
 */

static bool is_extension(uint8_t next) {
    return next == IP6_HOP_BY_HOP || next == IP6_ROUTING || next == IP6_FRAGMENT ||
           next == IP6_AUTHENTICATION || next == IP6_DESTINATION || next == IP6_MOBILITY ||
           next == IP6_HIP || next == IP6_SHIM6;
}

static bool is_merged_kind(const struct offload_merge *m, uint8_t protocol) {
    return (protocol == PROTOCOL_TCP && (m->kinds & OFFLOAD_TCP) != 0) ||
           (protocol == PROTOCOL_UDP && (m->kinds & OFFLOAD_UDP) != 0);
}

/* Whether the packet is as long as it says. Ethernet frames may be padded. */
static bool has_length(const struct offload_merge *m, struct view *v, uint32_t len) {
    v->is_padded = m->is_ethernet && len < v->len;
    if (v->is_padded)
        v->len = len;
    return len == v->len;
}

static enum packet_class classify_tcp(struct view *v) {
    if (v->len < v->l4 + (uint32_t)TCP_MIN)
        return CLASS_BARRIER;
    uint16_t flags = load_be16(v->ip + v->l4 + TCP_FLAGS);
    uint32_t header = (uint32_t)(flags >> 12) * 4;
    if (header < TCP_MIN || v->l4 + header >= v->len)
        return CLASS_ALONE; /* malformed, or an acknowledgement without payload */
    v->payload = (uint8_t)(v->l4 + header);
    return (flags & 0xfff & ~TCP_PSH) == TCP_ACK ? CLASS_PLAIN : CLASS_ALONE;
}

static bool is_vxlan(const uint8_t *udp) {
    uint16_t port = load_be16(udp + L4_TARGET_PORT);
    return port == VXLAN_PORT || port == VXLAN_PORT_LINUX;
}

static enum packet_class classify_udp(const struct offload_merge *m, struct view *v) {
    if (v->len < v->l4 + (uint32_t)UDP_MIN)
        return CLASS_BARRIER;
    const uint8_t *udp = v->ip + v->l4;
    v->payload = (uint8_t)(v->l4 + UDP_MIN);
    v->is_unsummed = load_be16(udp + UDP_CHECKSUM) == 0;
    bool is_plain = load_be16(udp + UDP_LENGTH) == v->len - v->l4 && payload_len(v) > 0 &&
                    (!v->is_unsummed || (!m->is_ethernet && (v->is_ipv4 || is_vxlan(udp))));
    return is_plain ? CLASS_PLAIN : CLASS_ALONE;
}

static enum packet_class classify4(const struct offload_merge *m, struct view *v) {
    const uint8_t *ip = v->ip;
    if (v->len < IP4_MIN)
        return CLASS_BARRIER;
    if (!is_merged_kind(m, ip[IP4_PROTOCOL]))
        return CLASS_STRANGER;
    uint32_t header = (uint32_t)(ip[0] & 15) * 4;
    uint16_t fragment = load_be16(ip + IP4_FRAGMENT);
    if (header < IP4_MIN || !has_length(m, v, load_be16(ip + IP4_LENGTH)) ||
        (fragment & IP4_MF_AND_OFFSET) != 0)
        return CLASS_BARRIER;
    v->is_tcp = ip[IP4_PROTOCOL] == PROTOCOL_TCP;
    v->l4 = (uint8_t)header;
    enum packet_class class = v->is_tcp ? classify_tcp(v) : classify_udp(m, v);
    bool is_simple = header == IP4_MIN && (fragment & ~IP4_DF) == 0 && !v->is_padded;
    return class == CLASS_PLAIN && !is_simple ? CLASS_ALONE : class;
}

static enum packet_class classify6(const struct offload_merge *m, struct view *v) {
    const uint8_t *ip = v->ip;
    if (v->len < IP6_MIN || is_extension(ip[IP6_NEXT]))
        return CLASS_BARRIER;
    if (!is_merged_kind(m, ip[IP6_NEXT]))
        return CLASS_STRANGER;
    if (!has_length(m, v, load_be16(ip + IP6_LENGTH) + (uint32_t)IP6_MIN))
        return CLASS_BARRIER;
    v->is_tcp = ip[IP6_NEXT] == PROTOCOL_TCP;
    v->l4 = IP6_MIN;
    enum packet_class class = v->is_tcp ? classify_tcp(v) : classify_udp(m, v);
    return class == CLASS_PLAIN && v->is_padded ? CLASS_ALONE : class;
}

/* Whether IP is behind the frame's front. */
static bool skip_front(struct view *v) {
    if (v->len < ETHER_HEADER)
        return false;
    v->front = (uint8_t)ether_ip(v->ip, v->len);
    v->ip += v->front;
    v->len -= v->front;
    return v->front != 0;
}

static enum packet_class classify(const struct offload_merge *m, struct view *v) {
    if ((m->is_ethernet && !skip_front(v)) || v->len == 0)
        return CLASS_STRANGER;
    uint8_t version = v->ip[0] >> 4;
    v->is_ipv4 = version == 4;
    if (version != 4 && version != 6)
        return CLASS_STRANGER;
    return v->is_ipv4 ? classify4(m, v) : classify6(m, v);
}

/* ---- find -------------------------------------------------------------------------------------
 */

static bool is_of_flow(const struct offload_merge *m, const struct offload_group *g,
                       const struct view *v) {
    const uint8_t *ip = ip_of(m, g);
    uint32_t protocol = v->is_ipv4 ? IP4_PROTOCOL : IP6_NEXT;
    uint32_t at = v->is_ipv4 ? IP4_ADDRESSES : IP6_ADDRESSES;
    return ip[0] >> 4 == v->ip[0] >> 4 && ip[protocol] == v->ip[protocol] &&
           is_equal(ip + g->l4, v->ip + v->l4, L4_PORTS_LEN) &&
           is_equal(ip + at, v->ip + at, addresses_len(v));
}

/* Any spread will do: a flow that is pushed out of the table costs its merging, nothing else. */
static uint32_t hash(const struct view *v) {
    const uint8_t *p = addresses(v);
    uint32_t h = load_be32(v->ip + v->l4) ^ v->is_tcp;
    for (uint32_t i = 0; i < addresses_len(v); i += 4)
        h = (h ^ load_be32(p + i)) * 0x9e3779b1;
    return h >> 16;
}

/* The slot of the packet's flow, or one for it: an empty one, or the least likely to be missed. A
 * slot is never emptied in a batch, so a flow is in at most one, and all probes are looked at. */
static uint16_t *find_slot(struct offload_merge *m, const struct view *v) {
    uint32_t h = hash(v);
    uint16_t *found = &m->slot[h % OFFLOAD_SLOTS];
    for (uint32_t i = 0; i < OFFLOAD_PROBES; i++) {
        uint16_t *slot = &m->slot[(h + i) % OFFLOAD_SLOTS];
        if (*slot != 0 && is_of_flow(m, &m->group[*slot - 1], v))
            return slot;
        if (*slot < *found) /* empty, or of the older group */
            found = slot;
    }
    return found;
}

/* ---- join -------------------------------------------------------------------------------------
 */

static bool has_good_checksums(const struct offload_merge *m, const struct view *v) {
    if (v->is_ipv4 && checksum_fold(checksum_words(v->ip, IP4_MIN)) != 0xffff)
        return false;
    if (v->is_unsummed)
        return true;
    uint32_t l4_len = v->len - v->l4;
    uint32_t sum = (v->is_tcp ? PROTOCOL_TCP : PROTOCOL_UDP) + l4_len;
    sum += checksum_words(addresses(v), addresses_len(v));
    return checksum_fold(sum + m->checksum->sum(v->ip + v->l4, l4_len)) == 0xffff;
}

/* Type of service, TTL and don't-fragment, or traffic class, flow label and hop limit. */
static bool ip_headers_agree(const uint8_t *a, const uint8_t *b, bool is_ipv4) {
    if (is_ipv4)
        return load_be16(a) == load_be16(b) && a[IP4_TTL] == b[IP4_TTL] &&
               load_be16(a + IP4_FRAGMENT) == load_be16(b + IP4_FRAGMENT);
    return load_be32(a) == load_be32(b) && a[IP6_HOP_LIMIT] == b[IP6_HOP_LIMIT];
}

/* Acknowledgement, data offset, flags but PSH, window, urgent pointer, options. */
static bool tcp_headers_agree(const uint8_t *a, const uint8_t *b, uint32_t len) {
    return load_be32(a + TCP_ACKED) == load_be32(b + TCP_ACKED) &&
           ((load_be32(a + TCP_FLAGS) ^ load_be32(b + TCP_FLAGS)) & ~((uint32_t)TCP_PSH << 16)) ==
               0 &&
           load_be16(a + TCP_URGENT) == load_be16(b + TCP_URGENT) &&
           is_equal(a + TCP_MIN, b + TCP_MIN, len - TCP_MIN);
}

/* Identification as Linux's inet_gro_flush has it: it counts up by one, or, where DF makes it
 * meaningless (RFC 6864), the second packet may show that it stands still. Who cuts the
 * super-packet makes it count: not of Ethernet frames. */
static bool id_continues(struct offload_group *g, const uint8_t *first, const uint8_t *ip) {
    uint16_t step = (uint16_t)(load_be16(ip + IP4_ID) - load_be16(first + IP4_ID));
    if (g->packets == 1)
        g->is_fixed_id = step == 0 && g->front == 0 && (load_be16(ip + IP4_FRAGMENT) & IP4_DF) != 0;
    return step == (g->is_fixed_id ? 0 : g->packets);
}

static bool headers_continue(const struct offload_merge *m, struct offload_group *g,
                             const struct view *v) {
    const uint8_t *first = ip_of(m, g);
    if (v->front != g->front ||
        (v->front && memcmp(first - v->front, v->ip - v->front, v->front) != 0))
        return false;
    if (v->payload != g->payload || v->is_unsummed != g->is_unsummed ||
        !ip_headers_agree(first, v->ip, v->is_ipv4))
        return false;
    if (v->is_ipv4 && !id_continues(g, first, v->ip))
        return false;
    const uint8_t *l4 = v->ip + v->l4;
    return !v->is_tcp || (load_be32(l4 + TCP_SEQ) == g->next_seq &&
                          tcp_headers_agree(first + g->l4, l4, (uint32_t)v->payload - v->l4));
}

/* The first packet's checksums are looked at when a second one comes: singles cost nothing. */
static bool is_first_good(const struct offload_merge *m, struct offload_group *g,
                          const struct view *v) {
    if (g->is_verified)
        return true;
    struct view first = *v; /* of the same shape */
    first.ip = ip_of(m, g);
    first.len = (uint32_t)m->in[g->head].iov_len - g->front;
    g->is_verified = has_good_checksums(m, &first);
    g->is_open = g->is_verified;
    return g->is_verified;
}

static void note_end(struct offload_group *g, const struct view *v) {
    uint32_t n = payload_len(v);
    g->is_pushed = v->is_tcp && (load_be16(v->ip + v->l4 + TCP_FLAGS) & TCP_PSH) != 0;
    g->is_open = n == g->size && !g->is_pushed && g->packets < OFFLOAD_GROUP_MAX;
    if (v->is_tcp)
        g->next_seq = load_be32(v->ip + v->l4 + TCP_SEQ) + n;
}

/* Whether the packet became part of the group. *class says CLASS_ALONE when it never can be. */
static bool join(struct offload_merge *m, struct offload_group *g, const struct view *v,
                 enum packet_class *class) {
    if (!g->is_open || payload_len(v) > g->size || g->bytes + payload_len(v) > OFFLOAD_PACKET_MAX ||
        !headers_continue(m, g, v) || !is_first_good(m, g, v))
        return false;
    if (!has_good_checksums(m, v)) {
        *class = CLASS_ALONE;
        return false;
    }
    g->bytes += payload_len(v);
    g->packets++;
    note_end(g, v);
    return true;
}

static void begin_group(struct offload_merge *m, uint32_t i, const struct view *v, bool is_plain) {
    struct offload_group *g = &m->group[m->n++];
    *g = (struct offload_group){.packets = 1, .bytes = v->len, .front = v->front, .l4 = v->l4};
    g->head = g->tail = (uint16_t)i;
    if (is_plain) {
        g->payload = v->payload;
        g->is_unsummed = v->is_unsummed;
        g->size = (uint16_t)payload_len(v);
        note_end(g, v);
    }
}

static void take(struct offload_merge *m, uint32_t i) {
    struct view v = {.ip = m->in[i].iov_base, .len = (uint32_t)m->in[i].iov_len};
    enum packet_class class = classify(m, &v);
    if (class == CLASS_BARRIER)
        memset(m->slot, 0, sizeof m->slot);
    if (class == CLASS_BARRIER || class == CLASS_STRANGER) {
        begin_group(m, i, &v, false);
        return;
    }
    uint16_t *slot = find_slot(m, &v);
    if (class == CLASS_PLAIN && *slot != 0) {
        struct offload_group *g = &m->group[*slot - 1];
        if (is_of_flow(m, g, &v) && join(m, g, &v, &class)) {
            m->next[g->tail] = (uint16_t)i;
            g->tail = (uint16_t)i;
            return;
        }
    }
    begin_group(m, i, &v, class == CLASS_PLAIN);
    *slot = (uint16_t)m->n;
}

/* ---- the frames -------------------------------------------------------------------------------
 */

static bool is_ipv4(const uint8_t *ip) {
    return ip[0] >> 4 == 4;
}

static bool is_tcp(const uint8_t *ip) {
    return ip[is_ipv4(ip) ? IP4_PROTOCOL : IP6_NEXT] == PROTOCOL_TCP;
}

/* Length fields and the IPv4 header checksum for `bytes` in all. */
static void put_lengths(uint8_t *ip, uint32_t l4, uint32_t bytes) {
    if (is_ipv4(ip)) {
        uint16_t old = load_be16(ip + IP4_LENGTH);
        uint16_t check = checksum_update(load_be16(ip + IP4_CHECKSUM), old, (uint16_t)bytes);
        store_be16(ip + IP4_LENGTH, (uint16_t)bytes);
        store_be16(ip + IP4_CHECKSUM, check);
    } else {
        store_be16(ip + IP6_LENGTH, (uint16_t)(bytes - IP6_MIN));
    }
    if (!is_tcp(ip))
        store_be16(ip + l4 + UDP_LENGTH, (uint16_t)(bytes - l4));
}

static void put_push(uint8_t *tcp, bool is_pushed) {
    uint16_t flags = load_be16(tcp + TCP_FLAGS) & (uint16_t)~TCP_PSH;
    store_be16(tcp + TCP_FLAGS, is_pushed ? flags | TCP_PSH : flags);
}

static uint32_t pseudo_sum(const uint8_t *ip, uint32_t l4_len) {
    uint32_t sum = (is_tcp(ip) ? PROTOCOL_TCP : PROTOCOL_UDP) + l4_len;
    return sum + (is_ipv4(ip) ? checksum_words(ip + IP4_ADDRESSES, IP4_ADDRESSES_LEN)
                              : checksum_words(ip + IP6_ADDRESSES, IP6_ADDRESSES_LEN));
}

static uint8_t *checksum_field(uint8_t *ip, uint32_t l4) {
    return ip + l4 + (is_tcp(ip) ? TCP_CHECKSUM : UDP_CHECKSUM);
}

/* The first packet's headers become those of the super-packet. */
static struct offload_header put_super_headers(const struct offload_group *g, uint8_t *ip) {
    uint8_t tcp_type = is_ipv4(ip) ? VNET_GSO_TCPV4 : VNET_GSO_TCPV6;
    put_lengths(ip, g->l4, g->bytes);
    if (is_tcp(ip))
        put_push(ip + g->l4, g->is_pushed);
    store_be16(checksum_field(ip, g->l4),
               (uint16_t)checksum_fold(pseudo_sum(ip, g->bytes - g->l4)));
    return (struct offload_header){
        .flags = VNET_NEEDS_CSUM,
        .gso_type = is_tcp(ip) ? tcp_type : VNET_GSO_UDP_L4,
        .hdr_len = (uint16_t)(g->front + g->payload),
        .gso_size = g->size,
        .csum_start = (uint16_t)(g->front + g->l4),
        .csum_offset = is_tcp(ip) ? TCP_CHECKSUM : UDP_CHECKSUM,
    };
}

static struct iovec whole_frame(uint8_t *packet, size_t len) {
    return (struct iovec){.iov_base = packet - OFFLOAD_HEADER, .iov_len = len + OFFLOAD_HEADER};
}

/* Lays down the group's iovecs from `first` on. */
static void put_frame(struct offload_merge *m, struct offload_group *g, uint32_t first) {
    uint8_t *begin = m->in[g->head].iov_base;
    uint32_t skip = (uint32_t)g->front + g->payload;
    struct offload_header header = {.gso_type = VNET_GSO_NONE};
    g->first = (uint16_t)first;
    m->iov[first] = whole_frame(begin, m->in[g->head].iov_len);
    uint32_t packet = g->head;
    for (uint32_t i = 1; i < g->packets; i++) {
        packet = m->next[packet];
        struct iovec in = m->in[packet];
        m->iov[first + i] =
            (struct iovec){.iov_base = (uint8_t *)in.iov_base + skip, .iov_len = in.iov_len - skip};
    }
    if (g->packets > 1)
        header = put_super_headers(g, begin + g->front);
    offload_header_store(begin - OFFLOAD_HEADER, &header);
}

uint32_t offload_merge(struct offload_merge *m, uint32_t count) {
    m->n = 0;
    memset(m->slot, 0, sizeof m->slot);
    for (uint32_t i = 0; i < count; i++)
        take(m, i);
    for (uint32_t i = 0, first = 0; i < m->n; i++) {
        put_frame(m, &m->group[i], first);
        first += m->group[i].packets;
    }
    return m->n;
}

void offload_unmerge(struct offload_merge *m, struct offload_group *g) {
    const struct offload_header single = {.gso_type = VNET_GSO_NONE};
    struct iovec *iov = &m->iov[g->first];
    uint32_t skip = (uint32_t)g->front + g->payload;
    for (uint32_t i = 1; i < g->packets; i++) {
        uint8_t *begin = (uint8_t *)iov[i].iov_base - skip;
        offload_header_store(begin - OFFLOAD_HEADER, &single);
        iov[i] = whole_frame(begin, iov[i].iov_len + skip);
    }
    uint8_t *ip = (uint8_t *)iov[0].iov_base + OFFLOAD_HEADER + g->front;
    uint32_t len = (uint32_t)iov[0].iov_len - OFFLOAD_HEADER - g->front;
    put_lengths(ip, g->l4, len);
    if (is_tcp(ip))
        put_push(ip + g->l4, false); /* a first packet with PSH ends its own group */
    offload_header_store(ip - g->front - OFFLOAD_HEADER, &single);
    store_be16(checksum_field(ip, g->l4), 0);
    if (g->is_unsummed)
        return;
    uint32_t sum = pseudo_sum(ip, len - g->l4) + m->checksum->sum(ip + g->l4, len - g->l4);
    uint16_t check = checksum_finish(sum);
    store_be16(checksum_field(ip, g->l4), check || is_tcp(ip) ? check : 0xffff);
}
