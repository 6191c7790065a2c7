/* SPDX-License-Identifier: MIT */
/*
 * A gateway of several workers and a client of one, each with PEERS peers, over loopback and packet
 * sockets for devices. Numbered packets go both ways while peers are rekeyed and removed, and as
 * fast as their rates let them, which change. Nothing may arrive out of order within a peer, and
 * all that was sent arrives or is counted. Run under ThreadSanitizer too.
 *
 *     crew WORKERS ROUNDS SEED [unsteered]
 *
 * A round rekeys ten peers and removes one. `unsteered`: the kernel chooses among the gateway's
 * sockets, so that datagrams come to the wrong one.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/os.h"
#include "base/wire.h"
#include "border/handles.h"
#include "chance.h"
#include "tunlite.h"

enum {
    PEERS = 100,
    GATEWAY = 0,
    CLIENT = 1,
    SIDES = 2,
    BURST = 12,   /* packets a round, each way */
    REKEYS = 9,   /* handshakes a round, beside one of the peer that came back */
    FAILS = 100,  /* handshakes a round that nobody answers */
    WINDOW = 300, /* packets under way at most, each way: what the sockets hold for certain */
    LEN_MIN = 28, /* IPv4 header and number */
    LEN_MORE = 300,
    ICMP = 1,
    STEERING = 51, /* SO_ATTACH_REUSEPORT_CBPF */
    PATIENCE_S = 120,
};

struct end {
    int plane;
    int device; /* our end of it */
    int port;
    int peer[PEERS];
    uint8_t index[PEERS][2][4]; /* of the session in use and the one before */
    unsigned sessions[PEERS];
    uint32_t sent[PEERS], seen[PEERS];
    uint64_t all_sent, all_seen;
};

static struct end ends[SIDES];
static uint32_t serial;
static bool unsteered;

static int checked(int result, const char *what) {
    if (result >= 0)
        return result;
    fprintf(stderr, "%s: %s\n", what, strerror(-result));
    exit(1);
}
#define CHECK(call) checked(call, #call)

int setsockopt(int fd, int level, int name, const void *value, socklen_t len) {
    if (unsteered && level == SOL_SOCKET && name == STEERING)
        return 0;
    return (int)syscall(SYS_setsockopt, fd, level, name, value, len);
}

/* ---- planes ---------------------------------------------------------------------------------- */

static int new_plane(uint32_t workers) {
    uint8_t record[sizeof(struct record_options)] = {0};
    const uint32_t fields[] = {0, 3, 1420, 8 << 20, 0, 2048, 128, 64, 20, workers};
    memcpy(record, "auto", 4);
    memcpy(record + 16, "portable", 8);
    for (unsigned i = 0; i < sizeof fields / sizeof *fields; i++)
        store_le32(record + 40 + i * 4, fields[i]);
    return CHECK(tl_plane_new(record, sizeof record));
}

static void new_end(struct end *e, uint32_t workers) {
    static const uint8_t mark[4];
    int pair[2];
    e->plane = new_plane(workers);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair) < 0)
        exit(1);
    e->device = pair[0];
    CHECK(tl_plane_device(e->plane, pair[1]));
    e->port = CHECK(tl_plane_listen(e->plane, 0, mark));
}

/* 10.2.0.PEER is the client's side of a peer, 10.1.0.PEER the gateway's. */
static void put_address(uint8_t *at, int side, uint32_t peer) {
    const uint8_t addr[4] = {10, side == CLIENT ? 2 : 1, 0, (uint8_t)peer};
    memcpy(at, addr, 4);
}

static void place(int side, uint32_t i) {
    uint8_t where[sizeof(struct record_endpoint)] = {0};
    store_le16(where, 4);
    store_le16(where + 2, (uint16_t)ends[!side].port);
    memcpy(where + 4, "\x7f\0\0\1", 4);
    CHECK(tl_peer_endpoint(ends[side].plane, ends[side].peer[i], where));
}

static void publish(int side) {
    uint8_t rows[PEERS * sizeof(struct record_route)] = {0};
    int n = 0;
    for (uint32_t i = 0; i < PEERS; i++) {
        uint8_t *row = rows + n * (int)sizeof(struct record_route);
        if (ends[side].peer[i] < 0)
            continue;
        row[0] = 4;
        row[1] = 32;
        store_le32(row + 4, (uint32_t)ends[side].peer[i]);
        put_address(row + 8, !side, i);
        n++;
    }
    CHECK(tl_routes(ends[side].plane, rows, n * (int)sizeof(struct record_route)));
}

/* How fast a peer may be at the gateway: some packets wait for their turn, some are too many. */
static void set_rates(uint32_t i) {
    static const uint64_t bits[] = {0, 0, 200 * 1000, 50 * 1000 * 1000};
    uint8_t rates[16];
    store_le64(rates, bits[any(4)]);
    store_le64(rates + 8, bits[any(4)]);
    CHECK(tl_peer_rates(ends[GATEWAY].plane, ends[GATEWAY].peer[i], rates));
}

static void new_peer(uint32_t i) {
    for (int side = 0; side < SIDES; side++) {
        struct end *e = &ends[side];
        e->peer[i] = CHECK(tl_peer_new(e->plane));
        e->sessions[i] = 0;
        place(side, i);
        CHECK(tl_peer_arm(e->plane, e->peer[i], 0x1f));
    }
}

static void free_peer(uint32_t i) {
    for (int side = 0; side < SIDES; side++) {
        CHECK(tl_peer_free(ends[side].plane, ends[side].peer[i]));
        ends[side].peer[i] = -1;
    }
}

/* ---- sessions -------------------------------------------------------------------------------- */

static void make_session(int side, uint32_t i, const uint8_t index[SIDES][4]) {
    uint8_t r[sizeof(struct record_session)] = {0};
    memcpy(r, index[side], 4);
    memcpy(r + 4, index[!side], 4);
    store_le64(r + 8, os_now_ms());
    store_le32(r + 16, serial * 2 + (uint32_t)side);
    store_le32(r + 48, serial * 2 + (uint32_t)!side);
    store_le32(r + 84, 16);
    for (unsigned at = 88; at < 100; at += 4)
        store_le32(r + at, 3600 * 1000);
    store_le64(r + 104, 1ULL << 60);
    store_le64(r + 112, 1ULL << 60);
    CHECK(tl_session_new(ends[side].plane, r, sizeof r));
    (void)i;
}

/* What is under way may still come on the session before this one. */
static void rekey(uint32_t i) {
    uint8_t index[SIDES][4];
    serial++;
    for (int side = 0; side < SIDES; side++)
        CHECK(tl_index_new(ends[side].plane, ends[side].peer[i], index[side]));
    for (int side = 0; side < SIDES; side++)
        make_session(side, i, (const uint8_t(*)[4])index);
    for (int side = 0; side < SIDES; side++) {
        struct end *e = &ends[side];
        CHECK(tl_session_use(e->plane, index[side]));
        if (e->sessions[i]++ > 1)
            CHECK(tl_index_free(e->plane, e->index[i][1]));
        memcpy(e->index[i][1], e->index[i][0], 4);
        memcpy(e->index[i][0], index[side], 4);
    }
}

/* ---- traffic --------------------------------------------------------------------------------- */

static void send_one(int side, uint32_t i) {
    uint8_t p[LEN_MIN + LEN_MORE] = {0x45};
    struct end *e = &ends[side];
    uint32_t len = LEN_MIN + any(LEN_MORE);
    store_be16(p + 2, (uint16_t)len);
    put_address(p + 12, side, i);
    put_address(p + 16, !side, i);
    store_le32(p + 20, i);
    store_le32(p + 24, e->sent[i] + 1);
    if (send(e->device, p, len, MSG_DONTWAIT) < 0)
        return; /* the device is full */
    e->sent[i]++;
    e->all_sent++;
}

static void receive_all(int side) {
    uint8_t p[2048];
    struct end *e = &ends[side];
    ssize_t len;
    while ((len = recv(e->device, p, sizeof p, MSG_DONTWAIT)) > 0) {
        if (p[9] == ICMP) /* to what was for a peer that is not there just now */
            continue;
        uint32_t i = load_le32(p + 20), number = load_le32(p + 24);
        if (len < LEN_MIN || i >= PEERS || number <= e->seen[i]) {
            fprintf(stderr, "peer %u: number %u behind %u\n", i, number, e->seen[i]);
            exit(1);
        }
        e->seen[i] = number;
        e->all_seen++;
    }
}

/* Packets that were dropped, by all reasons. */
static uint64_t dropped(int side) {
    uint8_t out[8 * 128];
    uint64_t all = 0;
    int n = CHECK(tl_seen(ends[side].plane, TL_SEEN_DROPS, out, sizeof out));
    for (int i = 0; i < n; i++)
        all += load_le64(out + i * 8);
    return all;
}

static uint64_t under_way(void) {
    uint64_t sent = ends[0].all_sent + ends[1].all_sent, seen = ends[0].all_seen + ends[1].all_seen;
    uint64_t gone = dropped(0) + dropped(1);
    if (seen + gone > sent) {
        fprintf(stderr, "more arrived or were counted than were sent\n");
        exit(1);
    }
    return sent - seen - gone;
}

static void take_events(int plane) {
    uint8_t rows[8 * 64];
    int n = CHECK(tl_events(plane, rows, sizeof rows));
    for (int k = 0; k < n; k++)
        CHECK(tl_peer_arm(plane, (int)load_le32(rows + k * 8), 0x1f));
}

/* A turn of each, then what came out. */
static void step(void) {
    static const uint8_t past[8];
    for (int side = 0; side < SIDES; side++) {
        if (CHECK(tl_run(ends[side].plane, past)) & TL_WOKE_PEERS)
            take_events(ends[side].plane);
        receive_all(side);
    }
}

static void settle(uint64_t most) {
    uint64_t until = os_now_ms() + PATIENCE_S * 1000;
    uint64_t left;
    while ((left = under_way()) > most) {
        if (os_now_ms() > until) {
            fprintf(stderr, "%lu packets neither arrived nor were counted\n", (unsigned long)left);
            exit(1);
        }
        step();
    }
}

static void traffic(void) {
    uint32_t one = any(PEERS);
    for (uint32_t k = 0; k < BURST; k++)
        for (int side = 0; side < SIDES; side++)
            send_one(side, k % 3 ? one : any(PEERS));
    step();
    settle(WINDOW);
}

/* Workers find other sessions behind theirs in the same chains meanwhile. */
static void fail_to_shake(void) {
    uint8_t index[4], before[4];
    int plane = ends[GATEWAY].plane;
    for (int k = 0; k < FAILS; k++) {
        CHECK(tl_index_new(plane, ends[GATEWAY].peer[any(PEERS)], index));
        if (k > 0)
            CHECK(tl_index_free(plane, before));
        memcpy(before, index, sizeof index);
    }
    CHECK(tl_index_free(plane, before));
}

/* ---- rounds ---------------------------------------------------------------------------------- */

static void look(void) {
    uint8_t out[8 * 128];
    struct end *e = &ends[GATEWAY];
    uint32_t i = any(PEERS);
    CHECK(tl_peer_state(e->plane, e->peer[i], out, sizeof out));
    for (int what = TL_SEEN_COUNTERS; what <= TL_SEEN_FEATURES; what++)
        CHECK(tl_seen(e->plane, what, out, sizeof out));
    CHECK(tl_plane_link(e->plane, 0, 1400 + (int)any(20)));
    CHECK(tl_plane_grow(e->plane, 1 << 16));
    CHECK(tl_peer_flush(e->plane, e->peer[i]));
}

static void round_of_changes(void) {
    uint32_t i = any(PEERS);
    for (int k = 0; k < REKEYS; k++)
        rekey(any(PEERS));
    fail_to_shake();
    traffic();
    if (any(4) == 0) { /* the gateway's packets wait for the next session */
        CHECK(tl_index_free(ends[GATEWAY].plane, ends[GATEWAY].index[i][0]));
        traffic();
    }
    free_peer(i);
    traffic();
    new_peer(i);
    publish(CLIENT);
    publish(GATEWAY);
    set_rates(i);
    set_rates(any(PEERS));
    traffic();
    rekey(i);
    if (any(8) == 0)
        look();
}

/* With the workers at rest the memory of all sessions that went is given back. */
static void wait_reclaimed(void) {
    const struct sessions *table = &handle_plane(ends[GATEWAY].plane)->sessions;
    uint64_t until = os_now_ms() + PATIENCE_S * 1000;
    do {
        fail_to_shake();
        if (os_now_ms() > until) {
            fprintf(stderr, "sessions that went are kept\n");
            exit(1);
        }
    } while (table->gone || table->leaving);
}

/* The threads end and begin anew; what was under way to the old port is lost. */
static void move_port(void) {
    static const uint8_t mark[4];
    struct end *gateway = &ends[GATEWAY];
    gateway->port = CHECK(tl_plane_listen(gateway->plane, 0, mark));
    for (uint32_t i = 0; i < PEERS; i++)
        place(CLIENT, i);
    uint64_t until = os_now_ms() + PATIENCE_S * 1000, goal = gateway->all_seen + 1000;
    while (gateway->all_seen < goal && os_now_ms() < until) {
        for (uint32_t k = 0; k < BURST; k++)
            send_one(CLIENT, any(PEERS));
        step();
    }
    if (gateway->all_seen < goal) {
        fprintf(stderr, "nothing arrives at the new port\n");
        exit(1);
    }
}

static void report(void) {
    uint8_t out[16 * 8];
    int n = CHECK(tl_seen(ends[GATEWAY].plane, TL_SEEN_WORKERS, out, sizeof out));
    printf("sent %lu and %lu, seen %lu and %lu, dropped %lu and %lu; workers",
           (unsigned long)ends[0].all_sent, (unsigned long)ends[1].all_sent,
           (unsigned long)ends[1].all_seen, (unsigned long)ends[0].all_seen,
           (unsigned long)dropped(0), (unsigned long)dropped(1));
    for (int i = 0; i < n; i++)
        printf(" %lu/%lu", (unsigned long)load_le64(out + i * 16),
               (unsigned long)load_le64(out + i * 16 + 8));
    printf("\n");
}

int main(int argc, char **argv) {
    if (argc < 4)
        return 2;
    uint32_t workers = (uint32_t)strtoul(argv[1], NULL, 10);
    unsigned long rounds = strtoul(argv[2], NULL, 10);
    state = strtoul(argv[3], NULL, 10) * 2654435761u + 1;
    unsteered = argc > 4;
    new_end(&ends[GATEWAY], workers);
    new_end(&ends[CLIENT], 1);
    for (uint32_t i = 0; i < PEERS; i++)
        new_peer(i);
    publish(CLIENT);
    publish(GATEWAY);
    for (uint32_t i = 0; i < PEERS; i++)
        rekey(i);
    for (unsigned long k = 0; k < rounds; k++)
        round_of_changes();
    settle(0);
    wait_reclaimed();
    report();
    for (int k = 0; k < 3; k++)
        move_port();
    for (int side = 0; side < SIDES; side++)
        tl_plane_free(ends[side].plane);
    return 0;
}
