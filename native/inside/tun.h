/* SPDX-License-Identifier: MIT */
/* What a TUN or TAP device takes and gives: found out when it is handed over. */
#ifndef TL_TUN_H
#define TL_TUN_H

#include "inside/device.h"

/* Sets in->offload[FEATURE_TUN_*] for in->fd, and in->vnet and in->ops where its
 * frames have a virtio_net_hdr. A descriptor that is neither has none. 0 or -ENOMEM. */
int tun_attach(struct inside *in);

/* As tun_attach, for a descriptor that is known to have the header: what is `on` is believed. */
int tun_attach_as(struct inside *in, bool tso, bool uso);

/* What a device would have, without making one. */
void tun_probe(struct feature_state *offload);

#endif
