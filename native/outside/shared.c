/* SPDX-License-Identifier: MIT */
/* What the engines that speak to the kernel have in common. Once per packet. */
#define _GNU_SOURCE
#include "outside/shared.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/os.h"
#include "base/wire.h"
#include "outside/socket.h"

uint64_t io_now_ms(struct outside *o) {
    return o->calls->now_ms(o);
}

uint64_t io_kernel_now_ms(struct outside *o) {
    (void)o;
    return os_now_ms();
}

static bool names_session(const struct outside *o, const uint8_t *message) {
    uint32_t index = load_le32(message + offsetof(struct message_transport, receiver));
    uint32_t type = load_le32(message);
    return type >= MESSAGE_TRANSPORT && type <= MESSAGE_BARE && o->lives(o->sessions, index);
}

void io_truncated(struct outside *o, const uint8_t *begin, uint32_t len) {
    o->stats->drops[DROP_TRUNCATED]++;
    if (o->slot < len && names_session(o, begin))
        o->slot = len;
}

void io_lost(struct outside *o, unsigned which, uint32_t lost) {
    o->stats->drops[DROP_SOCKET_OVERFLOW] += lost - o->overflow[which];
    o->overflow[which] = lost;
}

void io_received(struct outside *o, const struct packet *p) {
    o->stats->counts[COUNT_SOCKET_READ]++;
    o->stats->counts[COUNT_SOCKET_READ_BYTES] += p->len;
}

void io_move_small(struct outside *o, struct packet *p) {
    uint32_t room, need = p->len + TAILROOM;
    uint8_t *at = p->len <= o->slot ? buf_room(o->pool, need, &room) : NULL;
    if (!at)
        return;
    memcpy(at, p->data, p->len);
    buf_release(p->slab);
    p->data = at;
    p->slab = buf_take(o->pool, need);
}

void io_take_run(struct outside *o, struct queue *q, const struct packet *run, uint32_t segment) {
    for (uint32_t at = 0; at < run->len; at += segment) {
        if (q->n == q->max) {
            o->stats->drops[DROP_TRUNCATED]++;
            continue;
        }
        struct packet *p = &q->p[q->n++];
        *p = *run;
        p->data = run->data + at;
        p->len = run->len - at < segment ? run->len - at : segment;
        p->slab->refs++;
        io_received(o, p);
    }
    buf_release(run->slab);
    o->stats->counts[COUNT_RUNS_READ]++;
}

/* The system call itself: musl's sendmmsg on 64-bit machines is a loop of sendmsg. */
static int kernel_send(struct outside *o, int fd, struct mmsghdr *messages, uint32_t n) {
    (void)o;
    long sent = syscall(SYS_sendmmsg, fd, messages, n, MSG_DONTWAIT | MSG_NOSIGNAL);
    return sent < 0 ? -errno : (int)sent;
}

int io_kernel_gro(struct outside *o, int fd, bool on) {
    (void)o;
    return socket_set_gro(fd, on);
}

const struct io_calls io_calls_kernel = {kernel_send, io_kernel_now_ms, io_kernel_gro};

enum io_status io_write_each(struct outside *o, struct queue *q,
                             int (*send)(struct outside *o, struct packet *p)) {
    for (uint32_t i = 0; i < q->n; i++) {
        struct packet *p = &q->p[i];
        int err = send(o, p);
        if (err && io_source_reset(o, p, err))
            err = send(o, p);
        if (err == EAGAIN) {
            io_blocked(o, p);
            queue_advance(q, i);
            return IO_BLOCKED;
        }
        if (err)
            io_failed(o, p, err);
        else
            io_sent(o, p);
    }
    q->n = 0;
    return IO_DONE;
}
