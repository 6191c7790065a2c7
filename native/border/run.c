/* SPDX-License-Identifier: MIT */
/* The wait: tl_run, and the descriptors of Python's that it watches. Once per packet. */
#include <errno.h>
#include <sys/epoll.h>

#include "base/bytes.h"
#include "base/os.h"
#include "border/handles.h"
#include "inside/vnet.h"
#include "path/plane.h"
#include "tunlite.h"
#include "turn/crew.h"
#include "turn/turn.h"
#include "turn/wait.h"
#include "turn/worker.h"

enum {
    READY_MAX = 16,   /* descriptors told at once */
    THREADS_MS = 100, /* until threads that the kernel had none for are tried again */
};

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
    wait_told(w, set);
    if (CREW_OF(w->plane))
        crew_told(w->plane, set);
}

/* A worker whose ends have no descriptors (fake.c) is always worth a look. */
static unsigned unpolled(const struct worker *w) {
    return w->outside.ops->unpolled ? TURN_DEVICE | TURN_SOCKET : 0;
}

/* What was read but did not fit the last turn before Python's: no descriptor tells of it. */
static unsigned held(const struct worker *w) {
    return (vnet_has_more(w->inside.vnet) || w->floods ? TURN_DEVICE : 0) |
           (w->outside.holds ? TURN_SOCKET : 0) | (CREW_OF(w->plane) ? TURN_LANES : 0);
}

/* What Python has to be told by any worker. */
static int woke(const struct worker *w) {
    return wait_woke(w) | (CREW_OF(w->plane) ? crew_woke(w->plane) : 0);
}

static int run(struct worker *w, uint64_t deadline) {
    struct pollfd fds[WAITS];
    unsigned more = unpolled(w) | held(w);
    for (;;) {
        int set = woke(w);
        uint64_t ms = wait_patience(w, deadline, set || more);
        wait_fill(w, fds, ms);
        int err = wait_poll(fds, ms);
        if (err == -EINTR)
            return set | TL_WOKE_SIGNAL;
        if (err < 0)
            return err;
        more = turn(w, more | wait_readable(w, fds));
        set = woke(w);
        if (fds[WAIT_CONTROL].revents)
            set |= TL_WOKE_CONTROL;
        if (w->now >= deadline)
            set |= TL_WOKE_DEADLINE;
        if (set)
            return set;
    }
}

int tl_run(int handle, const unsigned char *deadline8) {
    struct plane *plane = handle_plane(handle);
    if (!plane)
        return -EBADF;
    struct worker *w = plane->worker;
    uint64_t deadline = deadline8 ? load_le64(deadline8) : 0;
    worker_tick(w);
    if (plane->left_at) {
        stats_highest(&w->stats.counts[COUNT_AWAY_LONGEST], w->now - plane->left_at);
        stats_highest(&w->stats.counts[COUNT_AWAY_SPENT_LONGEST],
                      (os_spent_ns() - plane->left_spent) / 1000);
    }
    alarm_set(&plane->alarm, w->now, deadline);
    int set = CREW_OF(plane) ? crew_start(plane) : 0;
    uint64_t until = deadline;
    if (set == -EAGAIN) { /* meanwhile the first turns alone, and its lanes hold what they can */
        set = 0;
        until = deadline < w->now + THREADS_MS ? deadline : w->now + THREADS_MS;
    }
    if (!set)
        set = run(w, until);
    if (set > 0 && deadline8)
        told(w, set);
    plane->left_at = w->outside.ops->now_ms(&w->outside);
    plane->left_spent = os_spent_ns();
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
