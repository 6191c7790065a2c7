/* SPDX-License-Identifier: MIT */
/* The engine of tests: device, sockets and clock in memory. Only tunlite_test.h leads here. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/os.h"
#include "base/wire.h"
#include "border/handles.h"
#include "border/lifetime.h"
#include "inside/device.h"
#include "inside/tun.h"
#include "outside/datagram.h"
#include "outside/shared.h"
#include "outside/socket.h"
#include "tunlite.h"
#include "tunlite_test.h"

enum { ENDS = 2, CLOCK_START = 1000000 };

struct item {
    struct item *next;
    struct endpoint endpoint;
    uint32_t len;
    uint8_t tos;
    uint8_t data[];
};

struct line {
    struct item *first, *last;
};

struct end {
    struct line in, out;
    int room;
    int err, err_times;
};

struct fake {
    struct end end[ENDS];
    struct endpoint *from;
    uint64_t now;
};

static int push(struct line *line, const struct packet *p) {
    struct item *item = malloc(sizeof *item + p->len);
    if (!item)
        return -ENOMEM;
    *item = (struct item){.len = p->len, .tos = p->tos};
    if (p->endpoint)
        item->endpoint = *p->endpoint;
    memcpy(item->data, p->data, p->len);
    if (line->first)
        line->last->next = item;
    else
        line->first = item;
    line->last = item;
    return 0;
}

static void pop(struct line *line) {
    struct item *item = line->first;
    line->first = item->next;
    free(item);
}

static int fake_open(struct outside *o) {
    struct fake *f = calloc(1, sizeof *f);
    struct endpoint *from = calloc(o->in_max, sizeof *from);
    if (!f || !from) {
        free(f);
        free(from);
        return -ENOMEM;
    }
    f->from = from;
    f->now = CLOCK_START;
    f->end[TL_FAKE_DEVICE].room = f->end[TL_FAKE_SOCKET].room = -1;
    o->state = f;
    return 0;
}

static void fake_close(struct outside *o) {
    struct fake *f = o->state;
    for (unsigned i = 0; i < ENDS; i++) {
        while (f->end[i].in.first)
            pop(&f->end[i].in);
        while (f->end[i].out.first)
            pop(&f->end[i].out);
    }
    free(f->from);
    free(f);
}

/* Reads from one end: the copy stands where a kernel would have put the bytes. */
static enum io_status read_end(struct fake *f, struct pool *pool, struct queue *q, uint32_t max,
                               unsigned which) {
    struct line *line = &f->end[which].in;
    uint32_t head = which == TL_FAKE_DEVICE ? pool->headroom : 0;
    for (uint32_t i = 0; i < max && q->n < q->max; i++) {
        uint32_t room;
        if (!line->first)
            return IO_DONE;
        uint32_t need = head + line->first->len + TAILROOM;
        uint8_t *at = buf_room(pool, need, &room);
        if (!at)
            return IO_STARVED;
        struct packet *p = &q->p[q->n++];
        *p = (struct packet){.data = at + head, .len = line->first->len, .tos = line->first->tos};
        p->slab = buf_take(pool, need);
        memcpy(p->data, line->first->data, p->len);
        if (which == TL_FAKE_SOCKET) {
            f->from[i] = line->first->endpoint;
            p->endpoint = &f->from[i];
        }
        pop(line);
    }
    return IO_MORE;
}

/* Zero, or the errno that a write to this end meets. */
static int obstacle(struct end *end) {
    if (end->err_times > 0) {
        end->err_times--;
        return end->err;
    }
    if (end->room == 0)
        return EAGAIN;
    if (end->room > 0)
        end->room--;
    return 0;
}

static int write_one(struct end *end, const struct packet *p) {
    int err = obstacle(end);
    return err ? err : -push(&end->out, p);
}

static enum io_status fake_write_device(struct inside *in, struct queue *q) {
    struct fake *f = in->calls_state;
    enum io_status status = IO_DONE;
    for (uint32_t i = 0; i < q->n; i++) {
        int err = write_one(&f->end[TL_FAKE_DEVICE], &q->p[i]);
        if (err == EAGAIN) {
            in->stats->counts[COUNT_DEVICE_BLOCKED]++;
            queue_advance(q, i);
            return IO_BLOCKED;
        }
        if (err == EBADFD)
            status = IO_GONE;
        device_written(in, &q->p[i], err);
    }
    q->n = 0;
    return status;
}

static enum io_status fake_read_device(struct inside *in, struct queue *q, uint32_t max) {
    uint32_t before = q->n;
    enum io_status status = read_end(in->calls_state, in->pool, q, max, TL_FAKE_DEVICE);
    in->got += q->n - before;
    in->stats->counts[COUNT_DEVICE_READ] += q->n - before;
    return status;
}

static const struct inside_ops fake_device = {fake_read_device, fake_write_device};

static int send_one(struct outside *o, struct packet *p) {
    struct fake *f = o->state;
    return write_one(&f->end[TL_FAKE_SOCKET], p);
}

static enum io_status fake_write_socket(struct outside *o, struct queue *q) {
    const struct fake *f = o->state;
    for (unsigned i = 0; i < IO_SOCKETS && f->end[TL_FAKE_SOCKET].room < 0; i++)
        io_has_room(o, i); /* there is no poll(2) to say so */
    return io_write_each(o, q, send_one);
}

static enum io_status fake_read_socket(struct outside *o, struct queue *q, uint32_t max) {
    uint32_t before = q->n;
    enum io_status status = read_end(o->state, o->pool, q, max, TL_FAKE_SOCKET);
    o->got += q->n - before;
    o->stats->counts[COUNT_SOCKET_READ] += q->n - before;
    return status;
}

static uint64_t fake_now_ms(struct outside *o) {
    const struct fake *f = o->state;
    return f->now;
}

static const struct io_ops io_fake = {
    .name = "fake",
    .open = fake_open,
    .close = fake_close,
    .read = fake_read_socket,
    .write = fake_write_socket,
    .now_ms = fake_now_ms,
    .unpolled = true,
    .one_thread = true,
};

int tl_fake_new(const unsigned char *options, int options_len) {
    int handle = lifetime_begin(options, options_len, &io_fake);
    if (handle < 0)
        return handle;
    struct worker *w = handle_plane(handle)->worker;
    w->inside.ops = &fake_device;
    w->inside.calls_state = w->outside.state;
    return handle;
}

/* NULL: no such plane, or one of another engine. */
static struct fake *find(int handle) {
    const struct plane *plane = handle_plane(handle);
    return plane && plane->worker->outside.ops == &io_fake ? plane->worker->outside.state : NULL;
}

int tl_fake_clock(int plane, const unsigned char *ms8) {
    struct fake *f = find(plane);
    if (!f)
        return -EBADF;
    f->now = load_le64(ms8);
    return 0;
}

int tl_fake_device_put(int plane, const unsigned char *packet, int packet_len) {
    struct fake *f = find(plane);
    const struct packet p = {.data = (uint8_t *)(uintptr_t)packet, .len = (uint32_t)packet_len};
    return f ? push(&f->end[TL_FAKE_DEVICE].in, &p) : -EBADF;
}

static int take(struct line *line, unsigned char *out, int out_len) {
    struct item *item = line->first;
    if (!item)
        return 0;
    if ((uint32_t)out_len < item->len)
        return -ENOSPC;
    int len = (int)item->len;
    memcpy(out, item->data, item->len);
    pop(line);
    return len;
}

int tl_fake_device_take(int plane, unsigned char *out, int out_len) {
    struct fake *f = find(plane);
    return f ? take(&f->end[TL_FAKE_DEVICE].out, out, out_len) : -EBADF;
}

int tl_fake_socket_put(int plane, const unsigned char *endpoint48, int tos,
                       const unsigned char *datagram, int datagram_len) {
    struct fake *f = find(plane);
    struct endpoint from;
    if (!f)
        return -EBADF;
    if (!handle_endpoint(&from, endpoint48))
        return -EINVAL;
    const struct packet p = {.data = (uint8_t *)(uintptr_t)datagram,
                             .len = (uint32_t)datagram_len,
                             .endpoint = &from,
                             .tos = (uint8_t)tos};
    return push(&f->end[TL_FAKE_SOCKET].in, &p);
}

int tl_fake_socket_take(int plane, unsigned char *endpoint48, unsigned char *tos1,
                        unsigned char *out, int out_len) {
    struct fake *f = find(plane);
    if (!f)
        return -EBADF;
    struct line *line = &f->end[TL_FAKE_SOCKET].out;
    if (!line->first)
        return 0;
    handle_put_endpoint(endpoint48, &line->first->endpoint);
    *tos1 = line->first->tos;
    return take(line, out, out_len);
}

int tl_fake_room(int plane, int end, int packets) {
    struct fake *f = find(plane);
    if (!f)
        return -EBADF;
    if (end < 0 || end >= ENDS)
        return -EINVAL;
    f->end[end].room = packets;
    return 0;
}

int tl_fake_fail(int plane, int end, int err, int times) {
    struct fake *f = find(plane);
    if (!f)
        return -EBADF;
    if (end < 0 || end >= ENDS)
        return -EINVAL;
    f->end[end].err = err;
    f->end[end].err_times = times;
    return 0;
}

/* ---- the kernel's refusals ---------------------------------------------------------------------
 */

struct refusals {
    int err[ENDS], times[ENDS];
    int ahead_ms;
    int gro_ms;
    unsigned full; /* set of IO_V4, IO_V6 */
};

static bool is_refused(struct refusals *r, int end) {
    if (r->times[end] <= 0)
        return false;
    r->times[end]--;
    return true;
}

static bool is_run(const struct msghdr *m) {
    enum { SEGMENT_OPTION = 103 };
    const uint8_t *control = m->msg_control;
    for (size_t at = 0; at + sizeof(struct cmsghdr) <= m->msg_controllen;) {
        const struct cmsghdr *c = (const struct cmsghdr *)(const void *)(control + at);
        if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == SEGMENT_OPTION)
            return true;
        at += CMSG_ALIGN(c->cmsg_len);
    }
    return false;
}

static int send_refusing(struct outside *o, int fd, struct mmsghdr *messages, uint32_t n) {
    struct refusals *r = o->calls_state;
    for (unsigned which = 0; which < IO_SOCKETS; which++)
        if ((r->full >> which & 1) && o->socket[which] == fd)
            return -EAGAIN;
    for (uint32_t i = 0; i < n; i++) {
        if (!is_run(&messages[i].msg_hdr))
            continue;
        if (i == 0 && is_refused(r, TL_FAKE_SOCKET))
            return -r->err[TL_FAKE_SOCKET];
        if (i > 0) /* what stands before it, first */
            n = i;
        break;
    }
    return io_calls_kernel.send(o, fd, messages, n);
}

static int write_refusing(struct inside *in, const struct iovec *iov, uint32_t n) {
    struct refusals *r = in->calls_state;
    if (n > 1 && is_refused(r, TL_FAKE_DEVICE))
        return r->err[TL_FAKE_DEVICE];
    return device_writev(in, iov, n);
}

static uint64_t now_ahead(struct outside *o) {
    const struct refusals *r = o->calls_state;
    return io_calls_kernel.now_ms(o) + (uint64_t)r->ahead_ms;
}

static int gro_late(struct outside *o, int fd, bool on) {
    const struct refusals *r = o->calls_state;
    struct pollfd next = {fd, POLLIN, 0};
    poll(&next, 1, r->gro_ms);
    return io_calls_kernel.gro(o, fd, on);
}

static const struct io_calls refusing = {send_refusing, now_ahead, gro_late};

static struct refusals *refusals_in(struct worker *w) {
    struct outside *o = &w->outside;
    if (!o->calls_state)
        o->calls_state = calloc(1, sizeof(struct refusals));
    if (!o->calls_state)
        return NULL;
    o->calls = &refusing;
    if (w->inside.ops != &fake_device) {
        w->inside.writev = write_refusing;
        w->inside.calls_state = o->calls_state;
    }
    return o->calls_state;
}

static struct refusals *refusals_of(int handle) {
    struct plane *plane = handle_plane(handle);
    return plane ? refusals_in(plane->worker) : NULL;
}

int tl_fake_refuse(int handle, int end, int err, int times) {
    struct refusals *r = refusals_of(handle);
    if (!r)
        return -EBADF;
    if (end < 0 || end >= ENDS)
        return -EINVAL;
    r->err[end] = err;
    r->times[end] = times;
    return 0;
}

int tl_fake_full(int handle, int families) {
    struct plane *plane = handle_plane(handle);
    if (!plane)
        return -EBADF;
    for (uint32_t i = 0; i < plane->n_workers; i++) {
        struct refusals *r = refusals_in(&plane->worker[i]);
        if (!r)
            return -ENOMEM;
        r->full = (unsigned)families;
    }
    return 0;
}

int tl_fake_ahead(int handle, int ms) {
    struct refusals *r = refusals_of(handle);
    if (!r)
        return -EBADF;
    r->ahead_ms = ms;
    return 0;
}

int tl_fake_gro_late(int handle, int ms) {
    struct refusals *r = refusals_of(handle);
    if (!r)
        return -EBADF;
    r->gro_ms = ms;
    return 0;
}

int tl_fake_vnet(int handle, int fd) {
    struct plane *plane = handle_plane(handle);
    if (!plane)
        return -EBADF;
    int err = tl_plane_device(handle, fd);
    return err ? err : tun_attach_as(&plane->worker->inside, true, true);
}

int tl_fake_kernel(const char *release) {
    return (int)os_parse_kernel(release);
}

int tl_fake_gso_corrupts(int kernel) {
    return socket_gso_corrupts((uint32_t)kernel);
}
