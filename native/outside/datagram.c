/* SPDX-License-Identifier: MIT */
/* What stands behind one msghdr. Once per packet. */
#define _GNU_SOURCE
#include "outside/datagram.h"

#include <string.h>

#include "base/bytes.h"

/* linux/udp.h; older libcs lack them. */
enum { SEGMENT_OPTION = 103, GRO_OPTION = 104 };

static void put_name(struct datagram *d, struct msghdr *m, const struct endpoint *to) {
    m->msg_name = &d->name;
    if (to->family == 4) {
        d->name.v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(to->port)};
        memcpy(&d->name.v4.sin_addr, to->addr, 4);
        m->msg_namelen = sizeof d->name.v4;
        return;
    }
    d->name.v6 = (struct sockaddr_in6){
        .sin6_family = AF_INET6, .sin6_port = htons(to->port), .sin6_scope_id = to->scope};
    memcpy(&d->name.v6.sin6_addr, to->addr, 16);
    m->msg_namelen = sizeof d->name.v6;
}

/* Appends one control message at `used`; returns where the next goes. */
static size_t put_control(struct datagram *d, size_t used, const int level_type[2],
                          const void *value, size_t len) {
    struct cmsghdr *c = (struct cmsghdr *)(void *)(d->control.bytes + used);
    memset(c, 0, CMSG_SPACE(len));
    c->cmsg_len = (socklen_t)CMSG_LEN(len); /* size_t in glibc, socklen_t in musl */
    c->cmsg_level = level_type[0];
    c->cmsg_type = level_type[1];
    memcpy(CMSG_DATA(c), value, len);
    return used + CMSG_SPACE(len);
}

static bool has_local(const struct endpoint *e) {
    static const uint8_t none[16];
    return memcmp(e->local, none, sizeof none) != 0;
}

/* The interface is only named where an address means nothing without it: on others it would bind us
 * to a link that the routes may have left. */
static size_t put_source(struct datagram *d, size_t used, const struct endpoint *to) {
    if (!has_local(to))
        return used;
    if (to->family == 4) {
        struct in_pktinfo info = {0};
        memcpy(&info.ipi_spec_dst, to->local, 4);
        return put_control(d, used, (int[]){IPPROTO_IP, IP_PKTINFO}, &info, sizeof info);
    }
    struct in6_pktinfo info = {.ipi6_ifindex = to->scope};
    memcpy(&info.ipi6_addr, to->local, 16);
    return put_control(d, used, (int[]){IPPROTO_IPV6, IPV6_PKTINFO}, &info, sizeof info);
}

static size_t put_tos(struct datagram *d, size_t used, const struct packet *p) {
    int tos = p->tos;
    if (tos == 0) /* the sockets' own */
        return used;
    if (p->endpoint->family == 4)
        return put_control(d, used, (int[]){IPPROTO_IP, IP_TOS}, &tos, sizeof tos);
    return put_control(d, used, (int[]){IPPROTO_IPV6, IPV6_TCLASS}, &tos, sizeof tos);
}

void datagram_to_send(struct datagram *d, struct msghdr *m, const struct packet *p) {
    put_name(d, m, p->endpoint);
    d->bytes = (struct iovec){p->data, p->len};
    m->msg_iov = &d->bytes;
    m->msg_iovlen = 1;
    size_t used = put_tos(d, put_source(d, 0, p->endpoint), p);
    m->msg_control = used ? d->control.bytes : NULL;
    m->msg_controllen = (unsigned)used;
    m->msg_flags = 0;
}

void datagram_segments(struct datagram *d, struct msghdr *m, struct iovec *iov, unsigned iov_len) {
    uint16_t size = (uint16_t)d->bytes.iov_len;
    size_t used =
        put_control(d, m->msg_controllen, (int[]){IPPROTO_UDP, SEGMENT_OPTION}, &size, sizeof size);
    m->msg_control = d->control.bytes;
    m->msg_controllen = (unsigned)used;
    m->msg_iov = iov;
    m->msg_iovlen = (__typeof__(m->msg_iovlen))iov_len; /* size_t in glibc, int in musl */
}

void datagram_to_receive(struct datagram *d, struct msghdr *m, void *room, size_t len) {
    m->msg_name = &d->name;
    m->msg_namelen = sizeof d->name;
    d->bytes = (struct iovec){room, len};
    m->msg_iov = &d->bytes;
    m->msg_iovlen = 1;
    m->msg_control = d->control.bytes;
    m->msg_controllen = sizeof d->control;
    m->msg_flags = 0;
}

static void take_name(const struct datagram *d, struct endpoint *from) {
    memset(from, 0, sizeof *from);
    if (d->name.any.sa_family == AF_INET) {
        from->family = 4;
        from->port = ntohs(d->name.v4.sin_port);
        memcpy(from->addr, &d->name.v4.sin_addr, 4);
        return;
    }
    from->family = 6;
    from->port = ntohs(d->name.v6.sin6_port);
    from->scope = d->name.v6.sin6_scope_id; /* the kernel sets it for link-local addresses only */
    memcpy(from->addr, &d->name.v6.sin6_addr, 16);
}

static void take_control(const struct cmsghdr *c, struct packet *p, struct datagram_notes *notes) {
    const uint8_t *value = CMSG_DATA(c);
    int number;
    if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
        struct in_pktinfo info;
        memcpy(&info, value, sizeof info);
        memcpy(p->endpoint->local, &info.ipi_spec_dst, 4);
        p->endpoint->ifindex = (uint32_t)info.ipi_ifindex;
    } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
        struct in6_pktinfo info;
        memcpy(&info, value, sizeof info);
        memcpy(p->endpoint->local, &info.ipi6_addr, 16);
        p->endpoint->ifindex = info.ipi6_ifindex;
    } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS) {
        p->tos = *value;
    } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS) {
        memcpy(&number, value, sizeof number);
        p->tos = (uint8_t)number;
    } else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_RXQ_OVFL) {
        memcpy(&notes->overflow, value, sizeof notes->overflow);
    } else if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == GRO_OPTION) {
        memcpy(&number, value, sizeof number);
        notes->segment = (uint32_t)number;
    }
}

/* CMSG_NXTHDR's arithmetic differs in sign between libcs, so the walk is our own. */
void datagram_received(const struct datagram *d, struct msghdr *m, struct packet *p,
                       struct datagram_notes *notes) {
    take_name(d, p->endpoint);
    p->tos = 0;
    size_t end = m->msg_controllen;
    for (size_t at = 0; at + sizeof(struct cmsghdr) <= end;) {
        const struct cmsghdr *c = (const struct cmsghdr *)(const void *)(d->control.bytes + at);
        size_t len = c->cmsg_len;
        if (len < sizeof *c || len > end - at)
            break;
        take_control(c, p, notes);
        at += CMSG_ALIGN(len);
    }
}
