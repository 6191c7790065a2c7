/* SPDX-License-Identifier: MIT */
/* One device, many peers. */
#include "layer2/bridge.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tunlite.h"

int bridge_new(struct bridge **out, uint32_t rows, uint32_t per_peer) {
    struct bridge *b = calloc(1, sizeof *b);
    if (!b)
        return -ENOMEM;
    int err = fdb_new(&b->fdb, rows, per_peer);
    if (!err)
        err = spread_new(&b->spread);
    if (err)
        bridge_free(b);
    else
        *out = b;
    return err;
}

void bridge_free(struct bridge *b) {
    if (!b)
        return;
    spread_free(&b->spread);
    fdb_free(b->fdb);
    free(b->member);
    free(b);
}

/* ---- members ----------------------------------------------------------------------------------
 */

static void find_only(struct bridge *b, uint64_t now) {
    b->only = b->n_members == 1 && now >= b->left_until ? b->member[0] : NULL;
}

static void join(struct bridge *b, struct peer *peer) {
    b->member[b->n_members++] = peer;
}

static void leave(struct bridge *b, const struct peer *peer) {
    uint32_t at = 0;
    while (at < b->n_members && b->member[at] != peer)
        at++;
    if (at == b->n_members)
        return;
    b->n_members--;
    memmove(&b->member[at], &b->member[at + 1], (b->n_members - at) * sizeof(struct peer *));
    spread_leave(&b->spread, at);
}

/* One place for each peer, so that a change of use needs none. */
static int make_room(struct bridge *b, uint32_t peers) {
    if (peers <= b->room)
        return 0;
    uint32_t room = peers * 2;
    struct peer **member = realloc(b->member, room * sizeof *member);
    if (!member)
        return -ENOMEM;
    b->member = member;
    b->room = room;
    return 0;
}

int bridge_add(struct bridge *b, struct peer *peer, uint64_t now) {
    if (make_room(b, peer->id + 1))
        return -ENOMEM;
    peer->trunk = calloc(1, sizeof *peer->trunk);
    if (!peer->trunk)
        return -ENOMEM;
    peer->trunk->use = TL_USE_ON;
    peer->trunk->frame_max = UINT32_MAX;
    peer->trunk->payload_max = BRIDGE_PAYLOAD_FIRST;
    join(b, peer);
    find_only(b, now);
    return 0;
}

void bridge_remove(struct bridge *b, struct peer *peer, uint64_t now) {
    leave(b, peer);
    spread_forget(&b->spread, peer);
    find_only(b, now);
    fdb_unpin(b->fdb, peer->id);
    fdb_forget(b->fdb, peer->id);
}

void bridge_use(struct bridge *b, struct peer *peer, uint8_t how, uint64_t now) {
    struct trunk *t = peer->trunk;
    bool was_on = t->use == TL_USE_ON;
    if (how == TL_USE_ON && !was_on)
        join(b, peer);
    if (how != TL_USE_ON && was_on)
        leave(b, peer);
    if (how == TL_USE_LEFT && was_on)
        t->left_until = b->left_until = now + BRIDGE_LEFT_MS;
    if (how == TL_USE_STANDBY || (how == TL_USE_ON && !was_on))
        fdb_forget(b->fdb, peer->id);
    if (how == TL_USE_ON)
        bridge_set_gone(peer, false);
    t->use = how;
    find_only(b, now);
}

void bridge_forget(struct bridge *b, const struct peer *peer) {
    fdb_forget(b->fdb, peer->id);
}

void bridge_tick(struct bridge *b, uint64_t now) {
    if (now < b->sweep_at)
        return;
    b->sweep_at = now + FDB_SWEEP_MS;
    find_only(b, now);
    fdb_sweep(b->fdb, now);
}

/* ---- who gets a frame -------------------------------------------------------------------------
 */

uint8_t bridge_use_of(const struct peer *peer, uint64_t now) {
    const struct trunk *t = peer->trunk;
    return t->use == TL_USE_LEFT && now >= t->left_until ? TL_USE_STANDBY : t->use;
}

struct peer *bridge_find(const struct plane *plane, const uint8_t *address, uint64_t now,
                         bool *is_inside) {
    uint32_t id = fdb_find(plane->bridge->fdb, address, now);
    if (is_inside)
        *is_inside = id == BRIDGE_DEVICE;
    struct peer *peer = id < plane->n_peers ? plane->peers[id] : NULL;
    bool takes = peer && bridge_use_of(peer, now) != TL_USE_STANDBY && !bridge_is_gone(peer);
    return takes ? peer : NULL;
}
