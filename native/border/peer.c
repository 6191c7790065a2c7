/* SPDX-License-Identifier: MIT */
/* The border's functions about peers: their place, state, events and allowed IPs. */
#include <errno.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/wire.h"
#include "border/handles.h"
#include "inside/routes.h"
#include "layer2/bridge.h"
#include "layer2/control.h"
#include "layer2/vxlan.h"
#include "path/echo.h"
#include "path/loop.h"
#include "path/rate.h"
#include "path/rx.h"
#include "path/tx.h"
#include "tunlite.h"
#include "turn/crew.h"
#include "turn/worker.h"

enum { PEERS_FIRST = 8, PEERS_MAX = 65536 };

/* The plane, the peer, and its worker, which is held. */
struct target {
    struct plane *plane;
    struct worker *w;
    struct peer *peer;
    struct hold hold;
};

static void end(struct target *t) {
    hold_end(&t->hold);
}

#define TARGET __attribute__((cleanup(end))) struct target

static int find(struct target *t, int plane, int peer) {
    *t = (struct target){.plane = handle_plane(plane)};
    if (!t->plane)
        return -EBADF;
    t->peer = handle_peer(t->plane, peer);
    if (!t->peer)
        return -ENOENT;
    t->w = &t->plane->worker[t->peer->owner];
    t->hold = hold_one(t->plane, t->peer->owner);
    return 0;
}

static int grow_peers(struct plane *plane) {
    uint32_t n = plane->n_peers ? plane->n_peers * 2 : PEERS_FIRST;
    if (n > PEERS_MAX)
        return -ENOSPC;
    struct peer **peers = realloc(plane->peers, n * sizeof *peers);
    if (!peers)
        return -ENOMEM;
    memset(peers + plane->n_peers, 0, (n - plane->n_peers) * sizeof *peers);
    plane->peers = peers;
    return loop_grow(plane, n);
}

static int add_to_bridge(struct plane *plane, struct peer *peer) {
    if (peer->id >= BRIDGE_PEERS_MAX)
        return -ENOSPC;
    return bridge_add(plane->bridge, peer, plane->worker->now);
}

int tl_peer_new(int handle) {
    struct plane *plane = handle_plane(handle);
    uint32_t id = 0;
    if (!plane)
        return -EBADF;
    HOLD hold = hold_some(plane, 0, plane->bridge ? plane->n_workers : 0); /* by number */
    while (id < plane->n_peers && plane->peers[id])
        id++;
    int err = id == plane->n_peers ? grow_peers(plane) : 0;
    if (err)
        return err;
    struct peer *peer = calloc(1, sizeof *peer);
    if (!peer)
        return -ENOMEM;
    peer->id = id;
    peer->owner = id % plane->n_workers;
    err = plane->bridge ? add_to_bridge(plane, peer) : 0;
    if (err) {
        peer_free(peer);
        return err;
    }
    plane->peers[id] = peer;
    return (int)id;
}

int tl_peer_free(int handle, int number) {
    struct plane *plane = handle_plane(handle);
    if (!plane)
        return -EBADF;
    struct peer *peer = handle_peer(plane, number);
    if (!peer)
        return -ENOENT;
    HOLD hold = hold_all(plane);
    worker_forget(&plane->worker[peer->owner], peer);
    if (CREW_OF(plane))
        passing_forget(plane, peer);
    peer->sending = NULL;
    loop_session(plane, peer);
    sessions_forget(&plane->sessions, peer);
    crew_reclaim(plane);
    routes_forget(plane->routes, peer);
    plane->peers[number] = NULL;
    if (plane->bridge)
        bridge_remove(plane->bridge, peer, plane->worker->now);
    peer_free(peer);
    return 0;
}

int tl_peer_endpoint(int plane, int peer, const unsigned char *endpoint48) {
    TARGET t;
    int err = find(&t, plane, peer);
    if (err)
        return err;
    t.peer->way.runs = (struct way_runs){0};
    if (!handle_endpoint(&t.peer->way.endpoint, endpoint48))
        return -EINVAL;
    loop_moved(t.peer, &t.peer->way.endpoint);
    return 0;
}

int tl_peer_rates(int plane, int peer, const unsigned char *rates16) {
    TARGET t;
    int err = find(&t, plane, peer);
    if (err)
        return err;
    worker_tick(t.w);
    const uint64_t bits[RATE_WAYS] = {load_le64(rates16), load_le64(rates16 + 8)};
    return rate_set(t.w, t.peer, bits);
}

int tl_peer_state(int plane, int peer, unsigned char *out, int out_len) {
    TARGET t;
    int err = find(&t, plane, peer);
    if (err)
        return err;
    if (out_len < (int)sizeof(struct record_peer))
        return -ENOSPC;
    const struct peer *p = t.peer;
    const struct way *y = &p->way;
    const uint64_t numbers[] = {y->rx_bytes,         y->tx_bytes,       y->sent_any,
                                y->sent_data,        y->received_any,   y->received_data,
                                y->first_unanswered, y->first_unreplied};
    for (unsigned i = 0; i < sizeof numbers / sizeof *numbers; i++)
        store_le64(out + i * 8, numbers[i]);
    store_le32(out + offsetof(struct record_peer, staged), p->staged.n);
    store_le32(out + offsetof(struct record_peer, events), y->raised.armed);
    handle_put_endpoint(out + offsetof(struct record_peer, endpoint), &y->endpoint);
    store_le32(out + offsetof(struct record_peer, sending_index),
               p->sending ? p->sending->index : 0);
    store_le32(out + offsetof(struct record_peer, has_session), p->sending != NULL);
    store_le64(out + offsetof(struct record_peer, send_counter),
               p->sending ? p->sending->send_counter : 0);
    const struct trunk *trunk = p->trunk;
    store_le32(out + offsetof(struct record_peer, path_number), trunk ? trunk->path_number : 0);
    store_le32(out + offsetof(struct record_peer, path_len), trunk ? trunk->path_len : 0);
    return 0;
}

int tl_peer_arm(int plane, int peer, int events) {
    TARGET t;
    int err = find(&t, plane, peer);
    if (err)
        return err;
    t.peer->way.raised.armed = (uint32_t)events;
    if (t.peer->confirmed) /* its packet came before this call: there may be no other */
        events_raise(&t.w->events, &t.peer->way.raised, TL_PEER_CONFIRMED);
    return 0;
}

static struct peer *peer_raised(struct raised *one) {
    return (struct peer *)(void *)((uint8_t *)one - offsetof(struct peer, way.raised));
}

/* Rows of one worker's, at most `most`; how many. */
static int take_events(struct worker *w, unsigned char *out, int most) {
    HOLD hold = hold_one(w->plane, w->id);
    int n = 0;
    for (; n < most; n++) {
        uint32_t bits;
        struct raised *one = events_take(&w->events, &bits);
        if (!one)
            break;
        const struct peer *peer = peer_raised(one);
        if (!peer->confirmed) /* the session that it was raised for went meanwhile */
            bits &= ~(uint32_t)TL_PEER_CONFIRMED;
        store_le32(out + n * 8, peer->id);
        store_le32(out + n * 8 + 4, bits);
    }
    return n;
}

int tl_events(int handle, unsigned char *out, int out_len) {
    struct plane *plane = handle_plane(handle);
    if (!plane)
        return -EBADF;
    int n = 0;
    for (uint32_t i = 0; i < plane->n_workers; i++)
        n += take_events(&plane->worker[i], out + n * 8, out_len / 8 - n);
    return n;
}

int tl_peer_flush(int plane, int peer) {
    TARGET t;
    int err = find(&t, plane, peer);
    if (err)
        return err;
    uint32_t n = stage_flush(&t.w->stage, &t.peer->staged);
    t.w->stats.drops[DROP_STAGE_FLUSHED] += n;
    return (int)n;
}

static int expect(struct target *t, struct bytes echo) {
    if (!t->plane->bridge)
        return echo_expect(&t->peer->echo, echo);
    if (!control_is_sound(echo))
        return -EINVAL;
    control_expect(t->peer, echo);
    return 0;
}

int tl_peer_keepalive(int plane, int peer, const unsigned char *packet, int packet_len) {
    TARGET t;
    int err = find(&t, plane, peer);
    if (err)
        return err;
    struct bytes inside = {packet, (size_t)packet_len};
    err = packet_len ? expect(&t, inside) : 0;
    if (err)
        return err;
    if (!t.peer->way.endpoint.family || t.peer->way.endpoint.way == WAY_LOOPS)
        return -EDESTADDRREQ;
    worker_tick(t.w);
    if (!tx_can_send(t.w, t.peer))
        return -ENOKEY;
    bool queued = tx_quiet(t.w, &t.w->out, t.peer, inside);
    t.w->stats.counts[COUNT_ECHOES_SENT] += queued && packet_len;
    t.w->outside.message_error = 0;
    tx_write(t.w);
    if (t.w->outside.message_error == EMSGSIZE)
        return -EMSGSIZE;
    return queued ? 0 : -EAGAIN;
}

int tl_peer_heard(int plane, int peer, const unsigned char *endpoint48, int bytes) {
    TARGET t;
    struct endpoint from;
    int err = find(&t, plane, peer);
    if (err)
        return err;
    if (!handle_endpoint(&from, endpoint48) || !from.family || bytes < 0)
        return -EINVAL;
    worker_tick(t.w);
    rx_heard(t.w, t.peer, &from, (uint64_t)bytes);
    return 0;
}

/* Where gateways have an address each, frames go to that of the one in use: its only one. */
static void face(struct vxlan *vxlan, const unsigned char *rows, int rows_len) {
    for (const unsigned char *r = rows; r < rows + rows_len; r += sizeof(struct record_route)) {
        bool is_in_use = !load_le16(r + offsetof(struct record_route, flags));
        if (is_in_use && r[offsetof(struct record_route, prefix)] == 128) {
            vxlan_face(vxlan, r + offsetof(struct record_route, addr));
            return;
        }
    }
}

int tl_routes(int handle, const unsigned char *rows, int rows_len) {
    struct plane *plane = handle_plane(handle);
    struct routes *table;
    if (!plane)
        return -EBADF;
    if (rows_len < 0 || rows_len % (int)sizeof(struct record_route))
        return -EINVAL;
    int err = routes_build(&table, rows, (uint32_t)rows_len / sizeof(struct record_route),
                           plane->peers, plane->n_peers);
    if (err)
        return err;
    HOLD hold = hold_all(plane);
    routes_free(plane->routes); /* no worker is in a turn */
    plane->routes = table;
    if (plane->vxlan && plane->vxlan->follows)
        face(plane->vxlan, rows, rows_len);
    return 0;
}
