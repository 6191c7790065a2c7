/* SPDX-License-Identifier: MIT */
/* Several workers: their threads, and who holds them. Once per packet. */
#include "turn/crew.h"

#if defined(__x86_64__) || defined(__aarch64__)

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "outside/socket.h"
#include "path/passing.h"
#include "path/worker.h"
#include "tunlite.h"
#include "turn/turn.h"
#include "turn/wait.h"

enum {
    STACK_SIZE = 512 << 10, /* musl's own is 128 KiB */
};

/* One of several. Worker 0 has no thread of its own. */
struct mate {
    pthread_t thread;
    bool runs;
    atomic_bool stop;
    /* Held while the worker turns, or while Python's calls touch its things. Who wants `busy` gets
     * it through `door`, so that neither waits for more than one stay of the other's. */
    pthread_mutex_t door, busy;
    atomic_int woke;   /* TL_WOKE_* of its own, as of the last turn or call */
    atomic_uint turns; /* begun and ended: odd while it is in one */
    uint32_t passed;   /* when crew_passed last said so */
};

int32_t crew_refusal(const struct io_ops *engine) {
    return engine->one_thread ? REASON_NOT_IN_ENGINE : socket_steering();
}

/* ---- lifetime ---------------------------------------------------------------------------------
 */

static void free_mate(struct worker *w) {
    passing_free(w);
    if (w->bell >= 0)
        close(w->bell);
    if (!w->mate)
        return;
    pthread_mutex_destroy(&w->mate->door);
    pthread_mutex_destroy(&w->mate->busy);
    free(w->mate);
}

static int new_mate(struct worker *w) {
    w->bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (w->bell < 0)
        return -errno;
    w->mate = calloc(1, sizeof *w->mate);
    if (!w->mate)
        return -ENOMEM;
    pthread_mutex_init(&w->mate->door, NULL);
    pthread_mutex_init(&w->mate->busy, NULL);
    return w->id ? passing_new(w) : 0;
}

int crew_new(struct plane *plane) {
    int err = 0;
    for (uint32_t i = 0; i < plane->n_workers && !err; i++)
        err = new_mate(&plane->worker[i]);
    if (err)
        crew_free(plane);
    return err;
}

void crew_free(struct plane *plane) {
    for (uint32_t i = 0; i < plane->n_workers; i++)
        free_mate(&plane->worker[i]);
}

/* ---- hold -------------------------------------------------------------------------------------
 */

static void enter(struct mate *m) {
    pthread_mutex_lock(&m->door);
    pthread_mutex_lock(&m->busy);
    pthread_mutex_unlock(&m->door);
}

static void leave(struct mate *m) {
    pthread_mutex_unlock(&m->busy);
}

void crew_hold(struct hold *hold) {
    for (uint32_t i = hold->first ? hold->first : 1; i < hold->end; i++)
        enter(hold->plane->worker[i].mate);
}

/* What a call left behind may be more than what the worker waits for. */
static bool has_work(const struct worker *w) {
    return w->out.n || w->urgent.queue.n || w->ready_first;
}

void crew_release(struct hold *hold) {
    for (uint32_t i = hold->first ? hold->first : 1; i < hold->end; i++) {
        struct worker *w = &hold->plane->worker[i];
        w->mate->woke = wait_woke(w);
        if (has_work(w))
            passing_ring(w);
        leave(w->mate);
    }
}

int crew_woke(const struct plane *plane) {
    int set = 0;
    for (uint32_t i = 1; i < plane->n_workers; i++)
        set |= plane->worker[i].mate->woke;
    return set;
}

void crew_told(struct plane *plane, int set) {
    set &= TL_WOKE_DEVICE_GONE | TL_WOKE_POOL; /* peers' events go on until they are taken */
    for (uint32_t i = 1; i < plane->n_workers; i++) {
        if (!(plane->worker[i].mate->woke & set))
            continue;
        HOLD hold = hold_one(plane, i);
        wait_told(&plane->worker[i], set);
    }
}

/* ---- threads ----------------------------------------------------------------------------------
 */

/* Python hears of it through worker 0. */
static void tell(struct worker *w) {
    int set = wait_woke(w), before = atomic_exchange(&w->mate->woke, set);
    if (set & ~before)
        passing_ring(w->plane->worker);
}

static void *work(void *argument) {
    struct worker *w = argument;
    struct pollfd fds[WAITS];
    unsigned more = TURN_LANES;
    enter(w->mate);
    while (!w->mate->stop) {
        uint64_t ms = wait_patience(w, UINT64_MAX, more != 0);
        wait_fill(w, fds, ms);
        leave(w->mate);
        int err = wait_poll(fds, ms);
        enter(w->mate);
        w->mate->turns++;
        more = turn(w, more | (err ? 0 : wait_readable(w, fds)));
        w->mate->turns++;
        tell(w);
    }
    leave(w->mate);
    return NULL;
}

static int start(struct worker *w) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_SIZE);
    int err = pthread_create(&w->mate->thread, &attributes, work, w);
    pthread_attr_destroy(&attributes);
    w->mate->runs = !err;
    return -err;
}

/* Signals are for the thread that Python runs in. */
int crew_start(struct plane *plane) {
    sigset_t all, before;
    int err = 0;
    if (plane->worker[plane->n_workers - 1].mate->runs)
        return 0;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (uint32_t i = 1; i < plane->n_workers && !err; i++)
        err = start(&plane->worker[i]);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (err)
        crew_stop(plane);
    return err;
}

void crew_stop(struct plane *plane) {
    for (uint32_t i = 1; i < plane->n_workers; i++) {
        plane->worker[i].mate->stop = true;
        passing_ring(&plane->worker[i]);
    }
    for (uint32_t i = 1; i < plane->n_workers; i++) {
        struct mate *m = plane->worker[i].mate;
        if (m->runs)
            pthread_join(m->thread, NULL);
        m->runs = m->stop = false;
        passing_drop(&plane->worker[i]);
    }
}

bool crew_passed(struct plane *plane) {
    for (uint32_t i = 1; i < plane->n_workers; i++) {
        const struct mate *m = plane->worker[i].mate;
        if (m->passed % 2 && m->turns == m->passed)
            return false;
    }
    for (uint32_t i = 1; i < plane->n_workers; i++)
        plane->worker[i].mate->passed = plane->worker[i].mate->turns;
    return true;
}

#endif
