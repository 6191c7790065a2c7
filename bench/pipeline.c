/* SPDX-License-Identifier: MIT */
/*
 * The packet path without a kernel: what a packet costs from the device's read to the socket's
 * write (tx) and from the socket's read to the device's write (rx).
 *
 *   pipeline AEAD SIZE MILLISECONDS [PEERS [BITS]]
 *
 * SIZE: bytes of a packet, or "super": TCP of 47 segments. PEERS: packets go to each in turn (1).
 * BITS: what each may in a second, each way; more than comes, so that nothing waits (0: any).
 *
 * Two planes with the engine mmsg and all offloads. Instead of the four system calls of a turn
 * there is a copy: readv and recvmmsg by the linker's --wrap, the writes by o->calls. So all of
 * tunlite's own work is in, batches, runs and super-packets included, and of the kernel's only the
 * copy. Prints one line of name=value, times in picoseconds a packet.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

#include "base/bytes.h"
#include "base/os.h"
#include "base/wire.h"
#include "border/handles.h"
#include "crypto/aead.h"
#include "inside/device.h"
#include "inside/offload.h"
#include "outside/io.h"
#include "tunlite.h"
#include "tunlite_test.h"
#include "turn/turn.h"

enum {
    MTU = 1420,
    PEERS_MAX = 4096,
    TCP_HEADERS = 52, /* IPv4, TCP, timestamps */
    SEGMENTS = 47,
    AT_ONCE = 64, /* single packets that lie ready before a turn */
    SUPERS_AT_ONCE = 4,
    WIRE_BYTES = 8 << 20,
    WIRE_MESSAGES = 1024,
    SEGMENT_OPTION = 103,
    GRO_OPTION = 104,
    PORT = 51820,
};

struct message {
    uint32_t at, len, segment;
};

/* What the kernel would hold. */
static struct {
    uint8_t frame[OFFLOAD_HEADER + OFFLOAD_PACKET_MAX];
    uint32_t frame_len, frames; /* to be read from the device */
    uint32_t peers, turn;       /* whose the next frame is */
    uint8_t wire[WIRE_BYTES];
    uint32_t wire_used;
    struct message message[WIRE_MESSAGES];
    uint32_t sent, received; /* messages */
    uint8_t sink[OFFLOAD_HEADER + OFFLOAD_PACKET_MAX];
} kernel;

static _Noreturn void fail(const char *what, int err) {
    fprintf(stderr, "pipeline: %s: %d\n", what, err);
    exit(1);
}

static int checked(int result, const char *what) {
    if (result < 0)
        fail(what, result);
    return result;
}

/* ---- the four calls ----------------------------------------------------------------------------
 */

static uint32_t gather(uint8_t *to, const struct iovec *iov, size_t n) {
    uint32_t len = 0;
    for (size_t i = 0; i < n; i++) {
        memcpy(to + len, iov[i].iov_base, iov[i].iov_len);
        len += (uint32_t)iov[i].iov_len;
    }
    return len;
}

/* A peer's inside address, at both ends. */
static void put_address(uint8_t *to, uint32_t peer) {
    store_be32(to, 10U << 24 | peer);
}

static void address_frame(void) {
    uint8_t *ip = kernel.frame + OFFLOAD_HEADER;
    if (kernel.peers == 1)
        return;
    put_address(ip + 12, kernel.turn);
    put_address(ip + 16, kernel.turn);
    kernel.turn = kernel.turn + 1 == kernel.peers ? 0 : kernel.turn + 1;
}

ssize_t __wrap_readv(int fd, const struct iovec *iov, int n);
ssize_t __wrap_readv(int fd, const struct iovec *iov, int n) {
    (void)fd;
    uint32_t done = 0;
    if (kernel.frames == 0) {
        errno = EAGAIN;
        return -1;
    }
    kernel.frames--;
    address_frame();
    for (int i = 0; i < n && done < kernel.frame_len; i++) {
        size_t left = kernel.frame_len - done, len = iov[i].iov_len < left ? iov[i].iov_len : left;
        memcpy(iov[i].iov_base, kernel.frame + done, len);
        done += (uint32_t)len;
    }
    return done;
}

static int write_device(struct inside *in, const struct iovec *iov, uint32_t n) {
    (void)in;
    gather(kernel.sink, iov, n);
    return 0;
}

static uint32_t segment_of(const struct msghdr *m) {
    const struct cmsghdr *c = m->msg_controllen ? CMSG_FIRSTHDR(m) : NULL;
    uint16_t size = 0;
    if (c && c->cmsg_level == IPPROTO_UDP && c->cmsg_type == SEGMENT_OPTION)
        memcpy(&size, CMSG_DATA(c), sizeof size);
    return size;
}

static int send_messages(struct outside *o, int fd, struct mmsghdr *messages, uint32_t n) {
    (void)o;
    (void)fd;
    for (uint32_t i = 0; i < n; i++) {
        const struct msghdr *m = &messages[i].msg_hdr;
        if (kernel.sent == WIRE_MESSAGES ||
            WIRE_BYTES - kernel.wire_used < (uint32_t)OFFLOAD_PACKET_MAX)
            fail("the wire is too short", -ENOSPC);
        struct message *to = &kernel.message[kernel.sent++];
        to->at = kernel.wire_used;
        to->segment = segment_of(m);
        to->len = gather(kernel.wire + to->at, m->msg_iov, m->msg_iovlen);
        kernel.wire_used += (to->len + 63) & ~63U;
    }
    return (int)n;
}

static void receive(struct msghdr *m, const struct message *from) {
    const struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    memcpy(m->msg_iov->iov_base, kernel.wire + from->at, from->len);
    memcpy(m->msg_name, &name, sizeof name);
    m->msg_flags = 0;
    if (!from->segment) {
        m->msg_controllen = 0;
        return;
    }
    const int size = (int)from->segment;
    struct cmsghdr *c = m->msg_control;
    *c = (struct cmsghdr){
        .cmsg_len = CMSG_LEN(sizeof size), .cmsg_level = IPPROTO_UDP, .cmsg_type = GRO_OPTION};
    memcpy(CMSG_DATA(c), &size, sizeof size);
    m->msg_controllen = CMSG_SPACE(sizeof size);
}

int __wrap_recvmmsg(int fd, struct mmsghdr *messages, unsigned n, int flags, struct timespec *t);
int __wrap_recvmmsg(int fd, struct mmsghdr *messages, unsigned n, int flags, struct timespec *t) {
    (void)fd;
    (void)flags;
    (void)t;
    unsigned i = 0;
    for (; i < n && kernel.received < kernel.sent; i++) {
        const struct message *from = &kernel.message[kernel.received++];
        if (from->len > messages[i].msg_hdr.msg_iov->iov_len)
            fail("a message is longer than its slot", (int)from->len);
        receive(&messages[i].msg_hdr, from);
        messages[i].msg_len = from->len;
    }
    if (i == 0)
        errno = EAGAIN;
    return i ? (int)i : -1;
}

static uint64_t now_ms(struct outside *o) {
    (void)o;
    return 1000000;
}

static int switch_gro(struct outside *o, int fd, bool on) {
    (void)o;
    (void)fd;
    (void)on;
    return 0;
}

static const struct io_calls memory_calls = {send_messages, now_ms, switch_gro};

/* ---- the two ends ------------------------------------------------------------------------------
 */

static struct plane *open_plane(const char *aead, int *handle) {
    struct record_options o = {0};
    memcpy(o.engine, "mmsg", 4);
    strncpy((char *)o.aead, aead, sizeof o.aead - 1);
    store_le32(o.layer, TL_LAYER3);
    store_le32(o.mtu, MTU);
    store_le32(o.pool_bytes, 16 << 20);
    store_le32(o.replay_bits, 8192);
    store_le32(o.staged_per_peer, 128);
    store_le32(o.ring, 64);
    store_le32(o.handshakes_per_second, 20);
    store_le32(o.workers, 1);
    *handle = checked(tl_plane_new((const unsigned char *)&o, sizeof o), "plane");
    checked(tl_fake_vnet(*handle, open("/dev/null", O_RDWR | O_CLOEXEC)), "device");
    checked(tl_plane_listen(*handle, 0, (const unsigned char[4]){0}), "socket");
    checked(tl_plane_grow(*handle, 16 << 20), "memory");
    struct plane *plane = handle_plane(*handle);
    plane->worker->outside.calls = &memory_calls;
    plane->worker->inside.writev = write_device;
    return plane;
}

static int add_peer(int handle, uint64_t bits) {
    struct record_endpoint to = {.family = {4}, .addr = {192, 0, 2, 1}};
    unsigned char rates[16];
    int peer = checked(tl_peer_new(handle), "peer");
    store_le16(to.port, PORT);
    store_le64(rates, bits);
    store_le64(rates + 8, bits);
    checked(tl_peer_endpoint(handle, peer, (const unsigned char *)&to), "endpoint");
    checked(tl_peer_rates(handle, peer, rates), "rates");
    return peer;
}

/* To the only peer everything, to several their addresses. */
static void add_routes(int handle, uint32_t peers) {
    static struct record_route rows[PEERS_MAX];
    for (uint32_t i = 0; i < peers; i++) {
        rows[i] = (struct record_route){.family = {4}, .prefix = {peers > 1 ? 32 : 0}};
        put_address(rows[i].addr, i);
        store_le32(rows[i].peer, i);
    }
    checked(tl_routes(handle, (const unsigned char *)rows, (int)(peers * sizeof *rows)), "routes");
}

static void add_session(int handle, const unsigned char *index, const unsigned char *remote,
                        bool first) {
    struct record_session s = {.pad = {16}};
    memcpy(s.index, index, sizeof s.index);
    memcpy(s.remote, remote, sizeof s.remote);
    store_le64(s.born_ms, now_ms(NULL));
    memset(first ? s.send_key : s.receive_key, 1, sizeof s.send_key);
    memset(first ? s.receive_key : s.send_key, 2, sizeof s.send_key);
    store_le32(s.rekey_ms, 120000);
    store_le32(s.rekey_received_ms, 165000);
    store_le32(s.reject_ms, 180000);
    store_le64(s.rekey_messages, UINT64_MAX);
    store_le64(s.reject_messages, UINT64_MAX);
    checked(tl_session_new(handle, (const unsigned char *)&s, sizeof s), "session");
    checked(tl_session_use(handle, index), "use");
}

/* ---- what goes through -------------------------------------------------------------------------
 */

/* Packets that one frame becomes. */
static uint32_t make_frame(bool is_super, uint32_t size) {
    static const uint8_t head[20] = {0x45, 0, 0, 0, 0, 1, 0x40, 0, 64, 253, 0, 0, 10, 0, 0, 1, 10};
    uint8_t *packet = kernel.frame + OFFLOAD_HEADER;
    struct offload_header h = {0};
    if (is_super)
        size = TCP_HEADERS + SEGMENTS * (MTU - TCP_HEADERS);
    for (uint32_t i = 0; i < size; i++)
        packet[i] = (uint8_t)(i * 2654435761U >> 24);
    memcpy(packet, head, sizeof head);
    store_be16(packet + 2, (uint16_t)size);
    kernel.frame_len = OFFLOAD_HEADER + size;
    if (is_super) {
        packet[9] = IPPROTO_TCP;
        store_be16(packet + 20 + 12, 0x8010); /* 32 bytes of header, ACK */
        h = (struct offload_header){.flags = VNET_NEEDS_CSUM,
                                    .gso_type = VNET_GSO_TCPV4,
                                    .hdr_len = TCP_HEADERS,
                                    .gso_size = MTU - TCP_HEADERS,
                                    .csum_start = 20,
                                    .csum_offset = 16};
    }
    offload_header_store(kernel.frame, &h);
    return is_super ? SEGMENTS : 1;
}

/* Turns until nothing is left to read there; nanoseconds. */
static uint64_t drain(struct plane *plane, unsigned which) {
    uint64_t start = os_spent_ns();
    for (unsigned more = which; more; more &= which)
        more = turn(plane->worker, more);
    return os_spent_ns() - start;
}

static void add_pair(const int handle[2], uint64_t bits) {
    unsigned char index[2][4];
    for (int i = 0; i < 2; i++)
        checked(tl_index_new(handle[i], add_peer(handle[i], bits), index[i]), "index");
    for (int i = 0; i < 2; i++)
        add_session(handle[i], index[i], index[1 - i], i == 0);
}

int main(int argc, char **argv) {
    if (argc < 4 || argc > 6) {
        fprintf(stderr, "usage: pipeline AEAD SIZE|super MILLISECONDS [PEERS [BITS]]\n");
        return 2;
    }
    int handle[2];
    struct plane *near = open_plane(argv[1], &handle[0]), *far = open_plane(argv[1], &handle[1]);
    kernel.peers = argc > 4 ? (uint32_t)strtoul(argv[4], NULL, 10) : 1;
    if (kernel.peers < 1 || kernel.peers > PEERS_MAX)
        fail("PEERS", -EINVAL);
    for (uint32_t i = 0; i < kernel.peers; i++)
        add_pair(handle, argc > 5 ? strtoull(argv[5], NULL, 10) : 0);
    for (int i = 0; i < 2; i++)
        add_routes(handle[i], kernel.peers);

    const bool is_super = strcmp(argv[2], "super") == 0;
    const uint32_t size = (uint32_t)strtoul(argv[2], NULL, 10);
    if (!is_super && (size < 20 || size > MTU))
        fail("SIZE", -EINVAL);
    const uint32_t packets = make_frame(is_super, size);
    const uint32_t frames = is_super ? SUPERS_AT_ONCE : AT_ONCE;
    uint64_t tx = 0, rx = 0, n = 0, before = 0;
    const uint64_t start = os_spent_ns(), warm = start + 20000000;
    const uint64_t end = warm + strtoull(argv[3], NULL, 10) * 1000000;
    while (os_spent_ns() < end) {
        if (n == 0 || os_spent_ns() < warm) {
            tx = rx = n = 0;
            before = far->worker->stats.counts[COUNT_DEVICE_WRITTEN];
        }
        kernel.frames = frames;
        kernel.sent = kernel.received = kernel.wire_used = 0;
        tx += drain(near, TURN_DEVICE);
        rx += drain(far, TURN_SOCKET);
        n += frames * packets;
    }
    uint64_t arrived = far->worker->stats.counts[COUNT_DEVICE_WRITTEN] - before;
    printf("aead=%s packets=%" PRIu64 " arrived=%" PRIu64 " bytes=%" PRIu32 " tx_ps=%" PRIu64
           " rx_ps=%" PRIu64 "\n",
           near->aead->name, n, arrived, (kernel.frame_len - OFFLOAD_HEADER) / packets,
           tx * 1000 / n, rx * 1000 / n);
    return 0;
}
