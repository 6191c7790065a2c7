/* SPDX-License-Identifier: MIT */
/*
 * Packets to messages: with UDP_SEGMENT a run to one endpoint is one message. tx.c has put what
 * goes to one peer side by side. Once per packet.
 */
#define _GNU_SOURCE
#include "outside/io_send.h"

#include <errno.h>
#include <linux/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "outside/way.h"

enum {
    LIMIT_MS = 10 * 60 * 1000,
    UDP_HEADER = 8,
    V4_HEADER = 20,
    V6_HEADER = 40,
    GET_NAME = 0x8910, /* SIOCGIFNAME, the same on every CPU */
};

int send_new(struct outside *o) {
    struct send *s = calloc(1, sizeof *s + o->out_max * sizeof *s->iov);
    o->send = s;
    return s ? 0 : -ENOMEM;
}

void send_free(struct outside *o) {
    free(o->send);
}

/* A ppp link is a queue in front of a slow line, often without checksum offload: segments in one
 * burst would only be cut again in the same CPU, and lost together. */
static bool is_ppp(int fd, uint32_t ifindex) {
    struct ifreq ifr = {.ifr_ifindex = (int)ifindex};
    /* Libcs disagree about the sign of ioctl's request. */
    if (ifindex == 0 || syscall(SYS_ioctl, fd, (unsigned long)GET_NAME, &ifr) < 0)
        return false;
    return strncmp(ifr.ifr_name, "ppp", 3) == 0;
}

/* Whether this packet may begin or join a send of several. */
static bool takes_runs(struct outside *o, const struct packet *p) {
    if (!p->way)
        return false;
    struct way_runs *runs = &p->way->runs;
    if (!runs->is_known) {
        runs->is_known = true;
        runs->is_single = is_ppp(o->socket[io_socket_of(p)], p->endpoint->ifindex);
    }
    if (runs->limit_until && o->now >= runs->limit_until)
        runs->limit_until = 0;
    return !runs->is_single && (!runs->limit_until || p->len < runs->limit);
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
    return n > 1 && o->offload[FEATURE_UDP_GSO].on && takes_runs(o, first) ? n : 1;
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
static int send_some(struct outside *o, const struct queue *q, uint32_t from) {
    struct send *s = o->send;
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
static uint32_t told(struct outside *o, struct packet *p, int messages) {
    const struct send *s = o->send;
    uint32_t n = 0;
    for (int i = 0; i < messages; i++) {
        o->stats->counts[COUNT_RUNS_WRITTEN] += s->packets[i] > 1;
        for (uint32_t k = 0; k < s->packets[i]; k++)
            io_sent(o, &p[n++]);
    }
    return n;
}

/* The MTU that the kernel has for the way there; 0: it does not say. */
static uint32_t path_mtu(const struct endpoint *to, uint32_t mark) {
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(to->port)};
    struct sockaddr_in6 v6 = {
        .sin6_family = AF_INET6, .sin6_port = htons(to->port), .sin6_scope_id = to->scope};
    bool is_v4 = to->family == 4;
    int mtu = 0;
    socklen_t len = sizeof mtu;
    memcpy(&v4.sin_addr, to->addr, 4);
    memcpy(&v6.sin6_addr, to->addr, 16);
    int fd = socket(is_v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return 0;
    setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark);
    const void *name = is_v4 ? (const void *)&v4 : (const void *)&v6;
    if (connect(fd, name, is_v4 ? sizeof v4 : sizeof v6) < 0 ||
        getsockopt(fd, is_v4 ? IPPROTO_IP : IPPROTO_IPV6, is_v4 ? IP_MTU : IPV6_MTU, &mtu, &len))
        mtu = 0;
    close(fd);
    return mtu > 0 ? (uint32_t)mtu : 0;
}

static uint32_t mark_of(int fd) {
    uint32_t mark = 0;
    socklen_t len = sizeof mark;
    getsockopt(fd, SOL_SOCKET, SO_MARK, &mark, &len);
    return mark;
}

/* UDP_SEGMENT never fragments: a segment must fit the path's MTU with its headers. */
static bool exceeds_mtu(const struct outside *o, const struct packet *p) {
    uint32_t headers = UDP_HEADER + (p->endpoint->family == 4 ? V4_HEADER : V6_HEADER);
    uint32_t mtu = path_mtu(p->endpoint, mark_of(o->socket[io_socket_of(p)]));
    return mtu && p->len + headers > mtu;
}

/* A send of several that began with this packet failed. True: notes what to do without, and they
 * are to be sent again, one by one. False: the failure has nothing to do with their number. */
static bool run_refused(struct outside *o, const struct packet *p, int err) {
    struct way_runs *runs = &p->way->runs;
    if (err == EMSGSIZE || (err == EINVAL && exceeds_mtu(o, p))) {
        runs->limit = runs->limit_until && runs->limit < p->len ? runs->limit : p->len;
        runs->limit_until = o->now + LIMIT_MS;
    } else if (err == EIO || err == EINVAL) {
        runs->is_single = true;
    } else {
        return false;
    }
    o->stats->counts[COUNT_RUNS_REFUSED]++;
    return true;
}

/* The first message failed: 0 packets are done when they may be tried again, else all of them. */
static uint32_t failed(struct outside *o, struct packet *p, int err) {
    uint32_t n = o->send->packets[0];
    if (n > 1 && run_refused(o, p, err))
        return 0;
    if (io_source_reset(o, p, err))
        return 0;
    for (uint32_t i = 0; i < n; i++)
        io_failed(o, &p[i], err);
    return n;
}

enum io_status send_queue(struct outside *o, struct queue *q) {
    for (uint32_t i = 0; i < q->n;) {
        int sent = send_some(o, q, i);
        if (sent == -EAGAIN) {
            io_blocked(o, &q->p[i]);
            queue_advance(q, i);
            return IO_BLOCKED;
        }
        i += sent < 0 ? failed(o, &q->p[i], -sent) : told(o, &q->p[i], sent);
    }
    q->n = 0;
    return IO_DONE;
}
