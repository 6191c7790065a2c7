/* SPDX-License-Identifier: MIT */
/* Frames of a TUN or TAP with IFF_VNET_HDR: super-packets are cut as they are read, and put
 * together as they are written. */
#ifndef TL_VNET_H
#define TL_VNET_H

#include "inside/device.h"

/* Sets in->vnet. 0 or -ENOMEM. */
int vnet_new(struct inside *in);
void vnet_free(struct vnet *vnet);

/* What may be put together. */
void vnet_may_write(struct vnet *vnet, bool tcp, bool udp);

/* A super-packet has been read and not been cut to its end: read again, whether or not the device
 * is readable. */
bool vnet_has_more(const struct vnet *vnet);

/* `max` of a read counts frames, of which each may be many packets. */
extern const struct inside_ops vnet_ops;

#endif
