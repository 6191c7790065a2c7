/* SPDX-License-Identifier: MIT */
/* What stands behind one msghdr: address, bytes and control messages (local address, ECN, losses).
 */
#ifndef TL_DATAGRAM_H
#define TL_DATAGRAM_H

#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "packet.h"

enum { DATAGRAM_CONTROL = 128 };

struct datagram {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } name;
    struct iovec bytes;
    union {
        uint8_t bytes[DATAGRAM_CONTROL];
        struct cmsghdr align;
    } control;
};

/* Both fill `m`, whose other fields (padding of the libc's struct) must be zero already. */
void datagram_to_send(struct datagram *d, struct msghdr *m, const struct packet *p);
void datagram_to_receive(struct datagram *d, struct msghdr *m, void *room, size_t len);

/* After a receive: sender, local address, TOS; `overflow` changes when the kernel reports losses.
 */
void datagram_received(const struct datagram *d, struct msghdr *m, struct packet *p,
                       uint32_t *overflow);

#endif
