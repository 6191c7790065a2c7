/* SPDX-License-Identifier: MIT */
/*
 * Cutting and merging under inputs of a corpus and what chance makes of them. Run under sanitizers,
 * with every packet a heap block of its length:
 *
 *     offload_fuzz TARGET SEED STEPS FILE...
 *
 * A target ends the program where a super-packet's segments are not its payload behind its front,
 * or where frames that were merged and cut again, or taken apart, are not what they were.
 */
#include "base/bytes.h"
#include "inside/offload.h"
#include "inside/offload_fields.h"
#include "mutate.h"

enum { ETHERNET = 1, HONEST = 2, FOLLOWS = 4, PACKETS = 64, LONGEST = 2048, ROOM = 1 << 20 };

static unsigned long reached; /* super-packets: that it looks at something */
static uint8_t room_bytes[ROOM];

/* ---- packets out of an input ------------------------------------------------------------------
 */

struct whole {
    uint8_t *block; /* OFFLOAD_HEADER bytes, then the packet */
    uint32_t len;
};

static uint8_t *packet_of(const struct whole *p) {
    return p->block + OFFLOAD_HEADER;
}

static struct whole new_packet(const uint8_t *from, uint32_t len) {
    struct whole p = {malloc(OFFLOAD_HEADER + len), len};
    if (len)
        memcpy(packet_of(&p), from, len);
    return p;
}

/* Where its IP header would be, with 40 bytes of IPv4 and TCP or UDP there; NULL: too short. */
static uint8_t *plain_ip(const struct whole *p, bool ethernet) {
    uint32_t at = !ethernet ? 0 : p->len < ETHER_HEADER ? p->len : ether_ip(packet_of(p), p->len);
    bool is_there = (at || !ethernet) && p->len >= at + IP4_MIN + TCP_MIN;
    return is_there && packet_of(p)[at] == 0x45 ? packet_of(p) + at : NULL;
}

static void put_checksum(uint8_t *ip, uint32_t len) {
    uint32_t field = IP4_MIN + (ip[IP4_PROTOCOL] == PROTOCOL_UDP ? UDP_CHECKSUM : TCP_CHECKSUM);
    store_be16(ip + IP4_CHECKSUM, 0);
    store_be16(ip + IP4_CHECKSUM, checksum_finish(checksum_sum(ip, IP4_MIN)));
    store_be16(ip + field, 0);
    uint32_t sum = ip[IP4_PROTOCOL] + len - IP4_MIN + checksum_words(ip + IP4_ADDRESSES, 8);
    uint16_t check = checksum_finish(sum + checksum_sum(ip + IP4_MIN, len - IP4_MIN));
    store_be16(ip + field, check || ip[IP4_PROTOCOL] == PROTOCOL_TCP ? check : 0xffff);
}

/* Lengths and checksums of a packet over IPv4 become right. */
static void be_honest(const struct whole *p, bool ethernet) {
    uint8_t *ip = plain_ip(p, ethernet);
    if (!ip)
        return;
    uint32_t len = p->len - (uint32_t)(ip - packet_of(p));
    store_be16(ip + IP4_LENGTH, (uint16_t)len);
    if (ip[IP4_PROTOCOL] == PROTOCOL_UDP)
        store_be16(ip + IP4_MIN + UDP_LENGTH, (uint16_t)(len - IP4_MIN));
    put_checksum(ip, len);
}

/* It becomes the one after itself in its flow. */
static void follow(const struct whole *p, bool ethernet) {
    uint8_t *ip = plain_ip(p, ethernet);
    if (!ip)
        return;
    uint8_t *tcp = ip + IP4_MIN;
    uint32_t headers = IP4_MIN + (tcp[TCP_FLAGS] >> 4) * 4u;
    uint32_t len = p->len - (uint32_t)(ip - packet_of(p));
    store_be16(ip + IP4_ID, (uint16_t)(load_be16(ip + IP4_ID) + 1));
    if (ip[IP4_PROTOCOL] == PROTOCOL_TCP)
        store_be32(tcp + TCP_SEQ, load_be32(tcp + TCP_SEQ) + len - headers);
    put_checksum(ip, len);
}

/* ---- cut --------------------------------------------------------------------------------------
 */

static bool is_sound(const struct offload_split *s, const uint8_t *ip, uint32_t len) {
    uint32_t n = len - s->l4, sum = n + (s->is_tcp ? PROTOCOL_TCP : PROTOCOL_UDP);
    sum += s->is_ipv4 ? checksum_words(ip + IP4_ADDRESSES, IP4_ADDRESSES_LEN)
                      : checksum_words(ip + IP6_ADDRESSES, IP6_ADDRESSES_LEN);
    return checksum_fold(sum + checksum_sum(ip + s->l4, n)) == 0xffff;
}

/* The segments one behind the other: their fronts, then their payload is the super-packet's. */
static void check_segment(const struct offload_split *s, const uint8_t *at, uint32_t len,
                          uint32_t done) {
    uint32_t headers = (uint32_t)s->front + s->payload, n = len - headers;
    must(len > headers && n <= s->gso_size, "a segment is too short or too long");
    must(memcmp(at, s->packet - s->front, s->front) == 0, "a segment has another front");
    must(memcmp(at + headers, s->packet + s->payload + done, n) == 0, "another payload");
    must(is_sound(s, at + s->front, len - s->front), "a segment has a wrong checksum");
    must(n == s->gso_size || done + n == s->len - s->payload, "a short segment is not the last");
}

static void cut_all(struct offload_split *s) {
    const struct offload_room room = {room_bytes, ROOM, 18, 16, 1, 1500};
    struct offload_slice slices[8];
    uint32_t done = 0;
    while (!s->done) {
        memset(room_bytes, 0xee, LONGEST);
        int n = offload_split_next(s, &room, slices, 8);
        must(n > 0, "a segment does not fit");
        for (int i = 0; i < n; i++) {
            check_segment(s, room_bytes + slices[i].offset, slices[i].len, done);
            done += slices[i].len - s->front - s->payload;
        }
    }
    must(done == s->len - s->payload, "payload is missing");
    reached++;
}

static void cut(struct input *in) {
    uint32_t how = next_byte(in);
    struct offload_header h = {(uint8_t)next_byte(in),  (uint8_t)next_byte(in),
                               (uint16_t)next_word(in), (uint16_t)next_word(in),
                               (uint16_t)next_word(in), (uint16_t)next_word(in)};
    uint32_t left = in->at < in->len ? in->len - in->at : 0;
    struct whole p = new_packet(in->bytes + in->len - left, left);
    if (how & HONEST)
        be_honest(&p, how & ETHERNET);
    offload_header_store(p.block, &h);
    struct offload_split s = {.checksum = checksum_choose(), .is_ethernet = how & ETHERNET};
    if (offload_split_begin(&s, p.block, OFFLOAD_HEADER + p.len) == 2)
        cut_all(&s);
    free(p.block);
}

/* ---- merge ------------------------------------------------------------------------------------
 */

/* The next packet of the input, perhaps made of the one before. */
static struct whole read_packet(struct input *in, const struct whole *before, bool ethernet) {
    uint32_t how = next_byte(in), len = next_word(in) % LONGEST;
    if (how & FOLLOWS && before) {
        struct whole p = new_packet(packet_of(before), before->len);
        follow(&p, ethernet);
        return p;
    }
    uint32_t left = in->at < in->len ? in->len - in->at : 0;
    struct whole p = new_packet(in->bytes + in->at, len < left ? len : left);
    in->at += p.len;
    if (how & HONEST)
        be_honest(&p, ethernet);
    return p;
}

/* What the group is written as, cut again: on Ethernet the very packets. */
static void check_group(const struct offload_merge *m, const struct offload_group *g,
                        const struct whole *was) {
    struct offload_split s = {.checksum = m->checksum, .is_ethernet = m->is_ethernet};
    const struct offload_room room = {room_bytes, ROOM, 0, 0, 1, 1500};
    struct offload_slice slices[PACKETS];
    uint32_t len = 0, at = g->head;
    for (uint32_t i = 0; i < g->packets; i++)
        len += (uint32_t)m->iov[g->first + i].iov_len;
    uint8_t *frame = malloc(len), *to = frame;
    for (uint32_t i = 0; i < g->packets; i++) {
        memcpy(to, m->iov[g->first + i].iov_base, m->iov[g->first + i].iov_len);
        to += m->iov[g->first + i].iov_len;
    }
    must(offload_split_begin(&s, frame, len) == 2, "what was merged cannot be cut");
    must(offload_split_next(&s, &room, slices, PACKETS) == (int)g->packets && s.done,
         "it is cut into another number of packets");
    for (uint32_t i = 0; i < g->packets; i++, at = m->next[at]) {
        must(slices[i].len == was[at].len, "a packet came back longer or shorter");
        must(!m->is_ethernet ||
                 memcmp(room_bytes + slices[i].offset, packet_of(&was[at]), was[at].len) == 0,
             "a frame came back changed");
    }
    free(frame);
    reached++;
}

static void check_apart(struct offload_merge *m, struct offload_group *g, const struct whole *was) {
    if (g->packets > 1)
        offload_unmerge(m, g);
    for (uint32_t i = 0, at = g->head; i < g->packets; i++, at = m->next[at]) {
        const struct iovec *iov = &m->iov[g->first + i];
        must(iov->iov_len == OFFLOAD_HEADER + was[at].len &&
                 memcmp((uint8_t *)iov->iov_base + OFFLOAD_HEADER, packet_of(&was[at]),
                        was[at].len) == 0,
             "a packet was taken apart to another one");
    }
}

static void merge(struct input *in) {
    static struct offload_merge m;
    struct whole is[PACKETS], was[PACKETS];
    uint32_t n = 0, packets = 0;
    m.is_ethernet = next_byte(in) & ETHERNET;
    m.kinds = OFFLOAD_TCP | OFFLOAD_UDP;
    m.checksum = checksum_choose();
    for (; in->at < in->len && n < PACKETS; n++) {
        is[n] = read_packet(in, n ? &was[n - 1] : NULL, m.is_ethernet);
        was[n] = new_packet(packet_of(&is[n]), is[n].len);
        m.in[n] = (struct iovec){packet_of(&is[n]), is[n].len};
    }
    uint32_t groups = offload_merge(&m, n);
    for (uint32_t i = 0; i < groups; i++) {
        if (m.group[i].packets > 1)
            check_group(&m, &m.group[i], was);
        check_apart(&m, &m.group[i], was);
        packets += m.group[i].packets;
    }
    must(packets == n, "a packet is missing");
    for (uint32_t i = 0; i < n; i++) {
        free(is[i].block);
        free(was[i].block);
    }
}

int main(int argc, char **argv) {
    static const struct target targets[] = {{"cut", cut}, {"merge", merge}, {NULL, NULL}};
    return run_corpus(argc, argv, targets, &reached);
}
