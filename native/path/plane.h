/* SPDX-License-Identifier: MIT */
/*
 * One interface's packet path: what its workers share, which are options and the tables that Python
 * publishes. Python only runs between the turns of worker 0; for the others see crew.h.
 */
#ifndef TL_PLANE_H
#define TL_PLANE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/alarm.h"
#include "path/session.h"
#include "path/worker.h"

struct aead;
struct bridge;
struct layer;
struct peer;
struct routes;
struct vxlan;

enum { WORKERS_MAX = 8 };

struct plane {
    int handle;
    const struct aead *aead;
    const struct layer *layer; /* the row of its judges */
    uint32_t replay_bits;
    uint32_t pool_bound; /* bytes */
    struct routes *routes;
    struct sessions sessions;
    struct peer **peers; /* by handle; NULL: free */
    uint32_t n_peers;
    struct peer **by_remote; /* n_peers buckets: loop.c */
    struct bridge *bridge;   /* layer 2's; NULL on layer 3 */
    struct vxlan *vxlan; /* what frames of the device go in on layer 3; NULL: they are packets */
    int control;         /* epoll of Python's descriptors: one descriptor to the wait */
    struct alarm alarm;  /* among them */
    uint16_t port;
    uint32_t link;       /* the device's ifindex where the sockets are; 0: it is not there */
    uint64_t left_at;    /* when tl_run last returned, ms */
    uint64_t left_spent; /* os_spent_ns() then */
    uint32_t n_workers;
    struct worker worker[];
};

#endif
