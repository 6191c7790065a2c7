/* SPDX-License-Identifier: MIT */
/* What an Ethernet frame says of itself: its addresses, and what it carries behind VLAN tags. */
#ifndef TL_ETHER_H
#define TL_ETHER_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/bytes.h"

enum {
    ETHER_ADDRESS = 6,
    ETHER_SOURCE = 6, /* offset; the destination stands first */
    ETHER_TYPE = 12,
    ETHER_HEADER = 14,
    ETHER_TAG = 4,
    ETHER_TAGS_MAX = 2, /* of 802.1Q and 802.1ad that are looked through */
    ETHER_FRONT_MAX = ETHER_HEADER + ETHER_TAGS_MAX * ETHER_TAG, /* before what an MTU counts */

    ETHER_IPV4 = 0x0800,
    ETHER_IPV6 = 0x86dd,
};

/* Of a group: broadcast too. */
static inline bool ether_is_group(const uint8_t *address) {
    return address[0] & 1;
}

static inline bool ether_same(const uint8_t *a, const uint8_t *b) {
    return load_be16(a) == load_be16(b) && load_be32(a + 2) == load_be32(b + 2);
}

/* An address as a number of 48 bits. */
static inline uint64_t ether_number(const uint8_t *address) {
    return (uint64_t)load_be16(address) << 32 | load_be32(address + 2);
}

/* What a frame carries. */
struct ether {
    uint16_t type; /* behind the tags; below 1,536 a length (802.3) */
    uint32_t at;   /* offset of what follows it, at most the frame's length */
};

/* Looks through up to two tags; a frame that ends within one carries that tag's type. `len` is at
 * least ETHER_HEADER. */
struct ether ether_look(const uint8_t *frame, uint32_t len);

/* Offset of the IP packet that it carries plainly; 0: none. */
uint32_t ether_ip(const uint8_t *frame, uint32_t len);

#endif
