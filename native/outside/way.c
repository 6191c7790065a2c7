/* SPDX-License-Identifier: MIT */
/* Whether several datagrams may go one way as one UDP_SEGMENT send. Once per packet. */
#include "outside/way.h"

#include <errno.h>
#include <linux/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "outside/io.h"

enum {
    LIMIT_MS = 10 * 60 * 1000,
    UDP_HEADER = 8,
    V4_HEADER = 20,
    V6_HEADER = 40,
    GET_NAME = 0x8910, /* SIOCGIFNAME, the same on every CPU */
};

/* A ppp link is a queue in front of a slow line, often without checksum offload: segments in one
 * burst would only be cut again in the same CPU, and lost together. */
static bool is_ppp(int fd, uint32_t ifindex) {
    struct ifreq ifr = {.ifr_ifindex = (int)ifindex};
    /* Libcs disagree about the sign of ioctl's request. */
    if (ifindex == 0 || syscall(SYS_ioctl, fd, (unsigned long)GET_NAME, &ifr) < 0)
        return false;
    return strncmp(ifr.ifr_name, "ppp", 3) == 0;
}

bool way_takes_runs(struct outside *o, const struct packet *p) {
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

bool way_refused(struct outside *o, const struct packet *p, int err) {
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
