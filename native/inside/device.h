/* SPDX-License-Identifier: MIT */
/* The border to the device: a batch of packets read or written at a time, whatever the engine of
 * the sockets. A TUN or TAP descriptor is no socket: one frame a read(2) or write(2). */
#ifndef TL_DEVICE_H
#define TL_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/feature.h"
#include "base/io_status.h"
#include "base/packet.h"
#include "base/stats.h"

struct inside;
struct vnet;
struct iovec;

/* What a frame is: a packet, or a header with a packet or a super-packet (vnet.h). */
struct inside_ops {
    /* Appends packets from at most `max` frames (inside.got counts them), each referenced once,
     * with the pool's headroom in front of it and TAILROOM behind it. */
    enum io_status (*read)(struct inside *in, struct queue *q, uint32_t max);
    /* Takes packets from the queue's front: each is told to device_written, exactly once. */
    enum io_status (*write)(struct inside *in, struct queue *q);
};

struct inside {
    const struct inside_ops *ops;
    /* writev(2): 0 or errno. Tests put another in its place. */
    int (*writev)(struct inside *in, const struct iovec *iov, uint32_t n);
    void *calls_state; /* of tests' calls: somebody else's */
    struct pool *pool;
    struct stats *stats;
    struct feature_state *offload; /* FEATURE_AEADS of them: FEATURE_TUN_* are ours */
    uint32_t offloads_off;         /* as record_options */
    uint32_t layer;
    uint32_t mtu;
    uint32_t turn_bytes; /* about as many are read in a turn */
    uint32_t got;        /* frames that a read brought; the reader sets it to 0 */
    struct vnet *vnet;   /* NULL: the device's frames have no header */
    int fd;              /* -1: none */
};

extern const struct inside_ops device_ops; /* a frame is a packet; with no device too */
int device_writev(struct inside *in, const struct iovec *iov, uint32_t n);

/* The device took the packet (err 0) or refused it; releases it. */
void device_written(struct inside *in, struct packet *p, int err);
/* Whether a device's errno means that it was deleted. */
bool device_is_gone(int err);

#endif
