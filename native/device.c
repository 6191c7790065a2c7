/* SPDX-License-Identifier: MIT */
/* The TUN or TAP device. */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "feature.h"
#include "tunlite.h"

int tl_device_open(unsigned char *name16, int layer, int offloads_off) {
    struct ifreq ifr = {0};
    if (layer != TL_LAYER2 && layer != TL_LAYER3)
        return -EINVAL;
    if (memchr(name16, 0, IFNAMSIZ) == NULL)
        return -EINVAL;
    memcpy(ifr.ifr_name, name16, IFNAMSIZ);
    bool vnet = layer == TL_LAYER3 && !feature_in((uint32_t)offloads_off, FEATURE_TUN_VNET);
    ifr.ifr_flags =
        (short)((layer == TL_LAYER3 ? IFF_TUN : IFF_TAP) | IFF_NO_PI | (vnet ? IFF_VNET_HDR : 0));
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    /* Libcs disagree about the sign of ioctl's request, and on MIPS it has the top bit set. */
    if (syscall(SYS_ioctl, fd, (unsigned long)TUNSETIFF, &ifr) < 0) {
        int err = -errno;
        close(fd);
        return err;
    }
    memcpy(name16, ifr.ifr_name, IFNAMSIZ);
    return fd;
}
