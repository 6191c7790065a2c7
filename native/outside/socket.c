/* SPDX-License-Identifier: MIT */
/* The two UDP sockets on one port. */
#include "outside/socket.h"

#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/os.h"
#include "base/wire.h"

enum {
    PORT_TRIES = 32,
    /* linux/udp.h; older libcs lack them. */
    SEGMENT_OPTION = 103,
    GRO_OPTION = 104,
    STEERING_OPTION = 51, /* SO_ATTACH_REUSEPORT_CBPF, Linux 4.5 */
};

struct option {
    int level, name, value;
};

/* Outer packets carry no DF and may be fragmented, as WireGuard's. Those of layer 2 carry DF, and
 * the kernel's cache of path MTUs, which strangers write to, is not asked. */
static const struct option v4_options[] = {
    {IPPROTO_IP, IP_PKTINFO, 1},
    {IPPROTO_IP, IP_RECVTOS, 1},
    {IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT},
    {SOL_SOCKET, SO_RXQ_OVFL, 1},
};
static const struct option v6_options[] = {
    {IPPROTO_IPV6, IPV6_V6ONLY, 1},     {IPPROTO_IPV6, IPV6_RECVPKTINFO, 1},
    {IPPROTO_IPV6, IPV6_RECVTCLASS, 1}, {IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DONT},
    {SOL_SOCKET, SO_RXQ_OVFL, 1},
};

static int set_option(int fd, int level, int name, int value) {
    return setsockopt(fd, level, name, &value, sizeof value) < 0 ? -errno : 0;
}

int socket_set_mark(int fd, uint32_t mark) {
    return set_option(fd, SOL_SOCKET, SO_MARK, (int)mark);
}

int socket_set_gro(int fd, bool on) {
    return set_option(fd, IPPROTO_UDP, GRO_OPTION, on);
}

/* The forced variants pass net.core.*mem_max and need CAP_NET_ADMIN; no size is worth failing for.
 */
static void set_buffers(int fd, const struct socket_options *o) {
    if (set_option(fd, SOL_SOCKET, SO_RCVBUFFORCE, o->receive))
        set_option(fd, SOL_SOCKET, SO_RCVBUF, o->receive);
    if (set_option(fd, SOL_SOCKET, SO_SNDBUFFORCE, o->send))
        set_option(fd, SOL_SOCKET, SO_SNDBUF, o->send);
}

static int open_one(int family, const struct socket_options *o) {
    bool v4 = family == AF_INET;
    const struct option *options = v4 ? v4_options : v6_options;
    unsigned n =
        v4 ? sizeof v4_options / sizeof *v4_options : sizeof v6_options / sizeof *v6_options;
    int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int err = o->mark ? socket_set_mark(fd, o->mark) : 0;
    for (unsigned i = 0; i < n && !err; i++)
        err = set_option(fd, options[i].level, options[i].name, options[i].value);
    if (err) {
        close(fd);
        return err;
    }
    if (o->probe)
        set_option(fd, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_MTU_DISCOVER : IPV6_MTU_DISCOVER,
                   v4 ? IP_PMTUDISC_PROBE : IPV6_PMTUDISC_PROBE);
    set_buffers(fd, o);
    if (o->gro)
        socket_set_gro(fd, true);
    return fd;
}

static int bind_one(int fd, int family, uint16_t port) {
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    const void *name = family == AF_INET ? (const void *)&v4 : (const void *)&v6;
    socklen_t len = family == AF_INET ? sizeof v4 : sizeof v6;
    return bind(fd, name, len) < 0 ? -errno : 0;
}

static int port_of(int fd) {
    struct sockaddr_in name;
    socklen_t len = sizeof name;
    if (getsockname(fd, (void *)&name, &len) < 0)
        return -errno;
    return ntohs(name.sin_port);
}

static int open_bound(int family, const struct socket_options *o, uint16_t port) {
    int fd = open_one(family, o);
    if (fd < 0)
        return fd;
    int err = bind_one(fd, family, port);
    if (!err)
        return fd;
    close(fd);
    return err;
}

/* Both on one port, or neither. */
static int try_pair(int fds[2], const struct socket_options *o) {
    fds[0] = open_bound(AF_INET, o, o->port);
    if (fds[0] < 0)
        return fds[0];
    int port = port_of(fds[0]);
    fds[1] = port < 0 ? port : open_bound(AF_INET6, o, (uint16_t)port);
    if (fds[1] >= 0)
        return port;
    int err = fds[1];
    fds[1] = -1;
    if (err == -EAFNOSUPPORT || err == -EADDRNOTAVAIL) /* no IPv6 here */
        return port;
    close(fds[0]);
    fds[0] = -1;
    return err;
}

static int open_pair(int fds[2], const struct socket_options *o) {
    int port = -EADDRINUSE;
    /* Any port: the one that IPv4 got may be taken for IPv6. */
    for (int i = 0; i < (o->port ? 1 : PORT_TRIES) && port == -EADDRINUSE; i++)
        port = try_pair(fds, o);
    return port;
}

/* Which socket of a group a datagram is for, counted in the order they were bound. Past their
 * number the kernel would choose one by the sender. Bytes that are not there make it 0 too. */
static int steer(int fd, uint32_t n) {
    enum {
        DATA = MESSAGE_TRANSPORT << 24, /* network order; layer 2's other two are greater */
        INDEX_AT = offsetof(struct message_transport, receiver)
    };
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, DATA, 0, 4),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, INDEX_AT), /* its low byte comes first */
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, (1 << INDEX_OWNER_BITS) - 1),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, n, 1, 0),
        BPF_STMT(BPF_RET | BPF_A, 0),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    return setsockopt(fd, SOL_SOCKET, STEERING_OPTION, &program, sizeof program) < 0 ? -errno : 0;
}

int32_t socket_steering(void) {
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int err = set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (!err)
        err = steer(fd, 1);
    close(fd);
    return err == -ENOPROTOOPT ? REASON_NO_KERNEL : err;
}

static void close_all(int (*fds)[2], uint32_t n) {
    for (uint32_t i = 0; i < n; i++)
        for (unsigned k = 0; k < 2; k++)
            if (fds[i][k] >= 0)
                close(fds[i][k]);
}

/* One more socket beside `first`, which was bound alone: so nobody else had the port. */
static int join(int first, int family, const struct socket_options *o, uint16_t port) {
    int err = set_option(first, SOL_SOCKET, SO_REUSEPORT, 1);
    int fd = err ? err : open_one(family, o);
    if (fd < 0)
        return fd;
    err = set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (!err)
        err = bind_one(fd, family, port);
    if (!err)
        return fd;
    close(fd);
    return err;
}

int socket_open(int (*fds)[2], uint32_t n, const struct socket_options *o) {
    static const int family[] = {AF_INET, AF_INET6};
    int port = open_pair(fds[0], o), err = 0;
    if (port < 0)
        return port;
    for (uint32_t i = 1; i < n; i++)
        fds[i][0] = fds[i][1] = -1;
    for (unsigned k = 0; k < 2; k++) {
        for (uint32_t i = 1; i < n && !err && fds[0][k] >= 0; i++) {
            fds[i][k] = join(fds[0][k], family[k], o, (uint16_t)port);
            err = fds[i][k] < 0 ? fds[i][k] : 0;
        }
        /* Without it all would still arrive, by way of another worker. */
        if (n > 1 && !err && fds[0][k] >= 0)
            err = steer(fds[0][k], n);
    }
    if (!err)
        return port;
    close_all(fds, n);
    return err;
}

bool socket_gso_corrupts(uint32_t kernel) {
    return kernel >= OS_KERNEL(7, 0, 0) && kernel <= OS_KERNEL(7, 1, 4);
}

static struct feature_state probe(int option) {
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return feature_off(-errno);
    int err = set_option(fd, IPPROTO_UDP, option, option == GRO_OPTION);
    close(fd);
    return err ? feature_off(REASON_NO_KERNEL) : feature_on();
}

void socket_probe(struct feature_state *offload, uint32_t off) {
    uint32_t kernel = os_kernel();
    offload[FEATURE_UDP_GSO] = probe(SEGMENT_OPTION);
    offload[FEATURE_UDP_GRO] = probe(GRO_OPTION);
    if (socket_gso_corrupts(kernel))
        offload[FEATURE_UDP_GSO] = feature_off(REASON_KERNEL_BROKEN);
    /* Forwarded packets were merged and not cut again before 5.12. */
    if (offload[FEATURE_UDP_GRO].on && kernel < OS_KERNEL(5, 12, 0))
        offload[FEATURE_UDP_GRO] = feature_off(REASON_KERNEL_BROKEN);
    for (enum feature f = FEATURE_UDP_GSO; f <= FEATURE_UDP_GRO; f++)
        if (feature_in(off, f))
            offload[f] = feature_off(REASON_SWITCHED_OFF);
}
