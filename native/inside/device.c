/* SPDX-License-Identifier: MIT */
/* Batches from and to the device. Once per packet. */
#include <errno.h>
#include <sys/uio.h>
#include <unistd.h>

#include "inside/device.h"
#include "inside/ether.h"

/* What a frame of layer 2 has beside the MTU, and a byte that tells a frame which the device has
 * cut off, because its MTU has just grown. */
enum { FRAME_HEADERS = ETHER_FRONT_MAX + 1 };

int device_writev(struct inside *in, const struct iovec *iov, uint32_t n) {
    ssize_t done =
        n == 1 ? write(in->fd, iov->iov_base, iov->iov_len) : writev(in->fd, iov, (int)n);
    return done < 0 ? errno : 0;
}

bool device_is_gone(int err) {
    return err == EBADFD || err == EBADF;
}

void device_written(struct inside *in, struct packet *p, int err) {
    if (err == 0)
        in->stats->counts[COUNT_DEVICE_WRITTEN]++;
    else if (err == EIO)
        in->stats->drops[DROP_DEVICE_DOWN]++;
    else if (err == EBADFD || err == EBADF)
        in->stats->drops[DROP_NO_DEVICE]++;
    else
        in->stats->drops[DROP_DEVICE_REFUSED]++;
    packet_release(p);
}

static enum io_status device_read(struct inside *in, struct queue *q, uint32_t max) {
    uint32_t bytes = 0, head = in->pool->headroom;
    for (uint32_t i = 0; i < max && q->n < q->max && bytes < in->turn_bytes; i++) {
        uint32_t room, need = head + in->mtu + FRAME_HEADERS + TAILROOM;
        uint8_t *at = buf_room(in->pool, need, &room);
        if (!at)
            return IO_STARVED;
        room -= head + TAILROOM;
        ssize_t got = read(in->fd, at + head, room);
        in->stats->counts[COUNT_READ_CALLS]++;
        if (got <= 0)
            return got < 0 && device_is_gone(errno) ? IO_GONE : IO_DONE;
        in->got++;
        bytes += (uint32_t)got;
        if (got == (ssize_t)room) {
            in->stats->drops[DROP_DEVICE_BAD_LENGTH]++;
            continue;
        }
        struct packet *p = &q->p[q->n++];
        *p = (struct packet){.data = at + head, .len = (uint32_t)got};
        p->slab = buf_take(in->pool, head + p->len + TAILROOM);
        in->stats->counts[COUNT_DEVICE_READ]++;
    }
    return IO_MORE;
}

static enum io_status device_write(struct inside *in, struct queue *q) {
    enum io_status status = IO_DONE;
    for (uint32_t i = 0; i < q->n; i++) {
        int err = EBADF;
        if (in->fd >= 0) {
            struct iovec packet = {q->p[i].data, q->p[i].len};
            err = in->writev(in, &packet, 1);
            in->stats->counts[COUNT_WRITE_CALLS]++;
            if (device_is_gone(err))
                status = IO_GONE;
        }
        if (err == EAGAIN) {
            in->stats->counts[COUNT_DEVICE_BLOCKED]++;
            queue_advance(q, i);
            return IO_BLOCKED;
        }
        device_written(in, &q->p[i], err);
    }
    q->n = 0;
    return status;
}

const struct inside_ops device_ops = {device_read, device_write};
