/* SPDX-License-Identifier: MIT */
/*
 * The stores of layer 2 under inputs of a corpus and what chance makes of them. Run under
 * sanitizers:
 *
 *     layer2_fuzz TARGET SEED STEPS FILE...
 *
 * A target ends the program where a frame is joined of what does not belong together, or an address
 * is behind a peer that never sent from it.
 */
#include "base/bytes.h"
#include "base/wire.h"
#include "inside/ether.h"
#include "inside/ip.h"
#include "layer2/fdb.h"
#include "layer2/parts.h"
#include "layer2/vxlan.h"
#include "mutate.h"

static unsigned long reached; /* joined frames, found addresses: that it looks at something */

/* ---- parts: what a byte is tells whose it is ----------------------------------------------- */

enum { SESSIONS = 4, FRAME_MAX = 200, LEN_MAX = 256, GATHERED_MAX = 10 };

static uint8_t mark(uint32_t session, uint64_t counter, bool sealed, uint32_t at) {
    uint32_t v = session * 0x9e3779b1u + (uint32_t)counter * 0x85ebca77u + sealed * 0xc2b2ae3du;
    return (uint8_t)(((v ^ v >> 15) + at) * 0x27d4eb2fu >> 24);
}

static void put_marks(uint8_t *data, const struct part *part, uint32_t session, bool honest) {
    uint32_t fill = honest ? part->head >> PARTS_FILL_SHIFT & PARTS_FILL : 0;
    for (uint32_t i = 0; i < part->len; i++)
        data[i] = i + fill < part->len ? mark(session, part->counter, part->sealed, i) : 0;
}

static void check_marks(const uint8_t *frame, uint32_t len, const struct part *part,
                        uint32_t session) {
    uint64_t first = part->counter - (part->head & PARTS_INDEX);
    must(len <= FRAME_MAX, "a frame is too long");
    for (uint32_t i = 0; i < len; i++)
        must(frame[i] == mark(session, first + i / part->len, part->sealed, i % part->len),
             "a frame was joined of what does not belong together");
    reached++;
}

static void take_part(struct parts *store, struct parts_slots *slots, struct input *in) {
    uint32_t session = next_byte(in) % SESSIONS, flags = next_byte(in), len = 0;
    struct part part = {.sealed = flags & 1};
    part.counter = next_byte(in) + (flags & 2 ? 256 : 0);
    part.len = next_byte(in) % LEN_MAX;
    part.head = (uint8_t)next_byte(in);
    uint8_t *data = malloc(part.len ? part.len : 1);
    put_marks(data, &part, session, flags & 4);
    part.data = data;
    enum parts_verdict verdict = parts_take(store, &slots[session], &part, &len);
    if (verdict == PART_COMPLETES && (flags & 8))
        parts_give_up(store, &slots[session], &part);
    else if (verdict == PART_COMPLETES) {
        uint8_t *out = malloc(len);
        parts_join(store, &slots[session], &part, out);
        check_marks(out, len, &part, session);
        free(out);
    }
    free(data);
}

/* The steps of an honest sender, whose parts chance has not touched yet. */
static void take_frame(struct parts *store, struct parts_slots *slots, struct input *in) {
    uint32_t session = next_byte(in) % SESSIONS, first = next_byte(in), left_out = next_byte(in);
    uint32_t size = 1 + next_byte(in) % FRAME_MAX, room = 1 + next_byte(in);
    struct parts_plan plan = parts_plan(size, room);
    for (uint32_t i = 0; i < plan.n && plan.n > 1; i++) {
        struct part part = {.counter = first + i,
                            .len = plan.size,
                            .head = parts_head(&plan, i),
                            .sealed = left_out & 0x80};
        uint8_t data[FRAME_MAX + 8], out[FRAME_MAX];
        uint32_t len;
        put_marks(data, &part, session, true);
        part.data = data;
        if ((left_out >> (i % 7) & 1) ||
            parts_take(store, &slots[session], &part, &len) != PART_COMPLETES)
            continue;
        parts_join(store, &slots[session], &part, out);
        check_marks(out, len, &part, session);
    }
}

/* A run of messages as a slab has it; nothing stands behind the last one. */
static void gather(struct input *in) {
    enum { HEADER = 16 };
    uint32_t n = 1 + next_byte(in) % GATHERED_MAX, trailer = next_byte(in) & 1 ? 16 : 0, size = 0;
    uint32_t len[GATHERED_MAX];
    for (uint32_t i = 0, usual = next_byte(in); i < n; i++) {
        len[i] = next_byte(in) < 240 ? usual : next_byte(in);
        size += HEADER + len[i] + trailer;
    }
    uint8_t *run = malloc(size), *at = run;
    struct packet p[GATHERED_MAX] = {0};
    memset(run, 0, size);
    for (uint32_t i = 0; i < n; at += HEADER + len[i++] + trailer) {
        p[i] = (struct packet){.data = at + HEADER, .len = len[i], .counter = 5 + i};
        if (len[i] > 1)
            store_be16(p[i].data, (uint16_t)next_word(in));
    }
    if (parts_gather(p, n, trailer, FRAME_MAX)) {
        must(p[0].len <= FRAME_MAX + FRAME_HEADER && p[0].data + p[0].len <= run + size,
             "too long");
        reached++;
    }
    free(run);
}

static void fuzz_parts(struct input *in) {
    struct parts store;
    struct parts_slots slots[SESSIONS] = {0};
    must(parts_new(&store, 1 + next_byte(in) % 8, FRAME_MAX) == 0, "no memory");
    while (in->at < in->len) {
        uint32_t what = next_byte(in), session = what % SESSIONS;
        if (what < 128)
            take_part(&store, slots, in);
        else if (what < 200)
            take_frame(&store, slots, in);
        else if (what < 220)
            gather(in);
        else if (what < 240)
            parts_passed(&store, &slots[session], next_word(in), what & 4);
        else if (what < 248)
            parts_forget(&store, &slots[session]);
        else
            slots[session] = (struct parts_slots){0};
        must(store.open <= store.places && slots[session].n <= PARTS_OPEN_MAX, "too many are open");
    }
    parts_free(&store);
}

/* ---- the table of addresses ----------------------------------------------------------------- */

enum { HOSTS = 64, PEERS = 6, PER_PEER = 20, ROWS = 32 };

struct heard {
    bool of[HOSTS][PEERS];
    uint32_t pin[HOSTS];
};

static void put_mac(uint8_t *mac, uint32_t host) {
    memset(mac, 0, ETHER_ADDRESS);
    mac[0] = host % 16 == 15 ? 3 : 2;
    mac[5] = (uint8_t)host;
}

static void pin_some(struct fdb *fdb, struct heard *heard, struct input *in) {
    uint8_t rows[4 * 8];
    uint32_t n = next_byte(in) % 4, host[4], peer[4];
    for (uint32_t i = 0; i < n; i++) {
        host[i] = next_byte(in) % HOSTS;
        peer[i] = next_byte(in) % PEERS;
        put_mac(rows + 8 * (size_t)i, host[i]);
        store_le16(rows + 8 * (size_t)i + 6, (uint16_t)peer[i]);
    }
    if (fdb_pin(fdb, rows, n))
        return;
    memset(heard->pin, 0xff, sizeof heard->pin);
    for (uint32_t i = 0; i < n; i++)
        heard->pin[host[i]] = peer[i];
}

static void forget_peer(struct fdb *fdb, struct heard *heard, uint32_t peer) {
    fdb_forget(fdb, peer);
    for (uint32_t host = 0; host < HOSTS; host++)
        heard->of[host][peer] = false;
}

static void check_host(const struct fdb *fdb, const struct heard *heard, uint32_t host,
                       uint64_t now) {
    uint8_t mac[ETHER_ADDRESS];
    put_mac(mac, host);
    uint32_t peer = fdb_find(fdb, mac, now);
    if (heard->pin[host] != UINT32_MAX)
        must(peer == heard->pin[host], "a pinned address has moved");
    else if (peer != FDB_NOBODY)
        must(peer < PEERS && heard->of[host][peer], "found behind who never sent from it");
    reached += peer != FDB_NOBODY;
}

static void fuzz_fdb(struct input *in) {
    struct fdb *fdb;
    struct heard heard = {0};
    uint64_t now = (uint64_t)next_word(in) << 14;
    uint8_t mac[ETHER_ADDRESS];
    memset(heard.pin, 0xff, sizeof heard.pin);
    must(fdb_new(&fdb, ROWS, PER_PEER) == 0, "no memory");
    while (in->at < in->len) {
        uint32_t what = next_byte(in), host = next_byte(in) % HOSTS, peer = what % PEERS;
        put_mac(mac, host);
        if (what < 200) {
            enum fdb_verdict verdict = fdb_learn(fdb, mac, peer, now);
            heard.of[host][peer] |= verdict == FDB_LEARNED || verdict == FDB_KNOWN;
        } else if (what < 230)
            now += next_word(in);
        else if (what < 236)
            fdb_sweep(fdb, now);
        else if (what < 244)
            forget_peer(fdb, &heard, peer);
        else
            pin_some(fdb, &heard, in);
        check_host(fdb, &heard, host, now);
        must(fdb_count(fdb, peer) <= PER_PEER, "a peer has too many");
    }
    struct fdb_row row;
    for (uint32_t at = 0; fdb_next(fdb, &at, now, &row);)
        must(row.peer < PEERS && row.age_ms < FDB_AGE_MS, "told what is not");
    fdb_free(fdb);
}

/* ---- frames -------------------------------------------------------------------------------- */

static void fuzz_ether(struct input *in) {
    if (in->len < ETHER_HEADER)
        return;
    uint8_t *frame = malloc(in->len);
    memcpy(frame, in->bytes, in->len);
    struct ether e = ether_look(frame, in->len);
    uint32_t at = ether_ip(frame, in->len);
    must(e.at <= in->len && at < in->len && (!at || at == e.at), "past the end");
    reached += at != 0;
    free(frame);
}

/* ---- frames in UDP -------------------------------------------------------------------------- */

static void set_vxlan(struct vxlan *v, uint32_t options) {
    struct vxlan_ends ends = {.family = options & 1 ? 4 : 6, .vni = 7, .port = 4789};
    ends.sums = options & 2;
    ends.local[0] = 10;
    must(vxlan_set(v, &ends) == 0, "ends that can be were refused");
}

/* What comes in; a frame of it goes out again, and comes in as it was. */
static void wrap_again(struct vxlan *v, const struct packet *came) {
    uint8_t *room = malloc(VXLAN_HEADERS_6 + came->len);
    struct packet p = {.data = room + VXLAN_HEADERS_6, .len = came->len};
    memcpy(p.data, came->data, came->len);
    vxlan_wrap(v, &p);
    memcpy(p.data + (v->ends.family == 4 ? 16 : 24), v->ends.local, v->ends.family == 4 ? 4 : 16);
    if (v->ends.family == 4) { /* its own remote address is all zeros */
        store_be16(p.data + 10, 0);
        store_be16(p.data + 10, checksum_finish(checksum_words(p.data, 20)));
    }
    store_be16(p.data + v->size - 10, 0);
    enum vxlan_verdict verdict = vxlan_unwrap(v, &p);
    must(verdict == VXLAN_FRAME && p.len == came->len, "what went out does not come in");
    must(memcmp(p.data, came->data, p.len) == 0, "what went out comes in as something else");
    free(room);
}

static void fuzz_vxlan(struct input *in) {
    struct vxlan v;
    uint8_t tos;
    set_vxlan(&v, next_byte(in));
    struct packet p = {.len = in->len - in->at};
    uint8_t *whole = malloc(p.len ? p.len : 1);
    memcpy(whole, in->bytes + in->at, p.len);
    p.data = whole;
    if (ip_check(p.data, &p.len, &tos) != IP_OK) {
        free(whole);
        return;
    }
    const uint8_t *end = p.data + p.len;
    enum vxlan_verdict verdict = vxlan_unwrap(&v, &p);
    if (verdict == VXLAN_FRAME || verdict == VXLAN_MARKED) {
        must(p.data > whole && p.data + p.len <= end && p.len >= ETHER_HEADER, "past the end");
        wrap_again(&v, &p);
        reached++;
    }
    free(whole);
}

int main(int argc, char **argv) {
    static const struct target targets[] = {{"parts", fuzz_parts},
                                            {"fdb", fuzz_fdb},
                                            {"ether", fuzz_ether},
                                            {"vxlan", fuzz_vxlan},
                                            {NULL, NULL}};
    return run_corpus(argc, argv, targets, &reached);
}
