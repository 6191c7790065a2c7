/* SPDX-License-Identifier: MIT */
/* The wait: tl_run, and the descriptors of Python's that it watches. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

#include "bytes.h"
#include "handle.h"
#include "os.h"
#include "plane.h"
#include "tunlite.h"
#include "vnet.h"

enum {
    WAIT_CONTROL,
    WAIT_DEVICE,
    WAIT_V4,
    WAIT_V6,
    WAITS,
    STARVED_MS = 5, /* without buffers, what is readable stays so: look again after this */
    READY_MAX = 16, /* descriptors told at once */
    POLL_BAD = POLLERR | POLLHUP | POLLNVAL,
};

static short events_of(bool in, bool out) {
    return (short)((in ? POLLIN : 0) | (out ? POLLOUT : 0));
}

/* The sockets, as a bit set, that the packets in front are for. Only those are full: to ask for the
 * other one's room too would end every wait at once. */
static unsigned full_sockets(const struct worker *w) {
    const struct queue *queues[] = {&w->urgent.queue, &w->out};
    unsigned set = 0;
    for (unsigned i = 0; i < sizeof queues / sizeof *queues; i++)
        if (queues[i]->n)
            set |= 1U << io_socket_of(&queues[i]->p[0]);
    return set;
}

/* A full socket stops the reading of the device, and the other way round. */
static void fill_waits(const struct worker *w, struct pollfd fds[WAITS]) {
    unsigned full = full_sockets(w);
    bool out_waits = full != 0, in_waits = w->in.n;
    bool read_device = !out_waits && !w->starved, read_socket = !in_waits && !w->starved;
    fds[WAIT_CONTROL] = (struct pollfd){w->plane->control, POLLIN, 0};
    fds[WAIT_DEVICE] =
        (struct pollfd){w->device_gone ? -1 : w->io.device, events_of(read_device, in_waits), 0};
    for (unsigned i = IO_V4; i < IO_SOCKETS; i++)
        fds[WAIT_V4 + i] =
            (struct pollfd){w->io.socket[i], events_of(read_socket, full >> i & 1), 0};
}

/* What may be read without another look, from what poll said. */
static unsigned readable_of(struct worker *w, const struct pollfd fds[WAITS]) {
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
    }
    return readable;
}

/* What Python has to be told, as far as it does not depend on the wait. */
static int woke(struct worker *w) {
    int set = 0;
    if (w->events.first)
        set |= TL_WOKE_PEERS;
    if (load_peek(&w->load))
        set |= TL_WOKE_HANDSHAKE;
    if (w->tell_device_gone)
        set |= TL_WOKE_DEVICE_GONE;
    if (w->pool.ran_short && !w->pool_told && w->pool.size < w->pool.max)
        set |= TL_WOKE_POOL;
    return set;
}

static void told(struct worker *w, int set) {
    static const struct {
        int bit;
        enum count count;
    } why[] = {
        {TL_WOKE_DEADLINE, COUNT_RETURNS_DEADLINE},   {TL_WOKE_PEERS, COUNT_RETURNS_PEERS},
        {TL_WOKE_HANDSHAKE, COUNT_RETURNS_HANDSHAKE}, {TL_WOKE_CONTROL, COUNT_RETURNS_CONTROL},
        {TL_WOKE_SIGNAL, COUNT_RETURNS_SIGNAL},
    };
    w->stats.counts[COUNT_RETURNS]++;
    for (unsigned i = 0; i < sizeof why / sizeof *why; i++)
        w->stats.counts[why[i].count] += (set & why[i].bit) != 0;
    if (set & TL_WOKE_DEVICE_GONE)
        w->tell_device_gone = false;
    if (set & TL_WOKE_POOL)
        w->pool_told = true;
}

/* UINT64_MAX: for ever. */
static int wait_for(struct worker *w, struct pollfd fds[WAITS], uint64_t ms) {
    struct timespec t = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
    fill_waits(w, fds);
    w->stats.counts[COUNT_WAITS] += ms > 0;
    return ppoll(fds, WAITS, ms == UINT64_MAX ? NULL : &t, NULL) < 0 ? -errno : 0;
}

static uint64_t patience(const struct worker *w, uint64_t deadline, bool at_once) {
    uint64_t ms = deadline == UINT64_MAX ? UINT64_MAX : deadline - w->io.now;
    if (at_once || deadline <= w->io.now)
        ms = 0;
    return w->starved && ms > STARVED_MS ? STARVED_MS : ms;
}

/* A worker whose ends have no descriptors (io_fake.c) is always worth a look. */
static unsigned unpolled(const struct worker *w) {
    return w->io.ops->unpolled ? TURN_DEVICE | TURN_SOCKET : 0;
}

/* What was read but did not fit the last turn before Python's: no descriptor tells of it. */
static unsigned held(const struct worker *w) {
    return (vnet_has_more(w->io.vnet) ? TURN_DEVICE : 0) | (w->io.holds ? TURN_SOCKET : 0);
}

/* Staged packets that found no buffers, while nothing else waits for a socket. */
static bool can_flush(const struct worker *w) {
    return w->ready_first && !w->out.n && !w->urgent.queue.n;
}

static int run(struct worker *w, uint64_t deadline) {
    struct pollfd fds[WAITS];
    unsigned more = unpolled(w) | held(w);
    for (;;) {
        int set = woke(w);
        int err = wait_for(w, fds, patience(w, deadline, set || more || can_flush(w)));
        if (err == -EINTR)
            return set | TL_WOKE_SIGNAL;
        if (err < 0)
            return err;
        more = turn(w, more | readable_of(w, fds));
        set = woke(w);
        if (fds[WAIT_CONTROL].revents)
            set |= TL_WOKE_CONTROL;
        if (w->io.now >= deadline)
            set |= TL_WOKE_DEADLINE;
        if (set)
            return set;
    }
}

int tl_run(int handle, const unsigned char *deadline8) {
    struct plane *plane = handle_plane(handle);
    if (!plane)
        return -EBADF;
    struct worker *w = &plane->worker;
    worker_tick(w);
    if (plane->left_at) {
        stats_highest(&w->stats.counts[COUNT_AWAY_LONGEST], w->io.now - plane->left_at);
        stats_highest(&w->stats.counts[COUNT_AWAY_SPENT_LONGEST], os_spent_us() - plane->left_us);
    }
    alarm_set(&plane->alarm, w->io.now, load_le64(deadline8));
    int set = run(w, load_le64(deadline8));
    if (set > 0)
        told(w, set);
    plane->left_at = w->io.ops->now_ms(&w->io);
    plane->left_us = os_spent_us();
    return set;
}

int tl_watch(int handle, int fd, int events) {
    struct plane *plane = handle_plane(handle);
    if (!plane)
        return -EBADF;
    struct epoll_event e = {.events = (uint32_t)events, .data.fd = fd};
    if (events == 0)
        return epoll_ctl(plane->control, EPOLL_CTL_DEL, fd, &e) < 0 ? -errno : 0;
    if (epoll_ctl(plane->control, EPOLL_CTL_MOD, fd, &e) == 0)
        return 0;
    if (errno != ENOENT)
        return -errno;
    return epoll_ctl(plane->control, EPOLL_CTL_ADD, fd, &e) < 0 ? -errno : 0;
}

int tl_ready(int handle, unsigned char *out, int out_len) {
    struct epoll_event e[READY_MAX];
    struct plane *plane = handle_plane(handle);
    if (!plane)
        return -EBADF;
    int most = out_len / 8 < READY_MAX ? out_len / 8 : READY_MAX;
    if (most < 1)
        return -ENOSPC;
    int n = epoll_wait(plane->control, e, most, 0), rows = 0;
    if (n < 0)
        return -errno;
    for (int i = 0; i < n; i++) {
        if (alarm_takes(&plane->alarm, e[i].data.fd))
            continue;
        store_le32(out + rows * 8, (uint32_t)e[i].data.fd);
        store_le32(out + rows++ * 8 + 4, e[i].events);
    }
    return rows;
}
