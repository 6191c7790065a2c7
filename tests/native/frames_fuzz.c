/* SPDX-License-Identifier: MIT */
/*
 * Layer 2 as plane_fuzz.c has layer 3: frames whole and in parts, control frames, messages of all
 * types, mutated or not, and calls of the border, in any order. Nothing may crash, leak or read out
 * of bounds; a sealed frame that arrives is one that was sealed, to the last byte, however its
 * parts were lost, repeated and mixed with others; no counter leaves twice. Run under sanitizers.
 *
 *     frames_fuzz SEED STEPS
 */
#include <errno.h>

#include "crypto/aead.h"
#include "fuzz.h"
#include "layer2/parts.h"
#include "tunlite.h"
#include "tunlite_test.h"

enum {
    PEERS = 5,
    SESSIONS = 8,
    FRAME_MOST = 9014,
    HEAD = 14,
    SEED = 15, /* offset of the number that a frame's bytes are made from, behind its mark */
    SEALED_MARK = 0xaa,
    BARE_MARK = 0xbb,
    HELD = 12, /* messages that wait, and come late or never */
    REMOTES = 4096,
    COUNTERS = 8192,
};

struct datagram {
    uint8_t bytes[FRAME_MOST + 100];
    uint32_t len;
};

struct world {
    int plane, peer[PEERS];
    uint8_t index[SESSIONS][4], mode[SESSIONS];
    uint64_t counter, now;
    struct datagram held[HELD];
    unsigned long delivered, sealed, joined, sent;
    uint32_t remotes; /* of the last session */
    uint8_t spent[REMOTES][COUNTERS / 8];
};

static void put_options(uint8_t *r) {
    const uint32_t small = any(2);
    const uint32_t fields[] = {0,
                               2,
                               small ? 1532 : 9000,
                               small ? 1 : 1 << 20,
                               small ? 3 : 0,
                               2048,
                               16,
                               16,
                               20,
                               1,
                               0,
                               0,
                               any(2),
                               64,
                               16,
                               3};
    put_numbers(r, fields, sizeof fields / sizeof *fields);
}

/* One of few places, so that unsealed ones come from the right one at times. */
static void put_place(uint8_t *r) {
    memset(r, 0, 48);
    store_le16(r, any(8) ? 4 : 6);
    store_le16(r + 2, 1);
    r[4] = (uint8_t)any(3);
}

static void put_address(uint8_t *out) {
    memset(out, 0, 6);
    out[0] = any(16) ? 2 : (uint8_t)any(256);
    out[5] = (uint8_t)any(12);
    if (any(6) == 0)
        memset(out, 0xff, 6);
}

static uint8_t pattern(uint32_t seed, uint32_t at) {
    return (uint8_t)(seed >> 8 ^ (seed + at) * 31);
}

static uint32_t put_frame(uint8_t *out, uint8_t mark) {
    uint32_t len = any(10) ? SEED + 4 + any(any(4) ? 400 : FRAME_MOST - SEED - 4) : any(SEED);
    uint8_t bytes[FRAME_MOST] = {0};
    uint32_t seed = any(1 << 16);
    put_address(bytes);
    put_address(bytes + 6);
    store_be16(bytes + 12, (uint16_t)(any(4) ? 0x4305 : any(2) ? 0x8100 : 0x0800));
    bytes[HEAD] = mark;
    store_le32(bytes + SEED, seed);
    for (uint32_t i = SEED + 4; i < len; i++)
        bytes[i] = pattern(seed, i);
    memcpy(out, bytes, len);
    return len;
}

static uint32_t put_control(uint8_t *out) {
    static const uint32_t lengths[] = {8, 8, 4, 8, 0};
    uint32_t what = any(7);
    uint32_t len = what < 5 && any(6) ? lengths[what] : any(40);
    if (what == CONTROL_PATH_PROBE)
        len += any(1400);
    out[0] = FRAME_CONTROL;
    out[1] = (uint8_t)what;
    fill(out + 2, len);
    return len + 2;
}

/* Header and seal around a plaintext at out + 16. */
static uint32_t seal(const struct world *w, uint8_t *out, uint32_t which, uint32_t mode,
                     uint32_t len, uint64_t counter) {
    struct aead_op op = {receive_key, out + 16, out + 16, counter, len, true};
    store_le32(out, 4 + mode);
    memcpy(out + 4, w->index[which], 4);
    store_le64(out + 8, counter);
    if (mode == MODE_ON)
        aead_list[0]->seal(&op, 1);
    else if (mode == MODE_AUTHENTIC)
        aead_list[0]->authenticate(&op, 1);
    return len + 16 + (mode == MODE_OFF ? 0 : 16);
}

/* To the plane now, or later, or again, or never. */
static void comes(struct world *w, const uint8_t *bytes, uint32_t len, bool may_change) {
    uint8_t place[48];
    struct datagram d = {.len = len};
    memcpy(d.bytes, bytes, len);
    if (any(4) == 0) {
        struct datagram *held = &w->held[any(HELD)];
        struct datagram was = *held;
        *held = d;
        d = was;
        may_change &= d.bytes[0] != MESSAGE_BARE;
    }
    if (may_change && d.len && any(16) == 0)
        d.bytes[any(d.len)] ^= (uint8_t)(1u << any(8));
    if (may_change && any(32) == 0)
        d.len = any(d.len + 1);
    put_place(place);
    tl_fake_socket_put(w->plane, place, 0, d.bytes, (int)d.len);
}

/* The bytes of one that is not sealed stay what they are: nothing would tell. */
static void message_comes(struct world *w) {
    uint8_t inner[FRAME_MOST], out[FRAME_MOST + 100];
    uint32_t which = any(SESSIONS), mode = any(4) ? w->mode[which] : any(3);
    uint32_t len = put_frame(inner, mode == MODE_OFF ? BARE_MARK : SEALED_MARK);
    bool sealed = mode != MODE_OFF;
    if (any(3)) {
        memcpy(out + 18, inner, len);
        store_le16(out + 16, (uint16_t)(any(20) ? 0 : any(65536)));
        len += 2;
        if (any(6) == 0)
            len = put_control(out + 16);
        comes(w, out, seal(w, out, which, mode, len, w->counter++), sealed);
        return;
    }
    struct parts_plan plan = parts_plan(len, 1 + any(len + 1));
    if (!plan.n)
        return;
    uint64_t base = w->counter;
    uint32_t lies =
        plan.size > HEAD && any(8) == 0; /* all of them: some of the frame would be believed */
    w->counter += plan.n + lies * PARTS_SPAN;
    for (uint32_t i = 0; i < plan.n; i++) {
        if (any(12) == 0)
            continue;
        out[16] = FRAME_PART;
        out[17] = lies ? (uint8_t)any(256) : parts_head(&plan, i);
        parts_cut(out + 18, &plan, inner, lies ? 0 : i);
        if (lies)
            out[18 + HEAD] = BARE_MARK;
        comes(w, out, seal(w, out, which, mode, plan.size + 2, base + i), sealed);
    }
}

static void junk_comes(struct world *w) {
    uint8_t bytes[200];
    uint32_t len = any(sizeof bytes);
    fill(bytes, sizeof bytes);
    store_le32(bytes, any(8));
    if (any(2))
        memcpy(bytes + 4, w->index[any(SESSIONS)], 4);
    bytes[16 + 2 + HEAD] = BARE_MARK; /* of what would be a frame */
    comes(w, bytes, len, false);
}

static void inside_comes(struct world *w) {
    uint8_t bytes[FRAME_MOST];
    tl_fake_device_put(w->plane, bytes, (int)put_frame(bytes, SEALED_MARK));
}

static void new_session(struct world *w, uint32_t which) {
    tl_index_free(w->plane, w->index[which]);
    if (tl_index_new(w->plane, w->peer[any(PEERS)], w->index[which]) || any(8) == 0)
        return;
    w->mode[which] = (uint8_t)any(3);
    w->remotes = (w->remotes + 1) % REMOTES;
    memset(w->spent[w->remotes], 0, sizeof w->spent[0]);
    struct record_session r = drawn_session(w->index[which], w->remotes, w->now);
    store_le32(r.pad, 1);
    store_le32(r.mode, w->mode[which]);
    begin_session(w->plane, &r);
}

static void new_peer(struct world *w, uint32_t which) {
    uint8_t place[48];
    if (w->peer[which] >= 0)
        tl_peer_free(w->plane, w->peer[which]);
    w->peer[which] = tl_peer_new(w->plane);
    put_place(place);
    tl_peer_endpoint(w->plane, w->peer[which], place);
}

static void publish_macs(const struct world *w) {
    uint8_t rows[4 * 8];
    uint32_t n = any(5);
    for (uint32_t i = 0; i < n; i++) {
        put_address(rows + i * 8);
        store_le16(rows + i * 8 + 6, (uint16_t)(i || any(2) ? w->peer[any(PEERS)] : 0xffff));
    }
    tl_macs(w->plane, rows, (int)n * 8);
}

/* Not as if the device was gone: nothing of it would be read any more. */
static void fail(const struct world *w) {
    int err = (int)any(130) + 1;
    if (err != EBADF && err != EBADFD)
        tl_fake_fail(w->plane, (int)any(2), err, (int)any(3));
}

static void call_something(struct world *w) {
    uint8_t bytes[4096], place[48];
    int peer = w->peer[any(PEERS)];
    switch (any(16)) {
    case 0:
        new_session(w, any(SESSIONS));
        break;
    case 1:
        if (any(20) == 0)
            new_peer(w, any(PEERS));
        break;
    case 2:
        tl_peer_arm(w->plane, peer, (int)any(256));
        break;
    case 3:
        tl_events(w->plane, bytes, (int)any(64));
        break;
    case 4:
        tl_peer_use(w->plane, peer, any(3) ? TL_USE_ON : (int)any(4));
        break;
    case 5:
        tl_peer_path(w->plane, peer, 14 + (int)any(4000), 508 + (int)any(1000));
        break;
    case 6:
        tl_peer_keepalive(w->plane, peer, bytes, (int)put_control(bytes));
        break;
    case 7:
        tl_fake_room(w->plane, (int)any(2), any(4) ? -1 : (int)any(20));
        break;
    case 8:
        fail(w);
        break;
    case 9:
        publish_macs(w);
        break;
    case 10:
        tl_plane_grow(w->plane, (int)any(2) * 100000);
        break;
    case 11:
        store_le64(bytes, w->now += any(any(50) ? 300 : 100000));
        tl_fake_clock(w->plane, bytes);
        break;
    case 12:
        tl_seen(w->plane, TL_SEEN_FDB, bytes, (int)any(sizeof bytes));
        break;
    case 13:
        put_place(place);
        tl_peer_endpoint(w->plane, peer, place);
        break;
    case 14:
        for (unsigned i = 0; i < 2; i++)
            store_le64(bytes + i * 8, any(3) ? 1000 + any(2000000) : 0);
        tl_peer_rates(w->plane, peer, bytes);
        break;
    case 15:
        tl_plane_link(w->plane, any(4) ? 0 : (int)any(4), any(8) ? 0 : 1000 + (int)any(9000));
        break;
    }
}

static void check_frame(struct world *w, const uint8_t *bytes, uint32_t len) {
    w->delivered++;
    if (len < HEAD)
        die("no frame", (int)len);
    if (len < SEED + 4 || bytes[HEAD] == BARE_MARK)
        return;
    if (bytes[HEAD] != SEALED_MARK)
        die("a frame that nobody sealed", bytes[HEAD]);
    for (uint32_t i = SEED + 4; i < len; i++)
        if (bytes[i] != pattern(load_le32(bytes + SEED), i))
            die("a frame with other bytes", (int)i);
    w->sealed++;
    w->joined += len > 1600;
}

static void check_message(struct world *w, const uint8_t *message) {
    uint32_t remote = load_le32(message + 4);
    uint64_t counter = load_le64(message + 8);
    if (message[0] < MESSAGE_TRANSPORT)
        return;
    if (remote >= REMOTES || counter >= COUNTERS)
        die("a message of no session, or too many", (int)remote);
    uint8_t *spent = &w->spent[remote][counter / 8], bit = (uint8_t)(1u << counter % 8);
    if (*spent & bit)
        die("a counter left twice", (int)counter);
    *spent |= bit;
}

static void check_arrivals(struct world *w) {
    static uint8_t bytes[70000];
    uint8_t place[48], tos;
    int len;
    while ((len = tl_fake_device_take(w->plane, bytes, sizeof bytes)) > 0)
        check_frame(w, bytes, (uint32_t)len);
    while ((len = tl_fake_socket_take(w->plane, place, &tos, bytes, sizeof bytes)) > 0) {
        check_message(w, bytes);
        w->sent++;
    }
}

static void begin(struct world *w) {
    uint8_t options[sizeof(struct record_options)];
    put_options(options);
    w->plane = tl_fake_new(options, sizeof options);
    if (w->plane < 0)
        die("tl_fake_new", w->plane);
    tl_plane_identity(w->plane, mac1_key, cookie_key);
    for (uint32_t i = 0; i < PEERS; i++)
        w->peer[i] = -1;
    for (uint32_t i = 0; i < PEERS; i++)
        new_peer(w, i);
    for (uint32_t i = 0; i < SESSIONS; i++)
        new_session(w, i);
}

int main(int argc, char **argv) {
    static const uint8_t at_once[8];
    static struct world w = {.now = 1000000, .counter = 100};
    if (argc != 3)
        return 2;
    state = strtoull(argv[1], NULL, 10) * 2 + 1;
    unsigned long steps = strtoul(argv[2], NULL, 10);
    begin(&w);
    for (unsigned long i = 0; i < steps; i++) {
        for (uint32_t n = any(8); n > 0; n--)
            (any(8) ? message_comes : junk_comes)(&w);
        for (uint32_t n = any(4); n > 0; n--)
            inside_comes(&w);
        call_something(&w);
        for (uint32_t n = 1 + any(6); n > 0; n--) { /* a batch may be of three */
            int woke = tl_run(w.plane, at_once);
            if (woke <= 0)
                die("tl_run", woke);
        }
        check_arrivals(&w);
    }
    tl_plane_free(w.plane);
    printf("seed %s: %lu steps, %lu frames in, %lu of them sealed, %lu long, %lu datagrams out\n",
           argv[1], steps, w.delivered, w.sealed, w.joined, w.sent);
    return w.sealed > steps / 40 && w.sent > steps / 60 && w.joined ? 0 : 1;
}
