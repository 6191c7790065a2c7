/* SPDX-License-Identifier: MIT */
/* Datagrams of our own that come back out of the device. Once per packet. */
#include "path/loop.h"

#include <errno.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/wire.h"
#include "inside/ip.h"
#include "path/peer.h"
#include "path/plane.h"

enum { UDP_SOURCE = 0, UDP_DESTINATION = 2, UDP_HEADER = 8, UDP_INDEX = UDP_HEADER + 4 };

/* Address and port in one word, which worker 0 may read while the peer's owner changes it. That two
 * places have the same matters only where their indices, too, are equal. */
static uint32_t place_of(const uint8_t *addr, uint32_t len, uint32_t port) {
    uint32_t place = port;
    for (uint32_t i = 0; i < len; i += 4)
        place = place * 31 + load_le32(addr + i);
    return place;
}

void loop_moved(struct peer *peer, const struct endpoint *to) {
    uint32_t place = place_of(to->addr, to->family == 4 ? 4 : 16, to->port);
    __atomic_store_n(&peer->place, place, __ATOMIC_RELAXED);
}

static struct peer **bucket_of(const struct plane *plane, uint32_t remote) {
    return &plane->by_remote[(remote ^ remote >> 16) & (plane->n_peers - 1)];
}

static void link_peer(struct plane *plane, struct peer *peer) {
    if (!peer->sending)
        return;
    peer->remote = peer->sending->remote;
    peer->next_remote = *bucket_of(plane, peer->remote);
    *bucket_of(plane, peer->remote) = peer;
}

void loop_session(struct plane *plane, struct peer *peer) {
    struct peer **at = bucket_of(plane, peer->remote);
    while (*at && *at != peer)
        at = &(*at)->next_remote;
    if (*at)
        *at = peer->next_remote;
    link_peer(plane, peer);
}

int loop_grow(struct plane *plane, uint32_t n_peers) {
    struct peer **wide = calloc(n_peers, sizeof(struct peer *));
    if (!wide)
        return -ENOMEM;
    free(plane->by_remote);
    plane->by_remote = wide;
    uint32_t before = plane->n_peers;
    plane->n_peers = n_peers;
    for (uint32_t i = 0; i < before; i++)
        if (plane->peers[i])
            link_peer(plane, plane->peers[i]);
    return 0;
}

static bool goes_to_its_peer(const struct plane *plane, uint32_t remote, uint32_t place) {
    if (!plane->n_peers)
        return false;
    const struct peer *peer = *bucket_of(plane, remote);
    for (; peer; peer = peer->next_remote)
        if (peer->remote == remote && __atomic_load_n(&peer->place, __ATOMIC_RELAXED) == place)
            return true;
    return false;
}

bool loop_is_own(const struct plane *plane, const uint8_t *ip, uint32_t len) {
    const uint8_t *udp = ip_udp(ip, len, UDP_INDEX + 4);
    if (!udp || load_be16(udp + UDP_SOURCE) != plane->port)
        return false;
    uint32_t index = load_le32(udp + UDP_INDEX), address_len;
    switch (load_le32(udp + UDP_HEADER)) {
    case MESSAGE_INITIATION:
    case MESSAGE_RESPONSE:
        return session_by_index(&plane->sessions, index) != NULL;
    case MESSAGE_TRANSPORT:
    case MESSAGE_AUTHENTIC:
    case MESSAGE_BARE:
        break;
    default:
        return false;
    }
    const uint8_t *to = ip_destination(ip, &address_len);
    uint32_t place = place_of(to, address_len, load_be16(udp + UDP_DESTINATION));
    return goes_to_its_peer(plane, index, place);
}
