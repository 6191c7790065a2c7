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

/* Tests put others in their place. */
struct inside_calls {
    /* Appends packets from at most `max` frames (inside.got counts them), each referenced once,
     * with HEADROOM in front of it and TAILROOM behind it. */
    enum io_status (*read)(struct inside *in, struct queue *q, uint32_t max);
    /* Takes packets from the queue's front: each is told to device_written, exactly once. */
    enum io_status (*write)(struct inside *in, struct queue *q);
    /* writev(2): 0 or errno. */
    int (*writev)(struct inside *in, const struct iovec *iov, uint32_t n);
};

struct inside {
    const struct inside_calls *calls;
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

/* The kernel's calls. */
enum io_status device_read(struct inside *in, struct queue *q, uint32_t max);
enum io_status device_write(struct inside *in, struct queue *q);
int device_writev(struct inside *in, const struct iovec *iov, uint32_t n);
extern const struct inside_calls device_calls;

/* The device took the packet (err 0) or refused it; releases it. */
void device_written(struct inside *in, struct packet *p, int err);
/* Whether a device's errno means that it was deleted. */
bool device_is_gone(int err);

#endif
