/* SPDX-License-Identifier: MIT */
/*
 * Random and mutated datagrams, random device packets and random calls of the border, in any order:
 * nothing may crash, leak, read out of bounds, or arrive that was not sealed. Run under sanitizers.
 *
 *     plane_fuzz SEED STEPS
 */
#include "fuzz.h"
#include "inside/checksum.h"
#include "tunlite.h"
#include "tunlite_test.h"

enum { PEERS = 4, SESSIONS = 6, BIG = 3000 };

struct world {
    int plane;
    int peer[PEERS];
    uint8_t index[SESSIONS][4];
    uint64_t counter;
    uint64_t now;
    uint8_t echo[80]; /* the last request */
    uint32_t echo_len;
    unsigned long delivered, sent;
};

static void put_options(uint8_t *r, uint32_t layer) {
    uint32_t few =
        any(2); /* a batch is of three long packets, and less than handshakes that wait */
    const uint32_t fields[] = {
        0, layer, few ? 9000 : 1420, few ? 1 : 1 << 20, few ? 3 : 0, 2048, 16, 16, 20, 1};
    put_numbers(r, fields, sizeof fields / sizeof *fields);
}

static void put_place(uint8_t *r) {
    memset(r, 0, 48);
    store_le16(r, any(2) ? 4 : 6);
    store_le16(r + 2, (uint16_t)any(65536));
    fill(r + 4, any(2) ? 4 : 16);
    if (any(4) == 0)
        fill(r + 24, 4);
    if (any(8) == 0) { /* inside the tunnel, where put_ip() goes to */
        memset(r, 0, 24);
        store_le16(r, 4);
        r[4] = 10;
        r[5] = (uint8_t)any(PEERS);
    }
    store_le32(r + 40, any(4));                        /* the interface that it came by, ... */
    store_le32(r + 44, any(12) ? any(4) : UINT32_MAX); /* ... and the way there */
}

/* Behind an IP header: extension headers, whole or not, ICMP of any type, and UDP from port 0,
 * which is ours where nothing listens, with a type and perhaps an index that are ours too. */
static void put_chain(uint8_t *next, uint8_t *out, uint32_t len) {
    static const uint8_t kinds[] = {0, 1, 43, 44, 51, 58, 60};
    uint32_t at = 0;
    for (uint32_t i = any(3) ? 0 : any(10); i > 0 && at + 32 <= len; i--) {
        *next = kinds[any(sizeof kinds)];
        next = out + at;
        next[1] = (uint8_t)(any(8) ? 0 : any(256));
        at += 8;
    }
    *next = any(4) ? 17 : 58;
    if (at + 16 > len)
        return;
    store_le32(out + at, 0);
    store_le32(out + at + 8, 1 + any(4));
    store_le32(out + at + 12, any(4));
}

/* An IP packet that is mostly well formed. */
static uint32_t put_ip(uint8_t *out) {
    uint32_t len = 20 + any(any(8) ? 200 : 1480);
    fill(out, len);
    if (any(3)) {
        out[0] = 0x45;
        store_be16(out + 2, (uint16_t)(any(10) ? len : any(65536)));
        out[12] = out[16] = 10;
        out[13] = (uint8_t)any(PEERS);
        out[17] = (uint8_t)any(PEERS + 1);
        if (any(2)) {
            out[6] = out[7] = out[18] = out[19] = 0; /* whole */
            put_chain(out + 9, out + 20, len - 20);
        }
    } else if (len >= 40) {
        out[0] = 0x60;
        store_be16(out + 4, (uint16_t)(any(10) ? len - 40 : any(65536)));
        out[8] = out[24] = (uint8_t)(any(8) ? 0xfd : any(256));
        if (any(2))
            put_chain(out + 6, out + 40, len - 40);
    }
    return any(20) ? len : any(len);
}

static void put_checksums(uint8_t *ip, uint32_t len) {
    store_be16(ip + 10, 0);
    store_be16(ip + 10, checksum_finish(checksum_sum(ip, 20)));
    store_be16(ip + 22, 0);
    store_be16(ip + 22, checksum_finish(checksum_sum(ip + 20, len - 20)));
}

/* A keepalive, or an echo whose answer may come. */
static void put_echo(struct world *w, int peer) {
    uint8_t *ip = w->echo;
    uint32_t len = any(4) ? 28 + any(37) : any(sizeof w->echo + 1);
    fill(ip, sizeof w->echo);
    memset(ip, 0, 28);
    ip[0] = 0x45;
    store_be16(ip + 2, (uint16_t)len);
    ip[9] = 1;
    ip[12] = ip[16] = 10;
    ip[17] = (uint8_t)any(PEERS + 1);
    ip[20] = 8;
    put_checksums(ip, len < 28 ? 28 : len);
    if (any(8) == 0)
        ip[any(28)] ^= 1;
    if (tl_peer_keepalive(w->plane, peer, ip, any(3) ? (int)len : 0) == 0)
        w->echo_len = len < 28 ? 28 : len;
}

static uint32_t put_answer(const struct world *w, uint8_t *ip) {
    memcpy(ip, w->echo, w->echo_len);
    memcpy(ip + 12, w->echo + 16, 4);
    memcpy(ip + 16, w->echo + 12, 4);
    ip[20] = 0;
    put_checksums(ip, w->echo_len);
    if (any(4) == 0)
        ip[any(w->echo_len)] ^= (uint8_t)(1u << any(8));
    return w->echo_len;
}

static uint32_t put_transport(struct world *w, uint8_t *out) {
    uint8_t inner[2048], nonce[12] = {0};
    uint32_t len = any(10) ? put_ip(inner) : 0;
    if (w->echo_len && any(8) == 0)
        len = put_answer(w, inner);
    uint64_t counter = any(5) ? w->counter++ : w->counter + 50 - any(100);
    store_le64(nonce + 4, counter);
    store_le32(out, 4);
    memcpy(out + 4, w->index[any(SESSIONS)], 4);
    store_le64(out + 8, counter);
    tl_seal(out + 16, (int)len + 16, receive_key, nonce, 12, NULL, 0, inner, (int)len);
    return len + 32;
}

static uint32_t put_handshake(struct world *w, uint8_t *out) {
    static const uint32_t sizes[] = {148, 92, 64};
    uint32_t kind = any(3), len = sizes[kind];
    fill(out, len);
    store_le32(out, kind + 1);
    memcpy(out + (kind == 1 ? 8 : 4), w->index[any(SESSIONS)], 4);
    if (kind < 2)
        tl_blake2s(out + len - 32, 16, mac1_key, 32, out, (int)len - 32);
    return len;
}

static void outside_comes(struct world *w) {
    uint8_t bytes[BIG], place[48];
    uint32_t len;
    switch (any(4)) {
    case 0:
        len = any(any(2) ? 200 : BIG);
        fill(bytes, len);
        if (len && any(2))
            memset(bytes, 0, len < 4 ? len : 4), bytes[0] = (uint8_t)any(6);
        break;
    case 1:
        len = put_handshake(w, bytes);
        break;
    default:
        len = put_transport(w, bytes);
    }
    if (any(4) == 0 && len)
        bytes[any(len)] ^= (uint8_t)(1u << any(8));
    if (any(8) == 0)
        len = any(len + 1);
    put_place(place);
    tl_fake_socket_put(w->plane, place, (int)any(256), bytes, (int)len);
}

static void inside_comes(struct world *w) {
    uint8_t bytes[2048];
    tl_fake_device_put(w->plane, bytes, (int)put_ip(bytes));
}

static void publish_routes(struct world *w) {
    uint8_t rows[2 * PEERS * 24] = {0};
    for (uint32_t i = 0; i < PEERS; i++) {
        uint8_t *v4 = rows + i * 48, *v6 = v4 + 24;
        v4[0] = 4, v4[1] = 16, v4[8] = 10, v4[9] = (uint8_t)i;
        v6[0] = 6, v6[1] = (uint8_t)(8 + any(8)), v6[8] = 0xfd;
        v4[2] = (uint8_t)any(2), v6[2] = (uint8_t)any(2);
        store_le32(v4 + 4, (uint32_t)w->peer[i]);
        store_le32(v6 + 4, (uint32_t)w->peer[i]);
    }
    int got = tl_routes(w->plane, rows, (int)sizeof rows);
    if (got)
        die("tl_routes", got);
}

static void new_session(struct world *w, uint32_t which) {
    tl_index_free(w->plane, w->index[which]);
    if (tl_index_new(w->plane, w->peer[any(PEERS)], w->index[which]) || any(8) == 0)
        return;
    struct record_session r = drawn_session(w->index[which], any(4), w->now);
    store_le32(r.pad, any(10) ? 16 : 1);
    begin_session(w->plane, &r);
}

static void new_peer(struct world *w, uint32_t which) {
    uint8_t place[48];
    if (w->peer[which] >= 0)
        tl_peer_free(w->plane, w->peer[which]);
    w->peer[which] = tl_peer_new(w->plane);
    put_place(place);
    tl_peer_endpoint(w->plane, w->peer[which], place);
    publish_routes(w);
}

static void call_something(struct world *w) {
    uint8_t bytes[4096], place[48];
    int peer = w->peer[any(PEERS)];
    put_place(place);
    switch (any(15)) {
    case 0:
        new_session(w, any(SESSIONS));
        break;
    case 1:
        if (any(20) == 0)
            new_peer(w, any(PEERS));
        break;
    case 2:
        tl_peer_arm(w->plane, peer, (int)any(32));
        break;
    case 3:
        tl_events(w->plane, bytes, (int)any(64));
        break;
    case 4:
        while (tl_handshake(w->plane, bytes, sizeof bytes) > 0)
            ;
        break;
    case 5:
        fill(bytes, 148);
        bytes[0] = (uint8_t)(1 + any(2));
        for (uint32_t n = any(20) + 1; n > 0; n--)
            tl_send(w->plane, any(2) ? peer : TL_NEEDS_COOKIE + (int)any(2), place, bytes,
                    4 + (int)any(145));
        break;
    case 6:
        put_echo(w, peer);
        break;
    case 14:
        for (unsigned i = 0; i < 2; i++)
            store_le64(bytes + i * 8, any(3) ? any(200000) : any(2) ? 1000000000000 : 0);
        tl_peer_rates(w->plane, peer, bytes);
        break;
    case 7:
        tl_fake_room(w->plane, (int)any(2), any(2) ? (int)any(20) : -1);
        break;
    case 8:
        tl_fake_fail(w->plane, (int)any(2), (int)any(130) + 1, (int)any(3));
        break;
    case 9:
        tl_peer_flush(w->plane, peer);
        break;
    case 10:
        tl_plane_grow(w->plane, (int)any(2) * 100000);
        break;
    case 11:
        store_le64(bytes, w->now += any(any(50) ? 20 : 100000));
        tl_fake_clock(w->plane, bytes);
        break;
    case 12:
        tl_plane_link(w->plane, any(4) ? 0 : (int)any(4), 0);
        break;
    case 13:
        tl_peer_endpoint(w->plane, peer, place);
        break;
    }
}

/* Our key sealed what arrives, so it is a well-formed IP packet. */
static void check_arrivals(struct world *w) {
    uint8_t bytes[70000], place[48], tos;
    int len;
    while ((len = tl_fake_device_take(w->plane, bytes, sizeof bytes)) > 0) {
        uint32_t total = bytes[0] >> 4 == 4 ? load_be16(bytes + 2) : load_be16(bytes + 4) + 40u;
        if (total != (uint32_t)len)
            die("a packet arrived with another length", len);
        w->delivered++;
    }
    while ((len = tl_fake_socket_take(w->plane, place, &tos, bytes, sizeof bytes)) > 0)
        w->sent++;
}

int main(int argc, char **argv) {
    static const uint8_t at_once[8];
    uint8_t options[sizeof(struct record_options)];
    if (argc != 3)
        return 2;
    state = strtoull(argv[1], NULL, 10) * 2 + 1;
    unsigned long steps = strtoul(argv[2], NULL, 10);
    struct world w = {.now = 1000000, .counter = 100};
    put_options(options, TL_LAYER3);
    w.plane = tl_fake_new(options, sizeof options);
    if (w.plane < 0)
        die("tl_fake_new", w.plane);
    tl_plane_identity(w.plane, mac1_key, cookie_key);
    for (uint32_t i = 0; i < PEERS; i++)
        w.peer[i] = tl_peer_new(w.plane);
    for (uint32_t i = 0; i < PEERS; i++)
        new_peer(&w, i);
    for (uint32_t i = 0; i < SESSIONS; i++)
        new_session(&w, i);
    for (unsigned long i = 0; i < steps; i++) {
        for (uint32_t n = any(6); n > 0; n--)
            outside_comes(&w);
        for (uint32_t n = any(4); n > 0; n--)
            inside_comes(&w);
        call_something(&w);
        int woke = tl_run(w.plane, at_once);
        if (woke <= 0)
            die("tl_run", woke);
        check_arrivals(&w);
    }
    tl_plane_free(w.plane);
    printf("seed %s: %lu steps, %lu packets in, %lu datagrams out\n", argv[1], steps, w.delivered,
           w.sent);
    return w.delivered > steps / 40 && w.sent > steps / 20 ? 0 : 1;
}
