/* SPDX-License-Identifier: MIT */
/* The TUN or TAP device. */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "feature.h"
#include "tunlite.h"

/* How many packets wait for who reads. Their number is all that TUN bounds, and one may be of
 * 64 KB; what is beyond it is lost. Not being able to change it is no reason to fail. */
static void set_queue(struct ifreq *ifr, int length) {
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ifr->ifr_qlen = length;
    (void)syscall(SYS_ioctl, fd, (unsigned long)SIOCSIFTXQLEN, ifr);
    close(fd);
}

int tl_device_open(unsigned char *name16, int layer, int offloads_off, int queue) {
    struct ifreq ifr = {0};
    if ((layer != TL_LAYER2 && layer != TL_LAYER3) || queue < 0)
        return -EINVAL;
    if (memchr(name16, 0, IFNAMSIZ) == NULL)
        return -EINVAL;
    memcpy(ifr.ifr_name, name16, IFNAMSIZ);
    bool vnet = layer == TL_LAYER3 && !feature_in((uint32_t)offloads_off, FEATURE_TUN_VNET);
    ifr.ifr_flags =
        (short)((layer == TL_LAYER3 ? IFF_TUN : IFF_TAP) | IFF_NO_PI | (vnet ? IFF_VNET_HDR : 0));
    bool is_ours = if_nametoindex(ifr.ifr_name) == 0;
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
    if (queue && is_ours)
        set_queue(&ifr, queue);
    return fd;
}
