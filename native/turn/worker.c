/* SPDX-License-Identifier: MIT */
/* A worker's lifetime. */
#include "turn/worker.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/wire.h"
#include "crypto/aead.h"
#include "inside/device.h"
#include "inside/ether.h"
#include "inside/tun.h"
#include "inside/vnet.h"
#include "layer2/bridge.h"
#include "layer2/parts.h"
#include "outside/engines.h"
#include "outside/shared.h"
#include "outside/socket.h"
#include "path/full.h"
#include "path/peer.h"
#include "path/plane.h"
#include "path/rate.h"
#include "path/tx.h"
#include "tunlite.h"

enum {
    POOL_SLABS_MIN = 6, /* both queues full, the open slab, and one to spare */
    POOL_SPARE = 2,
    STAGE_MIN = 64 * 1024,
    TURN_BYTES_MIN = 35 * 1024, /* 24 packets, so that two turns cut a super-packet of 47; a
                                   router's data cache has 32 KiB */
    TURN_BYTES_MAX = 256 * 1024,
    TURN_SHARE = 16,          /* of the pool ... */
    POOL_SMALL = 1024 * 1024, /* ... and TURN_BYTES_MIN below this */
    WIDE_MIN = 2,             /* slabs of one receive of runs */
    WIDE_MAX = 16,
    QUEUE_MIN = 64,  /* packets: one run */
    SLOT_SLACK = 64, /* beyond the MTU: our overhead, and a little */
    SLOT_MIN = 1600,
    SLOT_HOLD_MS = 60 * 1000,
    CREW_BATCH_BYTES = 256 * 1024, /* with several workers, what the largest batch reads */
    /* Bytes of a frame in a part, where the way is as narrow as any. */
    PART_LEAST = BRIDGE_PAYLOAD_MIN - TRANSPORT_OVERHEAD - FRAME_HEADER,
    FRAME_MOST = 9018 + ETHER_TAGS_MAX * ETHER_TAG, /* jumbo */
};

static uint32_t clamp(uint32_t value, uint32_t least, uint32_t most) {
    if (value < least)
        return least;
    return value > most ? most : value;
}

void worker_mtu(struct worker *w, uint32_t mtu) {
    w->inside.mtu = mtu;
    w->packet_max = mtu + w->wrapping;
    w->slot_usual = w->packet_max + SLOT_SLACK > SLOT_MIN ? w->packet_max + SLOT_SLACK : SLOT_MIN;
    w->outside.slot = w->slot_usual;
}

/* One huge datagram must not make every later receive reserve as much for ever. */
static void settle_slot(struct worker *w) {
    if (w->outside.slot == w->slot_usual)
        return;
    if (!w->slot_until)
        w->slot_until = w->now + SLOT_HOLD_MS;
    if (w->now < w->slot_until)
        return;
    w->outside.slot = w->slot_usual;
    w->slot_until = 0;
}

void worker_tick(struct worker *w) {
    w->now = w->outside.now = w->outside.ops->now_ms(&w->outside);
    settle_slot(w);
}

static int new_queue(struct queue *q, uint32_t max) {
    q->p = calloc(max, sizeof *q->p);
    q->max = max;
    return q->p ? 0 : -ENOMEM;
}

static int new_queues(struct worker *w) {
    uint32_t in = w->outside.in_max, out = w->outside.out_max;
    uint32_t most = out > URGENT_MAX ? out : URGENT_MAX; /* `out` and `spare` change places */
    if (new_queue(&w->out, most) || new_queue(&w->in, in) || new_queue(&w->handshakes, in))
        return -ENOMEM;
    w->out.max = out - w->parts_room;
    w->urgent.queue = (struct queue){.p = w->urgent.packet, .max = URGENT_MAX};
    w->spare = calloc(most, sizeof *w->spare);
    w->ops = calloc(in > out ? in : out, sizeof *w->ops);
    return w->ops && w->spare ? 0 : -ENOMEM;
}

static void free_queues(struct worker *w) {
    free(w->out.p);
    free(w->in.p);
    free(w->handshakes.p);
    free(w->ops);
    free(w->spare);
}

/* How many packets a turn may have, so that both queues fit the pool when neither end takes any. */
static void size_queues(struct worker *w, const struct worker_options *o, uint32_t bytes,
                        uint32_t slabs) {
    struct outside *out = &w->outside;
    uint32_t each = w->packet_max + HEADROOM + TAILROOM;
    uint32_t fill = bytes >= POOL_SMALL ? bytes / TURN_SHARE : 0;
    out->turn_bytes = w->inside.turn_bytes = clamp(fill, TURN_BYTES_MIN, TURN_BYTES_MAX);
    out->wide = clamp(out->turn_bytes / SLAB_SIZE + 1, WIDE_MIN, WIDE_MAX);
    /* Where there is memory, small packets too fill a turn, and its sends to many peers. */
    uint32_t usual = out->turn_bytes == TURN_BYTES_MAX ? BATCH_MAX : out->turn_bytes / each;
    uint32_t fit = (slabs - out->wide - POOL_SPARE) * clamp(SLAB_SIZE / each, 1, SLAB_SIZE);
    out->out_max = clamp(usual < fit ? usual : fit, 1, BATCH_MAX);
    if (o->layer == TL_LAYER2) {
        w->parts_room = out->out_max * each / PART_LEAST + PARTS_MAX;
        out->out_max += w->parts_room;
    }
    w->batch_max = clamp(o->batch ? o->batch : usual, 1, BATCH_MAX);
    if (o->workers > 1) /* what a turn reads has room where it is passed on */
        w->batch_max = clamp(CREW_BATCH_BYTES / each, 1, w->batch_max);
    out->in_max = clamp(out->wide * QUEUE_MIN, w->batch_max, BATCH_MAX);
    w->batch_out = w->batch_in = clamp(BATCH_MIN, 1, w->batch_max);
}

/* Of layer 2: what waits for its other parts. */
static int new_parts(struct worker *w, const struct worker_options *o) {
    uint32_t longest = o->mtu + ETHER_FRONT_MAX;
    if (o->layer != TL_LAYER2)
        return 0;
    w->parts = calloc(1, sizeof *w->parts);
    if (!w->parts)
        return -ENOMEM;
    return parts_new(w->parts, clamp(o->parts / o->workers, 1, PARTS_PLACES_MAX),
                     longest > FRAME_MOST ? longest : FRAME_MOST);
}

static void free_parts(struct worker *w) {
    if (w->parts)
        parts_free(w->parts);
    free(w->parts);
}

/* Three quarters of the bound for slabs, one for staged packets. */
static int new_buffers(struct worker *w, const struct worker_options *o, uint32_t bytes) {
    uint32_t slabs = bytes / 4 * 3 / SLAB_SIZE;
    slabs = slabs < POOL_SLABS_MIN ? POOL_SLABS_MIN : slabs;
    size_queues(w, o, bytes, slabs);
    int err = buf_new(&w->pool, POOL_SLABS_MIN, slabs);
    if (err)
        return err;
    w->pool.headroom += o->headroom;
    uint32_t stage = bytes / 4;
    err = stage_new(&w->stage, stage < STAGE_MIN ? STAGE_MIN : stage, o->staged_per_peer);
    if (err)
        buf_free(&w->pool);
    return err;
}

static void probe_offloads(struct worker *w) {
    uint32_t off = w->inside.offloads_off;
    socket_probe(w->offload, off);
    for (enum feature f = FEATURE_UDP_GSO; f <= FEATURE_UDP_GRO; f++)
        if (!w->outside.ops->has_runs && !feature_in(off, f))
            w->offload[f] = feature_off(REASON_NOT_IN_ENGINE);
    tun_attach(&w->inside); /* without a device: cannot fail */
}

/* What was asked for, or, where the kernel refuses that, what "auto" means. */
static int open_engine(struct outside *o) {
    feature_probe_engines(o->offload);
    int err = o->ops->available ? o->ops->available() : 0;
    if (!err)
        err = o->ops->open(o);
    if (!err || !o->ops->available)
        return err;
    feature_refused(o->offload, o->ops, err);
    o->ops = feature_engine_auto();
    return o->ops->open(o);
}

int worker_new(struct worker *w, struct plane *plane, const struct worker_options *o) {
    w->plane = plane;
    w->id = o->id;
    w->bell = -1;
    w->inside = (struct inside){.ops = &device_ops,
                                .writev = device_writev,
                                .pool = &w->pool,
                                .stats = &w->stats,
                                .offload = w->offload,
                                .offloads_off = o->offloads_off,
                                .layer = o->device,
                                .fd = -1};
    w->outside = (struct outside){.ops = o->engine,
                                  .calls = &io_calls_kernel,
                                  .pool = &w->pool,
                                  .stats = &w->stats,
                                  .events = &w->events,
                                  .sessions = &plane->sessions,
                                  .lives = session_lives,
                                  .offload = w->offload,
                                  .ring_receives = o->ring_receives,
                                  .ring_sends = o->ring_sends,
                                  .socket = {-1, -1}};
    w->wrapping = o->wrapping;
    worker_mtu(w, o->mtu);
    int err = new_buffers(w, o, o->pool_bytes / o->workers);
    if (err)
        return err;
    err = new_queues(w);
    if (err)
        goto out_queues;
    err = new_parts(w, o);
    if (err)
        goto out_load;
    if (w->id == 0) /* handshakes are all its */
        err = admission_new(&w->admission, o->ring, o->handshakes_per_second);
    if (err)
        goto out_load;
    err = open_engine(&w->outside);
    if (err)
        goto out_load;
    probe_offloads(w);
    return 0;

out_load:
    free_parts(w);
    admission_free(&w->admission);
out_queues:
    free_queues(w);
    stage_free(&w->stage);
    buf_free(&w->pool);
    return err;
}

void worker_free(struct worker *w) {
    worker_sockets(w, (const int[IO_SOCKETS]){-1, -1});
    w->outside.ops->close(&w->outside);
    vnet_free(w->inside.vnet);
    free(w->outside.calls_state);
    if (w->inside.fd >= 0)
        close(w->inside.fd);
    admission_free(&w->admission);
    free_parts(w);
    free_queues(w);
    stage_free(&w->stage);
    rate_free(w);
    buf_free(&w->pool);
}

int worker_device(struct worker *w, int fd) {
    if (w->inside.fd >= 0)
        close(w->inside.fd);
    w->inside.fd = fd;
    w->device_gone = w->tell_device_gone = false;
    return tun_attach(&w->inside);
}

void worker_sockets(struct worker *w, const int fds[IO_SOCKETS]) {
    if (w->outside.ops->release_sockets)
        w->outside.ops->release_sockets(&w->outside);
    for (unsigned i = 0; i < IO_SOCKETS; i++) {
        if (w->outside.socket[i] >= 0)
            close(w->outside.socket[i]);
        w->outside.socket[i] = fds[i];
        w->outside.overflow[i] = 0;
        io_has_room(&w->outside, i);
    }
}

void worker_flush(struct worker *w) {
    worker_tick(w);
    while (tx_write(w) && tx_ready(w, &w->out) && w->out.n) /* none: no buffers */
        ;
    tx_write(w);
}

static void forget_in_queue(struct worker *w, struct queue *q, const struct peer *peer) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < q->n; i++) {
        if (q->p[i].way != &peer->way) {
            q->p[kept++] = q->p[i];
            continue;
        }
        w->stats.drops[DROP_PEER_GONE]++;
        packet_release(&q->p[i]);
    }
    q->n = kept;
}

void worker_forget(struct worker *w, struct peer *peer) {
    events_forget(&w->events, &peer->way.raised);
    tx_forget(w, peer);
    full_forget(w, &peer->way);
    w->stats.drops[DROP_STAGE_FLUSHED] += stage_flush(&w->stage, &peer->staged);
    rate_forget(w, peer);
    forget_in_queue(w, &w->out, peer);
    forget_in_queue(w, &w->in, peer);
    for (uint32_t i = 0; i < w->urgent.queue.n; i++)
        if (w->urgent.queue.p[i].way == &peer->way)
            w->urgent.queue.p[i].way = NULL;
}
