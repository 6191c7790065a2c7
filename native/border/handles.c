/* SPDX-License-Identifier: MIT */
/* Planes and peers by number: the only mutable global, since Python holds ints and no pointers. */
#include "border/handles.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/feature.h"
#include "base/wire.h"
#include "crypto/ct.h"
#include "tunlite.h"
#include "turn/crew.h"

enum {
    PLANES_MAX = 16,
    RING_MAX = 65536,
    STAGED_MAX = 128,
    POOL_DEFAULT = 8 << 20,
    POOL_MAX = 1 << 30,
    BATCH_OPTION_MAX = 256,
    MTU_MIN = 68, /* RFC 791 */
    MTU_MAX = 65535,
};

static struct plane *planes[PLANES_MAX];

struct plane *handle_plane(int handle) {
    return handle >= 0 && handle < PLANES_MAX ? planes[handle] : NULL;
}

struct peer *handle_peer(const struct plane *plane, int peer) {
    return peer >= 0 && (uint32_t)peer < plane->n_peers ? plane->peers[peer] : NULL;
}

#define FIELD(record, type, field) ((record) + offsetof(struct type, field))

bool handle_endpoint(struct endpoint *e, const unsigned char *r) {
    unsigned family = load_le16(FIELD(r, record_endpoint, family));
    if (family != 0 && family != 4 && family != 6)
        return false;
    *e = (struct endpoint){.family = (uint8_t)family,
                           .port = load_le16(FIELD(r, record_endpoint, port)),
                           .scope = load_le32(FIELD(r, record_endpoint, scope)),
                           .ifindex = load_le32(FIELD(r, record_endpoint, ifindex)),
                           .way = load_le32(FIELD(r, record_endpoint, way))};
    memcpy(e->addr, FIELD(r, record_endpoint, addr), family == 4 ? 4 : 16);
    memcpy(e->local, FIELD(r, record_endpoint, local), family == 4 ? 4 : 16);
    return true;
}

void handle_put_endpoint(unsigned char *r, const struct endpoint *e) {
    memset(r, 0, sizeof(struct record_endpoint));
    store_le16(FIELD(r, record_endpoint, family), e->family);
    store_le16(FIELD(r, record_endpoint, port), e->port);
    store_le32(FIELD(r, record_endpoint, scope), e->scope);
    store_le32(FIELD(r, record_endpoint, ifindex), e->ifindex);
    store_le32(FIELD(r, record_endpoint, way), e->way);
    memcpy(FIELD(r, record_endpoint, addr), e->addr, 16);
    memcpy(FIELD(r, record_endpoint, local), e->local, 16);
}

static uint32_t option(const unsigned char *field) {
    return load_le32(field);
}

static bool is_power_of_two(uint32_t n) {
    return n && !(n & (n - 1));
}

static bool is_slots(uint32_t n) {
    return n == 0 || (is_power_of_two(n) && n <= IO_RING_SLOTS_MAX);
}

static int parse_plane(struct plane *plane, const unsigned char *r) {
    char aead[25] = {0};
    memcpy(aead, FIELD(r, record_options, aead), 24);
    plane->aead = strcmp(aead, "auto") == 0 ? aead_choose() : aead_find(aead);
    if (!plane->aead)
        return -ENOTSUP;
    plane->layer = option(FIELD(r, record_options, layer));
    plane->replay_bits = option(FIELD(r, record_options, replay_bits));
    if (plane->layer != TL_LAYER2 && plane->layer != TL_LAYER3)
        return -EINVAL;
    if (!is_power_of_two(plane->replay_bits) || plane->replay_bits < REPLAY_BITS_MIN ||
        plane->replay_bits > REPLAY_BITS_MAX)
        return -EINVAL;
    return 0;
}

static int parse_worker(struct worker_options *o, const unsigned char *r) {
    char engine[17] = {0};
    memcpy(engine, FIELD(r, record_options, engine), 16);
    if (!o->engine)
        o->engine = strcmp(engine, "auto") == 0 ? feature_engine_auto() : feature_engine(engine);
    if (!o->engine)
        return -ENOTSUP;
    o->mtu = option(FIELD(r, record_options, mtu));
    o->pool_bytes = option(FIELD(r, record_options, pool_bytes));
    o->batch = option(FIELD(r, record_options, batch));
    o->staged_per_peer = option(FIELD(r, record_options, staged_per_peer));
    o->offloads_off = option(FIELD(r, record_options, offloads_off));
    o->layer = option(FIELD(r, record_options, layer));
    o->ring = option(FIELD(r, record_options, ring));
    o->handshakes_per_second = option(FIELD(r, record_options, handshakes_per_second));
    o->workers = option(FIELD(r, record_options, workers));
    o->ring_receives = option(FIELD(r, record_options, ring_receives));
    o->ring_sends = option(FIELD(r, record_options, ring_sends));
    if (o->pool_bytes == 0)
        o->pool_bytes = POOL_DEFAULT;
    bool valid = o->mtu >= MTU_MIN && o->mtu <= MTU_MAX && o->pool_bytes <= POOL_MAX &&
                 o->batch <= BATCH_OPTION_MAX && o->staged_per_peer >= 1 &&
                 o->staged_per_peer <= STAGED_MAX && is_power_of_two(o->ring) &&
                 o->ring <= RING_MAX && o->workers >= 1 && o->workers <= WORKERS_MAX &&
                 is_slots(o->ring_receives) && is_slots(o->ring_sends);
    return valid ? 0 : -EINVAL;
}

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

/* Several workers that cannot be are one; why is for tl_features. */
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
    int err = parse_worker(&options, record);
    if (err)
        return err;
    struct feature_state workers = count_workers(&options);
    struct plane *plane = calloc(1, sizeof *plane + options.workers * sizeof *plane->worker);
    if (!plane)
        return -ENOMEM;
    plane->n_workers = options.workers;
    err = parse_plane(plane, record);
    if (!err)
        err = new_plane(plane, &options);
    if (err) {
        free(plane);
        return err;
    }
    plane->worker->io.offload[FEATURE_WORKERS] = workers;
    *made = plane;
    return 0;
}

int handle_plane_new(const unsigned char *record, int record_len, const struct io_ops *engine) {
    int handle = 0;
    if (record_len != sizeof(struct record_options))
        return -EINVAL;
    while (handle < PLANES_MAX && planes[handle])
        handle++;
    if (handle == PLANES_MAX)
        return -EMFILE;
    int err = make_plane(&planes[handle], record, engine);
    return err ? err : handle;
}

int tl_plane_new(const unsigned char *options, int options_len) {
    return handle_plane_new(options, options_len, NULL);
}

int tl_plane_free(int handle) {
    struct plane *plane = handle_plane(handle);
    if (!plane)
        return -EBADF;
    planes[handle] = NULL;
    if (CREW_OF(plane)) {
        crew_stop(plane);
        crew_free(plane);
    }
    free_workers(plane, plane->n_workers);
    sessions_free(&plane->sessions);
    for (uint32_t i = 0; i < plane->n_peers; i++)
        free(plane->peers[i]);
    free(plane->peers);
    free(plane->by_remote);
    routes_free(plane->routes);
    alarm_free(&plane->alarm);
    close(plane->control);
    ct_wipe(plane, sizeof *plane + plane->n_workers * sizeof *plane->worker);
    free(plane);
    return 0;
}
