/* SPDX-License-Identifier: MIT */
/*
 * Counters of 64 bits on whatever CPU this is built for: two planes in memory, and a session whose
 * counter is put right before 2^32 and before Reject-After-Messages. Each packet arrives once,
 * whose number is on the wire whole; none leaves, and none is taken, past the last number.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/wire.h"
#include "border/handles.h"
#include "tunlite.h"
#include "tunlite_test.h"

enum { LEN = 20, BURST = 4, DATAGRAM = LEN + 12 + TRANSPORT_OVERHEAD, OPTION_FIELDS = 10 };

static const uint64_t last = UINT64_MAX - (1 << 13); /* 2^64 - 2^13 - 1, which no message has */

static void fail(const char *what, unsigned long long number) {
    printf("%s: %llu\n", what, number);
    exit(1);
}

static int checked(int result) {
    if (result < 0)
        fail("-errno", (unsigned long long)-result);
    return result;
}

struct end {
    int plane, peer;
    uint8_t index[4];
};

static struct end new_end(void) {
    static const uint32_t fields[OPTION_FIELDS] = {0, 3, 1420, 1 << 20, 0, 2048, 128, 64, 20, 1};
    uint8_t record[sizeof(struct record_options)] = "auto", where[48] = {4, 0, 1, 2, 10};
    uint8_t route[sizeof(struct record_route)] = {4};
    struct end e;
    memcpy(record + 16, "portable", 8);
    for (unsigned i = 0; i < OPTION_FIELDS; i++)
        store_le32(record + 40 + i * 4, fields[i]);
    e.plane = checked(tl_fake_new(record, sizeof record));
    e.peer = checked(tl_peer_new(e.plane));
    checked(tl_peer_endpoint(e.plane, e.peer, where));
    checked(tl_routes(e.plane, route, sizeof route));
    checked(tl_index_new(e.plane, e.peer, e.index));
    return e;
}

static struct session *session_of(const struct end *e) {
    return session_by_index(&handle_plane(e->plane)->sessions, load_le32(e->index));
}

static void join(const struct end *from, const struct end *to, uint8_t key) {
    uint8_t r[sizeof(struct record_session)] = {0};
    memcpy(r, from->index, 4);
    memcpy(r + 4, to->index, 4);
    store_le64(r + 8, 1000000);
    r[16] = key;
    r[48] = (uint8_t)(3 - key);
    store_le32(r + 80, 1);
    store_le32(r + 84, 16);
    for (unsigned at = 88; at < 100; at += 4)
        store_le32(r + at, 3600 * 1000);
    store_le64(r + 104, 1ULL << 60);
    store_le64(r + 112, last);
    checked(tl_session_new(from->plane, r, sizeof r));
    checked(tl_session_use(from->plane, from->index));
}

static void turns(int plane) {
    static const uint8_t past[8];
    for (int i = 0; i < 3; i++)
        checked(tl_run(plane, past));
}

/* BURST packets into the device; the datagrams that left. */
static int send_burst(const struct end *e, uint8_t out[BURST][DATAGRAM]) {
    uint8_t ip[LEN] = {0x45, 0, 0, LEN}, where[48], tos;
    int n = 0;
    ip[12] = ip[16] = 10;
    for (int i = 0; i < BURST; i++)
        checked(tl_fake_device_put(e->plane, ip, LEN));
    turns(e->plane);
    while (n < BURST && checked(tl_fake_socket_take(e->plane, where, &tos, out[n], DATAGRAM)) > 0)
        n++;
    return n;
}

static int receive(const struct end *e, const uint8_t *datagram) {
    static const uint8_t where[48] = {4, 0, 1, 2, 10};
    uint8_t out[64];
    int n = 0;
    checked(tl_fake_socket_put(e->plane, where, 0, datagram, DATAGRAM));
    turns(e->plane);
    while (checked(tl_fake_device_take(e->plane, out, sizeof out)) > 0)
        n++;
    return n;
}

/* From there on `expected` of BURST packets leave, and arrive once each, the newest first. */
static void check_from(const struct end *a, const struct end *b, uint64_t counter, int expected) {
    uint8_t sent[BURST][DATAGRAM];
    session_of(a)->send_counter = counter;
    int n = send_burst(a, sent);
    if (n != expected)
        fail("datagrams that left", (unsigned long long)n);
    for (int i = 0; i < n; i++)
        if (load_le64(sent[i] + 8) != counter + (unsigned)i)
            fail("number on the wire", load_le64(sent[i] + 8));
    for (int twice = 0; twice < 2; twice++)
        for (int i = n - 1; i >= 0; i--)
            if (receive(b, sent[i]) != !twice)
                fail(twice ? "taken twice" : "not taken", counter + (unsigned)i);
}

/* A genuine message of a number that none may have. */
static void check_refused(const struct end *a, const struct end *b, uint64_t counter) {
    uint8_t sent[BURST][DATAGRAM];
    checked(tl_peer_flush(a->plane, a->peer)); /* what the last number left */
    session_of(a)->reject_messages = UINT64_MAX;
    session_of(a)->send_counter = counter;
    if (send_burst(a, sent) == 0)
        fail("nothing left", counter);
    uint64_t before = handle_plane(b->plane)->worker->stats.drops[DROP_COUNTER_EXHAUSTED];
    if (load_le64(sent[0] + 8) != counter || receive(b, sent[0]) != 0 ||
        handle_plane(b->plane)->worker->stats.drops[DROP_COUNTER_EXHAUSTED] != before + 1)
        fail("taken past the last number", counter);
}

int main(void) {
    struct end a = new_end(), b = new_end();
    join(&a, &b, 1);
    join(&b, &a, 2);
    check_from(&a, &b, 0, BURST);
    check_from(&a, &b, (1ULL << 31) - 2, BURST);
    check_from(&a, &b, (1ULL << 32) - 2, BURST);
    check_from(&a, &b, (1ULL << 63) - 2, BURST);
    check_from(&a, &b, last - 2, 2);
    check_refused(&a, &b, last);
    check_refused(&a, &b, UINT64_MAX - 4);
    tl_plane_free(a.plane);
    tl_plane_free(b.plane);
    printf("right\n");
    return 0;
}
