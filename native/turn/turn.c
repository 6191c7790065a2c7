/* SPDX-License-Identifier: MIT */
/* One turn of a worker: a batch in each direction, so that neither starves the other.
 * Once per packet. */
#include "turn/turn.h"

#include "inside/vnet.h"
#include "path/full.h"
#include "path/layer.h"
#include "path/passing.h"
#include "path/plane.h"
#include "path/rx.h"
#include "path/tx.h"
#include "turn/take.h"
#include "turn/worker.h"

/* A full batch asks for a bigger one, a nearly empty one for a smaller. */
static void adapt(const struct worker *w, uint32_t *batch, uint32_t got) {
    if (got >= *batch)
        *batch *= 2;
    else if (got < *batch / 4)
        *batch /= 2;
    if (*batch < BATCH_MIN)
        *batch = BATCH_MIN;
    if (*batch > w->batch_max)
        *batch = w->batch_max;
}

static void note_batch(struct worker *w, uint32_t *batch, uint32_t got) {
    stats_highest(&w->stats.counts[COUNT_BATCH_LARGEST], got);
    adapt(w, batch, got);
}

static void note_starved(struct worker *w) {
    w->starved = true;
    w->stats.counts[COUNT_POOL_SHORT]++;
}

static bool read_device(struct worker *w) {
    uint32_t from = w->out.n;
    w->inside.got = 0;
    enum io_status status = w->inside.ops->read(&w->inside, &w->out, w->batch_out);
    note_batch(w, &w->batch_out, w->inside.got);
    if (status == IO_GONE)
        worker_lost_device(w);
    if (status == IO_STARVED)
        note_starved(w);
    tx_batch(w, &w->out, from);
    return status == IO_MORE;
}

/* Whether packets can be added to what is on its way out. */
static bool goes_out(struct worker *w) {
    return tx_write(w) || full_reads_on(w);
}

/* Copies of what goes to many, behind all else. */
static bool spread(struct worker *w) {
    bool (*step)(struct worker * w) = w->id == 0 ? w->plane->layer->spread : NULL;
    return step && step(w);
}

/* What waits for the socket goes first, then what was staged, then what is new. */
static bool turn_out(struct worker *w, bool readable) {
    if (!goes_out(w))
        return false;
    bool more = tx_ready(w, &w->out);
    more |= tx_paced(w, &w->out);
    if (more && !w->out.n) { /* what waits elsewhere holds all buffers */
        note_starved(w);
        return false;
    }
    readable |= vnet_has_more(w->inside.vnet);
    if (!more && readable && !w->device_gone && !w->lanes_full)
        more = read_device(w);
    if (!goes_out(w))
        return false;
    more |= spread(w);
    return goes_out(w) && more;
}

static bool turn_in(struct worker *w, bool readable) {
    if (!rx_write(w) || !rx_paced(w) || (!readable && !w->outside.holds))
        return false;
    w->outside.got = 0;
    enum io_status status = w->outside.ops->read(&w->outside, &w->in, w->batch_in);
    note_batch(w, &w->batch_in, w->outside.got);
    if (status == IO_STARVED)
        note_starved(w);
    rx_batch(w);
    return rx_write(w) && status == IO_MORE;
}

unsigned turn(struct worker *w, unsigned readable) {
    w->starved = false;
    worker_tick(w);
    w->stats.counts[COUNT_TURNS]++;
    unsigned more = 0;
    if (turn_in(w, readable & TURN_SOCKET))
        more |= TURN_SOCKET;
    if (turn_out(w, readable & TURN_DEVICE))
        more |= TURN_DEVICE;
    if (CREW_OF(w->plane) && take_turn(w))
        more |= TURN_LANES;
    return more;
}
