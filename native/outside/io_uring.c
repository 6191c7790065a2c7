/* SPDX-License-Identifier: MIT */
/*
 * Datagrams by io_uring. Linux since 6.1, x86_64 and aarch64.
 *
 * Received by one multishot recvmsg a socket, into whole slabs that wait in a ring of buffers: each
 * may be a run (UDP_GRO). A datagram that is no run is copied to where others are, and its slab is
 * back in the ring at once. Sent as one submission of linked sendmsg, which keeps the order: where
 * one fails, those behind it are cancelled and tried again. Each direction has a ring of its own,
 * so that a send need not sort out what came in meanwhile.
 *
 * Multishot wants a blocking descriptor: on a non-blocking one it ends with EAGAIN instead of
 * waiting. Sends do not wait: they say so themselves. Once per packet.
 */
#define _GNU_SOURCE
#include "outside/uring.h"

#ifdef TL_IO_URING

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "outside/datagram.h"
#include "outside/io_send.h"
#include "outside/shared.h"

enum {
    SLOTS_USUAL = 8, /* at most, where none are asked for. docs/performance.md: more are slower */
    COMPLETIONS = 2 * IO_RING_SLOTS_MAX,
    NAME_ROOM = 32, /* a sockaddr_in6, rounded up so that the bytes are aligned */
    PAYLOAD_AT = sizeof(struct uring_received) + NAME_ROOM + DATAGRAM_CONTROL,
    WAITS_MAX = 16,           /* for a submission: signals may end some */
    CANCEL_MARK = IO_SOCKETS, /* user_data; a receive's is its socket's number */
};
_Static_assert(PAYLOAD_AT % BUF_ALIGN == 0, "as other packets are");

struct engine {
    struct uring out, in;
    uint32_t submission; /* counts those of `out`: a late completion is known by it */
    struct uring_buffers buffers;
    struct slab *slot[IO_RING_SLOTS_MAX]; /* what the kernel may fill; NULL: to be filled */
    uint32_t slots;
    struct msghdr form;        /* how much room a name and control messages get */
    int armed[IO_SOCKETS];     /* the descriptor that a receive is under way on; -1: none */
    struct endpoint *from;     /* of this turn's messages; o->in_max */
    uint32_t from_used, bytes; /* of this turn */
};

/* ---- send -------------------------------------------------------------------------------------
 */

/* What is known of a submission's messages. */
struct account {
    uint32_t seen;     /* completions */
    uint64_t sent;     /* set of messages */
    uint32_t first;    /* that failed */
    int first_failure; /* -errno */
};

static void take_completions(struct engine *s, struct account *a) {
    const struct uring_cqe *cqe;
    while ((cqe = uring_peek(&s->out))) {
        uint32_t i = (uint32_t)cqe->user_data;
        bool is_late = cqe->user_data >> 32 != s->submission;
        a->seen += !is_late;
        if (!is_late && cqe->result >= 0)
            a->sent |= 1ULL << i;
        else if (!is_late && i < a->first) {
            a->first = i;
            a->first_failure = cqe->result;
        }
        uring_seen(&s->out);
    }
}

static void submit(struct engine *s, int fd, struct mmsghdr *messages, uint32_t n) {
    s->submission++;
    for (uint32_t i = 0; i < n; i++) {
        struct uring_sqe *sqe = uring_next(&s->out);
        sqe->opcode = URING_SENDMSG;
        sqe->flags = i + 1 < n ? URING_LINK : 0;
        sqe->fd = fd;
        sqe->address = (uintptr_t)&messages[i].msg_hdr;
        sqe->op_flags = MSG_DONTWAIT | MSG_NOSIGNAL;
        sqe->user_data = (uint64_t)s->submission << 32 | i;
    }
}

/* As sendmmsg(2). A signal may end a wait before all are done; what is not known to be sent is not.
 */
static int uring_send(struct outside *o, int fd, struct mmsghdr *messages, uint32_t n) {
    struct engine *s = o->state;
    struct account a = {.first = UINT32_MAX};
    int err = 0, sent = 0;
    if (o->ring_sends && n > o->ring_sends) /* the others are the next call's */
        n = o->ring_sends;
    submit(s, fd, messages, n);
    for (unsigned waits = 0; !err && a.seen < n && waits < WAITS_MAX; waits++) {
        err = uring_enter(&s->out, n - a.seen);
        take_completions(s, &a);
    }
    while ((uint32_t)sent < n && a.sent >> sent & 1)
        sent++;
    if (sent || a.first == 0)
        return sent ? sent : a.first_failure;
    return err ? err : -EINTR;
}

/* ---- receive ----------------------------------------------------------------------------------
 */

/* Slabs for the slots that have none, but never more than half of the pool. */
static uint32_t fill_slots(struct outside *o, struct engine *s) {
    uint32_t most = o->pool->size / 2 < s->slots ? o->pool->size / 2 : s->slots, filled = 0;
    for (uint32_t i = 0; i < most; i++) {
        if (!s->slot[i]) {
            s->slot[i] = buf_whole(o->pool);
            if (!s->slot[i])
                continue;
            uring_buffers_put(&s->buffers, (uint16_t)i, s->slot[i]->data, SLAB_SIZE);
        }
        filled++;
    }
    return filled;
}

/* Begins the receives that are not under way; the set of them. */
static unsigned arm(struct outside *o, struct engine *s) {
    unsigned begun = 0;
    for (unsigned which = 0; which < IO_SOCKETS; which++) {
        int fd = o->socket[which];
        if (fd < 0 || s->armed[which] == fd)
            continue;
        int flags = fcntl(fd, F_GETFL);
        if (flags & O_NONBLOCK)
            fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
        struct uring_sqe *sqe = uring_next(&s->in);
        sqe->opcode = URING_RECVMSG;
        sqe->flags = URING_BUFFER_SELECT;
        sqe->ioprio = URING_RECV_MULTISHOT;
        sqe->fd = fd;
        sqe->address = (uintptr_t)&s->form;
        sqe->len = 1;
        sqe->user_data = which;
        s->armed[which] = fd;
        begun |= 1u << which;
    }
    return begun;
}

static void disarm(struct engine *s, unsigned set) {
    for (unsigned which = 0; which < IO_SOCKETS; which++)
        if (set >> which & 1)
            s->armed[which] = -1;
}

/* The kernel's account of what is in a slab, in the form that datagram_received reads. */
static void parse(const uint8_t *at, struct packet *p, struct datagram_notes *notes) {
    struct uring_received head;
    struct datagram d;
    memcpy(&head, at, sizeof head);
    memcpy(&d.name, at + sizeof head, sizeof d.name);
    uint32_t control = head.control_len < DATAGRAM_CONTROL ? head.control_len : DATAGRAM_CONTROL;
    memcpy(d.control.bytes, at + sizeof head + NAME_ROOM, control);
    struct msghdr m = {.msg_controllen = control};
    datagram_received(&d, &m, p, notes);
}

/* The slab of this slot is the packet's now; a small packet leaves it to the slot. */
static void take_slab(struct outside *o, struct engine *s, uint32_t number, struct packet *p) {
    p->slab = s->slot[number];
    p->slab->refs++;
    io_move_small(o, p);
    if (p->slab != s->slot[number]) {
        uring_buffers_put(&s->buffers, (uint16_t)number, s->slot[number]->data, SLAB_SIZE);
        return;
    }
    buf_release(s->slot[number]);
    s->slot[number] = NULL;
}

static void take_message(struct outside *o, struct queue *q, const struct uring_cqe *cqe) {
    struct engine *s = o->state;
    uint32_t number = cqe->flags >> URING_CQE_BUFFER_SHIFT;
    unsigned which = (unsigned)cqe->user_data;
    const uint8_t *at = s->slot[number]->data;
    struct datagram_notes notes = {.overflow = o->overflow[which]};
    struct packet p = {.data = s->slot[number]->data + PAYLOAD_AT,
                       .len = (uint32_t)cqe->result - PAYLOAD_AT,
                       .endpoint = &s->from[s->from_used++]};
    parse(at, &p, &notes);
    io_lost(o, which, notes.overflow);
    o->got++;
    s->bytes += p.len;
    if (notes.segment && notes.segment < p.len) {
        p.slab = s->slot[number];
        s->slot[number] = NULL;
        io_take_run(o, q, &p, notes.segment);
        return;
    }
    take_slab(o, s, number, &p);
    io_received(o, &p);
    q->p[q->n++] = p;
}

/* Whether one more message, which may be a run, can be taken. */
static bool has_room(const struct outside *o, const struct queue *q, uint32_t end) {
    const struct engine *s = o->state;
    return o->got < end && s->bytes < o->turn_bytes && q->max - q->n >= DATAGRAM_SEGMENTS_MAX;
}

/* What nobody will take: its slab can be filled again. */
static void discard(struct engine *s, const struct uring_cqe *cqe) {
    uint32_t number = cqe->flags >> URING_CQE_BUFFER_SHIFT;
    if (cqe->flags & URING_CQE_BUFFER)
        uring_buffers_put(&s->buffers, (uint16_t)number, s->slot[number]->data, SLAB_SIZE);
}

/* Whether a receive goes on after this completion; where not, arm() begins it anew. */
static bool goes_on(struct engine *s, const struct uring_cqe *cqe) {
    if (cqe->user_data < IO_SOCKETS && !(cqe->flags & URING_CQE_MORE))
        s->armed[cqe->user_data] = -1;
    return (cqe->flags & URING_CQE_MORE) != 0;
}

/* True where a receive ended although its socket may have more: it had no buffers. Other ends are
 * for poll(2) to look at again. */
static bool take_all(struct outside *o, struct queue *q, uint32_t end) {
    struct engine *s = o->state;
    const struct uring_cqe *cqe;
    bool more = false;
    while (has_room(o, q, end) && (cqe = uring_peek(&s->in))) {
        if (cqe->result == -ENOBUFS)
            o->pool->ran_short |= o->pool->size / 2 < s->slots;
        more |= !goes_on(s, cqe) && (cqe->result >= 0 || cqe->result == -ENOBUFS);
        if (cqe->result >= PAYLOAD_AT && cqe->flags & URING_CQE_BUFFER)
            take_message(o, q, cqe);
        else
            discard(s, cqe);
        uring_seen(&s->in);
    }
    return more;
}

/* Lets the kernel receive: 0, or -errno; -ENOBUFS: there are no slabs. */
static int receive(struct outside *o, struct engine *s) {
    if (fill_slots(o, s) == 0)
        return -ENOBUFS;
    unsigned begun = arm(o, s);
    o->stats->counts[COUNT_READ_CALLS]++;
    int err = uring_enter(&s->in, 0);
    if (err)
        disarm(s, begun);
    return err;
}

static enum io_status uring_read_socket(struct outside *o, struct queue *q, uint32_t max) {
    struct engine *s = o->state;
    uint32_t end = o->got + max;
    bool more = true;
    s->from_used = s->bytes = 0; /* a batch never starts but in an empty queue */
    while (more && has_room(o, q, end)) {
        int err = uring_peek(&s->in) ? 0 : receive(o, s);
        if (err == -ENOBUFS && q->n == 0)
            return IO_STARVED;
        more = !err && take_all(o, q, end);
    }
    o->holds = uring_peek(&s->in) != NULL;
    return o->holds || more ? IO_MORE : IO_DONE;
}

/* ---- lifetime ---------------------------------------------------------------------------------
 */

static void cancel_all(struct engine *s) {
    struct uring_sqe *sqe = uring_next(&s->in);
    sqe->opcode = URING_ASYNC_CANCEL;
    sqe->op_flags = URING_CANCEL_ALL | URING_CANCEL_ANY;
    sqe->user_data = CANCEL_MARK;
}

static bool is_armed(const struct engine *s) {
    return s->armed[IO_V4] >= 0 || s->armed[IO_V6] >= 0;
}

/* A receive under way holds its socket open, and writes to slabs: both end here. */
static void uring_release(struct outside *o) {
    struct engine *s = o->state;
    const struct uring_cqe *cqe;
    bool asked = false;
    o->holds = false;
    while (is_armed(s) || uring_peek(&s->in)) {
        while ((cqe = uring_peek(&s->in))) {
            goes_on(s, cqe);
            discard(s, cqe);
            uring_seen(&s->in);
        }
        if (!is_armed(s))
            break;
        if (!asked)
            cancel_all(s);
        asked = true;
        if (uring_enter(&s->in, 1))
            break;
    }
}

static void uring_free(struct outside *o) {
    struct engine *s = o->state;
    uring_release(o);
    uring_close(&s->in);
    uring_close(&s->out);
    uring_buffers_close(&s->buffers);
    for (uint32_t i = 0; i < s->slots; i++)
        if (s->slot[i])
            buf_release(s->slot[i]);
    send_free(o);
    free(s->from);
    free(s);
}

static const struct io_calls calls = {uring_send, io_kernel_now_ms, io_kernel_gro};

static uint32_t slots_for(const struct outside *o) {
    if (o->ring_receives)
        return o->ring_receives;
    uint32_t slots = 1;
    while (slots * 2 <= o->wide && slots < SLOTS_USUAL)
        slots *= 2;
    return slots;
}

static int open_rings(struct engine *s) {
    int err = uring_open(&s->out, SEND_MESSAGES_MAX, SEND_MESSAGES_MAX);
    if (err)
        return err;
    err = uring_open(&s->in, 4, COMPLETIONS);
    if (err)
        goto out_out;
    err = uring_buffers_open(&s->in, &s->buffers, s->slots);
    if (err)
        goto out_in;
    return 0;

out_in:
    uring_close(&s->in);
out_out:
    uring_close(&s->out);
    return err;
}

static int uring_new(struct outside *o) {
    struct engine *s = calloc(1, sizeof *s);
    int err = -ENOMEM;
    if (!s)
        return err;
    s->slots = slots_for(o);
    s->form = (struct msghdr){.msg_namelen = NAME_ROOM, .msg_controllen = DATAGRAM_CONTROL};
    s->armed[IO_V4] = s->armed[IO_V6] = -1;
    s->from = calloc(o->in_max, sizeof *s->from);
    if (!s->from || send_new(o))
        goto out_from;
    err = open_rings(s);
    if (err)
        goto out_send;
    o->state = s;
    o->calls = &calls;
    return 0;

out_send:
    send_free(o);
out_from:
    free(s->from);
    free(s);
    return err;
}

const struct io_ops io_uring = {
    .name = "io_uring",
    .available = uring_probe,
    .open = uring_new,
    .close = uring_free,
    .release_sockets = uring_release,
    .read = uring_read_socket,
    .write = send_queue,
    .now_ms = io_now_ms,
    .has_runs = true,
    .one_thread = true, /* a ring belongs to the thread that uses it first */
};

#endif
