/* SPDX-License-Identifier: MIT */
/*
 * What io_uring costs beside the system calls that it replaces, in nanoseconds of one thread for
 * one message, the kernel's work included: UDP on loopback, 64 KB runs (UDP_SEGMENT, UDP_GRO) and
 * single datagrams of 64 bytes, and a TUN. Needs root for the TUN.
 *
 *   cc -O3 -Inative bench/uring.c native/outside/uring.c native/base/os.c -o /tmp/uring
 *   unshare -n sh -c 'ip link set lo up && /tmp/uring'
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "outside/uring.h"
#include "thread_time.h"

enum {
    BATCH = 64,
    ROUNDS = 300,
    TRIES = 5,
    SLAB = 66560,
    SEGMENT = 1452,
    RUN = SEGMENT * 45,
    SMALL = 64,
    CONTROL = 128,
    SEGMENT_OPTION = 103,
    GRO_OPTION = 104,
};

static uint8_t *slab[BATCH], text[RUN];
static struct iovec iov[BATCH];
static struct mmsghdr message[BATCH];
static uint8_t control[BATCH][CONTROL];
static struct sockaddr_in to;

static void set(int fd, int level, int option, int value) {
    check(setsockopt(fd, level, option, &value, sizeof value) == 0, "setsockopt");
}

static int receiver(bool blocking) {
    socklen_t len = sizeof to;
    int fd = socket(AF_INET, SOCK_DGRAM | (blocking ? 0 : SOCK_NONBLOCK), 0);
    to = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    check(bind(fd, (void *)&to, sizeof to) == 0, "bind");
    check(getsockname(fd, (void *)&to, &len) == 0, "getsockname");
    set(fd, SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20);
    set(fd, IPPROTO_UDP, GRO_OPTION, 1);
    return fd;
}

static int sender(uint32_t size, bool blocking) {
    int fd = socket(AF_INET, SOCK_DGRAM | (blocking ? 0 : SOCK_NONBLOCK), 0);
    check(connect(fd, (void *)&to, sizeof to) == 0, "connect");
    set(fd, SOL_SOCKET, SO_SNDBUFFORCE, 64 << 20);
    if (size == RUN)
        set(fd, IPPROTO_UDP, SEGMENT_OPTION, SEGMENT);
    return fd;
}

static void to_send(uint32_t size, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        iov[i] = (struct iovec){text, size};
        message[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &iov[i], .msg_iovlen = 1}};
    }
}

/* ---- receive: n messages are in the socket's queue, then the clock starts ------------------- */

static double receive_mmsg(int in, int out, uint32_t size, uint32_t slots) {
    double took = 0;
    for (int round = 0; round < ROUNDS; round++) {
        to_send(size, BATCH);
        check(sendmmsg(out, message, BATCH, 0) == BATCH, "sendmmsg");
        double start = now_ns();
        for (uint32_t got = 0; got < BATCH;) {
            for (uint32_t i = 0; i < slots; i++) {
                iov[i] = (struct iovec){slab[i], SLAB};
                message[i].msg_hdr =
                    (struct msghdr){.msg_iov = &iov[i], .msg_iovlen = 1, .msg_control = control[i]};
                message[i].msg_hdr.msg_controllen = CONTROL;
            }
            int n = recvmmsg(in, message, slots, MSG_DONTWAIT, NULL);
            check(n > 0, "recvmmsg");
            got += (uint32_t)n;
        }
        took += now_ns() - start;
    }
    return took / ROUNDS / BATCH;
}

static double receive_uring(int in, int out, uint32_t size, uint32_t slots) {
    struct uring u;
    struct uring_buffers b;
    struct msghdr form = {.msg_namelen = 32, .msg_controllen = CONTROL};
    const struct uring_cqe *cqe;
    bool armed = false;
    double took = 0;
    check(uring_open(&u, 4, 256) == 0 && uring_buffers_open(&u, &b, slots) == 0, "io_uring");
    for (uint32_t i = 0; i < slots; i++)
        uring_buffers_put(&b, (uint16_t)i, slab[i], SLAB);
    for (int round = 0; round < ROUNDS; round++) {
        to_send(size, BATCH);
        check(sendmmsg(out, message, BATCH, 0) == BATCH, "sendmmsg");
        double start = now_ns();
        for (uint32_t got = 0; got < BATCH;) {
            if (!armed) {
                struct uring_sqe *sqe = uring_next(&u);
                sqe->opcode = URING_RECVMSG;
                sqe->flags = URING_BUFFER_SELECT;
                sqe->ioprio = URING_RECV_MULTISHOT;
                sqe->fd = in;
                sqe->address = (uintptr_t)&form;
                sqe->len = 1;
                armed = true;
            }
            check(uring_enter(&u, 0) == 0, "io_uring_enter");
            while ((cqe = uring_peek(&u))) {
                armed = (cqe->flags & URING_CQE_MORE) != 0;
                if (cqe->flags & URING_CQE_BUFFER) {
                    uint16_t number = (uint16_t)(cqe->flags >> URING_CQE_BUFFER_SHIFT);
                    uring_buffers_put(&b, number, slab[number], SLAB);
                    got++;
                } else {
                    check(cqe->result == -ENOBUFS || cqe->result == -EAGAIN, "a receive");
                }
                uring_seen(&u);
            }
        }
        took += now_ns() - start;
    }
    uring_close(&u);
    uring_buffers_close(&b);
    return took / ROUNDS / BATCH;
}

/* ---- send ------------------------------------------------------------------------------------ */

/* The queue of whom it goes to is kept full: what is sent is dropped on arrival. */
static double send_mmsg(int out, uint32_t size, uint32_t n) {
    double start = now_ns();
    for (int round = 0; round < ROUNDS; round++) {
        to_send(size, n);
        check(sendmmsg(out, message, n, MSG_DONTWAIT) == (int)n, "sendmmsg");
    }
    return (now_ns() - start) / ROUNDS / n;
}

static void put(struct uring *u, int fd, uint8_t opcode, const void *what, uint8_t flags) {
    struct uring_sqe *sqe = uring_next(u);
    sqe->opcode = opcode;
    sqe->fd = fd;
    sqe->flags = flags;
    sqe->address = (uintptr_t)what;
    sqe->len = 1;
    sqe->op_flags = opcode == URING_SENDMSG ? MSG_DONTWAIT : 0;
}

/* How many have succeeded of `n`; SENDMSG_ZC makes two completions. */
static uint32_t finish(struct uring *u, uint32_t n) {
    const struct uring_cqe *cqe;
    uint32_t done = 0, expected = n;
    check(uring_enter(u, n) == 0, "io_uring_enter");
    while (expected) {
        while ((cqe = uring_peek(u))) {
            done += !(cqe->flags & URING_CQE_NOTIF) && cqe->result > 0;
            expected -= !(cqe->flags & URING_CQE_MORE);
            uring_seen(u);
        }
        if (expected)
            check(uring_enter(u, 1) == 0, "io_uring_enter");
    }
    return done;
}

static double send_uring(int out, uint32_t size, uint32_t n, uint8_t opcode, uint8_t flags) {
    struct uring u;
    check(uring_open(&u, BATCH, 4 * BATCH) == 0, "io_uring");
    double start = now_ns();
    for (int round = 0; round < ROUNDS; round++) {
        to_send(size, n);
        for (uint32_t i = 0; i < n; i++)
            put(&u, out, opcode, &message[i].msg_hdr, i + 1 < n ? flags : 0);
        check(finish(&u, n) == n, "sends");
    }
    double took = (now_ns() - start) / ROUNDS / n;
    uring_close(&u);
    return took;
}

/* ---- TUN ------------------------------------------------------------------------------------- */

static int tun(int flags) {
    struct ifreq ifr = {.ifr_flags = IFF_TUN | IFF_NO_PI};
    int fd = open("/dev/net/tun", O_RDWR | flags);
    check(fd >= 0 && ioctl(fd, TUNSETIFF, &ifr) == 0, "a TUN");
    int s = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in *a = (void *)&ifr.ifr_addr;
    *a = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x0a090001)};
    check(ioctl(s, SIOCSIFADDR, &ifr) == 0, "SIOCSIFADDR");
    a->sin_addr.s_addr = htonl(0xffffff00);
    check(ioctl(s, SIOCSIFNETMASK, &ifr) == 0, "SIOCSIFNETMASK");
    ifr.ifr_flags = IFF_UP | IFF_RUNNING;
    check(ioctl(s, SIOCSIFFLAGS, &ifr) == 0, "SIOCSIFFLAGS");
    close(s);
    return fd;
}

/* UDP to a port of the TUN's own address that nobody has, from an address that is not there. */
static void to_write(void) {
    static const uint8_t ip[20] = {0x45, 0, 0,  SMALL, 0, 0, 0x40, 0, 64, 17,
                                   0,    0, 10, 9,     0, 2, 10,   9, 0,  1};
    memcpy(text, ip, sizeof ip);
    uint32_t sum = 0;
    for (int i = 0; i < 20; i += 2)
        sum += (uint32_t)(ip[i] << 8 | ip[i + 1]);
    sum = ~((sum & 0xffff) + (sum >> 16)) & 0xffff;
    text[10] = (uint8_t)(sum >> 8);
    text[11] = (uint8_t)sum;
    text[25] = SMALL - 20;
    for (uint32_t i = 0; i < BATCH; i++)
        iov[i] = (struct iovec){text, SMALL};
}

static double write_tun(int fd, uint32_t n, bool ring, uint8_t flags) {
    struct uring u;
    check(uring_open(&u, BATCH, 2 * BATCH) == 0, "io_uring");
    double start = now_ns();
    for (int round = 0; round < ROUNDS; round++) {
        for (uint32_t i = 0; i < n; i++) {
            if (ring)
                put(&u, fd, URING_WRITEV, &iov[i], i + 1 < n ? flags : 0);
            else
                check(writev(fd, &iov[i], 1) == SMALL, "writev");
        }
        if (ring)
            check(finish(&u, n) == n, "writes");
    }
    double took = (now_ns() - start) / ROUNDS / n;
    uring_close(&u);
    return took;
}

static double read_tun(int fd, uint32_t n, bool ring) {
    struct uring u;
    double took = 0;
    int out = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in there = {.sin_family = AF_INET, .sin_port = htons(9)};
    there.sin_addr.s_addr = htonl(0x0a090002);
    check(connect(out, (void *)&there, sizeof there) == 0, "connect");
    check(uring_open(&u, BATCH, 2 * BATCH) == 0, "io_uring");
    for (int round = 0; round < ROUNDS; round++) {
        for (uint32_t i = 0; i < n; i++)
            check(send(out, text, SMALL - 28, 0) > 0, "send");
        for (uint32_t i = 0; i < n; i++)
            iov[i] = (struct iovec){slab[i], SLAB};
        double start = now_ns();
        for (uint32_t i = 0; i < n; i++) {
            if (ring)
                put(&u, fd, URING_READV, &iov[i], 0);
            else
                check(readv(fd, &iov[i], 1) > 0, "readv");
        }
        if (ring)
            check(finish(&u, n) == n, "reads");
        took += now_ns() - start;
    }
    close(out);
    uring_close(&u);
    return took / ROUNDS / n;
}

/* ---- table ----------------------------------------------------------------------------------- */

#define BEST(expression)                                                                           \
    ({                                                                                             \
        double best = 1e12;                                                                        \
        for (int try = 0; try < TRIES; try++) {                                                    \
            double ns = (expression);                                                              \
            best = ns < best ? ns : best;                                                          \
        }                                                                                          \
        best;                                                                                      \
    })

static void row(const char *what, const char *how, uint32_t n, double ns) {
    printf("%-18s %-28s %3u %9.0f\n", what, how, n, ns);
    fflush(stdout);
}

static void receives(uint32_t size, const char *what) {
    static const uint32_t slots[] = {8, 16, 32, 64};
    for (unsigned i = 0; i < sizeof slots / sizeof *slots; i++) {
        for (int blocking = 0; blocking < 2; blocking++) {
            int in = receiver(blocking), out = sender(size, true);
            if (!blocking)
                row(what, "recvmmsg", slots[i], BEST(receive_mmsg(in, out, size, slots[i])));
            row(what, blocking ? "multishot, blocking" : "multishot, non-blocking", slots[i],
                BEST(receive_uring(in, out, size, slots[i])));
            close(in);
            close(out);
        }
    }
}

static void sends(uint32_t size, const char *what) {
    static const uint32_t batch[] = {1, 8, 64};
    int in = receiver(true), out = sender(size, false);
    set(in, SOL_SOCKET, SO_RCVBUF, 4096);
    for (unsigned i = 0; i < sizeof batch / sizeof *batch; i++) {
        uint32_t n = batch[i];
        row(what, "sendmmsg", n, BEST(send_mmsg(out, size, n)));
        row(what, "sendmsg", n, BEST(send_uring(out, size, n, URING_SENDMSG, 0)));
        row(what, "sendmsg, linked", n, BEST(send_uring(out, size, n, URING_SENDMSG, URING_LINK)));
        row(what, "sendmsg_zc", n, BEST(send_uring(out, size, n, URING_SENDMSG_ZC, 0)));
    }
    close(in);
    close(out);
}

static void tuns(void) {
    static const uint32_t batch[] = {8, 16, 32, 64};
    for (int blocking = 0; blocking < 2; blocking++) {
        int fd = tun(blocking ? 0 : O_NONBLOCK);
        const char *kind = blocking ? "blocking" : "non-blocking";
        char how[64];
        for (unsigned i = 0; i < sizeof batch / sizeof *batch; i++) {
            uint32_t n = batch[i];
            to_write();
            if (!blocking)
                row("TUN write 64 B", "writev", n, BEST(write_tun(fd, n, false, 0)));
            snprintf(how, sizeof how, "ring, %s", kind);
            row("TUN write 64 B", how, n, BEST(write_tun(fd, n, true, 0)));
            snprintf(how, sizeof how, "ring, linked, %s", kind);
            row("TUN write 64 B", how, n, BEST(write_tun(fd, n, true, URING_LINK)));
            if (!blocking)
                row("TUN read 64 B", "readv", n, BEST(read_tun(fd, n, false)));
            snprintf(how, sizeof how, "ring, %s", kind);
            row("TUN read 64 B", how, n, BEST(read_tun(fd, n, true)));
        }
        close(fd);
    }
}

int main(void) {
    for (int i = 0; i < BATCH; i++) {
        slab[i] = aligned_alloc(64, SLAB);
        memset(slab[i], 1, SLAB);
    }
    printf("%-18s %-28s %3s %9s\n", "what", "how", "n", "ns each");
    receives(RUN, "receive 64 KB run");
    receives(SMALL, "receive 64 B");
    sends(RUN, "send 64 KB run");
    sends(SMALL, "send 64 B");
    tuns();
    return 0;
}
