/* SPDX-License-Identifier: MIT */
/* The two UDP sockets on one port. */
#ifndef TL_SOCKET_H
#define TL_SOCKET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/feature.h"

struct socket_options {
    uint16_t port; /* 0: any */
    uint32_t mark; /* fwmark, 0: none */
    int receive;   /* bytes of the kernel's queue that are asked for ... */
    int send;      /* ... and of the one out */
    bool gro;      /* several datagrams in one receive */
    bool probe;    /* no datagram is ever fragmented: longer ones are lost, or refused here */
};

/* For each of n workers: IPv4, then v6-only IPv6 or -1 where the kernel has none. What is sent to
 * the port comes to worker 0's socket, but a transport message to the worker that its receiver
 * index names. Returns the port or -errno. */
int socket_open(int (*fds)[2], uint32_t n, const struct socket_options *options);
/* Whether the kernel can tell several sockets on one port apart so: 0, an enum reason, or -errno.
 */
int32_t socket_steering(void);
/* 0 or -errno. */
int socket_set_mark(int fd, uint32_t mark);
int socket_set_gro(int fd, bool on);

/* Sets the states of FEATURE_UDP_GSO and FEATURE_UDP_GRO. `off`: as record_options.offloads_off. */
void socket_probe(struct feature_state *offload, uint32_t off);
/* Whether this kernel's UDP_SEGMENT corrupts what it sends: 7.0.0 to 7.1.4. */
bool socket_gso_corrupts(uint32_t kernel);

#endif
