/* SPDX-License-Identifier: MIT */
/* The options record, checked and taken apart. */
#include "border/options.h"

#include <errno.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/feature.h"
#include "base/wire.h"
#include "crypto/aead.h"
#include "inside/ether.h"
#include "layer2/bridge.h"
#include "layer2/parts.h"
#include "layer2/vxlan.h"
#include "outside/engines.h"
#include "path/layer.h"
#include "tunlite.h"

enum {
    RING_MAX = 65536,
    STAGED_MAX = 128,
    POOL_DEFAULT = 8 << 20,
    POOL_MAX = 1 << 30,
    BATCH_OPTION_MAX = 256,
    FDB_MIN = 8,
    FDB_MAX = 65536,
};

#define FIELD(record, field) ((record) + offsetof(struct record_options, field))

static uint32_t option(const unsigned char *field) {
    return load_le32(field);
}

static bool is_power_of_two(uint32_t n) {
    return n && !(n & (n - 1));
}

static bool is_slots(uint32_t n) {
    return n == 0 || (is_power_of_two(n) && n <= IO_RING_SLOTS_MAX);
}

int options_of_plane(struct plane *plane, const unsigned char *r) {
    char aead[25] = {0};
    memcpy(aead, FIELD(r, aead), 24);
    plane->aead = strcmp(aead, "auto") == 0 ? aead_choose() : aead_find(aead);
    if (!plane->aead)
        return -ENOTSUP;
    uint32_t layer = option(FIELD(r, layer));
    plane->layer = layer == TL_LAYER2 ? &layer2 : &layer3;
    plane->replay_bits = option(FIELD(r, replay_bits));
    if (layer != TL_LAYER2 && layer != TL_LAYER3)
        return -EINVAL;
    if (!is_power_of_two(plane->replay_bits) || plane->replay_bits < REPLAY_BITS_MIN ||
        plane->replay_bits > REPLAY_BITS_MAX)
        return -EINVAL;
    return 0;
}

int options_of_bridge(struct plane *plane, const unsigned char *r) {
    uint32_t rows = option(FIELD(r, fdb)), per_peer = option(FIELD(r, fdb_per_peer));
    if (plane->layer != &layer2)
        return 0;
    if (!is_power_of_two(rows) || rows < FDB_MIN || rows > FDB_MAX || !per_peer || per_peer > rows)
        return -EINVAL;
    int err = bridge_new(&plane->bridge, rows, per_peer);
    if (!err)
        plane->bridge->forwards = option(FIELD(r, forward)) != 0;
    return err;
}

int options_of_vxlan(struct plane *plane, struct worker_options *o, const unsigned char *r) {
    uint32_t family = option(FIELD(r, vxlan_family)), port = option(FIELD(r, vxlan_port));
    if (!family)
        return 0;
    if (plane->layer != &layer3 || family > 6 || port > UINT16_MAX)
        return -EINVAL;
    struct vxlan_ends ends = {.family = (uint8_t)family,
                              .vni = option(FIELD(r, vxlan_vni)),
                              .port = (uint16_t)port,
                              .sums = option(FIELD(r, vxlan_sums)) != 0};
    memcpy(ends.local, FIELD(r, vxlan_local), sizeof ends.local);
    memcpy(ends.remote, FIELD(r, vxlan_remote), sizeof ends.remote);
    plane->vxlan = malloc(sizeof *plane->vxlan);
    if (!plane->vxlan)
        return -ENOMEM;
    int err = vxlan_set(plane->vxlan, &ends);
    plane->layer = &layer3_vxlan;
    o->device = TL_LAYER2;
    o->headroom = plane->vxlan->size;
    o->wrapping = plane->vxlan->size + ETHER_HEADER;
    return err;
}

int options_of_worker(struct worker_options *o, const unsigned char *r) {
    char engine[17] = {0};
    memcpy(engine, FIELD(r, engine), 16);
    if (!o->engine)
        o->engine = strcmp(engine, "auto") == 0 ? feature_engine_auto() : feature_engine(engine);
    if (!o->engine)
        return -ENOTSUP;
    o->mtu = option(FIELD(r, mtu));
    o->pool_bytes = option(FIELD(r, pool_bytes));
    o->batch = option(FIELD(r, batch));
    o->staged_per_peer = option(FIELD(r, staged_per_peer));
    o->offloads_off = option(FIELD(r, offloads_off));
    o->layer = o->device = option(FIELD(r, layer));
    o->headroom = o->layer == TL_LAYER2 ? FRAME_HEADER : 0;
    o->ring = option(FIELD(r, ring));
    o->handshakes_per_second = option(FIELD(r, handshakes_per_second));
    o->workers = option(FIELD(r, workers));
    o->ring_receives = option(FIELD(r, ring_receives));
    o->ring_sends = option(FIELD(r, ring_sends));
    o->parts = option(FIELD(r, parts));
    if (o->pool_bytes == 0)
        o->pool_bytes = POOL_DEFAULT;
    bool valid = o->mtu >= MTU_MIN && o->mtu <= MTU_MAX && o->pool_bytes <= POOL_MAX &&
                 o->batch <= BATCH_OPTION_MAX && o->staged_per_peer >= 1 &&
                 o->staged_per_peer <= STAGED_MAX && is_power_of_two(o->ring) &&
                 o->ring <= RING_MAX && o->workers >= 1 && o->workers <= WORKERS_MAX &&
                 is_slots(o->ring_receives) && is_slots(o->ring_sends);
    return valid ? 0 : -EINVAL;
}
