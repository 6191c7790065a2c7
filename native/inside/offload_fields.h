/* SPDX-License-Identifier: MIT */
/* The fields of IP, TCP and UDP headers that offload_split.c and offload_merge.c touch. */
#ifndef TL_OFFLOAD_FIELDS_H
#define TL_OFFLOAD_FIELDS_H

enum {
    PROTOCOL_TCP = 6,
    PROTOCOL_UDP = 17,
};

/* Offsets from the IP header, and sizes. */
enum {
    IP4_LENGTH = 2,
    IP4_ID = 4,
    IP4_FRAGMENT = 6, /* 16 bits: reserved, DF, MF, offset */
    IP4_TTL = 8,
    IP4_PROTOCOL = 9,
    IP4_CHECKSUM = 10,
    IP4_ADDRESSES = 12,
    IP4_ADDRESSES_LEN = 8,
    IP4_MIN = 20,
    IP4_DF = 0x4000,
    IP4_MF_AND_OFFSET = 0x3fff,

    IP6_LENGTH = 4,
    IP6_NEXT = 6,
    IP6_HOP_LIMIT = 7,
    IP6_ADDRESSES = 8,
    IP6_ADDRESSES_LEN = 32,
    IP6_MIN = 40,
};

/* Next header values of IPv6 (RFC 8200). */
enum {
    IP6_HOP_BY_HOP = 0,
    IP6_ROUTING = 43,
    IP6_FRAGMENT = 44,
    IP6_AUTHENTICATION = 51,
    IP6_DESTINATION = 60,
    IP6_MOBILITY = 135,
    IP6_HIP = 139,
    IP6_SHIM6 = 140,
};

/* Offsets from the transport header, and sizes. */
enum {
    L4_TARGET_PORT = 2,
    L4_PORTS_LEN = 4,

    TCP_SEQ = 4,
    TCP_ACKED = 8,
    TCP_FLAGS = 12, /* 16 bits: data offset, reserved, flags */
    TCP_WINDOW = 14,
    TCP_CHECKSUM = 16,
    TCP_URGENT = 18,
    TCP_MIN = 20,
    TCP_FIN = 0x01,
    TCP_SYN = 0x02,
    TCP_RST = 0x04,
    TCP_PSH = 0x08,
    TCP_ACK = 0x10,
    TCP_URG = 0x20,
    TCP_CWR = 0x80,

    UDP_LENGTH = 4,
    UDP_CHECKSUM = 6,
    UDP_MIN = 8,
    VXLAN_PORT = 4789,       /* RFC 7348 */
    VXLAN_PORT_LINUX = 8472, /* before there was one */
};

#endif
