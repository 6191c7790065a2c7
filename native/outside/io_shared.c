/* SPDX-License-Identifier: MIT */
/* What the engines that speak to the kernel have in common. Once per packet. */
#define _GNU_SOURCE
#include "outside/io_shared.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/os.h"
#include "base/wire.h"
#include "inside/vnet.h"
#include "outside/socket.h"
#include "path/session.h"

/* What a frame of layer 2 has beside the MTU: an Ethernet header with two VLAN tags; and a byte
 * that tells a frame which the device has cut off, because its MTU has just grown. */
enum { FRAME_HEADERS = 14 + 2 * 4 + 1 };

uint64_t io_now_ms(struct io *io) {
    return io->calls->now_ms(io);
}

uint64_t io_kernel_now_ms(struct io *io) {
    (void)io;
    return os_now_ms();
}

static bool names_session(const struct io *io, const uint8_t *message) {
    uint32_t index = load_le32(message + offsetof(struct message_transport, receiver));
    const struct session *session = session_by_index(io->sessions, index);
    return load_le32(message) == MESSAGE_TRANSPORT && session && session_is_live(session);
}

void io_truncated(struct io *io, const uint8_t *begin, uint32_t len) {
    io->stats->drops[DROP_TRUNCATED]++;
    if (io->slot < len && names_session(io, begin))
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

void io_move_small(struct io *io, struct packet *p) {
    uint32_t room, need = p->len + TAILROOM;
    uint8_t *at = p->len <= io->slot ? buf_room(io->pool, need, &room) : NULL;
    if (!at)
        return;
    memcpy(at, p->data, p->len);
    buf_release(p->slab);
    p->data = at;
    p->slab = buf_take(io->pool, need);
}

void io_take_run(struct io *io, struct queue *q, const struct packet *run, uint32_t segment) {
    for (uint32_t at = 0; at < run->len; at += segment) {
        if (q->n == q->max) {
            io->stats->drops[DROP_TRUNCATED]++;
            continue;
        }
        struct packet *p = &q->p[q->n++];
        *p = *run;
        p->data = run->data + at;
        p->len = run->len - at < segment ? run->len - at : segment;
        p->slab->refs++;
        io_received(io, p);
    }
    buf_release(run->slab);
    io->stats->counts[COUNT_RUNS_READ]++;
}

bool io_is_gone(int err) {
    return err == EBADFD || err == EBADF;
}

/* The system call itself: musl's sendmmsg on 64-bit machines is a loop of sendmsg. */
static int kernel_send(struct io *io, int fd, struct mmsghdr *messages, uint32_t n) {
    (void)io;
    long sent = syscall(SYS_sendmmsg, fd, messages, n, MSG_DONTWAIT | MSG_NOSIGNAL);
    return sent < 0 ? -errno : (int)sent;
}

int io_kernel_write_device(struct io *io, const struct iovec *iov, uint32_t n) {
    return writev(io->device, iov, (int)n) < 0 ? errno : 0;
}

int io_kernel_gro(struct io *io, int fd, bool on) {
    (void)io;
    return socket_set_gro(fd, on);
}

const struct io_calls io_calls_kernel = {kernel_send, io_kernel_write_device, io_kernel_now_ms,
                                         io_kernel_gro};

enum io_status io_read_device(struct io *io, struct queue *q, uint32_t max) {
    if (io->vnet)
        return vnet_read(io, q, max);
    uint32_t bytes = 0;
    for (uint32_t i = 0; i < max && q->n < q->max && bytes < io->turn_bytes; i++) {
        uint32_t room, need = HEADROOM + io->mtu + FRAME_HEADERS + TAILROOM;
        uint8_t *at = buf_room(io->pool, need, &room);
        if (!at)
            return IO_STARVED;
        room -= HEADROOM + TAILROOM;
        ssize_t got = read(io->device, at + HEADROOM, room);
        io->stats->counts[COUNT_READ_CALLS]++;
        if (got <= 0)
            return got < 0 && io_is_gone(errno) ? IO_GONE : IO_DONE;
        io->got++;
        bytes += (uint32_t)got;
        if (got == (ssize_t)room) {
            io->stats->drops[DROP_DEVICE_BAD_LENGTH]++;
            continue;
        }
        struct packet *p = &q->p[q->n++];
        *p = (struct packet){.data = at + HEADROOM, .len = (uint32_t)got};
        p->slab = buf_take(io->pool, HEADROOM + p->len + TAILROOM);
        io->stats->counts[COUNT_DEVICE_READ]++;
    }
    return IO_MORE;
}

enum io_status io_write_device(struct io *io, struct queue *q) {
    enum io_status status = IO_DONE;
    if (io->vnet && io->device >= 0)
        return vnet_write(io, q);
    for (uint32_t i = 0; i < q->n; i++) {
        int err = EBADF;
        if (io->device >= 0) {
            struct iovec packet = {q->p[i].data, q->p[i].len};
            err = io->calls->write_device(io, &packet, 1);
            io->stats->counts[COUNT_WRITE_CALLS]++;
            if (io_is_gone(err))
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

enum io_status io_write_each(struct io *io, struct queue *q,
                             int (*send)(struct io *io, struct packet *p)) {
    for (uint32_t i = 0; i < q->n; i++) {
        struct packet *p = &q->p[i];
        int err = send(io, p);
        if (err && io_source_reset(io, p, err))
            err = send(io, p);
        if (err == EAGAIN) {
            io_blocked(io, p);
            queue_advance(q, i);
            return IO_BLOCKED;
        }
        if (err)
            io_failed(io, p, err);
        else
            io_sent(io, p);
    }
    q->n = 0;
    return IO_DONE;
}
