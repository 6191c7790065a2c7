/* SPDX-License-Identifier: MIT */
/* What a worker waits for. Once per packet. */
#define _GNU_SOURCE
#include "turn/wait.h"

#include <errno.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "path/full.h"
#include "path/plane.h"
#include "path/rate.h"
#include "tunlite.h"
#include "turn/turn.h"

enum {
    STARVED_MS = 5, /* without buffers, what is readable stays so: look again after this */
    POLL_BAD = POLLERR | POLLHUP | POLLNVAL,
};

static short events_of(bool in, bool out) {
    return (short)((in ? POLLIN : 0) | (out ? POLLOUT : 0));
}

/* A full socket stops the reading of the device, for a while, and the other way round. */
void wait_fill(struct worker *w, struct pollfd fds[WAITS], uint64_t ms) {
    bool out_waits = (w->out.n || w->urgent.queue.n) && !full_reads_on(w), in_waits = w->in.n;
    bool read_device = !out_waits && !w->starved && !w->lanes_full && w->id == 0;
    bool read_socket = !in_waits && !w->starved;
    fds[WAIT_CONTROL] = (struct pollfd){w->id ? -1 : w->plane->control, POLLIN, 0};
    fds[WAIT_DEVICE] =
        (struct pollfd){w->device_gone ? -1 : w->inside.fd, events_of(read_device, in_waits), 0};
    for (unsigned i = IO_V4; i < IO_SOCKETS; i++)
        fds[WAIT_V4 + i] = (struct pollfd){
            w->outside.socket[i], events_of(read_socket, w->outside.full[i].since != 0), 0};
    fds[WAIT_BELL] = (struct pollfd){w->bell, POLLIN, 0};
    w->stats.counts[COUNT_WAITS] += ms > 0;
}

int wait_poll(struct pollfd fds[WAITS], uint64_t ms) {
    struct timespec t = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
    nfds_t n = fds[WAIT_BELL].fd < 0 ? WAIT_BELL : WAITS;
    return ppoll(fds, n, ms == UINT64_MAX ? NULL : &t, NULL) < 0 ? -errno : 0;
}

/* Staged packets that a call of Python's left, while nothing else waits for a socket. */
static bool can_flush(const struct worker *w) {
    return w->ready_first && !w->starved && !w->out.n && !w->urgent.queue.n;
}

/* For tokens; where the other end is full, or buffers are short, those are waited for. */
static uint64_t patience(const struct worker *w, enum rate_way way) {
    bool is_full = way == RATE_IN ? w->in.n != 0 : w->out.n || w->urgent.queue.n;
    return is_full || w->starved ? UINT64_MAX : rate_patience(w, way);
}

uint64_t wait_patience(const struct worker *w, uint64_t deadline, bool at_once) {
    uint64_t ms = deadline == UINT64_MAX ? UINT64_MAX : deadline - w->now;
    if (at_once || can_flush(w) || deadline <= w->now)
        ms = 0;
    uint64_t waits[] = {full_patience(w), patience(w, RATE_IN), patience(w, RATE_OUT)};
    for (unsigned i = 0; i < sizeof waits / sizeof *waits; i++)
        ms = ms > waits[i] ? waits[i] : ms;
    return w->starved && ms > STARVED_MS ? STARVED_MS : ms;
}

unsigned wait_readable(struct worker *w, const struct pollfd fds[WAITS]) {
    unsigned readable = 0;
    if (fds[WAIT_DEVICE].revents & POLL_BAD)
        worker_lost_device(w);
    if (fds[WAIT_DEVICE].revents & POLLIN)
        readable |= TURN_DEVICE;
    for (unsigned i = WAIT_V4; i <= WAIT_V6; i++) {
        int err;
        socklen_t len = sizeof err;
        if (fds[i].revents & POLLERR) /* reading it clears it */
            getsockopt(fds[i].fd, SOL_SOCKET, SO_ERROR, &err, &len);
        if (fds[i].revents & POLLIN)
            readable |= TURN_SOCKET;
        if (fds[i].revents & POLLOUT)
            io_has_room(&w->outside, i - WAIT_V4);
    }
    uint64_t rung;
    if (fds[WAIT_BELL].revents && read(w->bell, &rung, sizeof rung) < 0)
        readable |= TURN_LANES; /* cannot be: it is ours alone */
    return readable;
}

int wait_woke(const struct worker *w) {
    int set = 0;
    if (w->events.first)
        set |= TL_WOKE_PEERS;
    if (admission_peek(&w->admission))
        set |= TL_WOKE_HANDSHAKE;
    if (w->tell_device_gone)
        set |= TL_WOKE_DEVICE_GONE;
    if (w->pool.ran_short && !w->pool_told && w->pool.size < w->pool.max)
        set |= TL_WOKE_POOL;
    return set;
}

void wait_told(struct worker *w, int set) {
    if (set & TL_WOKE_DEVICE_GONE)
        w->tell_device_gone = false;
    if (set & TL_WOKE_POOL)
        w->pool_told = true;
}
