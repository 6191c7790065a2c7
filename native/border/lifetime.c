/* SPDX-License-Identifier: MIT */
/* A plane's beginning and its end. */
#include "border/lifetime.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/feature.h"
#include "base/wire.h"
#include "border/handles.h"
#include "border/options.h"
#include "crypto/ct.h"
#include "inside/routes.h"
#include "layer2/bridge.h"
#include "layer2/parts.h"
#include "tunlite.h"
#include "turn/crew.h"
#include "turn/worker.h"

static void free_workers(struct plane *plane, uint32_t n) {
    for (uint32_t i = 0; i < n; i++)
        worker_free(&plane->worker[i]);
}

static int new_workers(struct plane *plane, struct worker_options *o) {
    for (uint32_t i = 0; i < o->workers; i++) {
        o->id = i;
        int err = worker_new(&plane->worker[i], plane, o);
        if (!err)
            continue;
        free_workers(plane, i);
        return err;
    }
    int err = CREW_OF(plane) ? crew_new(plane) : 0;
    if (err)
        free_workers(plane, o->workers);
    return err;
}

static int new_plane(struct plane *plane, struct worker_options *options) {
    plane->pool_bound = options->pool_bytes;
    plane->control = epoll_create1(EPOLL_CLOEXEC);
    if (plane->control < 0)
        return -errno;
    alarm_new(&plane->alarm, plane->control);
    int err = routes_build(&plane->routes, NULL, 0, NULL, 0);
    if (err)
        goto out_control;
    err = sessions_new(&plane->sessions);
    if (err)
        goto out_routes;
    plane->sessions.tail = plane->bridge ? sizeof(struct parts_slots) : 0;
    err = new_workers(plane, options);
    if (err)
        goto out_sessions;
    return 0;

out_sessions:
    sessions_free(&plane->sessions);
out_routes:
    routes_free(plane->routes);
out_control:
    alarm_free(&plane->alarm);
    close(plane->control);
    return err;
}

/* Several workers that cannot be are one; why is for TL_SEEN_FEATURES. */
static struct feature_state count_workers(struct worker_options *o) {
    if (o->workers == 1)
        return feature_off(REASON_NOT_ASKED);
    int32_t why = CREW ? crew_refusal(o->engine) : REASON_NOT_BUILT;
    if (why == 0)
        return feature_on();
    o->workers = 1;
    return feature_off(why);
}

static int make_plane(struct plane **made, const unsigned char *record,
                      const struct io_ops *engine) {
    struct worker_options options = {.engine = engine};
    int err = options_of_worker(&options, record);
    if (err)
        return err;
    struct feature_state workers = count_workers(&options);
    struct plane *plane = calloc(1, sizeof *plane + options.workers * sizeof *plane->worker);
    if (!plane)
        return -ENOMEM;
    plane->n_workers = options.workers;
    err = options_of_plane(plane, record);
    if (!err)
        err = options_of_bridge(plane, record);
    if (!err)
        err = options_of_vxlan(plane, &options, record);
    if (!err)
        err = new_plane(plane, &options);
    if (err) {
        bridge_free(plane->bridge);
        free(plane->vxlan);
        free(plane);
        return err;
    }
    plane->worker->offload[FEATURE_WORKERS] = workers;
    *made = plane;
    return 0;
}

int lifetime_begin(const unsigned char *record, int record_len, const struct io_ops *engine) {
    struct plane *plane;
    if (record_len != sizeof(struct record_options))
        return -EINVAL;
    int handle = handle_unused();
    if (handle < 0)
        return handle;
    int err = make_plane(&plane, record, engine);
    if (err)
        return err;
    handle_set(handle, plane);
    return handle;
}

int tl_plane_new(const unsigned char *options, int options_len) {
    return lifetime_begin(options, options_len, NULL);
}

int tl_plane_free(int handle) {
    struct plane *plane = handle_plane(handle);
    if (!plane)
        return -EBADF;
    handle_set(handle, NULL);
    if (CREW_OF(plane)) {
        crew_stop(plane);
        crew_free(plane);
    }
    free_workers(plane, plane->n_workers);
    sessions_free(&plane->sessions);
    for (uint32_t i = 0; i < plane->n_peers; i++)
        peer_free(plane->peers[i]);
    free(plane->peers);
    free(plane->by_remote);
    routes_free(plane->routes);
    bridge_free(plane->bridge);
    free(plane->vxlan);
    alarm_free(&plane->alarm);
    close(plane->control);
    ct_wipe(plane, sizeof *plane + plane->n_workers * sizeof *plane->worker);
    free(plane);
    return 0;
}
