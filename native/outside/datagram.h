/* SPDX-License-Identifier: MIT */
/* What stands behind one msghdr: address, bytes and control messages (local address, ECN, losses).
 */
#ifndef TL_DATAGRAM_H
#define TL_DATAGRAM_H

#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/packet.h"

enum {
    DATAGRAM_CONTROL = 128,
    DATAGRAM_BYTES_MAX = 65507, /* of one send: IPv4's limit, the lower one */
    DATAGRAM_SEGMENTS_MAX = 64, /* UDP_MAX_SEGMENTS before Linux 6.7 */
};

/* What the control messages of a receive say beside the packet's own fields. */
struct datagram_notes {
    uint32_t overflow; /* the kernel's count of losses */
    uint32_t segment;  /* UDP_GRO: length of each datagram but the last; 0: it is one */
};

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
/* Makes it the first of several of its length (the last may be shorter), whose bytes these are. */
void datagram_segments(struct datagram *d, struct msghdr *m, struct iovec *iov, unsigned iov_len);
void datagram_to_receive(struct datagram *d, struct msghdr *m, void *room, size_t len);

/* After a receive: sender, local address, TOS; notes->overflow changes when the kernel reports
 * losses. */
void datagram_received(const struct datagram *d, struct msghdr *m, struct packet *p,
                       struct datagram_notes *notes);

#endif
