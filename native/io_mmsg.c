/* SPDX-License-Identifier: MIT */
/*
 * A batch of datagrams a system call: recvmmsg(2), sendmmsg(2). Linux since 3.0.
 *
 * With UDP_GRO a message may be a run of datagrams of one sender, so each slot of a receive is a
 * whole slab; runs are cut where the kernel says. With UDP_SEGMENT a run to one endpoint is one
 * message. tx.c has put what goes to one peer side by side.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "datagram.h"
#include "io_shared.h"
#include "path.h"

enum { MESSAGES_MAX = 64 }; /* of one system call */

struct mmsg {
    struct mmsghdr header[MESSAGES_MAX];
    struct datagram datagram[MESSAGES_MAX]; /* behind the headers */
    struct slab *slab[MESSAGES_MAX];        /* of the slots that a receive may fill */
    uint16_t packets[MESSAGES_MAX];         /* of a message that is sent */
    struct iovec *iov;                      /* io->out_max */
    struct endpoint *from;                  /* of this turn's messages; io->in_max */
    uint32_t from_used;
    uint32_t bytes; /* of this turn's messages */
    uint32_t usual; /* of one message lately */
};

static void mmsg_close(struct io *io) {
    struct mmsg *s = io->state;
    free(s->iov);
    free(s->from);
    free(s);
}

static int mmsg_open(struct io *io) {
    struct mmsg *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    io->state = s;
    s->iov = calloc(io->out_max, sizeof *s->iov);
    s->from = calloc(io->in_max, sizeof *s->from);
    if (s->iov && s->from)
        return 0;
    mmsg_close(io);
    return -ENOMEM;
}

/* ---- receive ----------------------------------------------------------------------------------
 */

static bool has_runs(const struct io *io) {
    return io->offload[FEATURE_UDP_GRO].on;
}

/* Slots for up to `max` messages; how many there are buffers for. */
static uint32_t take_slots(struct io *io, struct mmsg *s, uint32_t max) {
    uint32_t n, room;
    for (n = 0; n < max; n++) {
        uint8_t *at;
        if (has_runs(io)) {
            s->slab[n] = buf_whole(io->pool);
            at = s->slab[n] ? s->slab[n]->data : NULL;
            room = SLAB_SIZE;
        } else {
            at = buf_room(io->pool, io->slot + TAILROOM, &room);
            s->slab[n] = at ? buf_take(io->pool, io->slot + TAILROOM) : NULL;
            room = io->slot;
        }
        if (!at)
            break;
        datagram_to_receive(&s->datagram[n], &s->header[n].msg_hdr, at, room);
    }
    return n;
}

static void return_slot(struct io *io, struct slab *slab) {
    if (has_runs(io))
        buf_release(slab);
    else
        buf_untake(slab, io->slot + TAILROOM);
}

/* A small datagram in a slab of its own moves to where others are, so that a turn of small ones
 * does not use up all slabs. */
static void move_small(struct io *io, struct packet *p) {
    uint32_t room, need = p->len + TAILROOM;
    uint8_t *at = p->len <= io->slot ? buf_room(io->pool, need, &room) : NULL;
    if (!at)
        return;
    memcpy(at, p->data, p->len);
    buf_release(p->slab);
    p->data = at;
    p->slab = buf_take(io->pool, need);
}

/* A run's datagrams to the queue. A sender's kernel puts at most 64 (128 since Linux 6.7) in one;
 * what the queue cannot hold is lost, and counted. */
static void take_run(struct io *io, struct queue *q, const struct packet *run, uint32_t segment) {
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

/* One received message to the queue, or dropped. */
static void take_message(struct io *io, struct queue *q, uint32_t slot, unsigned which) {
    struct mmsg *s = io->state;
    struct mmsghdr *h = &s->header[slot];
    struct datagram_notes notes = {.overflow = io->overflow[which]};
    struct packet p = {.data = s->datagram[slot].bytes.iov_base,
                       .len = h->msg_len,
                       .slab = s->slab[slot],
                       .endpoint = &s->from[s->from_used]};
    datagram_received(&s->datagram[slot], &h->msg_hdr, &p, &notes);
    io_lost(io, which, notes.overflow);
    if (h->msg_hdr.msg_flags & MSG_TRUNC) {
        io_truncated(io, h->msg_len);
        packet_release(&p);
        return;
    }
    if (q->n == q->max) { /* an earlier run was longer than messages_for() allows for */
        io->stats->drops[DROP_TRUNCATED]++;
        packet_release(&p);
        return;
    }
    io->got++;
    s->from_used++;
    s->bytes += p.len;
    s->usual = (s->usual * 7 + p.len) / 8;
    if (notes.segment && notes.segment < p.len) {
        take_run(io, q, &p, notes.segment);
        return;
    }
    io_received(io, &p);
    if (has_runs(io))
        move_small(io, &p);
    q->p[q->n++] = p;
}

/* Messages that one receive may bring, so that each could be a run that the queue still holds. */
static uint32_t messages_for(const struct io *io, const struct queue *q, uint32_t max) {
    const struct mmsg *s = io->state;
    uint32_t room = q->max - q->n, most = max < MESSAGES_MAX ? max : MESSAGES_MAX;
    if (has_runs(io)) {
        room /= DATAGRAM_SEGMENTS_MAX;
        if (most > io->wide)
            most = io->wide;
        uint32_t left = s->bytes < io->turn_bytes ? io->turn_bytes - s->bytes : 0;
        uint32_t fit = left / (s->usual + 1) + 1; /* for a small cache one long run is enough */
        if (fit < most)
            most = fit;
    }
    return room < most ? room : most;
}

/* Up to `max` messages; IO_MORE when there may be more. */
static enum io_status receive(struct io *io, struct queue *q, unsigned which, uint32_t max) {
    struct mmsg *s = io->state;
    uint32_t end = io->got + max;
    while (io->got < end && s->bytes < io->turn_bytes) {
        uint32_t most = messages_for(io, q, end - io->got), got = 0;
        if (most == 0)
            return IO_MORE;
        uint32_t slots = take_slots(io, s, most);
        if (slots == 0) {
            io->pool->ran_short = true;
            return IO_STARVED;
        }
        int n = recvmmsg(io->socket[which], s->header, slots, MSG_TRUNC | MSG_DONTWAIT, NULL);
        io->stats->counts[COUNT_READ_CALLS]++;
        if (n > 0)
            got = (uint32_t)n;
        for (uint32_t i = slots; i > got; i--)
            return_slot(io, s->slab[i - 1]);
        for (uint32_t i = 0; i < got; i++)
            take_message(io, q, i, which);
        if (got < slots)
            return IO_DONE;
        if (slots < most) { /* all of them were used */
            io->pool->ran_short = true;
            return IO_MORE;
        }
    }
    return IO_MORE;
}

static enum io_status mmsg_read_socket(struct io *io, struct queue *q, uint32_t max) {
    struct mmsg *s = io->state;
    enum io_status status[IO_SOCKETS] = {IO_DONE, IO_DONE};
    s->from_used = s->bytes = 0; /* a batch never starts but in an empty queue */
    for (unsigned which = 0; which < IO_SOCKETS; which++) {
        /* Each family gets its share while both have something. */
        uint32_t left = max - io->got;
        if (which == IO_V4 && io->socket[IO_V6] >= 0)
            left = (left + 1) / 2;
        if (io->socket[which] >= 0 && left > 0)
            status[which] = receive(io, q, which, left);
        if (status[which] == IO_STARVED)
            return q->n ? IO_MORE : IO_STARVED;
    }
    return status[IO_V4] == IO_MORE || status[IO_V6] == IO_MORE ? IO_MORE : IO_DONE;
}

/* ---- send -------------------------------------------------------------------------------------
 */

/* How many packets from `at` on may go as one message. */
static uint32_t run_length(struct io *io, const struct queue *q, uint32_t at) {
    const struct packet *first = &q->p[at];
    uint32_t n = 1, bytes = first->len;
    while (at + n < q->n && n < DATAGRAM_SEGMENTS_MAX) {
        const struct packet *p = &q->p[at + n];
        bytes += p->len;
        if (p->endpoint != first->endpoint || p->tos != first->tos || p->len > first->len ||
            bytes > DATAGRAM_BYTES_MAX)
            break;
        n++;
        if (p->len < first->len) /* a shorter one ends a run */
            break;
    }
    return n > 1 && io->offload[FEATURE_UDP_GSO].on && path_takes_runs(io, first) ? n : 1;
}

/* The bytes of n packets; how many iovecs that takes. */
static uint32_t put_bytes(struct iovec *iov, const struct packet *p, uint32_t n) {
    uint32_t used = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (used && (uint8_t *)iov[used - 1].iov_base + iov[used - 1].iov_len == p[i].data)
            iov[used - 1].iov_len += p[i].len;
        else
            iov[used++] = (struct iovec){p[i].data, p[i].len};
    }
    return used;
}

/* Messages from packet `from` on for one socket, in one call: how many went, or -errno of the
 * first. */
static int send_some(struct io *io, struct queue *q, uint32_t from, unsigned which) {
    struct mmsg *s = io->state;
    uint32_t n = 0, iov = 0;
    for (uint32_t at = from; n < MESSAGES_MAX && at < q->n && io_socket_of(&q->p[at]) == which;) {
        struct msghdr *m = &s->header[n].msg_hdr;
        uint32_t packets = run_length(io, q, at);
        datagram_to_send(&s->datagram[n], m, &q->p[at]);
        if (packets > 1) {
            uint32_t used = put_bytes(s->iov + iov, &q->p[at], packets);
            datagram_segments(&s->datagram[n], m, s->iov + iov, used);
            iov += used;
        }
        s->packets[n++] = (uint16_t)packets;
        at += packets;
    }
    if (io->socket[which] < 0)
        return -EBADF;
    io->stats->counts[COUNT_WRITE_CALLS]++;
    return io->calls->send(io, io->socket[which], s->header, n);
}

/* Tells the packets of the first `messages` messages; how many they are. */
static uint32_t told(struct io *io, struct packet *p, int messages) {
    const struct mmsg *s = io->state;
    uint32_t n = 0;
    for (int i = 0; i < messages; i++) {
        io->stats->counts[COUNT_RUNS_WRITTEN] += s->packets[i] > 1;
        for (uint32_t k = 0; k < s->packets[i]; k++)
            io_sent(io, &p[n++]);
    }
    return n;
}

/* The first message failed: 0 packets are done when they may be tried again, else all of them. */
static uint32_t failed(struct io *io, struct packet *p, int err) {
    const struct mmsg *s = io->state;
    uint32_t n = s->packets[0];
    if (n > 1 && path_refused(io, p, err))
        return 0;
    if (io_source_reset(io, p, err))
        return 0;
    for (uint32_t i = 0; i < n; i++)
        io_failed(io, &p[i], err);
    return n;
}

static enum io_status mmsg_write_socket(struct io *io, struct queue *q) {
    for (uint32_t i = 0; i < q->n;) {
        int sent = send_some(io, q, i, io_socket_of(&q->p[i]));
        if (sent == -EAGAIN) {
            io->stats->counts[COUNT_SOCKET_BLOCKED]++;
            queue_advance(q, i);
            return IO_BLOCKED;
        }
        i += sent < 0 ? failed(io, &q->p[i], -sent) : told(io, &q->p[i], sent);
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
    .has_runs = true,
};
