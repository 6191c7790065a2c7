/* SPDX-License-Identifier: MIT */
/*
 * Frames of a TUN or TAP with IFF_VNET_HDR.
 *
 * Read: a frame's first bytes go where one of MTU size belongs in its slab, the rest, if any,
 * to an area of the worker's. So a single packet lies where it is sealed and sent from; a
 * super-packet is made whole in the area and cut from there into slabs, segment behind segment with
 * room for header and tag, in the pass that also computes the checksums.
 * Write: packets are grouped by offload_merge and each group is one writev(2); what the device does
 * not take is taken apart again and stays in the queue. Once per packet.
 */
#include "inside/vnet.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/wire.h"
#include "inside/device.h"
#include "inside/offload.h"
#include "tunlite.h"

enum {
    FRAME_MAX = OFFLOAD_HEADER + ETHER_FRONT_MAX + OFFLOAD_PACKET_MAX,
    AREA = FRAME_MAX + BUF_ALIGN,
    SLICES = 64, /* segments cut at once */
    TAG = 16,
    PAD = 16, /* of layer 3 (paper 5.4.6) */
};
static_assert((int)HEADROOM >= (int)OFFLOAD_HEADER, "a frame's header fits in front of a packet");

struct vnet {
    struct offload_split split; /* done, or of the frame in the area */
    uint8_t *area;              /* AREA bytes */
    uint8_t *frame;             /* FRAME_MAX of them, so that IP is aligned in it as in a slab */
    uint32_t front;             /* bytes that a frame may have in front of the MTU's */
    uint32_t pad;               /* lengths that are sealed are a multiple of this ... */
    uint32_t tail;              /* ... and so much at most comes behind them */
    uint32_t whole;             /* length of a single packet in the area; 0: none */
    struct offload_merge merge;
};

int vnet_new(struct inside *in) {
    bool is_ethernet = in->layer != TL_LAYER3;
    struct vnet *v = calloc(1, sizeof *v);
    if (!v)
        return -ENOMEM;
    v->area = aligned_alloc(64, (AREA + 63) & ~63);
    if (!v->area) {
        free(v);
        return -ENOMEM;
    }
    v->frame = v->area + (in->pool->headroom - OFFLOAD_HEADER) % BUF_ALIGN;
    v->front = is_ethernet ? ETHER_FRONT_MAX : 0;
    v->pad = is_ethernet ? 1 : PAD;
    /* Frames that IP packets carry (vxlan) are padded as those are, whatever their own length. */
    v->tail = in->pool->headroom > HEADROOM + FRAME_HEADER ? TAILROOM : TAG;
    v->split.done = true;
    v->split.is_ethernet = v->merge.is_ethernet = is_ethernet;
    v->split.checksum = v->merge.checksum = checksum_choose();
    in->vnet = v;
    return 0;
}

void vnet_free(struct vnet *vnet) {
    if (!vnet)
        return;
    free(vnet->area);
    free(vnet);
}

void vnet_may_write(struct vnet *vnet, bool tcp, bool udp) {
    vnet->merge.kinds = (tcp ? OFFLOAD_TCP : 0) | (udp ? OFFLOAD_UDP : 0);
}

bool vnet_has_more(const struct vnet *vnet) {
    return vnet && (!vnet->split.done || vnet->whole);
}

/* ---- read -------------------------------------------------------------------------------------
 */

static void append(struct inside *in, struct queue *q, uint8_t *data, uint32_t len) {
    struct packet *p = &q->p[q->n++];
    *p = (struct packet){.data = data, .len = len};
    in->stats->counts[COUNT_DEVICE_READ]++;
}

/* Cuts what is left of the super-packet while there is room. */
static enum io_status cut(struct inside *in, struct queue *q) {
    struct vnet *v = in->vnet;
    struct offload_slice slices[SLICES];
    while (!v->split.done && q->n < q->max) {
        uint32_t head = in->pool->headroom;
        struct offload_room room = {.tailroom = (uint16_t)v->tail};
        uint32_t most = q->max - q->n < SLICES ? q->max - q->n : SLICES;
        uint32_t segment = (uint32_t)v->split.front + v->split.payload + v->split.gso_size;
        room.headroom = (uint16_t)head;
        room.pad = (uint16_t)v->pad;
        room.mtu = (uint16_t)in->mtu;
        room.data = buf_room(in->pool, head + segment + TAILROOM, &room.size);
        if (!room.data)
            return IO_STARVED;
        int n = offload_split_next(&v->split, &room, slices, most);
        if (n <= 0) { /* segments longer than a slab: no kernel makes them */
            v->split.done = true;
            in->stats->drops[DROP_DEVICE_UNSPLITTABLE]++;
            break;
        }
        const struct offload_slice *last = &slices[n - 1];
        uint32_t used = last->offset + offload_padded(&room, last->len) + v->tail;
        struct slab *slab = buf_take_many(in->pool, used, (uint32_t)n);
        for (int i = 0; i < n; i++) {
            append(in, q, room.data + slices[i].offset, slices[i].len);
            q->p[q->n - 1].slab = slab;
        }
    }
    return IO_MORE;
}

static void refuse(struct inside *in, int refusal) {
    bool is_short = refusal == OFFLOAD_SHORT || refusal == OFFLOAD_LENGTH;
    in->stats->drops[is_short ? DROP_DEVICE_BAD_LENGTH : DROP_DEVICE_UNSPLITTABLE]++;
}

/* A single packet longer than the MTU that we know of, which may have changed just now, or one that
 * was to be cut into one segment. */
static enum io_status copy_whole(struct inside *in, struct queue *q) {
    struct vnet *v = in->vnet;
    uint32_t room, head = in->pool->headroom, need = head + v->whole + TAILROOM;
    uint8_t *at = buf_room(in->pool, need, &room);
    if (!at)
        return IO_STARVED;
    memcpy(at + head, v->frame + OFFLOAD_HEADER, v->whole);
    append(in, q, at + head, v->whole);
    q->p[q->n - 1].slab = buf_take(in->pool, need);
    v->whole = 0;
    return IO_MORE;
}

/* Goes on with what is in the area. */
static enum io_status go_on(struct inside *in, struct queue *q) {
    return in->vnet->whole ? copy_whole(in, q) : cut(in, q);
}

/* A frame of `len` bytes whose first `here` bytes are at `at`, the others in the area. */
static enum io_status take_frame(struct inside *in, struct queue *q, uint8_t *at, uint32_t len,
                                 uint32_t here) {
    struct vnet *v = in->vnet;
    bool is_super = len > OFFLOAD_HEADER && offload_header_load(at).gso_type != VNET_GSO_NONE;
    bool is_whole = len <= here;
    uint8_t *frame = at;
    if (is_super || !is_whole) {
        frame = v->frame;
        memcpy(frame, at, is_whole ? len : here);
    }
    int kind = offload_split_begin(&v->split, frame, len);
    if (kind < 0) {
        v->split.done = true;
        refuse(in, kind);
        return IO_MORE;
    }
    in->stats->counts[COUNT_SUPERS_READ] += kind == 2;
    if (frame != at) {
        v->whole = kind == 1 ? len - OFFLOAD_HEADER : 0;
        return go_on(in, q);
    }
    append(in, q, at + OFFLOAD_HEADER, len - OFFLOAD_HEADER);
    q->p[q->n - 1].slab = buf_take(in->pool, in->pool->headroom + len - OFFLOAD_HEADER + TAILROOM);
    return IO_MORE;
}

/* Adds the frame's length to `bytes`. */
static enum io_status read_frame(struct inside *in, struct queue *q, uint32_t *bytes) {
    uint32_t room, head = in->pool->headroom, here = in->mtu + in->vnet->front;
    uint8_t *at = buf_room(in->pool, head + here + TAILROOM, &room);
    if (!at)
        return IO_STARVED;
    at += head - OFFLOAD_HEADER;
    here += OFFLOAD_HEADER;
    struct iovec iov[2] = {{at, here}, {in->vnet->frame + here, FRAME_MAX - here}};
    ssize_t got = readv(in->fd, iov, 2);
    in->stats->counts[COUNT_READ_CALLS]++;
    if (got <= 0)
        return got < 0 && device_is_gone(errno) ? IO_GONE : IO_DONE;
    in->got++;
    *bytes += (uint32_t)got;
    return take_frame(in, q, at, (uint32_t)got, here);
}

static enum io_status vnet_read(struct inside *in, struct queue *q, uint32_t max) {
    if (q->n >= q->max) /* staged packets took all places, or parts of frames more */
        return IO_MORE;
    enum io_status status = vnet_has_more(in->vnet) ? go_on(in, q) : IO_MORE;
    uint32_t bytes = 0;
    for (uint32_t i = 0; i < max && q->n < q->max && bytes < in->turn_bytes; i++) {
        if (status != IO_MORE)
            break;
        status = read_frame(in, q, &bytes);
    }
    return status;
}

/* ---- write ------------------------------------------------------------------------------------
 */

static int write_frame(struct inside *in, const struct iovec *iov, uint32_t n) {
    in->stats->counts[COUNT_WRITE_CALLS]++;
    return in->writev(in, iov, n);
}

/* Tells the group's packets, of which the first is `at` in p. */
static void told(struct inside *in, struct packet *p, uint32_t at, int err) {
    device_written(in, &p[at], err);
    p[at].data = NULL;
}

/* The members of a group one by one; EAGAIN: the rest are still to be written. */
static int write_singly(struct inside *in, struct packet *p, struct offload_group *g) {
    struct offload_merge *m = &in->vnet->merge;
    uint32_t at = g->head;
    offload_unmerge(m, g);
    for (uint32_t i = 0; i < g->packets; i++, at = m->next[at]) {
        int err = write_frame(in, &m->iov[g->first + i], 1);
        if (err == EAGAIN)
            return err;
        told(in, p, at, err);
    }
    return 0;
}

static int write_group(struct inside *in, struct packet *p, struct offload_group *g) {
    struct offload_merge *m = &in->vnet->merge;
    int err = write_frame(in, &m->iov[g->first], g->packets);
    if (err == EINVAL && g->packets > 1) {
        in->stats->counts[COUNT_SUPERS_REFUSED]++;
        return write_singly(in, p, g);
    }
    if (err == EAGAIN) {
        if (g->packets > 1)
            offload_unmerge(m, g);
        return err;
    }
    in->stats->counts[COUNT_SUPERS_WRITTEN] += g->packets > 1;
    for (uint32_t i = 0, at = g->head; i < g->packets; i++) {
        uint32_t next = m->next[at];
        told(in, p, at, err);
        at = next;
    }
    return err;
}

/* Closes the gaps in [from, n) that told() left. */
static void keep_rest(struct queue *q, uint32_t from) {
    uint32_t kept = 0;
    for (uint32_t i = from; i < q->n; i++)
        if (q->p[i].data)
            q->p[kept++] = q->p[i];
    q->n = kept;
}

/* IO_DONE, IO_GONE, or IO_BLOCKED with the rest of the packets as they came. */
static enum io_status write_some(struct inside *in, struct packet *p, uint32_t n) {
    struct offload_merge *m = &in->vnet->merge;
    enum io_status status = IO_DONE;
    for (uint32_t i = 0; i < n; i++)
        m->in[i] = (struct iovec){p[i].data, p[i].len};
    uint32_t groups = offload_merge(m, n), g = 0;
    for (; g < groups && status != IO_BLOCKED; g++) {
        int err = write_group(in, p, &m->group[g]);
        if (err == EAGAIN)
            status = IO_BLOCKED;
        else if (device_is_gone(err))
            status = IO_GONE;
    }
    for (; g < groups; g++)
        if (m->group[g].packets > 1)
            offload_unmerge(m, &m->group[g]);
    return status;
}

static enum io_status vnet_write(struct inside *in, struct queue *q) {
    enum io_status worst = IO_DONE;
    for (uint32_t at = 0; at < q->n;) {
        uint32_t left = q->n - at, n = left < OFFLOAD_MERGE_MAX ? left : OFFLOAD_MERGE_MAX;
        enum io_status status = write_some(in, q->p + at, n);
        if (status == IO_BLOCKED) {
            in->stats->counts[COUNT_DEVICE_BLOCKED]++;
            keep_rest(q, at);
            return status;
        }
        if (status == IO_GONE)
            worst = status;
        at += n;
    }
    q->n = 0;
    return worst;
}

const struct inside_ops vnet_ops = {vnet_read, vnet_write};
