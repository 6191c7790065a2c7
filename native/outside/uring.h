/* SPDX-License-Identifier: MIT */
/*
 * io_uring by its system calls: a ring that one thread submits to and takes completions from.
 *
 * The numbers are the kernel's (include/uapi/linux/io_uring.h), written out because the libcs' and
 * distributions' headers are older than what is used: the newest are of Linux 6.1.
 */
#ifndef TL_URING_H
#define TL_URING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where it is built: routers have kernels without. */
#if defined(__x86_64__) || defined(__aarch64__)
#define TL_IO_URING
#endif

enum {
    URING_READV = 1,
    URING_WRITEV = 2,
    URING_SENDMSG = 9,
    URING_RECVMSG = 10,
    URING_ASYNC_CANCEL = 14,
    URING_SENDMSG_ZC = 48, /* 6.1 */
};

/* uring_sqe.flags */
enum {
    URING_LINK = 1 << 2,          /* the next begins when this one has succeeded */
    URING_BUFFER_SELECT = 1 << 5, /* the kernel takes a buffer of uring_sqe.buffer_group */
};

enum { URING_RECV_MULTISHOT = 1 << 1 }; /* uring_sqe.ioprio of RECVMSG; 6.0 */

/* uring_sqe.op_flags of ASYNC_CANCEL; 5.19 */
enum { URING_CANCEL_ALL = 1 << 0, URING_CANCEL_ANY = 1 << 2 };

/* uring_cqe.flags; a buffer's number is in the upper 16 bits */
enum {
    URING_CQE_BUFFER = 1 << 0,
    URING_CQE_MORE = 1 << 1,  /* further completions of this submission will come */
    URING_CQE_NOTIF = 1 << 3, /* of SENDMSG_ZC: the bytes are free again */
    URING_CQE_BUFFER_SHIFT = 16,
};

struct uring_sqe {
    uint8_t opcode;
    uint8_t flags;
    uint16_t ioprio;
    int32_t fd;
    uint64_t offset;
    uint64_t address;
    uint32_t len;
    uint32_t op_flags;
    uint64_t user_data;
    uint16_t buffer_group;
    uint16_t personality;
    uint32_t file_index;
    uint64_t more[2];
};
_Static_assert(sizeof(struct uring_sqe) == 64, "as the kernel has it");

struct uring_cqe {
    uint64_t user_data;
    int32_t result; /* as the system call returns it, or -errno */
    uint32_t flags;
};
_Static_assert(sizeof(struct uring_cqe) == 16, "as the kernel has it");

/* In front of what RECV_MULTISHOT puts into a buffer: this, name, control messages, bytes; the
 * middle two as long as the msghdr asked for. */
struct uring_received {
    uint32_t name_len, control_len, payload_len, flags;
};

struct uring {
    int fd;
    bool is_enabled; /* on first use: from then on it belongs to that thread */
    void *rings;
    size_t rings_size;
    struct uring_sqe *sqes;
    uint32_t entries, mask;
    uint32_t *sq_head, *sq_tail;
    uint32_t tail; /* ours, not yet submitted beyond *sq_tail */
    uint32_t *cq_head, *cq_tail;
    struct uring_cqe *cqes;
    uint32_t cq_mask;
};

/* Whether this kernel has all of the above and lets us use it: 0 or -errno; -ENOSYS: too old. */
int uring_probe(void);

/* A ring for `entries` submissions at once and `completions` that wait to be taken, both powers of
 * two. 0 or -errno. */
int uring_open(struct uring *u, uint32_t entries, uint32_t completions);
/* The kernel cancels what is under way, some time later: cancel and wait first. */
void uring_close(struct uring *u);

/* A zeroed submission to be filled before uring_enter; NULL: `entries` are waiting already. */
struct uring_sqe *uring_next(struct uring *u);
/* Submits, lets the kernel go on with what is under way, and waits for that many completions.
 * 0, or -errno: then what had not been submitted is forgotten. */
int uring_enter(struct uring *u, uint32_t wait);

/* The next completion; NULL: none. It stays the next until uring_seen. */
const struct uring_cqe *uring_peek(const struct uring *u);
void uring_seen(struct uring *u);

/* Buffers for the kernel to choose from. */
struct uring_buffers {
    struct uring_buffer *ring;
    size_t size;
    uint16_t tail, mask;
};

/* Room for `slots` (a power of two) in group 0. 0 or -errno. */
int uring_buffers_open(struct uring *u, struct uring_buffers *b, uint32_t slots);
/* After uring_close: until then the kernel may look into it. */
void uring_buffers_close(struct uring_buffers *b);
void uring_buffers_put(struct uring_buffers *b, uint16_t number, void *at, uint32_t len);

#endif
