/* SPDX-License-Identifier: MIT */
/* The border's functions about layer 2 alone. */
#include <errno.h>

#include "base/bytes.h"
#include "base/wire.h"
#include "border/handles.h"
#include "inside/ether.h"
#include "layer2/bridge.h"
#include "tunlite.h"
#include "turn/crew.h"
#include "turn/worker.h"

static int find(struct plane **plane, struct peer **peer, int handle, int number) {
    *plane = handle_plane(handle);
    if (!*plane)
        return -EBADF;
    if (!(*plane)->bridge)
        return -EOPNOTSUPP;
    *peer = handle_peer(*plane, number);
    return *peer ? 0 : -ENOENT;
}

int tl_peer_path(int handle, int number, int frame_max, int payload_max) {
    struct plane *plane;
    struct peer *peer;
    int err = find(&plane, &peer, handle, number);
    if (err)
        return err;
    if (frame_max < ETHER_HEADER || payload_max < BRIDGE_PAYLOAD_MIN)
        return -EINVAL;
    HOLD hold = hold_one(plane, peer->owner);
    peer->trunk->frame_max = (uint32_t)frame_max;
    peer->trunk->payload_max = (uint32_t)payload_max;
    return 0;
}

int tl_peer_use(int handle, int number, int how) {
    struct plane *plane;
    struct peer *peer;
    int err = find(&plane, &peer, handle, number);
    if (err)
        return err;
    if (how < TL_USE_STANDBY || how > TL_USE_LEFT)
        return -EINVAL;
    HOLD hold = hold_all(plane);
    worker_tick(plane->worker);
    bridge_use(plane->bridge, peer, (uint8_t)how, plane->worker->now);
    return 0;
}

static bool is_row_of(const struct plane *plane, const unsigned char *row) {
    return handle_peer(plane, load_le16(row + offsetof(struct record_mac, peer))) != NULL;
}

int tl_macs(int handle, const unsigned char *rows, int rows_len) {
    static const unsigned char none[ETHER_ADDRESS];
    enum { ROW = sizeof(struct record_mac) };
    struct plane *plane = handle_plane(handle);
    if (!plane)
        return -EBADF;
    if (!plane->bridge)
        return -EOPNOTSUPP;
    if (rows_len < 0 || rows_len % ROW)
        return -EINVAL;
    bool has_own = rows_len && load_le16(rows + offsetof(struct record_mac, peer)) == MAC_OURS;
    const unsigned char *pins = rows + (has_own ? ROW : 0);
    for (const unsigned char *row = pins; row < rows + rows_len; row += ROW)
        if (!is_row_of(plane, row))
            return -EINVAL;
    HOLD hold = hold_all(plane);
    fdb_own(plane->bridge->fdb, has_own ? rows : none);
    return fdb_pin(plane->bridge->fdb, pins, (uint32_t)(rows + rows_len - pins) / ROW);
}
