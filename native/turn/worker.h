/* SPDX-License-Identifier: MIT */
/* A worker's lifetime, and what is done to it between turns. */
#ifndef TL_TURN_WORKER_H
#define TL_TURN_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include "outside/io.h"

struct peer;
struct plane;
struct worker;

/* What a worker is made with. */
struct worker_options {
    uint32_t id;
    uint32_t workers; /* that share the memory */
    const struct io_ops *engine;
    uint32_t mtu;
    uint32_t pool_bytes; /* of all workers */
    uint32_t batch;      /* 0: choose */
    uint32_t layer;
    uint32_t device;   /* the layer of the device */
    uint32_t headroom; /* beyond HEADROOM */
    uint32_t wrapping;
    uint32_t offloads_off; /* as record_options */
    uint32_t staged_per_peer;
    uint32_t ring;
    uint32_t handshakes_per_second;
    uint32_t ring_receives, ring_sends; /* as record_options */
    uint32_t parts;                     /* of all workers */
};

/* Allocates all that it will need. 0 or -errno. */
int worker_new(struct worker *w, struct plane *plane, const struct worker_options *options);
void worker_free(struct worker *w);
void worker_mtu(struct worker *w, uint32_t mtu);
/* Closes the device and takes this one. 0 or -ENOMEM. */
int worker_device(struct worker *w, int fd);
/* Closes the sockets and takes these. */
void worker_sockets(struct worker *w, const int fds[IO_SOCKETS]);
/* Reads the clock: once a turn. */
void worker_tick(struct worker *w);
/* Between turns: sends what waits and what is staged for peers that have a session. */
void worker_flush(struct worker *w);
/* Nothing of the worker refers to the peer any more. */
void worker_forget(struct worker *w, struct peer *peer);

#endif
