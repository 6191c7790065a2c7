# SPDX-License-Identifier: MIT
"""The stores of layer 2, each alone: the table of addresses, parts, frames."""

from machine import native_build

CDEF = """
struct ether { uint16_t type; uint32_t at; };
struct ether ether_look(const uint8_t *, uint32_t);
uint32_t ether_ip(const uint8_t *, uint32_t);

enum fdb_verdict { FDB_KNOWN, FDB_LEARNED, FDB_HELD, FDB_FIXED, FDB_FULL, FDB_NONE };
struct fdb;
struct fdb_row { uint8_t mac[6]; uint16_t peer; uint32_t age_ms; uint32_t flags; };
int fdb_new(struct fdb **, uint32_t, uint32_t);
void fdb_free(struct fdb *);
void fdb_own(struct fdb *, const uint8_t *);
bool fdb_is_own(const struct fdb *, const uint8_t *);
int fdb_pin(struct fdb *, const uint8_t *, uint32_t);
void fdb_unpin(struct fdb *, uint32_t);
void fdb_forget(struct fdb *, uint32_t);
enum fdb_verdict fdb_learn(struct fdb *, const uint8_t *, uint32_t, uint64_t);
uint32_t fdb_find(const struct fdb *, const uint8_t *, uint64_t);
void fdb_sweep(struct fdb *, uint64_t);
bool fdb_next(const struct fdb *, uint32_t *, uint64_t, struct fdb_row *);
uint32_t fdb_count(const struct fdb *, uint32_t);

struct parts_plan { uint32_t n, size, fill; };
struct parts_plan parts_plan(uint32_t, uint32_t);
uint8_t parts_head(const struct parts_plan *, uint32_t);
void parts_cut(uint8_t *, const struct parts_plan *, const uint8_t *, uint32_t);

struct part { uint64_t counter; const uint8_t *data; uint32_t len; uint8_t head; bool sealed; };
struct parts_slots { uint32_t id[4]; uint8_t place[4]; uint32_t n; };
enum parts_verdict { PART_KEPT, PART_COMPLETES, PART_TWICE, PART_BAD };
struct parts {
    struct parts_place *place; uint8_t *bytes;
    uint32_t places, each, frame_max, last_id, open, full, lost;
};
int parts_new(struct parts *, uint32_t, uint32_t);
void parts_free(struct parts *);
void parts_shrink(struct parts *);
enum parts_verdict parts_take(struct parts *, struct parts_slots *, const struct part *,
                              uint32_t *);
void parts_join(struct parts *, struct parts_slots *, const struct part *, uint8_t *);
void parts_give_up(struct parts *, struct parts_slots *, const struct part *);
void parts_forget(struct parts *, struct parts_slots *);
void parts_passed(struct parts *, struct parts_slots *, uint64_t, bool);

struct vxlan_ends {
    uint8_t family; uint8_t local[16]; uint8_t remote[16]; uint32_t vni; uint16_t port; bool sums;
};
struct vxlan { ...; };
enum vxlan_verdict { VXLAN_FRAME, VXLAN_MARKED, VXLAN_OTHER, VXLAN_BAD, VXLAN_WRONG_VNI };
int vxlan_set(struct vxlan *, const struct vxlan_ends *);
uint32_t wrap(struct vxlan *, uint8_t *, uint32_t, uint8_t *);
enum vxlan_verdict unwrap(const struct vxlan *, uint8_t *, uint32_t, uint32_t *, uint32_t *);

/* Messages, whole, one behind the other; what becomes of them. */
bool gather(uint8_t *, uint32_t, const uint64_t *, const uint32_t *, uint32_t, uint32_t,
            uint32_t *);
"""

PREAMBLE = """
#include <stdbool.h>
#include <inside/ether.h>
#include <layer2/fdb.h>
#include <layer2/parts.h>
#include <layer2/vxlan.h>

/* A frame of `len` bytes behind VXLAN_HEADERS_6 of room becomes a packet that begins where is
 * returned. */
static uint32_t wrap(struct vxlan *v, uint8_t *room, uint32_t len, uint8_t *tos) {
    struct packet p = {.data = room + VXLAN_HEADERS_6, .len = len};
    vxlan_wrap(v, &p);
    *tos = p.tos;
    return (uint32_t)(p.data - room);
}

/* Where the frame begins, and its length. */
static enum vxlan_verdict unwrap(const struct vxlan *v, uint8_t *ip, uint32_t len, uint32_t *at,
                                 uint32_t *left) {
    struct packet p = {.data = ip, .len = len};
    enum vxlan_verdict verdict = vxlan_unwrap(v, &p);
    *at = (uint32_t)(p.data - ip);
    *left = p.len;
    return verdict;
}

/* n messages of lens[] bytes, opened, at `run`: their parts are to be gathered. `lens` of the two
 * bytes and what follows. True: out is the frame's length, at run + 16. */
static bool gather(uint8_t *run, uint32_t n, const uint64_t *counters, const uint32_t *lens,
                   uint32_t trailer, uint32_t frame_max, uint32_t *left) {
    struct packet p[16] = {0};
    for (uint32_t i = 0; i < n; i++) {
        p[i] = (struct packet){.data = run + 16, .len = lens[i], .counter = counters[i]};
        run += 16 + lens[i] + trailer;
    }
    bool done = parts_gather(p, n, trailer, frame_max);
    for (uint32_t i = 0; i < n; i++)
        left[i] = p[i].len;
    return done;
}
"""

_LAYER2 = ("fdb", "fdb_moves", "fdb_pins", "fdb_table", "parts", "vxlan")
_CHECKSUMS = sorted(native_build.ROOT.glob("native/inside/checksum*.c"))
SOURCES = [
    *("native/base/os.c", "native/inside/ether.c", "native/inside/ip.c", "native/inside/routes.c"),
    *(str(path.relative_to(native_build.ROOT)) for path in _CHECKSUMS),
    *(f"native/layer2/{name}.c" for name in _LAYER2),
]


def load():
    """(ffi, lib), compiled where a source has changed."""
    module = native_build.test_module("_test_layer2", CDEF, PREAMBLE, SOURCES)
    return module.ffi, module.lib


ffi, lib = load()
