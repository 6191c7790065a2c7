/* SPDX-License-Identifier: MIT */
/* A packet is a slice of a slab; the packet path works on queues of them. */
#ifndef TL_PACKET_H
#define TL_PACKET_H

#include <stdbool.h>
#include <stdint.h>

enum {
    HEADROOM = 16,    /* a transport header fits in front of every inside packet; of a pool for
                         frames, two bytes more (buf.h) */
    TAILROOM = 32,    /* padding (up to 15) and the tag (16) fit behind it */
    BATCH_MAX = 1024, /* packets, super-packets or datagrams a turn, at most */
    TOS_ECN = 3,      /* the ECN field (RFC 3168) of a TOS or traffic class byte */
    ECN_NOT_ECT = 0,
    ECN_ECT1 = 1,
    ECN_ECT0 = 2,
    ECN_CE = 3,
};

/* One end of the outside path: where a datagram came from or goes to. 4 or 6, or 0 for none.
 * IPv4 uses the first 4 bytes of an address. An all-zero local address lets the kernel choose. */
struct endpoint {
    uint8_t addr[16];
    uint8_t local[16];
    uint32_t scope;   /* IPv6 zone of a link-local address, else 0 */
    uint32_t ifindex; /* interface the peer reached us on, else 0 */
    uint32_t way;  /* WAY_LOOPS: into our own device, nothing is sent; else the interface that the
                      route has left: what comes by it tells no source; 0: neither is known */
    uint16_t port; /* host order */
    uint8_t family;
};

struct way;
struct session;
struct slab;

struct packet {
    uint8_t *data;
    struct slab *slab;         /* NULL: the bytes are kept elsewhere (handshake messages) */
    struct way *way;           /* rx: who sent it; tx: who gets it, NULL: nobody we know */
    struct session *session;   /* that seals or opens it */
    struct endpoint *endpoint; /* rx: valid for the turn; tx: the peer's */
    uint64_t counter;
    uint32_t len;
    uint8_t tos;     /* of the outer header; of the inner one only the ECN field is taken over */
    bool is_refused; /* tx: by a full socket, and counted */
    bool is_quiet;   /* tx: a keepalive or an echo of ours, which is no data */
    uint8_t mode;    /* layer 2: how its message is protected, enum mode of wire.h */
};

struct queue {
    struct packet *p;
    uint32_t n;
    uint32_t max;
};

/* Keeps packets [from, n) as the whole queue: those before have been taken over by someone. */
static inline void queue_advance(struct queue *q, uint32_t from) {
    for (uint32_t i = from; i < q->n; i++)
        q->p[i - from] = q->p[i];
    q->n -= from;
}

#endif
