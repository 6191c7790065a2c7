/* SPDX-License-Identifier: MIT */
/* The reference engine: one packet a system call. Works on every kernel. Once per packet. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/os.h"
#include "outside/datagram.h"
#include "outside/shared.h"

struct basic {
    struct endpoint *from; /* of this turn's datagrams, by place in the batch */
};

static int basic_open(struct outside *o) {
    struct basic *b = calloc(1, sizeof *b);
    if (!b)
        return -ENOMEM;
    b->from = calloc(o->in_max, sizeof *b->from);
    if (!b->from) {
        free(b);
        return -ENOMEM;
    }
    o->state = b;
    return 0;
}

static void basic_close(struct outside *o) {
    struct basic *b = o->state;
    free(b->from);
    free(b);
}

/* One datagram behind the queue's last; 1, 0 when it was refused, -errno when there is none. */
static int receive_one(struct outside *o, struct queue *q, unsigned which, struct endpoint *from) {
    struct datagram d;
    struct msghdr m = {0};
    uint32_t room;
    uint8_t *at = buf_room(o->pool, o->slot, &room);
    struct packet *p = &q->p[q->n];
    struct datagram_notes notes = {.overflow = o->overflow[which]};
    if (!at)
        return -ENOBUFS;
    datagram_to_receive(&d, &m, at, room);
    ssize_t got = recvmsg(o->socket[which], &m, MSG_TRUNC | MSG_DONTWAIT);
    o->stats->counts[COUNT_READ_CALLS]++;
    if (got < 0)
        return -errno;
    if (m.msg_flags & MSG_TRUNC) {
        io_truncated(o, at, (uint32_t)got);
        return 0;
    }
    *p = (struct packet){.data = at, .len = (uint32_t)got, .endpoint = from};
    p->slab = buf_take(o->pool, p->len + TAILROOM);
    datagram_received(&d, &m, p, &notes);
    io_lost(o, which, notes.overflow);
    io_received(o, p);
    q->n++;
    o->got++;
    return 1;
}

static enum io_status basic_read_socket(struct outside *o, struct queue *q, uint32_t max) {
    struct basic *b = o->state;
    uint32_t room = q->max - q->n, first = q->n;
    uint32_t end = first + (max < room ? max : room);
    for (unsigned which = 0; which < IO_SOCKETS; which++) {
        /* Each family gets its share while both have something. */
        uint32_t share =
            which == IO_V4 && o->socket[IO_V6] >= 0 ? first + (end - first + 1) / 2 : end;
        while (o->socket[which] >= 0 && q->n < share) {
            int got = receive_one(o, q, which, &b->from[q->n - first]);
            if (got == -ENOBUFS)
                return IO_STARVED;
            if (got < 0)
                break;
        }
    }
    return q->n == end ? IO_MORE : IO_DONE;
}

/* 0 or errno. */
static int send_one(struct outside *o, struct packet *p) {
    struct datagram d;
    struct msghdr m = {0};
    int fd = o->socket[io_socket_of(p)];
    if (fd < 0)
        return EBADF;
    datagram_to_send(&d, &m, p);
    o->stats->counts[COUNT_WRITE_CALLS]++;
    return sendmsg(fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? errno : 0;
}

static enum io_status basic_write_socket(struct outside *o, struct queue *q) {
    return io_write_each(o, q, send_one);
}

const struct io_ops io_basic = {
    .name = "basic",
    .open = basic_open,
    .close = basic_close,
    .read = basic_read_socket,
    .write = basic_write_socket,
    .now_ms = io_now_ms,
};
