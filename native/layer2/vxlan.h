/* SPDX-License-Identifier: MIT */
/*
 * VXLAN (RFC 7348) without a device of the kernel: a frame of ours becomes an IP packet inside the
 * tunnel and the other way round, as the kernel's vxlan would have it, so gateways notice nothing.
 *
 *     IPv4 (20) or IPv6 (40) | UDP (8) | VXLAN (8) | frame
 */
#ifndef TL_VXLAN_H
#define TL_VXLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/packet.h"
#include "inside/checksum.h"

enum {
    VXLAN_HEADERS_4 = 20 + 8 + 8,
    VXLAN_HEADERS_6 = 40 + 8 + 8, /* room that a frame needs in front of it, for either */
    VXLAN_VNI_MAX = (1 << 24) - 1,
};

/* Both ends, inside the tunnel, and what they agree on. */
struct vxlan_ends {
    uint8_t family; /* 4 or 6 */
    uint8_t local[16];
    uint8_t remote[16]; /* IPv4: the first 4; zeros: that of the peer in use (vxlan_face) */
    uint32_t vni;
    uint16_t port; /* of both; what we send comes from others, by flow */
    bool sums;     /* send UDP checksums; what comes may have one or not, but no wrong one */
};

struct vxlan {
    struct vxlan_ends ends;
    bool follows;
    const struct checksum *checksum;
    uint8_t headers[VXLAN_HEADERS_6]; /* of a packet without a frame, all sums 0 */
    uint32_t size;                    /* of them */
    uint32_t ip_sum, udp_sum;         /* of them: the IPv4 header; UDP with its pseudo header */
    uint32_t secret;                  /* of the hash that chooses a port */
    uint16_t id;                      /* IPv4: of the next packet */
};

/* 0 or -EINVAL. */
int vxlan_set(struct vxlan *vxlan, const struct vxlan_ends *ends);

/* From now on frames go to this address, of a vxlan that `follows`. No worker is in a turn. */
void vxlan_face(struct vxlan *vxlan, const uint8_t *remote16);

/* Puts the headers in front of a frame, and sets the packet's ECN field. */
void vxlan_wrap(struct vxlan *vxlan, struct packet *p);

enum vxlan_verdict {
    VXLAN_FRAME,  /* the packet is it now */
    VXLAN_MARKED, /* the same, and it came with CE though it is not ECN-capable */
    VXLAN_OTHER,  /* no datagram to our address and port: as it was */
    VXLAN_BAD, /* one, but fragmented, too short, with a wrong checksum, or with flags that nobody
                  knows */
    VXLAN_WRONG_VNI,
};

/* Takes the headers off a packet that ip_check found right. */
enum vxlan_verdict vxlan_unwrap(const struct vxlan *vxlan, struct packet *p);

#endif
