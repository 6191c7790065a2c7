/* SPDX-License-Identifier: MIT */
/* A batch of datagrams a system call: recvmmsg(2), sendmmsg(2). Linux since 3.0. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "datagram.h"
#include "io_shared.h"

struct mmsg {
    uint32_t batch;
    struct mmsghdr *header;    /* batch */
    struct datagram *datagram; /* batch, behind the headers */
    struct endpoint *from;     /* of this turn's datagrams, by place in the batch */
    struct slab **slab;        /* of the slots that a receive may fill */
};

static void mmsg_close(struct io *io) {
    struct mmsg *s = io->state;
    free(s->header);
    free(s->datagram);
    free(s->from);
    free(s->slab);
    free(s);
}

static int mmsg_open(struct io *io, uint32_t batch) {
    struct mmsg *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    io->state = s;
    s->batch = batch;
    s->header = calloc(batch, sizeof *s->header);
    s->datagram = calloc(batch, sizeof *s->datagram);
    s->from = calloc(batch, sizeof *s->from);
    s->slab = calloc(batch, sizeof *s->slab);
    if (s->header && s->datagram && s->from && s->slab)
        return 0;
    mmsg_close(io);
    return -ENOMEM;
}

/* Slots for up to `max` datagrams; how many there are buffers for. */
static uint32_t take_slots(struct io *io, struct mmsg *s, uint32_t max) {
    uint32_t n, room;
    for (n = 0; n < max; n++) {
        uint8_t *at = buf_room(io->pool, io->slot + TAILROOM, &room);
        if (!at)
            break;
        s->slab[n] = buf_take(io->pool, io->slot + TAILROOM);
        datagram_to_receive(&s->datagram[n], &s->header[n].msg_hdr, at, io->slot);
    }
    return n;
}

/* One received datagram to the queue, or dropped. */
static void take_datagram(struct io *io, struct queue *q, uint32_t slot, unsigned which) {
    struct mmsg *s = io->state;
    struct mmsghdr *h = &s->header[slot];
    struct packet *p = &q->p[q->n];
    uint32_t lost = io->overflow[which];
    /* Endpoints are numbered by queue place, and a batch never starts but in an empty queue. */
    *p = (struct packet){.data = s->datagram[slot].bytes.iov_base,
                         .len = h->msg_len,
                         .slab = s->slab[slot],
                         .endpoint = &s->from[q->n]};
    datagram_received(&s->datagram[slot], &h->msg_hdr, p, &lost);
    io_lost(io, which, lost);
    if (h->msg_hdr.msg_flags & MSG_TRUNC) {
        io_truncated(io, h->msg_len);
        packet_release(p);
        return;
    }
    io_received(io, p);
    q->n++;
}

static enum io_status receive(struct io *io, struct queue *q, unsigned which, uint32_t max) {
    struct mmsg *s = io->state;
    uint32_t slots = take_slots(io, s, max), got = 0;
    uint32_t slot_size = io->slot + TAILROOM;
    if (slots == 0)
        return IO_STARVED;
    int n = recvmmsg(io->socket[which], s->header, slots, MSG_TRUNC | MSG_DONTWAIT, NULL);
    io->stats->counts[COUNT_READ_CALLS]++;
    if (n > 0)
        got = (uint32_t)n;
    for (uint32_t i = slots; i > got; i--)
        buf_untake(s->slab[i - 1], slot_size);
    for (uint32_t i = 0; i < got; i++)
        take_datagram(io, q, i, which);
    return got == max ? IO_MORE : IO_DONE;
}

static enum io_status mmsg_read_socket(struct io *io, struct queue *q, uint32_t max) {
    struct mmsg *s = io->state;
    enum io_status status[IO_SOCKETS] = {IO_DONE, IO_DONE};
    if (max > s->batch)
        max = s->batch;
    for (unsigned which = 0; which < IO_SOCKETS; which++) {
        /* Each family gets its share while both have something. */
        uint32_t left = max - q->n;
        if (which == IO_V4 && io->socket[IO_V6] >= 0)
            left = (left + 1) / 2;
        if (io->socket[which] >= 0 && left > 0)
            status[which] = receive(io, q, which, left);
        if (status[which] == IO_STARVED)
            return q->n ? IO_MORE : IO_STARVED;
    }
    return status[IO_V4] == IO_MORE || status[IO_V6] == IO_MORE ? IO_MORE : IO_DONE;
}

/* Packets [from, ...) for one socket in one call: how many went, or -errno of the first. The system
 * call itself: musl's sendmmsg on 64-bit machines is a loop of sendmsg. */
static int send_run(struct io *io, struct queue *q, uint32_t from, unsigned which) {
    struct mmsg *s = io->state;
    uint32_t n = 0;
    while (n < s->batch && from + n < q->n && io_socket_of(&q->p[from + n]) == which) {
        datagram_to_send(&s->datagram[n], &s->header[n].msg_hdr, &q->p[from + n]);
        n++;
    }
    if (io->socket[which] < 0)
        return -EBADF;
    long sent = syscall(SYS_sendmmsg, io->socket[which], s->header, n, MSG_DONTWAIT | MSG_NOSIGNAL);
    io->stats->counts[COUNT_WRITE_CALLS]++;
    return sent < 0 ? -errno : (int)sent;
}

static enum io_status mmsg_write_socket(struct io *io, struct queue *q) {
    for (uint32_t i = 0; i < q->n;) {
        int sent = send_run(io, q, i, io_socket_of(&q->p[i]));
        if (sent == -EAGAIN) {
            io->stats->counts[COUNT_SOCKET_BLOCKED]++;
            queue_advance(q, i);
            return IO_BLOCKED;
        }
        if (sent < 0 && io_source_reset(io, &q->p[i], -sent))
            continue;
        if (sent < 0)
            io_failed(io, &q->p[i++], -sent);
        for (; sent > 0; sent--)
            io_sent(io, &q->p[i++]);
    }
    q->n = 0;
    return IO_DONE;
}

const struct io_ops io_mmsg = {
    .name = "mmsg",
    .open = mmsg_open,
    .close = mmsg_close,
    .read_device = io_read_device,
    .write_device = io_write_device,
    .read_socket = mmsg_read_socket,
    .write_socket = mmsg_write_socket,
    .now_ms = io_now_ms,
};
