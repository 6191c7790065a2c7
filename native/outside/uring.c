/* SPDX-License-Identifier: MIT */
/* io_uring by its system calls. Once per packet. */
#define _GNU_SOURCE
#include "outside/uring.h"

#ifdef TL_IO_URING

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/os.h"

/* The same on every architecture but Alpha and MIPS, which have an offset. */
#ifndef SYS_io_uring_setup
enum { SYS_io_uring_setup = 425, SYS_io_uring_enter = 426, SYS_io_uring_register = 427 };
#endif

enum {
    SETUP_CQSIZE = 1 << 3,
    SETUP_R_DISABLED = 1 << 6,
    SETUP_SUBMIT_ALL = 1 << 7,     /* 5.18 */
    SETUP_SINGLE_ISSUER = 1 << 12, /* 6.0 */
    SETUP_DEFER_TASKRUN = 1 << 13, /* 6.1 */
    ENTER_GETEVENTS = 1,
    REGISTER_ENABLE_RINGS = 12,
    REGISTER_PBUF_RING = 22, /* 5.19 */
    OFFSET_SQES = 0x10000000,
    PAGE = 4096,
};

struct sq_offsets {
    uint32_t head, tail, ring_mask, ring_entries, flags, dropped, array, reserved[3];
};

struct cq_offsets {
    uint32_t head, tail, ring_mask, ring_entries, overflow, cqes, flags, reserved[3];
};

struct params {
    uint32_t sq_entries, cq_entries, flags, sq_thread_cpu, sq_thread_idle, features, wq_fd;
    uint32_t reserved[3];
    struct sq_offsets sq;
    struct cq_offsets cq;
};
_Static_assert(sizeof(struct params) == 120, "as the kernel has it");

/* The first one's `reserved` is the ring's tail. */
struct uring_buffer {
    uint64_t address;
    uint32_t len;
    uint16_t number, reserved;
};
_Static_assert(sizeof(struct uring_buffer) == 16, "as the kernel has it");

struct buffer_registration {
    uint64_t ring;
    uint32_t entries;
    uint16_t group, flags;
    uint64_t reserved[3];
};

static int enter(int fd, uint32_t submit, uint32_t wait) {
    long n = syscall(SYS_io_uring_enter, fd, submit, wait, ENTER_GETEVENTS, NULL, 0);
    return n < 0 ? -errno : (int)n;
}

static int registers(int fd, unsigned what, void *argument, unsigned n) {
    return syscall(SYS_io_uring_register, fd, what, argument, n) < 0 ? -errno : 0;
}

static uint32_t *at(void *rings, uint32_t offset) {
    return (uint32_t *)(void *)((uint8_t *)rings + offset);
}

/* Both rings are one mapping since 5.4. */
static int map(struct uring *u, const struct params *p) {
    size_t sq = p->sq.array + p->sq_entries * sizeof(uint32_t);
    size_t cq = p->cq.cqes + p->cq_entries * sizeof(struct uring_cqe);
    u->rings_size = sq > cq ? sq : cq;
    u->rings = mmap(NULL, u->rings_size, PROT_READ | PROT_WRITE, MAP_SHARED, u->fd, 0);
    if (u->rings == MAP_FAILED)
        return -errno;
    u->sqes = mmap(NULL, p->sq_entries * sizeof *u->sqes, PROT_READ | PROT_WRITE, MAP_SHARED, u->fd,
                   OFFSET_SQES);
    if (u->sqes == MAP_FAILED) {
        int err = -errno;
        munmap(u->rings, u->rings_size);
        return err;
    }
    u->entries = p->sq_entries;
    u->mask = p->sq_entries - 1;
    u->sq_head = at(u->rings, p->sq.head);
    u->sq_tail = at(u->rings, p->sq.tail);
    u->tail = *u->sq_tail;
    u->cq_head = at(u->rings, p->cq.head);
    u->cq_tail = at(u->rings, p->cq.tail);
    u->cq_mask = p->cq_entries - 1;
    u->cqes = (struct uring_cqe *)(void *)at(u->rings, p->cq.cqes);
    uint32_t *array = at(u->rings, p->sq.array);
    for (uint32_t i = 0; i < p->sq_entries; i++)
        array[i] = i;
    return 0;
}

/* Completions are only made while we are in uring_enter, by the thread that is in it: no other core
 * is interrupted, and what is not yet taken from a socket keeps it readable for poll(2). */
int uring_open(struct uring *u, uint32_t entries, uint32_t completions) {
    struct params p = {.cq_entries = completions};
    p.flags = SETUP_CQSIZE | SETUP_R_DISABLED | SETUP_SUBMIT_ALL | SETUP_SINGLE_ISSUER |
              SETUP_DEFER_TASKRUN;
    *u = (struct uring){0};
    u->fd = (int)syscall(SYS_io_uring_setup, entries, &p);
    if (u->fd < 0)
        return -errno;
    int err = map(u, &p);
    if (err)
        close(u->fd);
    return err;
}

void uring_close(struct uring *u) {
    munmap(u->sqes, u->entries * sizeof *u->sqes);
    munmap(u->rings, u->rings_size);
    close(u->fd);
}

/* EINVAL: a flag that this kernel does not know. */
int uring_probe(void) {
    struct uring u;
    if (os_kernel() < OS_KERNEL(6, 1, 0))
        return -ENOSYS;
    int err = uring_open(&u, 1, 2);
    if (err)
        return err == -EINVAL ? -ENOSYS : err;
    uring_close(&u);
    return 0;
}

struct uring_sqe *uring_next(struct uring *u) {
    if (u->tail - *u->sq_tail == u->entries)
        return NULL;
    struct uring_sqe *sqe = &u->sqes[u->tail++ & u->mask];
    memset(sqe, 0, sizeof *sqe);
    return sqe;
}

static int enable(struct uring *u) {
    int err = u->is_enabled ? 0 : registers(u->fd, REGISTER_ENABLE_RINGS, NULL, 0);
    u->is_enabled = err == 0;
    return err;
}

/* The kernel reads the queue only while we are in the system call. */
static uint32_t not_submitted(const struct uring *u) {
    return u->tail - __atomic_load_n(u->sq_head, __ATOMIC_ACQUIRE);
}

int uring_enter(struct uring *u, uint32_t wait) {
    int err = enable(u);
    __atomic_store_n(u->sq_tail, u->tail, __ATOMIC_RELEASE);
    while (!err) {
        int n = enter(u->fd, not_submitted(u), wait);
        if (n >= 0 && not_submitted(u) == 0)
            return 0;
        if (n < 0 && n != -EINTR && n != -EAGAIN)
            err = n;
    }
    u->tail -= not_submitted(u);
    __atomic_store_n(u->sq_tail, u->tail, __ATOMIC_RELEASE);
    return err;
}

const struct uring_cqe *uring_peek(const struct uring *u) {
    uint32_t head = *u->cq_head;
    if (head == __atomic_load_n(u->cq_tail, __ATOMIC_ACQUIRE))
        return NULL;
    return &u->cqes[head & u->cq_mask];
}

void uring_seen(struct uring *u) {
    __atomic_store_n(u->cq_head, *u->cq_head + 1, __ATOMIC_RELEASE);
}

/* Shared memory: it stays the one that the kernel looks at when the process forks. */
int uring_buffers_open(struct uring *u, struct uring_buffers *b, uint32_t slots) {
    *b = (struct uring_buffers){.mask = (uint16_t)(slots - 1)};
    b->size = (slots * sizeof *b->ring + PAGE - 1) & ~(size_t)(PAGE - 1);
    void *ring = mmap(NULL, b->size, PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (ring == MAP_FAILED)
        return -errno;
    b->ring = ring;
    struct buffer_registration r = {.ring = (uintptr_t)ring, .entries = slots};
    int err = registers(u->fd, REGISTER_PBUF_RING, &r, 1);
    if (err)
        munmap(ring, b->size);
    return err;
}

void uring_buffers_close(struct uring_buffers *b) {
    munmap(b->ring, b->size);
}

void uring_buffers_put(struct uring_buffers *b, uint16_t number, void *where, uint32_t len) {
    struct uring_buffer *slot = &b->ring[b->tail++ & b->mask];
    slot->address = (uintptr_t)where;
    slot->len = len;
    slot->number = number; /* not the whole struct: the first one's end is the tail */
    __atomic_store_n(&b->ring[0].reserved, b->tail, __ATOMIC_RELEASE);
}

#endif
