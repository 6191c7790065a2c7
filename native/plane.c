/* SPDX-License-Identifier: MIT */
/* The border's functions about a plane as a whole. */
#include <errno.h>
#include <unistd.h>

#include "bytes.h"
#include "feature.h"
#include "handle.h"
#include "socket.h"
#include "tun.h"
#include "tunlite.h"

enum {
    SOCKET_BUFFER_MIN = 256 * 1024,
    SOCKET_BUFFER_MAX = 7 << 20,
};

int tl_plane_device(int handle, int fd) {
    struct plane *plane = handle_plane(handle);
    if (!plane)
        return -EBADF;
    struct worker *w = &plane->worker;
    if (w->io.device >= 0)
        close(w->io.device);
    w->io.device = fd;
    w->device_gone = w->tell_device_gone = false;
    return tun_attach(&w->io);
}

int tl_plane_mtu(int handle, int mtu) {
    struct plane *plane = handle_plane(handle);
    if (!plane)
        return -EBADF;
    if (mtu < 68 || mtu > 65535)
        return -EINVAL;
    worker_mtu(&plane->worker, (uint32_t)mtu);
    return 0;
}

/* What the kernel may queue for us follows what we may use ourselves. */
static int socket_buffer(const struct plane *plane) {
    uint32_t bytes = plane->pool_bound;
    if (bytes < SOCKET_BUFFER_MIN)
        bytes = SOCKET_BUFFER_MIN;
    return (int)(bytes > SOCKET_BUFFER_MAX ? SOCKET_BUFFER_MAX : bytes);
}

static int remark(const struct worker *w, uint32_t mark) {
    int err = 0;
    for (unsigned i = 0; i < IO_SOCKETS && !err; i++)
        if (w->io.socket[i] >= 0)
            err = socket_set_mark(w->io.socket[i], mark);
    return err;
}

int tl_plane_listen(int handle, int port, const unsigned char *fwmark4) {
    struct plane *plane = handle_plane(handle);
    if (!plane)
        return -EBADF;
    if (port < 0 || port > 65535)
        return -EINVAL;
    struct socket_options o = {(uint16_t)port, load_le32(fwmark4), socket_buffer(plane), false};
    struct worker *w = &plane->worker;
    o.gro = w->io.offload[FEATURE_UDP_GRO].on;
    int fds[IO_SOCKETS];
    if (port != 0 && port == plane->port) { /* ours already: only the mark can be new */
        int err = remark(w, o.mark);
        return err ? err : port;
    }
    int got = socket_open_pair(fds, &o);
    if (got < 0)
        return got;
    worker_sockets(w, fds);
    plane->port = (uint16_t)got;
    return got;
}

int tl_plane_deaf(int handle) {
    struct plane *plane = handle_plane(handle);
    if (!plane)
        return -EBADF;
    worker_sockets(&plane->worker, (const int[IO_SOCKETS]){-1, -1});
    plane->port = 0;
    /* Nobody can answer: when the sockets open again, no peer is waited for. */
    for (uint32_t i = 0; i < plane->n_peers; i++)
        if (plane->peers[i])
            plane->peers[i]->first_unanswered = plane->peers[i]->first_unreplied = 0;
    return 0;
}

int tl_plane_identity(int handle, const unsigned char *mac1_key32,
                      const unsigned char *cookie_key32) {
    struct plane *plane = handle_plane(handle);
    if (!plane)
        return -EBADF;
    if (!mac1_key32 != !cookie_key32)
        return -EINVAL;
    struct load *load = &plane->worker.load;
    load->has_identity = mac1_key32 != NULL;
    load->secret_until = 0; /* cookies of the earlier identity end with it */
    if (mac1_key32) {
        memcpy(load->mac1_key, mac1_key32, sizeof load->mac1_key);
        memcpy(load->cookie_key, cookie_key32, sizeof load->cookie_key);
    }
    return 0;
}

int tl_plane_grow(int handle, int bytes) {
    struct plane *plane = handle_plane(handle);
    if (!plane)
        return -EBADF;
    if (bytes < 0)
        return -EINVAL;
    struct worker *w = &plane->worker;
    if (bytes > 0) {
        buf_grow(&w->pool, ((uint32_t)bytes + SLAB_SIZE - 1) / SLAB_SIZE);
        w->pool_told = false;
    } else {
        buf_shrink(&w->pool);
        stage_shrink(&w->stage);
    }
    return (int)((uint64_t)w->pool.size * SLAB_SIZE / 1024);
}

/* 0 where it was written whole: names are short and the caller's buffer generous. */
static int put_text(unsigned char *out, int out_len, const char *text, uint32_t len) {
    if (out_len < 0 || (uint32_t)out_len < len)
        return -ENOSPC;
    memcpy(out, text, len);
    return (int)len;
}

int tl_names(int kind, unsigned char *out, int out_len) {
    char names[512];
    switch (kind) {
    case TL_NAMES_DROP:
        return put_text(out, out_len, stats_drop_names, (uint32_t)strlen(stats_drop_names));
    case TL_NAMES_COUNTER:
        return put_text(out, out_len, stats_count_names, (uint32_t)strlen(stats_count_names));
    case TL_NAMES_FEATURE:
        return put_text(out, out_len, names, feature_names(names, sizeof names));
    case TL_NAMES_REASON:
        return put_text(out, out_len, feature_reason_names, (uint32_t)strlen(feature_reason_names));
    default:
        return -EINVAL;
    }
}

static int put_numbers(unsigned char *out, int out_len, const uint64_t *numbers, int n) {
    if (out_len / 8 < n)
        return -ENOSPC;
    for (int i = 0; i < n; i++)
        store_le64(out + i * 8, numbers[i]);
    return n;
}

int tl_drops(int handle, unsigned char *out, int out_len) {
    struct plane *plane = handle_plane(handle);
    return plane ? put_numbers(out, out_len, plane->worker.stats.drops, DROPS) : -EBADF;
}

int tl_counters(int handle, unsigned char *out, int out_len) {
    struct plane *plane = handle_plane(handle);
    return plane ? put_numbers(out, out_len, plane->worker.stats.counts, COUNTS) : -EBADF;
}

int tl_features(int handle, unsigned char *out, int out_len) {
    struct plane *plane = handle_plane(handle);
    if (!plane)
        return -EBADF;
    const struct io *io = &plane->worker.io;
    const struct features chosen = {io->ops, plane->aead, io->offload};
    return feature_rows(out, (uint32_t)(out_len > 0 ? out_len : 0), &chosen);
}

int tl_probe(unsigned char *out, int out_len) {
    struct feature_state offload[FEATURE_AEADS];
    const struct features chosen = {feature_engine_auto(), aead_choose(), offload};
    feature_probe_engines(offload);
    socket_probe(offload, 0);
    tun_probe(offload);
    return feature_rows(out, (uint32_t)(out_len > 0 ? out_len : 0), &chosen);
}
