/* SPDX-License-Identifier: MIT */
/*
 * What a frame of a veth costs through a packet socket, in nanoseconds of one thread, the kernel's
 * work included: recvmmsg and sendmmsg, a TPACKET_V2 ring, and io_uring with registered buffers.
 * Every received frame's bytes are summed, every sent one's copied to where it is sent from, as
 * opening and sealing would. Needs root.
 *
 *   cc -O3 -Inative bench/packet.c native/outside/uring.c native/base/os.c -o /tmp/packet
 *   unshare -n sh -c 'ip link add v0 type veth peer v1 && ip link set v0 up && ip link set v1 up &&
 *     sleep 3 && /tmp/packet v0 v1'
 */
#define _GNU_SOURCE
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "outside/uring.h"
#include "thread_time.h"

enum {
    BATCH = 64,
    ROUNDS = 300,
    TRIES = 5,
    FRAME = 2048,
    BLOCK = 64 * 1024,
    BLOCKS = 8,
    FRAMES = BLOCK / FRAME * BLOCKS,
    PROTOCOL = 0x88b5, /* for local experiments (IEEE 802) */
    REGISTER_BUFFERS = 0,
    URING_READ_FIXED = 4,
    URING_WRITE_FIXED = 5,
};

static uint8_t store[BATCH][FRAME], text[FRAME];
static struct iovec iov[BATCH];
static struct mmsghdr message[BATCH];
static uint32_t sum;
static unsigned from, to; /* interfaces */
static bool with_delivery;

static int bound(unsigned interface, uint16_t protocol) {
    struct sockaddr_ll a = {.sll_family = AF_PACKET, .sll_ifindex = (int)interface};
    int fd = socket(AF_PACKET, SOCK_RAW, 0), most = 64 << 20;
    a.sll_protocol = (uint16_t)(protocol >> 8 | protocol << 8);
    check(fd >= 0, "a packet socket (needs root)");
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &most, sizeof most);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &most, sizeof most);
    check(bind(fd, (void *)&a, sizeof a) == 0, "bind");
    return fd;
}

/* Protocol 0: it receives nothing. */
static int sender(void) {
    return bound(from, 0);
}

static void to_move(uint8_t (*at)[FRAME], uint32_t size) {
    for (uint32_t i = 0; i < BATCH; i++) {
        iov[i] = (struct iovec){at ? at[i] : text, size};
        message[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &iov[i], .msg_iovlen = 1}};
    }
}

static void use(const uint8_t *frame, uint32_t size) {
    for (uint32_t i = 0; i < size; i++)
        sum += frame[i];
}

/* Sends a batch to the other end of the pair and starts the clock: a ring is filled on arrival, in
 * the time of who sends, so that time is looked at too, `with_delivery`. */
static double supply(int out, uint32_t size) {
    double start = now_ns();
    to_move(NULL, size);
    check(sendmmsg(out, message, BATCH, 0) == BATCH, "sendmmsg");
    return with_delivery ? start : now_ns();
}

/* ---- a ring of the kernel's, TPACKET_V2 ------------------------------------------------------ */

static uint8_t *ring_open(int fd, int option) {
    int version = TPACKET_V2;
    struct tpacket_req r = {BLOCK, BLOCKS, FRAME, FRAMES};
    check(setsockopt(fd, SOL_PACKET, PACKET_VERSION, &version, sizeof version) == 0, "TPACKET_V2");
    check(setsockopt(fd, SOL_PACKET, option, &r, sizeof r) == 0, "a ring");
    uint8_t *at = mmap(NULL, BLOCK * BLOCKS, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    check(at != MAP_FAILED, "mmap");
    return at;
}

static struct tpacket2_hdr *frame_of(uint8_t *ring, uint32_t number) {
    return (void *)(ring + (size_t)(number % FRAMES) * FRAME);
}

static uint32_t status_of(const struct tpacket2_hdr *h) {
    return __atomic_load_n(&h->tp_status, __ATOMIC_ACQUIRE);
}

static void give(struct tpacket2_hdr *h, uint32_t status) {
    __atomic_store_n(&h->tp_status, status, __ATOMIC_RELEASE);
}

/* ---- receive --------------------------------------------------------------------------------- */

static double receive_mmsg(uint32_t size) {
    int in = bound(to, PROTOCOL), out = sender();
    double took = 0;
    for (int round = 0; round < ROUNDS; round++) {
        double start = supply(out, size);
        to_move(store, FRAME);
        check(recvmmsg(in, message, BATCH, MSG_DONTWAIT, NULL) == BATCH, "recvmmsg");
        for (uint32_t i = 0; i < BATCH; i++)
            use(store[i], message[i].msg_len);
        took += now_ns() - start;
    }
    close(in);
    close(out);
    return took / ROUNDS / BATCH;
}

static double receive_ring(uint32_t size) {
    int in = bound(to, PROTOCOL), out = sender();
    uint8_t *ring = ring_open(in, PACKET_RX_RING);
    uint32_t next = 0;
    double took = 0;
    for (int round = 0; round < ROUNDS; round++) {
        double start = supply(out, size);
        struct pollfd wait = {in, POLLIN, 0}; /* once a batch, as a daemon would */
        check(poll(&wait, 1, 0) == 1, "poll");
        for (uint32_t i = 0; i < BATCH; i++, next++) {
            struct tpacket2_hdr *h = frame_of(ring, next);
            check(status_of(h) & TP_STATUS_USER, "a frame");
            use((uint8_t *)h + h->tp_mac, h->tp_snaplen);
            give(h, TP_STATUS_KERNEL);
        }
        took += now_ns() - start;
    }
    munmap(ring, BLOCK * BLOCKS);
    close(in);
    close(out);
    return took / ROUNDS / BATCH;
}

static void uring_with_buffers(struct uring *u) {
    struct iovec all = {store, sizeof store};
    check(uring_open(u, BATCH, 2 * BATCH) == 0, "io_uring");
    long err = syscall(SYS_io_uring_register, u->fd, REGISTER_BUFFERS, &all, 1);
    check(err == 0, "IORING_REGISTER_BUFFERS");
}

static void put(struct uring *u, int fd, uint8_t opcode, uint32_t slot, uint32_t size) {
    struct uring_sqe *sqe = uring_next(u);
    sqe->opcode = opcode;
    sqe->fd = fd;
    sqe->address = (uintptr_t)store[slot];
    sqe->len = size;
    sqe->user_data = slot;
}

/* Takes a batch of completions; of received frames the bytes too. */
static void take(struct uring *u, bool received) {
    const struct uring_cqe *cqe;
    check(uring_enter(u, BATCH) == 0, "io_uring_enter");
    for (uint32_t done = 0; done < BATCH; done++) {
        check((cqe = uring_peek(u)) && cqe->result > 0, "a completion");
        if (received)
            use(store[cqe->user_data], (uint32_t)cqe->result);
        uring_seen(u);
    }
}

static double receive_uring(uint32_t size) {
    struct uring u;
    int in = bound(to, PROTOCOL), out = sender();
    double took = 0;
    uring_with_buffers(&u);
    for (int round = 0; round < ROUNDS; round++) {
        double start = supply(out, size);
        for (uint32_t i = 0; i < BATCH; i++)
            put(&u, in, URING_READ_FIXED, i, FRAME);
        take(&u, true);
        took += now_ns() - start;
    }
    uring_close(&u);
    close(in);
    close(out);
    return took / ROUNDS / BATCH;
}

/* ---- send: nobody listens at the other end --------------------------------------------------- */

static double send_mmsg(uint32_t size) {
    int out = sender();
    double start = now_ns();
    for (int round = 0; round < ROUNDS; round++) {
        for (uint32_t i = 0; i < BATCH; i++)
            memcpy(store[i], text, size);
        to_move(store, size);
        check(sendmmsg(out, message, BATCH, 0) == BATCH, "sendmmsg");
    }
    double took = now_ns() - start;
    close(out);
    return took / ROUNDS / BATCH;
}

static double send_ring(uint32_t size) {
    int out = sender();
    uint8_t *ring = ring_open(out, PACKET_TX_RING);
    uint32_t next = 0;
    double start = now_ns();
    for (int round = 0; round < ROUNDS; round++) {
        for (uint32_t i = 0; i < BATCH; i++, next++) {
            struct tpacket2_hdr *h = frame_of(ring, next);
            check(status_of(h) == TP_STATUS_AVAILABLE, "a free frame");
            memcpy((uint8_t *)h + TPACKET2_HDRLEN - sizeof(struct sockaddr_ll), text, size);
            h->tp_len = size;
            give(h, TP_STATUS_SEND_REQUEST);
        }
        check(send(out, NULL, 0, 0) == (ssize_t)(BATCH * size), "send");
    }
    double took = now_ns() - start;
    munmap(ring, BLOCK * BLOCKS);
    close(out);
    return took / ROUNDS / BATCH;
}

static double send_uring(uint32_t size) {
    struct uring u;
    int out = sender();
    uring_with_buffers(&u);
    double start = now_ns();
    for (int round = 0; round < ROUNDS; round++) {
        for (uint32_t i = 0; i < BATCH; i++) {
            memcpy(store[i], text, size);
            put(&u, out, URING_WRITE_FIXED, i, size);
        }
        take(&u, false);
    }
    double took = now_ns() - start;
    uring_close(&u);
    close(out);
    return took / ROUNDS / BATCH;
}

/* ---- table ----------------------------------------------------------------------------------- */

static void row(const char *what, const char *how, uint32_t size, double (*measure)(uint32_t)) {
    double best = 1e12;
    for (int try = 0; try < TRIES; try++) {
        double ns = measure(size);
        best = ns < best ? ns : best;
    }
    printf("%-20s %-28s %5u %9.0f\n", what, how, size, best);
    fflush(stdout);
}

int main(int argc, char **argv) {
    static const uint32_t sizes[] = {64, 1514};
    if (argc != 3) {
        fprintf(stderr, "usage: %s INTERFACE ITS_PEER\n", argv[0]);
        return 2;
    }
    from = if_nametoindex(argv[1]);
    to = if_nametoindex(argv[2]);
    check(from && to, "the interfaces");
    memset(text, 0xff, 12); /* to all */
    text[12] = PROTOCOL >> 8;
    text[13] = PROTOCOL & 0xff;
    printf("%-20s %-28s %5s %9s\n", "what", "how", "bytes", "ns each");
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (int whole = 0; whole < 2; whole++) {
            const char *what = whole ? "deliver and receive" : "receive";
            with_delivery = whole;
            row(what, "recvmmsg", sizes[i], receive_mmsg);
            row(what, "TPACKET_V2", sizes[i], receive_ring);
            row(what, "io_uring, registered buffers", sizes[i], receive_uring);
        }
        row("send", "sendmmsg", sizes[i], send_mmsg);
        row("send", "TPACKET_V2", sizes[i], send_ring);
        row("send", "io_uring, registered buffers", sizes[i], send_uring);
    }
    return sum == 1;
}
