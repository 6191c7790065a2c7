/* SPDX-License-Identifier: MIT */
/*
 * A switch of several workers on layer 2, over loopback: frames go from peer to peer, from the
 * device to one and to all, whole and in parts, while peers come, go, change their use and are
 * rekeyed. Nothing may come back to its sender, or out of order from one to another, or with other
 * bytes. Run under ThreadSanitizer too.
 *
 *     frames_crew WORKERS ROUNDS SEED
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/os.h"
#include "base/wire.h"
#include "chance.h"
#include "crypto/aead.h"
#include "layer2/parts.h"
#include "tunlite.h"

enum {
    PEERS = 12,
    DEVICE = PEERS, /* as one that sends */
    LEN_MIN = 26,   /* an Ethernet header, who sends to whom, a number */
    LEN_MORE = 300,
    FROM = 14,
    TO = 18,
    NUMBER = 22,
    ALL = 0xff, /* whom it is for */
};

struct far {
    int peer;
    uint8_t index[4], remote[4];
    uint64_t counter;
    uint8_t mode;
};

static int plane, device, outside;
static struct sockaddr_in here, there;
static struct far far[PEERS];
static uint32_t serial, number[PEERS + 1];
static uint32_t seen[PEERS + 1][PEERS + 1][2]; /* from, at, whether it was not for that one alone */
static uint32_t pinned[PEERS][PEERS + 1];      /* at: what was sent before it was known where */
static unsigned long arrived, forwarded;

static const uint8_t send_key[32] = {1}, receive_key[32] = {2};

static int checked(int result, const char *what) {
    if (result >= 0)
        return result;
    fprintf(stderr, "%s: %s\n", what, strerror(-result));
    exit(1);
}
#define CHECK(call) checked(call, #call)

static void begin(uint32_t workers) {
    static const uint8_t mark[4];
    uint8_t record[sizeof(struct record_options)] = {0};
    const uint32_t fields[] = {0,  2,       1532, 8 << 20, 0, 2048, 128, 64,
                               20, workers, 0,    0,       1, 1024, 64,  16};
    int pair[2];
    memcpy(record, "auto", 4);
    memcpy(record + 16, "portable", 8);
    for (unsigned i = 0; i < sizeof fields / sizeof *fields; i++)
        store_le32(record + 40 + i * 4, fields[i]);
    plane = CHECK(tl_plane_new(record, sizeof record));
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair) < 0)
        exit(1);
    device = pair[0];
    CHECK(tl_plane_device(plane, pair[1]));
    there = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    there.sin_port = htons((uint16_t)CHECK(tl_plane_listen(plane, 0, mark)));
    here = there;
    here.sin_port = 0;
    outside = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    if (outside < 0 || bind(outside, (void *)&here, sizeof here) < 0)
        exit(1);
    socklen_t len = sizeof here;
    getsockname(outside, (void *)&here, &len);
}

static void new_session(uint32_t i) {
    uint8_t r[sizeof(struct record_session)] = {0}, before[4];
    struct far *f = &far[i];
    memcpy(before, f->index, 4);
    CHECK(tl_index_new(plane, f->peer, f->index));
    store_le32(f->remote, ++serial << 8 | i);
    f->counter = 0;
    f->mode = (uint8_t)any(2); /* on or authentic: bare ones come from one endpoint all */
    memcpy(r, f->index, 4);
    memcpy(r + 4, f->remote, 4);
    store_le64(r + 8, os_now_ms());
    memcpy(r + 16, send_key, 32);
    memcpy(r + 48, receive_key, 32);
    store_le32(r + 80, 1);
    store_le32(r + 84, 1);
    for (unsigned at = 88; at < 100; at += 4)
        store_le32(r + at, 3600 * 1000);
    store_le32(r + 100, f->mode);
    store_le64(r + 104, 1ULL << 60);
    store_le64(r + 112, 1ULL << 60);
    CHECK(tl_session_new(plane, r, sizeof r));
    CHECK(tl_session_use(plane, f->index));
    if (load_le32(before))
        tl_index_free(plane, before);
}

static void new_peer(uint32_t i) {
    uint8_t where[48] = {4, 0};
    far[i] = (struct far){.peer = CHECK(tl_peer_new(plane))};
    store_le16(where + 2, ntohs(here.sin_port));
    memcpy(where + 4, &here.sin_addr, 4);
    CHECK(tl_peer_endpoint(plane, far[i].peer, where));
    CHECK(tl_peer_path(plane, far[i].peer, 2000, 508));
    new_session(i);
}

static void put_address(uint8_t *at, uint32_t whose) {
    memset(at, whose == ALL ? 0xff : 0, 6);
    if (whose != ALL)
        at[0] = 2, at[5] = (uint8_t)whose;
}

static uint8_t pattern(uint32_t n, uint32_t at) {
    return (uint8_t)(n * 7 + at);
}

static uint32_t put_frame(uint8_t *p, uint32_t from, uint32_t to) {
    uint32_t len = LEN_MIN + any(any(4) ? LEN_MORE : 4 * LEN_MORE), n = ++number[from];
    put_address(p, to);
    put_address(p + 6, from);
    store_be16(p + 12, 0x4305);
    store_le32(p + FROM, from);
    store_le32(p + TO, to);
    store_le32(p + NUMBER, n);
    for (uint32_t i = LEN_MIN; i < len; i++)
        p[i] = pattern(n, i);
    return len;
}

static void seal_and_send(uint32_t i, uint8_t *message, uint32_t len) {
    struct far *f = &far[i];
    struct aead_op op = {receive_key, message + 16, message + 16, f->counter, len, true};
    store_le32(message, 4U + f->mode);
    memcpy(message + 4, f->index, 4);
    store_le64(message + 8, f->counter++);
    (f->mode ? aead_find("portable")->authenticate : aead_find("portable")->seal)(&op, 1);
    if (sendto(outside, message, len + 32, 0, (void *)&there, sizeof there) < 0)
        exit(1);
}

static void peer_sends(uint32_t i) {
    uint8_t frame[2048], message[2100];
    uint32_t len = put_frame(frame, i, any(4) ? any(PEERS + 1) : ALL);
    struct parts_plan plan = parts_plan(len, any(3) ? len : (len + 1) / 2);
    for (uint32_t k = 0; k < plan.n; k++) {
        message[16] = plan.n > 1 ? FRAME_PART : FRAME_WHOLE;
        message[17] = plan.n > 1 ? parts_head(&plan, k) : 0;
        parts_cut(message + 18, &plan, frame, k);
        seal_and_send(i, message, plan.size + 2);
    }
}

static void device_sends(void) {
    uint8_t frame[2048];
    uint32_t len = put_frame(frame, DEVICE, any(4) ? any(PEERS) : ALL);
    if (send(device, frame, len, MSG_DONTWAIT) < 0)
        return; /* it is full */
}

static void fail(const char *what, uint32_t from, uint32_t to) {
    fprintf(stderr, "%s: from %u to %u\n", what, from, to);
    exit(1);
}

/* Frames for one and for all each keep their order: floods come later. So does what was for one
 * whose address was not known. */
static void check_frame(const uint8_t *p, uint32_t len, uint32_t at) {
    uint32_t from = load_le32(p + FROM), n = load_le32(p + NUMBER);
    bool is_its = load_le32(p + TO) == at;
    if (at < PEERS && from == at && n <= pinned[at][from])
        return; /* of the peer that was there before, to all */
    if (len < LEN_MIN || from > PEERS || from == at)
        fail("a frame came back, or is none", from, at);
    for (uint32_t i = LEN_MIN; i < len; i++)
        if (p[i] != pattern(n, i))
            fail("other bytes", from, at);
    if (is_its && at < PEERS && n <= pinned[at][from])
        return;
    uint32_t *last = &seen[from][at][!is_its];
    if (n <= *last)
        fail("out of order", from, at);
    *last = n;
    arrived++;
    forwarded += from != DEVICE && at != DEVICE;
}

static void receive_all(void) {
    uint8_t p[2100];
    ssize_t len;
    while ((len = recv(device, p, sizeof p, MSG_DONTWAIT)) > 0)
        check_frame(p, (uint32_t)len, DEVICE);
    while ((len = recv(outside, p, sizeof p, MSG_DONTWAIT)) > 0) {
        struct aead_op op = {send_key, p + 16, p + 16, load_le64(p + 8), (uint32_t)len - 32, false};
        uint32_t at = p[4];
        (p[0] == 4 ? aead_find("portable")->open : aead_find("portable")->verify)(&op, 1);
        if (!op.ok || at >= PEERS)
            fail("not authentic", PEERS, at);
        if (op.len > 2 && p[16] == FRAME_WHOLE)
            check_frame(p + 18, op.len - 2, at);
    }
}

static void step(void) {
    static const uint8_t past[8];
    uint8_t rows[8 * 64];
    if (CHECK(tl_run(plane, past)) & TL_WOKE_PEERS)
        CHECK(tl_events(plane, rows, sizeof rows));
    receive_all();
}

static void publish(void) {
    uint8_t rows[(PEERS + 1) * 8];
    put_address(rows, DEVICE);
    store_le16(rows + 6, 0xffff);
    for (uint32_t i = 0; i < PEERS; i++) {
        put_address(rows + (i + 1) * 8, i);
        store_le16(rows + (i + 1) * 8 + 6, (uint16_t)far[i].peer);
    }
    CHECK(tl_macs(plane, rows, sizeof rows));
}

static void replace_peer(uint32_t i) {
    CHECK(tl_peer_free(plane, far[i].peer));
    new_peer(i);
    publish();
    memcpy(pinned[i], number, sizeof number);
}

/* What was for it while it stood by went to all others, and to it too if it is back in time. */
static void change_use(uint32_t i) {
    CHECK(tl_peer_use(plane, far[i].peer, any(2) ? TL_USE_ON : (int)any(2) * TL_USE_LEFT));
    memcpy(pinned[i], number, sizeof number);
}

static void change_something(void) {
    uint32_t i = any(PEERS);
    uint8_t rows[16 * 256];
    switch (any(6)) {
    case 0:
        replace_peer(i);
        break;
    case 1:
    case 2:
        change_use(i);
        break;
    case 3:
        publish();
        break;
    case 4:
        CHECK(tl_seen(plane, TL_SEEN_FDB, rows, sizeof rows));
        break;
    case 5:
        new_session(i);
        break;
    }
}

int main(int argc, char **argv) {
    if (argc != 4)
        return 2;
    state = strtoull(argv[3], NULL, 10) * 2 + 1;
    unsigned long rounds = strtoul(argv[2], NULL, 10);
    begin((uint32_t)strtoul(argv[1], NULL, 10));
    for (uint32_t i = 0; i < PEERS; i++)
        new_peer(i);
    publish();
    for (unsigned long round = 0; round < rounds; round++) {
        for (uint32_t n = any(10); n > 0; n--)
            peer_sends(any(PEERS));
        for (uint32_t n = any(4); n > 0; n--)
            device_sends();
        step();
        if (any(3) == 0)
            change_something();
    }
    CHECK(tl_plane_free(plane));
    printf("%lu frames arrived, %lu of them went from peer to peer\n", arrived, forwarded);
    return forwarded > rounds ? 0 : 1;
}
