/* SPDX-License-Identifier: MIT */
/* What the engines that speak to the kernel have in common. */
#include "io_shared.h"

#include <errno.h>
#include <unistd.h>

#include "os.h"

uint64_t io_now_ms(struct io *io) {
    (void)io;
    return os_now_ms();
}

void io_truncated(struct io *io, uint32_t len) {
    io->stats->drops[DROP_TRUNCATED]++;
    if (io->slot < len)
        io->slot = len;
}

void io_lost(struct io *io, unsigned which, uint32_t lost) {
    io->stats->drops[DROP_SOCKET_OVERFLOW] += lost - io->overflow[which];
    io->overflow[which] = lost;
}

void io_received(struct io *io, const struct packet *p) {
    io->stats->counts[COUNT_SOCKET_READ]++;
    io->stats->counts[COUNT_SOCKET_READ_BYTES] += p->len;
}

static bool is_gone(int err) {
    return err == EBADFD || err == EBADF;
}

enum io_status io_read_device(struct io *io, struct queue *q, uint32_t max) {
    uint32_t end = q->n + max;
    while (q->n < end) {
        uint32_t room, need = HEADROOM + io->mtu + TAILROOM;
        uint8_t *at = buf_room(io->pool, need, &room);
        if (!at)
            return IO_STARVED;
        ssize_t got = read(io->device, at + HEADROOM, room - HEADROOM - TAILROOM);
        io->stats->counts[COUNT_READ_CALLS]++;
        if (got <= 0)
            return got < 0 && is_gone(errno) ? IO_GONE : IO_DONE;
        struct packet *p = &q->p[q->n++];
        *p = (struct packet){.data = at + HEADROOM, .len = (uint32_t)got};
        p->slab = buf_take(io->pool, HEADROOM + p->len + TAILROOM);
        io->stats->counts[COUNT_DEVICE_READ]++;
    }
    return IO_MORE;
}

enum io_status io_write_device(struct io *io, struct queue *q) {
    enum io_status status = IO_DONE;
    for (uint32_t i = 0; i < q->n; i++) {
        int err = EBADF;
        if (io->device >= 0) {
            err = write(io->device, q->p[i].data, q->p[i].len) < 0 ? errno : 0;
            io->stats->counts[COUNT_WRITE_CALLS]++;
            if (is_gone(err))
                status = IO_GONE;
        }
        if (err == EAGAIN) {
            io->stats->counts[COUNT_DEVICE_BLOCKED]++;
            queue_advance(q, i);
            return IO_BLOCKED;
        }
        io_written(io, &q->p[i], err);
    }
    q->n = 0;
    return status;
}
