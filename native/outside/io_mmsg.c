/* SPDX-License-Identifier: MIT */
/*
 * A batch of datagrams a system call: recvmmsg(2), sendmmsg(2). Linux since 3.0.
 *
 * With UDP_GRO a message may be a run of datagrams of one sender, so each slot of a receive is a
 * whole slab; runs are cut where the kernel says; runs.h has when they are not worth it. With
 * UDP_SEGMENT a run to one endpoint is one message. tx.c has put what goes to one peer side by
 * side. Once per packet.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "outside/datagram.h"
#include "outside/io_send.h"
#include "outside/runs.h"
#include "outside/shared.h"

struct mmsg {
    struct slab *slab[SEND_MESSAGES_MAX]; /* of the slots that a receive may fill */
    struct endpoint *from;                /* of this turn's messages; o->in_max */
    uint32_t from_used;
    uint32_t bytes; /* of this turn's messages */
    uint32_t usual; /* of one message lately */
    struct runs runs[IO_SOCKETS];
    bool wide; /* slots of this read are whole slabs */
};

static void mmsg_close(struct outside *o) {
    struct mmsg *s = o->state;
    send_free(o);
    free(s->from);
    free(s);
}

static int mmsg_open(struct outside *o) {
    struct mmsg *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    o->state = s;
    int err = send_new(o);
    s->from = calloc(o->in_max, sizeof *s->from);
    if (!err && s->from)
        return 0;
    mmsg_close(o);
    return -ENOMEM;
}

/* ---- receive ----------------------------------------------------------------------------------
 */

/* Slots for up to `max` messages; how many there are buffers for. */
static uint32_t take_slots(struct outside *o, struct mmsg *s, uint32_t max) {
    uint32_t n, room;
    for (n = 0; n < max; n++) {
        uint8_t *at;
        if (s->wide) {
            s->slab[n] = buf_whole(o->pool);
            at = s->slab[n] ? s->slab[n]->data : NULL;
            room = SLAB_SIZE;
        } else {
            at = buf_room(o->pool, o->slot + TAILROOM, &room);
            s->slab[n] = at ? buf_take(o->pool, o->slot + TAILROOM) : NULL;
            room = o->slot;
        }
        if (!at)
            break;
        datagram_to_receive(&o->send->datagram[n], &o->send->header[n].msg_hdr, at, room);
    }
    return n;
}

static void return_slot(struct outside *o, const struct mmsg *s, struct slab *slab) {
    if (s->wide)
        buf_release(slab);
    else
        buf_untake(slab, o->slot + TAILROOM);
}

/* UDP_GRO went off since the last read that blocked: no segment's size is told, and what is no run
 * is no longer than usual. True: it was dropped. */
static bool drop_unsized(struct outside *o, struct packet *p) {
    uint32_t n = runs_unsized(p);
    if (n > 1)
        o->stats->drops[DROP_RUN_UNSIZED] += n;
    else if (p->len > o->slot)
        io_truncated(o, p->data, p->len);
    else
        return false;
    packet_release(p);
    return true;
}

/* One received message to the queue, or dropped. */
static void take_message(struct outside *o, struct queue *q, uint32_t slot, unsigned which) {
    struct mmsg *s = o->state;
    struct mmsghdr *h = &o->send->header[slot];
    struct datagram_notes notes = {.overflow = o->overflow[which]};
    struct packet p = {.data = o->send->datagram[slot].bytes.iov_base,
                       .len = h->msg_len,
                       .slab = s->slab[slot],
                       .endpoint = &s->from[s->from_used]};
    datagram_received(&o->send->datagram[slot], &h->msg_hdr, &p, &notes);
    io_lost(o, which, notes.overflow);
    if (h->msg_hdr.msg_flags & MSG_TRUNC) {
        io_truncated(o, p.data, h->msg_len);
        packet_release(&p);
        return;
    }
    if (q->n == q->max) { /* an earlier run was longer than messages_for() allows for */
        o->stats->drops[DROP_TRUNCATED]++;
        packet_release(&p);
        return;
    }
    struct runs *runs = &s->runs[which];
    if (runs->drains && drop_unsized(o, &p))
        return;
    const uint32_t n =
        notes.segment && notes.segment < p.len ? (p.len + notes.segment - 1) / notes.segment : 1;
    runs_note(runs, &p, n, s->from_used ? p.endpoint - 1 : NULL);
    o->got++;
    s->from_used++;
    s->bytes += p.len;
    s->usual = (s->usual * 7 + p.len) / 8;
    if (n > 1) {
        io_take_run(o, q, &p, notes.segment);
        return;
    }
    io_received(o, &p);
    if (s->wide)
        io_move_small(o, &p);
    q->p[q->n++] = p;
}

/* Messages that one receive may bring, so that each could be a run that the queue still holds. */
static uint32_t messages_for(const struct outside *o, const struct queue *q, uint32_t max) {
    const struct mmsg *s = o->state;
    uint32_t room = q->max - q->n, most = max < SEND_MESSAGES_MAX ? max : SEND_MESSAGES_MAX;
    if (s->wide) {
        room /= DATAGRAM_SEGMENTS_MAX;
        if (most > o->wide)
            most = o->wide;
        uint32_t left = s->bytes < o->turn_bytes ? o->turn_bytes - s->bytes : 0;
        uint32_t fit = left / (s->usual + 1) + 1; /* for a small cache one long run is enough */
        if (fit < most)
            most = fit;
    }
    return room < most ? room : most;
}

/* Up to `max` messages; IO_MORE when there may be more. */
static enum io_status receive(struct outside *o, struct queue *q, unsigned which, uint32_t max) {
    struct mmsg *s = o->state;
    struct runs *runs = &s->runs[which];
    uint32_t end = o->got + max;
    s->wide = runs_may_come(o, runs);
    while (o->got < end && s->bytes < o->turn_bytes) {
        uint32_t most = messages_for(o, q, end - o->got), got = 0;
        if (most == 0)
            return IO_MORE;
        uint32_t slots = take_slots(o, s, most);
        if (slots == 0) {
            o->pool->ran_short = true;
            return IO_STARVED;
        }
        int n = recvmmsg(o->socket[which], o->send->header, slots, MSG_TRUNC | MSG_DONTWAIT, NULL);
        o->stats->counts[COUNT_READ_CALLS]++;
        if (n > 0)
            got = (uint32_t)n;
        for (uint32_t i = slots; i > got; i--)
            return_slot(o, s, s->slab[i - 1]);
        for (uint32_t i = 0; i < got; i++)
            take_message(o, q, i, which);
        if (got < slots) {
            runs_blocked(o, runs, o->socket[which]);
            return IO_DONE;
        }
        runs->in_full += got;
        if (slots < most) { /* all of them were used */
            o->pool->ran_short = true;
            return IO_MORE;
        }
    }
    return IO_MORE;
}

static enum io_status mmsg_read_socket(struct outside *o, struct queue *q, uint32_t max) {
    struct mmsg *s = o->state;
    enum io_status status[IO_SOCKETS] = {IO_DONE, IO_DONE};
    s->from_used = s->bytes = 0; /* a batch never starts but in an empty queue */
    for (unsigned which = 0; which < IO_SOCKETS; which++) {
        /* Each family gets its share while both have something. */
        uint32_t left = max - o->got;
        if (which == IO_V4 && o->socket[IO_V6] >= 0)
            left = (left + 1) / 2;
        if (o->socket[which] >= 0 && left > 0)
            status[which] = receive(o, q, which, left);
        if (status[which] == IO_STARVED)
            return q->n ? IO_MORE : IO_STARVED;
    }
    if (status[IO_V4] == IO_MORE && o->got < max) /* what IPv6 left over */
        status[IO_V4] = receive(o, q, IO_V4, max - o->got);
    if (status[IO_V4] == IO_STARVED)
        status[IO_V4] = IO_MORE; /* some were read */
    return status[IO_V4] == IO_MORE || status[IO_V6] == IO_MORE ? IO_MORE : IO_DONE;
}

static void mmsg_release(struct outside *o) {
    struct mmsg *s = o->state;
    memset(s->runs, 0, sizeof s->runs); /* the next sockets begin anew */
}

const struct io_ops io_mmsg = {
    .name = "mmsg",
    .open = mmsg_open,
    .close = mmsg_close,
    .release_sockets = mmsg_release,
    .read = mmsg_read_socket,
    .write = send_queue,
    .now_ms = io_now_ms,
    .has_runs = true,
};
