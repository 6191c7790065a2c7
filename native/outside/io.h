/* SPDX-License-Identifier: MIT */
/*
 * The border to the two sockets: a batch of datagrams read or written at a time. Engines:
 * io_basic.c, io_mmsg.c, io_uring.c, and fake.c for tests.
 */
#ifndef TL_IO_H
#define TL_IO_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/events.h"
#include "base/feature.h"
#include "base/io_status.h"
#include "base/packet.h"
#include "base/stats.h"

enum { IO_V4 = 0, IO_V6 = 1, IO_SOCKETS = 2 };
enum { IO_RING_SLOTS_MAX = 64 }; /* of the engine io_uring, for each of receives and sends */

struct outside;
struct sessions;
struct way;
struct mmsghdr;
struct send;

/*
 * read: appends packets from at most `max` datagrams (outside.got counts them), each referenced
 * once, with TAILROOM behind it. Its endpoint is valid until the next read. write: takes packets
 * from the queue's front; each one taken is told to io_sent or io_failed, exactly once, then
 * released.
 */
struct io_ops {
    const char *name;
    /* NULL: always. 0, or -errno: -ENOSYS where the kernel is too old. */
    int (*available)(void);
    /* For queues of o->in_max and o->out_max packets. 0 or -errno. */
    int (*open)(struct outside *o);
    void (*close)(struct outside *o);
    /* The sockets are about to be closed: nothing of the engine may use them any more. Or NULL. */
    void (*release_sockets)(struct outside *o);
    enum io_status (*read)(struct outside *o, struct queue *q, uint32_t max);
    enum io_status (*write)(struct outside *o, struct queue *q);
    uint64_t (*now_ms)(struct outside *o);
    bool unpolled;   /* its ends have no descriptors to wait for */
    bool has_runs;   /* knows UDP_SEGMENT and UDP_GRO */
    bool one_thread; /* cannot be used by several workers */
};

/* The system calls that a kernel may refuse for reasons of its own: tests put others in their
 * place. */
struct io_calls {
    /* sendmmsg(2): messages sent, or -errno of the first. */
    int (*send)(struct outside *o, int fd, struct mmsghdr *messages, uint32_t n);
    uint64_t (*now_ms)(struct outside *o);
    /* UDP_GRO of a socket: 0 or -errno. */
    int (*gro)(struct outside *o, int fd, bool on);
};

/* How a socket stays full (path/full.h). */
struct full {
    uint64_t since;   /* ms; 0: it has room */
    uint32_t times;   /* how often it has been full: peers' counts of earlier ones are stale */
    struct way *most; /* of which it refused the most bytes; NULL: of none yet */
};

struct outside {
    const struct io_ops *ops;
    void *state;       /* the engine's */
    struct send *send; /* of engines that send several at once (io_send.h) */
    const struct io_calls *calls;
    void *calls_state; /* of tests' calls, from malloc */
    struct pool *pool;
    struct stats *stats;
    struct events *events;
    const struct sessions *sessions;
    bool (*lives)(const struct sessions *sessions, uint32_t index); /* one of ours, in use */
    uint64_t now;             /* of this turn, ms: the worker's */
    uint32_t slot;            /* bytes that a datagram may have; grows when a longer one is seen */
    uint32_t in_max, out_max; /* packets in the two queues */
    uint32_t wide;            /* slabs that one receive of runs may fill */
    uint32_t turn_bytes;      /* about as many are read in a turn */
    uint32_t got;             /* datagrams that a read brought; the reader sets it to 0 */
    uint32_t ring_receives;   /* io_uring: slots asked for, 0: choose */
    uint32_t ring_sends;      /* likewise; up to so many messages in one submission */
    int message_error;        /* errno of the last message of Python's; 0: it left, or waits */
    bool holds;               /* the engine has received what it has not handed out yet */
    struct feature_state *offload; /* FEATURE_AEADS of them: FEATURE_UDP_* are ours */
    int socket[IO_SOCKETS];
    struct full full[IO_SOCKETS];
    uint32_t overflow[IO_SOCKETS]; /* what the kernel last said it dropped (SO_RXQ_OVFL) */
};

extern const struct io_ops io_basic;
extern const struct io_ops io_mmsg;
extern const struct io_ops io_uring; /* x86_64 and aarch64 */

/* Every engine of this build that "auto" may choose, best first; NULL ends the list. */
extern const struct io_ops *const io_list[];

/* The way's byte counts, stamps and activity; releases the packet. */
void io_sent(struct outside *o, struct packet *p);
/* A send of this packet failed with this errno: counted by kind; releases the packet. */
void io_failed(struct outside *o, struct packet *p, int err);
/* The socket of this packet did not take it. */
void io_blocked(struct outside *o, const struct packet *p);
/* poll(2) says that this socket has room. */
void io_has_room(struct outside *o, unsigned which);
/* Whether the send may be tried again because our own address went away: forgets that address, so
 * that the kernel chooses one. */
bool io_source_reset(struct outside *o, struct packet *p, int err);
static inline unsigned io_socket_of(const struct packet *p) {
    return p->endpoint->family == 4 ? IO_V4 : IO_V6;
}

#endif
