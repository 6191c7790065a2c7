/* SPDX-License-Identifier: MIT */
/* The look through VLAN tags. Once per packet. */
#include "inside/ether.h"

enum {
    TYPE_VLAN = 0x8100,         /* 802.1Q */
    TYPE_VLAN_SERVICE = 0x88a8, /* 802.1ad, the outer one of two */
};

static bool is_tag(uint16_t type) {
    return type == TYPE_VLAN || type == TYPE_VLAN_SERVICE;
}

struct ether ether_look(const uint8_t *frame, uint32_t len) {
    struct ether e = {load_be16(frame + ETHER_TYPE), ETHER_HEADER};
    for (uint32_t tags = 0; tags < ETHER_TAGS_MAX && is_tag(e.type); tags++) {
        if (len - e.at < ETHER_TAG)
            break;
        e.type = load_be16(frame + e.at + 2);
        e.at += ETHER_TAG;
    }
    return e;
}

uint32_t ether_ip(const uint8_t *frame, uint32_t len) {
    struct ether e = ether_look(frame, len);
    unsigned version = e.type == ETHER_IPV4 ? 4 : e.type == ETHER_IPV6 ? 6 : 0;
    return version && e.at < len && frame[e.at] >> 4 == version ? e.at : 0;
}
