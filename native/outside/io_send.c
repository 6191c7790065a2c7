/* SPDX-License-Identifier: MIT */
/*
 * Packets to messages: with UDP_SEGMENT a run to one endpoint is one message. tx.c has put what
 * goes to one peer side by side. Once per packet.
 */
#define _GNU_SOURCE
#include "outside/io_send.h"

#include <errno.h>
#include <stdlib.h>

#include "outside/way.h"

int send_new(struct send *s, uint32_t max) {
    s->iov = calloc(max, sizeof *s->iov);
    return s->iov ? 0 : -ENOMEM;
}

void send_free(struct send *s) {
    free(s->iov);
}

/* How many packets from `at` on may go as one message. */
static uint32_t run_length(struct outside *o, const struct queue *q, uint32_t at) {
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
    return n > 1 && o->offload[FEATURE_UDP_GSO].on && way_takes_runs(o, first) ? n : 1;
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

/* Messages from packet `from` on for its socket, in one call: how many went, or -errno of the
 * first. */
static int send_some(struct outside *o, struct send *s, const struct queue *q, uint32_t from) {
    unsigned which = io_socket_of(&q->p[from]);
    uint32_t n = 0, iov = 0;
    for (uint32_t at = from;
         n < SEND_MESSAGES_MAX && at < q->n && io_socket_of(&q->p[at]) == which;) {
        struct msghdr *m = &s->header[n].msg_hdr;
        uint32_t packets = run_length(o, q, at);
        datagram_to_send(&s->datagram[n], m, &q->p[at]);
        if (packets > 1) {
            uint32_t used = put_bytes(s->iov + iov, &q->p[at], packets);
            datagram_segments(&s->datagram[n], m, s->iov + iov, used);
            iov += used;
        }
        s->packets[n++] = (uint16_t)packets;
        at += packets;
    }
    if (o->socket[which] < 0)
        return -EBADF;
    o->stats->counts[COUNT_WRITE_CALLS]++;
    return o->calls->send(o, o->socket[which], s->header, n);
}

/* Tells the packets of the first `messages` messages; how many they are. */
static uint32_t told(struct outside *o, const struct send *s, struct packet *p, int messages) {
    uint32_t n = 0;
    for (int i = 0; i < messages; i++) {
        o->stats->counts[COUNT_RUNS_WRITTEN] += s->packets[i] > 1;
        for (uint32_t k = 0; k < s->packets[i]; k++)
            io_sent(o, &p[n++]);
    }
    return n;
}

/* The first message failed: 0 packets are done when they may be tried again, else all of them. */
static uint32_t failed(struct outside *o, const struct send *s, struct packet *p, int err) {
    uint32_t n = s->packets[0];
    if (n > 1 && way_refused(o, p, err))
        return 0;
    if (io_source_reset(o, p, err))
        return 0;
    for (uint32_t i = 0; i < n; i++)
        io_failed(o, &p[i], err);
    return n;
}

enum io_status send_queue(struct outside *o, struct send *s, struct queue *q) {
    for (uint32_t i = 0; i < q->n;) {
        int sent = send_some(o, s, q, i);
        if (sent == -EAGAIN) {
            io_blocked(o, &q->p[i]);
            queue_advance(q, i);
            return IO_BLOCKED;
        }
        i += sent < 0 ? failed(o, s, &q->p[i], -sent) : told(o, s, &q->p[i], sent);
    }
    q->n = 0;
    return IO_DONE;
}
