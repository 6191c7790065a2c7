/* SPDX-License-Identifier: MIT */
/* A worker's lifetime. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "ct.h"
#include "plane.h"
#include "tx.h"

enum {
    POOL_SLABS_MIN = 6, /* both queues full, the open slab, and one to spare */
    STAGE_MIN = 64 * 1024,
    TURN_BYTES_MIN = 32 * 1024, /* a router's whole data cache */
    TURN_BYTES_MAX = 256 * 1024,
    TURN_SHARE = 32, /* of the pool, when the options leave the batch to us */
    SLOT_SLACK = 64, /* beyond the MTU: our overhead, and a little */
    SLOT_MIN = 1600,
    SLOT_HOLD_MS = 60 * 1000,
};

static uint32_t clamp(uint32_t value, uint32_t least, uint32_t most) {
    if (value < least)
        return least;
    return value > most ? most : value;
}

void worker_mtu(struct worker *w, uint32_t mtu) {
    w->io.mtu = mtu;
    w->slot_usual = mtu + SLOT_SLACK > SLOT_MIN ? mtu + SLOT_SLACK : SLOT_MIN;
    w->io.slot = w->slot_usual;
}

/* One huge datagram must not make every later receive reserve as much for ever. */
static void settle_slot(struct worker *w) {
    if (w->io.slot == w->slot_usual)
        return;
    if (!w->slot_until)
        w->slot_until = w->io.now + SLOT_HOLD_MS;
    if (w->io.now < w->slot_until)
        return;
    w->io.slot = w->slot_usual;
    w->slot_until = 0;
}

void worker_tick(struct worker *w) {
    w->io.now = w->io.ops->now_ms(&w->io);
    settle_slot(w);
}

void worker_lost_device(struct worker *w) {
    w->tell_device_gone |= !w->device_gone;
    w->device_gone = true;
}

static uint32_t slabs_for(const struct worker *w, uint32_t batch) {
    uint32_t each = (w->slot_usual + HEADROOM + TAILROOM + BUF_ALIGN);
    return 2 * (batch * each / SLAB_SIZE + 1) + POOL_SLABS_MIN - 2;
}

static int new_queues(struct worker *w) {
    struct queue *queues[] = {&w->out, &w->in, &w->handshakes};
    for (unsigned i = 0; i < 3; i++) {
        queues[i]->p = calloc(w->batch_max, sizeof *queues[i]->p);
        queues[i]->max = w->batch_max;
        if (!queues[i]->p)
            return -ENOMEM;
    }
    w->urgent.queue = (struct queue){.p = w->urgent.packet, .max = URGENT_MAX};
    w->ops = calloc(w->batch_max, sizeof *w->ops);
    return w->ops ? 0 : -ENOMEM;
}

static void free_queues(struct worker *w) {
    free(w->out.p);
    free(w->in.p);
    free(w->handshakes.p);
    free(w->ops);
}

/* Three quarters of the bound for slabs, one for staged packets. */
static int new_buffers(struct worker *w, const struct worker_options *o) {
    uint32_t slabs = o->pool_bytes / 4 * 3 / SLAB_SIZE;
    slabs = slabs < POOL_SLABS_MIN ? POOL_SLABS_MIN : slabs;
    uint32_t turn_bytes = clamp(o->pool_bytes / TURN_SHARE, TURN_BYTES_MIN, TURN_BYTES_MAX);
    uint32_t batch = o->batch ? o->batch : turn_bytes / w->slot_usual;
    w->batch_max = clamp(batch, 1, QUEUE_MAX);
    while (w->batch_max > 1 && slabs_for(w, w->batch_max) > slabs)
        w->batch_max /= 2;
    w->batch_out = w->batch_in = clamp(BATCH_MIN, 1, w->batch_max);
    int err = buf_new(&w->pool, clamp(slabs_for(w, w->batch_max), 1, slabs), slabs);
    if (err)
        return err;
    uint32_t stage = o->pool_bytes / 4;
    err = stage_new(&w->stage, stage < STAGE_MIN ? STAGE_MIN : stage, o->staged_per_peer);
    if (err)
        buf_free(&w->pool);
    return err;
}

int worker_new(struct worker *w, struct plane *plane, const struct worker_options *o) {
    w->plane = plane;
    w->io = (struct io){.ops = o->engine,
                        .pool = &w->pool,
                        .stats = &w->stats,
                        .events = &w->events,
                        .device = -1,
                        .socket = {-1, -1}};
    worker_mtu(w, o->mtu);
    int err = new_buffers(w, o);
    if (err)
        return err;
    err = new_queues(w);
    if (err)
        goto out_queues;
    err = sessions_new(&w->sessions);
    if (err)
        goto out_queues;
    err = load_new(&w->load, o->ring, o->handshakes_per_second);
    if (err)
        goto out_sessions;
    err = w->io.ops->open(&w->io, w->batch_max);
    if (err)
        goto out_load;
    return 0;

out_load:
    load_free(&w->load);
out_sessions:
    sessions_free(&w->sessions);
out_queues:
    free_queues(w);
    stage_free(&w->stage);
    buf_free(&w->pool);
    return err;
}

void worker_free(struct worker *w) {
    w->io.ops->close(&w->io);
    worker_sockets(w, (const int[IO_SOCKETS]){-1, -1});
    if (w->io.device >= 0)
        close(w->io.device);
    load_free(&w->load);
    sessions_free(&w->sessions);
    free_queues(w);
    stage_free(&w->stage);
    buf_free(&w->pool);
}

void worker_sockets(struct worker *w, const int fds[IO_SOCKETS]) {
    for (unsigned i = 0; i < IO_SOCKETS; i++) {
        if (w->io.socket[i] >= 0)
            close(w->io.socket[i]);
        w->io.socket[i] = fds[i];
        w->io.overflow[i] = 0;
    }
}

void worker_flush(struct worker *w) {
    worker_tick(w);
    while (tx_write(w) && tx_ready(w, &w->out))
        ;
    tx_write(w);
}

static void forget_in_queue(struct worker *w, struct queue *q, const struct peer *peer) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < q->n; i++) {
        if (q->p[i].peer != peer) {
            q->p[kept++] = q->p[i];
            continue;
        }
        w->stats.drops[DROP_PEER_GONE]++;
        packet_release(&q->p[i]);
    }
    q->n = kept;
}

void worker_forget(struct worker *w, struct peer *peer) {
    events_forget(&w->events, peer);
    tx_forget(w, peer);
    w->stats.drops[DROP_STAGE_FLUSHED] += stage_flush(&w->stage, &peer->staged);
    sessions_forget(&w->sessions, peer);
    forget_in_queue(w, &w->out, peer);
    forget_in_queue(w, &w->in, peer);
    for (uint32_t i = 0; i < w->urgent.queue.n; i++)
        if (w->urgent.queue.p[i].peer == peer)
            w->urgent.queue.p[i].peer = NULL;
}
