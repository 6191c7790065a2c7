/* SPDX-License-Identifier: MIT */
/* The TUN or TAP device. */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/feature.h"
#include "tunlite.h"

enum {
    /* linux/if_tun.h and linux/sockios.h; older copies lack them. */
    GET_DEVICE_NETNS = _IO('T', 227),
    GET_SOCKET_NETNS = 0x894C,
};

/* Libcs disagree about the sign of ioctl's request, and on MIPS it has the top bit set. */
static int control(int fd, unsigned long request, void *argument) {
    int got = (int)syscall(SYS_ioctl, fd, request, argument);
    return got < 0 ? -errno : got;
}

static int our_netns(void) {
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int netns = control(fd, GET_SOCKET_NETNS, NULL);
    close(fd);
    return netns;
}

static bool is_same(int a, int b) {
    struct stat of_a, of_b;
    return fstat(a, &of_a) == 0 && fstat(b, &of_b) == 0 && of_a.st_ino == of_b.st_ino;
}

/* How many packets wait for who reads. Their number is all that TUN bounds, and one may be of
 * 64 KB; what is beyond it is lost. Not being able to change it is no reason to fail. */
static void set_queue(struct ifreq *ifr, int length) {
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ifr->ifr_qlen = length;
    (void)control(fd, SIOCSIFTXQLEN, ifr);
    close(fd);
}

int tl_device_open(unsigned char *name16, int layer, int offloads_off, int queue) {
    struct ifreq ifr = {0};
    if ((layer != TL_LAYER2 && layer != TL_LAYER3) || queue < 0)
        return -EINVAL;
    if (memchr(name16, 0, IFNAMSIZ) == NULL)
        return -EINVAL;
    memcpy(ifr.ifr_name, name16, IFNAMSIZ);
    bool vnet = !feature_in((uint32_t)offloads_off, FEATURE_TUN_VNET);
    ifr.ifr_flags =
        (short)((layer == TL_LAYER3 ? IFF_TUN : IFF_TAP) | IFF_NO_PI | (vnet ? IFF_VNET_HDR : 0));
    bool is_ours = if_nametoindex(ifr.ifr_name) == 0;
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int err = control(fd, TUNSETIFF, &ifr);
    if (err < 0) {
        close(fd);
        return err;
    }
    memcpy(name16, ifr.ifr_name, IFNAMSIZ);
    if (queue && is_ours)
        set_queue(&ifr, queue);
    return fd;
}

int tl_device_where(int fd, unsigned char *name16) {
    struct ifreq ifr = {0};
    int err = control(fd, TUNGETIFF, &ifr);
    if (err < 0)
        return err == -EBADFD ? -ENODEV : err;
    memcpy(name16, ifr.ifr_name, IFNAMSIZ);
    int there = control(fd, GET_DEVICE_NETNS, NULL), here = our_netns();
    bool is_away = there >= 0 && here >= 0 && !is_same(there, here);
    if (here >= 0)
        close(here);
    if (there >= 0 && !is_away)
        close(there);
    return is_away ? there : 0;
}
