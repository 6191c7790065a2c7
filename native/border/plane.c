/* SPDX-License-Identifier: MIT */
/* A plane's device, sockets, identity and memory. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/feature.h"
#include "base/os.h"
#include "border/handles.h"
#include "border/options.h"
#include "layer2/parts.h"
#include "outside/socket.h"
#include "tunlite.h"
#include "turn/crew.h"
#include "turn/worker.h"

enum {
    SOCKET_BUFFER_MIN = 256 * 1024,
    SOCKET_BUFFER_MAX = 7 << 20,
    /* What waits behind a slow link must not fill it: a queue of 1000 packets is 2.3 MB. */
    SEND_BUFFER_MIN = 4 << 20,
    SEND_BUFFER_SMALL = 1 << 20, /* where there is less than ... */
    MEMORY_SMALL = 128 << 20,
};

/* Each worker has a descriptor of its own for the same device. */
static int device_of(const struct worker *w, int fd) {
    return w->id ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : fd;
}

int tl_plane_device(int handle, int fd) {
    struct plane *plane = handle_plane(handle);
    if (!plane)
        return -EBADF;
    if (CREW_OF(plane))
        crew_stop(plane);
    int err = 0;
    for (uint32_t i = 0; i < plane->n_workers && !err; i++) {
        int own = device_of(&plane->worker[i], fd);
        err = own < 0 ? -errno : worker_device(&plane->worker[i], own);
    }
    return err;
}

int tl_plane_link(int handle, int ifindex, int mtu) {
    struct plane *plane = handle_plane(handle);
    if (!plane)
        return -EBADF;
    if (mtu && (mtu < MTU_MIN || mtu > MTU_MAX))
        return -EINVAL;
    HOLD hold = hold_all(plane);
    plane->link = (uint32_t)ifindex;
    for (uint32_t i = 0; i < plane->n_workers && mtu; i++)
        worker_mtu(&plane->worker[i], (uint32_t)mtu);
    return 0;
}

/* What the kernel may queue for us follows what we may use ourselves. A gateway's gets all that is
 * usual: four TCP flows at full speed overflow 4 MB while the receiver waits for its core. */
static int receive_buffer(const struct plane *plane) {
    uint32_t bytes = plane->pool_bound;
    if (bytes < SOCKET_BUFFER_MIN)
        return SOCKET_BUFFER_MIN;
    return (int)(bytes >= SOCKET_BUFFER_MAX / 2 ? SOCKET_BUFFER_MAX : bytes);
}

static int send_buffer(const struct plane *plane) {
    int least = os_memory() < MEMORY_SMALL ? SEND_BUFFER_SMALL : SEND_BUFFER_MIN;
    int same = receive_buffer(plane);
    return same > least ? same : least;
}

static int remark(const struct plane *plane, uint32_t mark) {
    int err = 0;
    for (uint32_t i = 0; i < plane->n_workers * IO_SOCKETS && !err; i++) {
        int fd = plane->worker[i / IO_SOCKETS].outside.socket[i % IO_SOCKETS];
        err = fd < 0 ? 0 : socket_set_mark(fd, mark);
    }
    return err;
}

/* NULL: closes them. */
static void replace_sockets(struct plane *plane, const int (*fds)[IO_SOCKETS]) {
    static const int none[IO_SOCKETS] = {-1, -1};
    if (CREW_OF(plane))
        crew_stop(plane);
    for (uint32_t i = 0; i < plane->n_workers; i++)
        worker_sockets(&plane->worker[i], fds ? fds[i] : none);
}

static int deafen(struct plane *plane) {
    replace_sockets(plane, NULL);
    plane->port = 0;
    /* Nobody can answer: when the sockets open again, no peer is waited for. */
    for (uint32_t i = 0; i < plane->n_peers; i++)
        if (plane->peers[i])
            plane->peers[i]->way.first_unanswered = plane->peers[i]->way.first_unreplied = 0;
    return 0;
}

int tl_plane_listen(int handle, int port, const unsigned char *fwmark4) {
    struct plane *plane = handle_plane(handle);
    if (!plane)
        return -EBADF;
    if (port == -1)
        return deafen(plane);
    if (port < 0 || port > 65535)
        return -EINVAL;
    const struct socket_options o = {.port = (uint16_t)port,
                                     .mark = load_le32(fwmark4),
                                     .receive = receive_buffer(plane),
                                     .send = send_buffer(plane),
                                     .gro = plane->worker->offload[FEATURE_UDP_GRO].on,
                                     .probe = plane->bridge != NULL};
    int fds[WORKERS_MAX][IO_SOCKETS];
    if (port != 0 && port == plane->port) { /* ours already: only the mark can be new */
        int err = remark(plane, o.mark);
        return err ? err : port;
    }
    int got = socket_open(fds, plane->n_workers, &o);
    if (got < 0)
        return got;
    replace_sockets(plane, (const int(*)[IO_SOCKETS])fds);
    plane->port = (uint16_t)got;
    return got;
}

int tl_plane_identity(int handle, const unsigned char *mac1_key32,
                      const unsigned char *cookie_key32) {
    struct plane *plane = handle_plane(handle);
    if (!plane)
        return -EBADF;
    if (!mac1_key32 != !cookie_key32)
        return -EINVAL;
    struct admission *load = &plane->worker->admission; /* handshakes are all worker 0's */
    load->has_identity = mac1_key32 != NULL;
    load->secret_until = 0; /* cookies of the earlier identity end with it */
    if (mac1_key32) {
        memcpy(load->mac1_key, mac1_key32, sizeof load->mac1_key);
        memcpy(load->cookie_key, cookie_key32, sizeof load->cookie_key);
    }
    return 0;
}

static void resize(struct worker *w, uint32_t bytes) {
    if (bytes > 0) {
        buf_grow(&w->pool, (bytes + SLAB_SIZE - 1) / SLAB_SIZE);
        w->pool_told = false;
    } else {
        buf_shrink(&w->pool);
        stage_shrink(&w->stage);
        if (w->parts)
            parts_shrink(w->parts);
    }
}

int tl_plane_grow(int handle, int bytes) {
    struct plane *plane = handle_plane(handle);
    if (!plane)
        return -EBADF;
    if (bytes < 0)
        return -EINVAL;
    uint64_t slabs = 0;
    HOLD hold = hold_all(plane);
    for (uint32_t i = 0; i < plane->n_workers; i++) {
        resize(&plane->worker[i], (uint32_t)bytes);
        slabs += plane->worker[i].pool.size;
    }
    return (int)(slabs * SLAB_SIZE / 1024);
}
