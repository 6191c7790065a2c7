/* SPDX-License-Identifier: MIT */
/*
 * A cable with a delay: takes every frame of one interface and hands it to the other later.
 *
 *   relay LEFT RIGHT MICROSECONDS
 *
 * For two veth ends in a namespace without addresses. Works on frames, so it is the same for every
 * tunnel and for none; super-packets pass whole (PACKET_VNET_HDR; those of UDP since Linux 6.2), so
 * that it costs little more than a copy. Each way has a ring of frames that wait. Prints "ready",
 * and on SIGTERM how many frames passed and were lost, in both rings and before them.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    FRAME_MAX = 10 + 18 + 65535, /* virtio_net_hdr, Ethernet with a VLAN tag, IP */
    RING = 128 << 20,            /* bytes that wait one way */
    BATCH = 64,
    SOCKET_BYTES = 64 << 20,
};

struct slot {
    uint64_t due; /* ns */
    uint32_t len; /* of the frame behind it; 0: go on at the ring's start */
    uint32_t zero;
};

struct way {
    int from, to;
    uint8_t *ring;
    size_t head, tail; /* where the oldest waits, where the next one goes; equal: none waits */
    uint64_t passed, lost;
};

static volatile sig_atomic_t ended;

static void end(int number) {
    (void)number;
    ended = 1;
}

static _Noreturn void fail(const char *what) {
    perror(what);
    exit(1);
}

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void set(int fd, int level, int option, int value) {
    if (setsockopt(fd, level, option, &value, sizeof value) < 0)
        fail("setsockopt");
}

/* Past the system's bound where root may, up to it elsewhere. */
static void set_bytes(int fd, int forced, int usual) {
    const int value = SOCKET_BYTES;
    if (setsockopt(fd, SOL_SOCKET, forced, &value, sizeof value) < 0)
        set(fd, SOL_SOCKET, usual, value);
}

static int open_link(const char *name) {
    struct sockaddr_ll here = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        fail("socket");
    here.sll_ifindex = (int)if_nametoindex(name);
    if (here.sll_ifindex == 0)
        fail(name);
    set(fd, SOL_PACKET, PACKET_VNET_HDR, 1);
    set(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);
    set(fd, SOL_PACKET, PACKET_QDISC_BYPASS, 1);
    set_bytes(fd, SO_RCVBUFFORCE, SO_RCVBUF);
    set_bytes(fd, SO_SNDBUFFORCE, SO_SNDBUF);
    if (bind(fd, (struct sockaddr *)&here, sizeof here) < 0)
        fail("bind");
    return fd;
}

static struct way open_way(int from, int to) {
    struct way w = {.from = from, .to = to};
    w.ring = mmap(NULL, RING, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (w.ring == MAP_FAILED)
        fail("mmap");
    return w;
}

static struct slot *slot_at(struct way *w, size_t at) {
    return (struct slot *)(void *)(w->ring + at);
}

/* Room for a slot, the longest frame and the mark behind it, or NULL: the ring is full. */
static struct slot *room(struct way *w) {
    const size_t need = 2 * sizeof(struct slot) + FRAME_MAX;
    bool wrapped = w->tail < w->head;
    if (wrapped)
        return w->head - w->tail > need ? slot_at(w, w->tail) : NULL;
    if (RING - w->tail > need)
        return slot_at(w, w->tail);
    if (w->head <= need)
        return NULL;
    slot_at(w, w->tail)->len = 0;
    w->tail = 0;
    return slot_at(w, 0);
}

static size_t size_of(const struct slot *slot) {
    return (sizeof *slot + slot->len + 15) & ~(size_t)15;
}

/* Whether something came. */
static bool take(struct way *w, uint64_t delay) {
    static uint8_t nowhere[FRAME_MAX];
    for (int i = 0; i < BATCH; i++) {
        struct slot *slot = room(w);
        ssize_t got = recv(w->from, slot ? (uint8_t *)(slot + 1) : nowhere, FRAME_MAX, 0);
        if (got <= 0)
            return i > 0;
        if (!slot) {
            w->lost++;
            continue;
        }
        slot->due = now_ns() + delay;
        slot->len = (uint32_t)got;
        w->tail += size_of(slot);
    }
    return true;
}

static struct slot *oldest(struct way *w) {
    if (w->head == w->tail)
        return NULL;
    if (slot_at(w, w->head)->len == 0)
        w->head = 0;
    return w->head == w->tail ? NULL : slot_at(w, w->head);
}

/* Whether something went. */
static bool give(struct way *w, uint64_t now) {
    struct mmsghdr messages[BATCH];
    struct iovec iov[BATCH];
    unsigned n = 0;
    const size_t start = w->head;
    size_t after[BATCH];
    for (struct slot *slot; n < BATCH && (slot = oldest(w)) && slot->due <= now; n++) {
        iov[n] = (struct iovec){slot + 1, slot->len};
        messages[n] = (struct mmsghdr){.msg_hdr = {.msg_iov = &iov[n], .msg_iovlen = 1}};
        after[n] = w->head += size_of(slot);
    }
    if (n == 0)
        return false;
    int sent = sendmmsg(w->to, messages, n, 0);
    if (sent > 0) {
        w->passed += (unsigned)sent;
        w->head = after[sent - 1];
    } else if (errno == EAGAIN || errno == ENOBUFS) {
        w->head = start; /* the next time */
        return false;
    } else { /* the first one cannot go: its link is down, say */
        w->lost++;
        w->head = after[0];
    }
    return true;
}

static uint64_t lost_before(int fd) {
    struct tpacket_stats stats;
    socklen_t len = sizeof stats;
    return getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &stats, &len) < 0 ? 0 : stats.tp_drops;
}

static void wait_for(struct way ways[2]) {
    struct pollfd fds[2] = {{ways[0].from, POLLIN, 0}, {ways[1].from, POLLIN, 0}};
    uint64_t now = now_ns(), due = now + 100000000;
    for (int i = 0; i < 2; i++) {
        const struct slot *slot = oldest(&ways[i]);
        if (slot && slot->due < due)
            due = slot->due;
    }
    uint64_t left = due > now ? due - now : 0;
    struct timespec t = {.tv_sec = 0, .tv_nsec = (long)left};
    ppoll(fds, 2, &t, NULL);
}

int main(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: relay LEFT RIGHT MICROSECONDS\n");
        return 2;
    }
    const int left = open_link(argv[1]), right = open_link(argv[2]);
    const uint64_t delay = strtoull(argv[3], NULL, 10) * 1000;
    struct way ways[2] = {open_way(left, right), open_way(right, left)};
    signal(SIGTERM, end);
    prctl(PR_SET_TIMERSLACK, 1UL, 0, 0, 0);
    printf("ready\n");
    fflush(stdout);
    while (!ended) {
        bool busy = false;
        for (int i = 0; i < 2; i++)
            busy |= take(&ways[i], delay);
        for (int i = 0; i < 2; i++)
            busy |= give(&ways[i], now_ns());
        if (!busy)
            wait_for(ways);
    }
    printf("passed %llu lost %llu before %llu\n",
           (unsigned long long)(ways[0].passed + ways[1].passed),
           (unsigned long long)(ways[0].lost + ways[1].lost),
           (unsigned long long)(lost_before(left) + lost_before(right)));
    return 0;
}
