/* SPDX-License-Identifier: MIT */
/* What a TUN or TAP device takes and gives. */
#include "inside/tun.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/os.h"
#include "inside/offload.h"
#include "inside/offload_fields.h"
#include "inside/vnet.h"
#include "tunlite.h"

enum {
    F_CSUM = 0x01, /* linux/if_tun.h; older copies lack the last two */
    F_TSO4 = 0x02,
    F_TSO6 = 0x04,
    F_USO4 = 0x20,
    F_USO6 = 0x40,
    TSO = F_CSUM | F_TSO4 | F_TSO6,
    PROBE_SEGMENT = 100,
};

/* Libcs disagree about the sign of ioctl's request, and on MIPS it has the top bit set. */
static int control(int fd, unsigned long request, unsigned long argument) {
    return syscall(SYS_ioctl, fd, request, argument) < 0 ? -errno : 0;
}

/* Two segments for nobody: the kernel looks at the header before it sees that the device is down
 * (EIO), and if it is up, throws the packet away for its addresses (0.0.0.0, and of a TAP, from and
 * to 00:00:00:00:00:00, which bridges do not forward either). */
static bool takes_supers(const struct inside *in, bool is_tcp) {
    enum { L4 = IP4_MIN, SIZE = OFFLOAD_HEADER + ETHER_HEADER + L4 + TCP_MIN + 2 * PROBE_SEGMENT };
    uint32_t front = in->layer == TL_LAYER3 ? 0 : ETHER_HEADER;
    uint8_t frame[SIZE] = {0}, *ip = frame + OFFLOAD_HEADER + front;
    uint32_t l4 = is_tcp ? TCP_MIN : UDP_MIN;
    uint32_t len = L4 + l4 + 2 * PROBE_SEGMENT;
    struct offload_header h = {
        .flags = VNET_NEEDS_CSUM,
        .gso_type = is_tcp ? VNET_GSO_TCPV4 : VNET_GSO_UDP_L4,
        .hdr_len = (uint16_t)(front + L4 + l4),
        .gso_size = PROBE_SEGMENT,
        .csum_start = (uint16_t)(front + L4),
        .csum_offset = is_tcp ? TCP_CHECKSUM : UDP_CHECKSUM,
    };
    offload_header_store(frame, &h);
    if (front)
        store_be16(ip - 2, ETHER_IPV4);
    ip[0] = 0x45;
    store_be16(ip + IP4_LENGTH, (uint16_t)len);
    ip[IP4_PROTOCOL] = is_tcp ? PROTOCOL_TCP : PROTOCOL_UDP;
    store_be16(ip + IP4_CHECKSUM, checksum_finish(checksum_sum(ip, IP4_MIN)));
    if (is_tcp)
        store_be16(ip + L4 + TCP_FLAGS, 5 << 12 | TCP_ACK);
    else
        store_be16(ip + L4 + UDP_LENGTH, (uint16_t)(len - L4));
    return write(in->fd, frame, OFFLOAD_HEADER + front + len) >= 0 || errno != EINVAL;
}

/* Of our size and byte order: an earlier owner of a persistent device may have had others. */
static bool has_header(int fd) {
    struct ifreq ifr = {0};
    int size = OFFLOAD_HEADER, little_endian = 0; /* 0: as this machine has it */
    if (control(fd, TUNGETIFF, (unsigned long)&ifr) != 0 ||
        ((unsigned)ifr.ifr_flags & IFF_VNET_HDR) == 0)
        return false;
    (void)control(fd, TUNSETVNETLE, (unsigned long)&little_endian); /* Linux 4.0 */
    return control(fd, TUNSETVNETHDRSZ, (unsigned long)&size) == 0;
}

static void set_all(struct inside *in, int32_t why) {
    in->offload[FEATURE_TUN_VNET] = feature_off(why);
    in->offload[FEATURE_TUN_TSO] = in->offload[FEATURE_TUN_USO] = feature_off(REASON_NEEDS_VNET);
}

/* Asks the device for this kind of super-packets beside those of `flags`. */
static uint32_t enable(struct inside *in, enum feature feature, uint32_t flags, uint32_t more) {
    struct feature_state *state = &in->offload[feature];
    *state = feature_on();
    if (feature_in(in->offloads_off, feature))
        *state = feature_off(REASON_SWITCHED_OFF);
    else if (control(in->fd, TUNSETOFFLOAD, flags | more) != 0)
        *state = feature_off(REASON_NO_KERNEL);
    else
        flags |= more;
    return flags;
}

/* UDP super-packets written to a TUN that a vxlan device stands on are lost up to Linux 6.8.4. */
static bool may_write_udp(void) {
    return os_kernel() >= OS_KERNEL(6, 8, 5);
}

static void note_writes(struct inside *in) {
    struct feature_state *tso = &in->offload[FEATURE_TUN_TSO];
    struct feature_state *uso = &in->offload[FEATURE_TUN_USO];
    bool tcp = tso->on && takes_supers(in, true);
    bool udp = uso->on && takes_supers(in, false);
    if (tso->on && !tcp)
        tso->why = REASON_READ_ONLY;
    if (uso->on && !udp)
        uso->why = REASON_READ_ONLY;
    if (udp && !may_write_udp()) {
        uso->why = REASON_KERNEL_BROKEN;
        udp = false;
    }
    vnet_may_write(in->vnet, tcp, udp);
}

int tun_attach_as(struct inside *in, bool tso, bool uso) {
    int err = vnet_new(in);
    if (err)
        return err;
    in->ops = &vnet_ops;
    in->offload[FEATURE_TUN_VNET] = feature_on();
    in->offload[FEATURE_TUN_TSO] = tso ? feature_on() : feature_off(REASON_NO_KERNEL);
    in->offload[FEATURE_TUN_USO] = uso ? feature_on() : feature_off(REASON_NO_KERNEL);
    vnet_may_write(in->vnet, tso, uso);
    return 0;
}

int tun_attach(struct inside *in) {
    if (in->vnet)
        in->ops = &device_ops;
    vnet_free(in->vnet);
    in->vnet = NULL;
    if (in->fd < 0)
        set_all(in, REASON_NO_DEVICE);
    else if (!has_header(in->fd))
        set_all(in, feature_in(in->offloads_off, FEATURE_TUN_VNET) ? REASON_SWITCHED_OFF
                                                                   : REASON_NOT_IN_DEVICE);
    else {
        int err = tun_attach_as(in, false, false);
        if (err)
            return err;
        /* An earlier owner may have left some on. */
        uint32_t flags = control(in->fd, TUNSETOFFLOAD, F_CSUM) == 0 ? F_CSUM : 0;
        flags = enable(in, FEATURE_TUN_TSO, flags, TSO);
        enable(in, FEATURE_TUN_USO, flags, F_USO4 | F_USO6);
        note_writes(in);
    }
    return 0;
}

void tun_probe(struct feature_state *offload) {
    unsigned flags = 0;
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    int err = fd < 0 ? -errno : control(fd, TUNGETFEATURES, (unsigned long)&flags);
    if (fd >= 0)
        close(fd);
    bool has_vnet = err == 0 && (flags & IFF_VNET_HDR) != 0;
    struct feature_state state =
        has_vnet ? feature_on() : feature_off(err ? err : REASON_NO_KERNEL);
    for (enum feature f = FEATURE_TUN_VNET; f <= FEATURE_TUN_USO; f++)
        offload[f] = state;
    if (has_vnet && os_kernel() < OS_KERNEL(6, 2, 0))
        offload[FEATURE_TUN_USO] = feature_off(REASON_NO_KERNEL);
}
