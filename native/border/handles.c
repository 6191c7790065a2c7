/* SPDX-License-Identifier: MIT */
/* Planes and peers by number: the only mutable global, since Python holds ints and no pointers. */
#include "border/handles.h"

#include <errno.h>

#include "base/bytes.h"
#include "base/wire.h"

enum { PLANES_MAX = 16 };

static struct plane *planes[PLANES_MAX];

int handle_unused(void) {
    for (int handle = 0; handle < PLANES_MAX; handle++)
        if (!planes[handle])
            return handle;
    return -EMFILE;
}

void handle_set(int handle, struct plane *plane) {
    planes[handle] = plane;
}

struct plane *handle_plane(int handle) {
    return handle >= 0 && handle < PLANES_MAX ? planes[handle] : NULL;
}

struct peer *handle_peer(const struct plane *plane, int peer) {
    return peer >= 0 && (uint32_t)peer < plane->n_peers ? plane->peers[peer] : NULL;
}

#define FIELD(record, field) ((record) + offsetof(struct record_endpoint, field))

bool handle_endpoint(struct endpoint *e, const unsigned char *r) {
    unsigned family = load_le16(FIELD(r, family));
    if (family != 0 && family != 4 && family != 6)
        return false;
    *e = (struct endpoint){.family = (uint8_t)family,
                           .port = load_le16(FIELD(r, port)),
                           .scope = load_le32(FIELD(r, scope)),
                           .ifindex = load_le32(FIELD(r, ifindex)),
                           .way = load_le32(FIELD(r, way))};
    memcpy(e->addr, FIELD(r, addr), family == 4 ? 4 : 16);
    memcpy(e->local, FIELD(r, local), family == 4 ? 4 : 16);
    return true;
}

void handle_put_endpoint(unsigned char *r, const struct endpoint *e) {
    memset(r, 0, sizeof(struct record_endpoint));
    store_le16(FIELD(r, family), e->family);
    store_le16(FIELD(r, port), e->port);
    store_le32(FIELD(r, scope), e->scope);
    store_le32(FIELD(r, ifindex), e->ifindex);
    store_le32(FIELD(r, way), e->way);
    memcpy(FIELD(r, addr), e->addr, 16);
    memcpy(FIELD(r, local), e->local, 16);
}
