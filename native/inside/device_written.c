/* SPDX-License-Identifier: MIT */
/* What becomes of a packet when the device has answered. Once per packet. */
#include <errno.h>

#include "inside/device.h"

bool device_is_gone(int err) {
    return err == EBADFD || err == EBADF;
}

void device_written(struct inside *in, struct packet *p, int err) {
    if (err == 0)
        in->stats->counts[COUNT_DEVICE_WRITTEN]++;
    else if (err == EIO)
        in->stats->drops[DROP_DEVICE_DOWN]++;
    else if (err == EBADFD || err == EBADF)
        in->stats->drops[DROP_NO_DEVICE]++;
    else
        in->stats->drops[DROP_DEVICE_REFUSED]++;
    packet_release(p);
}
