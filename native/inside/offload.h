/* SPDX-License-Identifier: MIT */
/*
 * Super-packets of a TUN or TAP with IFF_VNET_HDR: cut into segments on the way out, put together
 * on the way in. Pure functions over bytes: no system call, no allocation, no global; the state is
 * the caller's. The stack stays under 1 KB.
 *
 * A "frame" is what one read or write of the device carries: OFFLOAD_HEADER bytes of struct
 * virtio_net_hdr (virtio 1.2, 5.1.6; native byte order, since a TUN is a legacy device until
 * TUNSETVNETLE), then one IPv4 or IPv6 packet, of a TAP one Ethernet frame: its "front" is the
 * header with up to two VLAN tags, 0 bytes of a TUN, and what is behind it IP or anything.
 */
#ifndef TL_OFFLOAD_H
#define TL_OFFLOAD_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>

#include "inside/checksum.h"
#include "inside/ether.h"

enum {
    OFFLOAD_HEADER = 10,        /* struct virtio_net_hdr */
    OFFLOAD_PACKET_MAX = 65535, /* a super-packet, without that header and its front */
    OFFLOAD_HEADERS_MAX = 512,  /* IP, extension and transport headers of a super-packet we cut */
    OFFLOAD_MERGE_MAX = 256,    /* packets in one call of offload_merge */
    OFFLOAD_GROUP_MAX = 64,     /* packets in one group: UDP_MAX_SEGMENTS before Linux 6.7 */
    OFFLOAD_SLOTS = 128,        /* flows remembered at once while merging, a power of two */
    OFFLOAD_PROBES = 4,
};

/* Why a frame was refused. None can be made by a remote peer: frames come from our own kernel. */
enum offload_refusal {
    OFFLOAD_SHORT = -1,        /* ends within its headers */
    OFFLOAD_LENGTH = -2,       /* a length field disagrees with the length read */
    OFFLOAD_TYPE = -3,         /* gso_type unknown, or not that of the packet behind it */
    OFFLOAD_UNSPLITTABLE = -4, /* fragment, source route, SYN, RST, unknown extension header */
    OFFLOAD_CHECKSUM = -5,     /* csum_start and csum_offset point to no checksum of this packet */
    OFFLOAD_ROOM = -6,         /* not one segment fits in the room given */
};

/* struct virtio_net_hdr. */
struct offload_header {
    uint8_t flags;
    uint8_t gso_type;
    uint16_t hdr_len; /* never trusted: the kernel gives the length of its linear buffer */
    uint16_t gso_size;
    uint16_t csum_start;
    uint16_t csum_offset;
};
static_assert(sizeof(struct offload_header) == OFFLOAD_HEADER, "virtio 1.2, 5.1.6");

enum { /* linux/virtio_net.h; older copies of it lack UDP_L4 */
       VNET_NEEDS_CSUM = 1,
       VNET_GSO_NONE = 0,
       VNET_GSO_TCPV4 = 1,
       VNET_GSO_TCPV6 = 4,
       VNET_GSO_UDP_L4 = 5,
       VNET_GSO_ECN = 0x80, /* beside TCPV4 or TCPV6: the first segment has CWR */
};

static inline struct offload_header offload_header_load(const uint8_t *frame) {
    struct offload_header h;
    memcpy(&h, frame, sizeof h);
    return h;
}

static inline void offload_header_store(uint8_t *frame, const struct offload_header *h) {
    memcpy(frame, h, sizeof *h);
}

/* ---- out: offload_split.c ----------------------------------------------------------------------
 */

/*
 * Where segments go, and what will be written around them later. Segment i+1 begins
 *     offload_padded(len i) + tailroom + headroom
 * behind segment i, so with headroom = transport header and tailroom = tag, sealed datagrams lie
 * back to back from data on, and equal ones can go out as one UDP_SEGMENT send.
 */
struct offload_room {
    uint8_t *data;
    uint32_t size;
    uint16_t headroom;
    uint16_t tailroom;
    uint16_t pad; /* lengths are rounded up to a multiple of this power of two ... */
    uint16_t mtu; /* ... but not past this */
};

/* Offsets are from room->data. */
struct offload_slice {
    uint32_t offset;
    uint32_t len;
};

/* One super-packet being cut. Read only `done`. */
struct offload_split {
    bool done;
    bool is_ethernet; /* set by the caller */
    bool is_ip;       /* plainly, or it is a TUN's */
    bool is_ipv4;
    bool is_tcp;
    uint16_t front;
    uint16_t l4;      /* offset of the transport header, from the IP header */
    uint16_t payload; /* offset of the payload: the length of all headers */
    uint16_t gso_size;
    uint16_t id;           /* IPv4: of the first segment */
    uint16_t index;        /* of the next segment */
    uint32_t next;         /* offset of the next segment's payload */
    uint32_t len;          /* of the IP packet */
    uint32_t ip_sum;       /* IPv4 header without length, id and checksum */
    uint32_t l4_sum;       /* transport and pseudo header without what differs between segments */
    const uint8_t *packet; /* behind the front */
    const struct checksum *checksum;
};

/*
 * Begins with a frame as read from the device, which must stay in place until the last segment is
 * out. `s->checksum` and `s->is_ethernet` are set by the caller, once.
 *
 * Returns 1 for a packet that is not to be cut: its checksum is complete, it lies behind the
 * frame's header, and offload_split_next has nothing to do. Returns 2 for a super-packet, whose
 * bytes are not changed. Returns an enum offload_refusal, with the frame not changed.
 */
int offload_split_begin(struct offload_split *s, uint8_t *frame, uint32_t len);

/*
 * Writes the next segments into the room, which must not overlap the frame: at most `max`, and no
 * more than fit. Complete headers and checksums; identification counts up, FIN and PSH are on the
 * last segment only, CWR on the first only (as RFC 3168 section 6.1.2 wants it).
 *
 * Returns the number of slices written; s->done says whether more will follow, so a super-packet
 * of any number of segments goes through any room and array. Returns OFFLOAD_ROOM, never 0, when
 * more should follow but not one fits.
 */
int offload_split_next(struct offload_split *s, const struct offload_room *room,
                       struct offload_slice *slices, uint32_t max);

/* The length of a segment with its padding. */
uint32_t offload_padded(const struct offload_room *room, uint32_t len);

/* ---- in: offload_merge.c ------------------------------------------------------------------------
 */

enum offload_kind {
    OFFLOAD_TCP = 1,
    OFFLOAD_UDP = 2, /* needs TUN_F_USO4 and TUN_F_USO6: Linux 6.2 */
};

/* Packets that become one write of the device: writev(&iov[first], packets). */
struct offload_group {
    uint16_t first;   /* index into iov */
    uint16_t packets; /* and iovecs: the frame of the first packet, then payloads */
    uint32_t bytes;   /* of the super-packet, without its front */

    /* the first packet while it collects others */
    uint32_t next_seq;
    uint16_t head; /* index of the packet that began it ... */
    uint16_t tail; /* ... and of the one that joined last */
    uint16_t size; /* payload of every packet but the last */
    uint8_t front;
    uint8_t l4;       /* offset of the transport header, from the IP header */
    uint8_t payload;  /* offset of the payload */
    bool is_open;     /* may still grow */
    bool is_verified; /* the first packet's checksums were found right */
    bool is_fixed_id; /* all have the same identification */
    bool is_pushed;   /* the last has PSH */
    bool is_unsummed; /* UDP: none has a checksum */
};

struct offload_merge {
    const struct checksum *checksum;
    bool is_ethernet;
    unsigned kinds; /* of enum offload_kind: what may be merged */
    uint32_t n;     /* groups */
    struct offload_group group[OFFLOAD_MERGE_MAX];
    struct iovec iov[OFFLOAD_MERGE_MAX];

    struct iovec in[OFFLOAD_MERGE_MAX]; /* the packets as given */
    uint16_t next[OFFLOAD_MERGE_MAX];   /* the packet that joined the same group after this one */
    uint16_t slot[OFFLOAD_SLOTS];       /* 1 + the newest group of a flow, 0 for none */
};

/*
 * Groups the packets m->in[0..count), in order of arrival. Each is a whole IP packet or Ethernet
 * frame and has OFFLOAD_HEADER writable bytes in front of it, where the frame's header goes. Sets
 * m->n, m->group and m->iov; returns m->n. Groups are in the order of their first packets, so
 * within a flow nothing is reordered. `m->checksum`, `m->is_ethernet` and `m->kinds` are set by the
 * caller, once.
 *
 * Merged are, as Linux's GRO does: consecutive TCP segments with payload, in order, whose headers
 * agree in all but length, identification, sequence number, checksum and PSH, with no flag but ACK
 * and PSH; and UDP datagrams that agree in all but length, identification and checksum. Those
 * without a checksum, as many vxlans send, go together too (Linux's GRO leaves them): over IPv4
 * (RFC 768), and over IPv6 to the ports of VXLAN (RFC 6936). Who cuts them again has to give them
 * one: a super-packet cannot say that there was none, and receivers take both. All payloads but the
 * last are of one size, the last may be smaller; PSH ends a group. IPv4 identification counts up,
 * or with DF stays the same. No fragments, IPv4 options or IPv6 extension headers. Every merged
 * packet's checksums were found right, if it has one. Anything else is a group of one, byte for
 * byte as it came, and ends its flow's group.
 *
 * Ethernet frames are merged where their fronts are the same too and nothing is lost at all: not
 * those without a checksum, or with an identification that stands still, or padded behind the IP
 * packet.
 */
uint32_t offload_merge(struct offload_merge *m, uint32_t count);

/*
 * Takes a group apart again, when the kernel refused it: each of its iovecs becomes the frame of
 * one packet, as it came (a TCP or UDP checksum is computed anew). group->packets must be > 1.
 */
void offload_unmerge(struct offload_merge *m, struct offload_group *group);

#endif
