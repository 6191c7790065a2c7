/* SPDX-License-Identifier: MIT */
/* The two UDP sockets on one port. */
#ifndef TL_SOCKET_H
#define TL_SOCKET_H

#include <stdint.h>

struct socket_options {
    uint16_t port; /* 0: any */
    uint32_t mark; /* fwmark, 0: none */
    int buffer;    /* bytes of the kernel's queues that are asked for */
};

/* fds: IPv4, then v6-only IPv6 or -1 where the kernel has none. Returns the port or -errno. */
int socket_open_pair(int fds[2], const struct socket_options *options);
/* 0 or -errno. */
int socket_set_mark(int fd, uint32_t mark);

#endif
