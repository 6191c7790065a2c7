/* SPDX-License-Identifier: MIT */
/*
 * One interface's packet path. `struct plane` is what workers share: options and the tables that
 * Python publishes. `struct worker` owns its I/O, buffers, queues, counters, and its peers with
 * their sessions; nobody else touches them while it turns. Python only runs between the turns of
 * worker 0; for the others see crew.h.
 */
#ifndef TL_PLANE_H
#define TL_PLANE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/alarm.h"
#include "base/buf.h"
#include "base/events.h"
#include "base/packet.h"
#include "base/stats.h"
#include "crypto/aead.h"
#include "inside/device.h"
#include "inside/routes.h"
#include "outside/io.h"
#include "outside/way.h"
#include "path/admission.h"
#include "path/loop.h"
#include "path/session.h"
#include "path/stage.h"

struct peer {
    struct way way;          /* first: a packet points to it */
    uint32_t id;             /* its handle */
    uint32_t owner;          /* the worker that alone touches what follows */
    struct session *sending; /* NULL: none can send */
    /* Newer than that one and proved by a packet: what CONFIRMED means. NULL: none. */
    struct session *confirmed;
    struct staged staged;
    uint32_t gathered; /* its place while tx.c gathers a batch */
    struct peer *next_gathered;
    uint32_t place;  /* loop.c's, as are these two: a peer whose session sends is found */
    uint32_t remote; /* by the index that it carries */
    struct peer *next_remote;
    struct peer *next_ready; /* list of those whose staged packets can go */
    bool is_ready;
};

/* NULL for nobody's. */
static inline struct peer *peer_of(const struct packet *p) {
    return (struct peer *)(void *)p->way;
}

static inline struct way *way_of(struct peer *peer) {
    return (struct way *)(void *)peer;
}
_Static_assert(offsetof(struct peer, way) == 0, "a way is told from nobody by its address");

enum {
    URGENT_MAX = 16,
    BATCH_MIN = 8,
    WORKERS_MAX = 8,
    CREW_BATCH_BYTES = 256 * 1024, /* with several workers, what the largest batch reads */
};

/* Handshake messages on their way out have room of their own: a full socket does not lose them. */
struct urgent {
    struct queue queue;
    struct packet packet[URGENT_MAX];
    struct handshake message[URGENT_MAX];
};

struct worker {
    struct plane *plane;
    uint32_t id;
    struct inside inside;
    struct outside outside;
    struct feature_state offload[FEATURE_AEADS];
    uint64_t now; /* of this turn, ms */
    struct pool pool;
    struct stats stats;
    struct stage stage;
    struct events events;
    struct admission admission;
    struct urgent urgent;
    struct queue out;        /* sealed or to be sealed; what the socket did not take stays */
    struct queue in;         /* opened or to be opened; what the device did not take stays */
    struct queue handshakes; /* of the turn */
    struct aead_op *ops;     /* one for each packet of a batch */
    struct peer *ready_first, *ready_last; /* peers with a session again, packets still staged */
    struct packet *spare; /* as `out`, or `urgent` where that is more: what they are sorted into */
    struct peer *gathering;       /* list of a batch's peers */
    uint32_t batch_max;           /* packets, super-packets or datagrams of one turn */
    uint32_t batch_out, batch_in; /* adapt to what a turn finds */
    uint32_t slot_usual;          /* outside.slot while no longer datagram has been seen */
    uint64_t slot_until;          /* ms; 0: it is the usual one */
    uint64_t unreachable_until;   /* ms; ahead by one for each answer of late */
    bool device_gone;             /* stopped polling it */
    bool tell_device_gone;        /* TL_WOKE_DEVICE_GONE, once */
    bool pool_told;               /* TL_WOKE_POOL, once until tl_plane_grow */
    bool starved;                 /* the turn found no buffers to read into */
    bool lanes_full;   /* worker 0: another is behind, the device is not read until it rings */
    int bell;          /* eventfd; -1: there is only one worker */
    struct mate *mate; /* crew.c's; NULL likewise */
    struct passing *passing; /* NULL for worker 0 too */
};

/* What a worker is made with. */
struct worker_options {
    uint32_t id;
    uint32_t workers; /* that share the memory */
    const struct io_ops *engine;
    uint32_t mtu;
    uint32_t pool_bytes; /* of all workers */
    uint32_t batch;      /* 0: choose */
    uint32_t layer;
    uint32_t offloads_off; /* as record_options */
    uint32_t staged_per_peer;
    uint32_t ring;
    uint32_t handshakes_per_second;
    uint32_t ring_receives, ring_sends; /* as record_options */
};

/* Allocates all that it will need. 0 or -errno. */
int worker_new(struct worker *w, struct plane *plane, const struct worker_options *options);
void worker_free(struct worker *w);
void worker_mtu(struct worker *w, uint32_t mtu);
/* Closes the device and takes this one. 0 or -ENOMEM. */
int worker_device(struct worker *w, int fd);
/* Closes the sockets and takes these. */
void worker_sockets(struct worker *w, const int fds[IO_SOCKETS]);
/* Reads the clock: once a turn. */
void worker_tick(struct worker *w);
/* Between turns: sends what waits and what is staged for peers that have a session. */
void worker_flush(struct worker *w);
void worker_lost_device(struct worker *w);
/* Nothing of the worker refers to the peer any more. */
void worker_forget(struct worker *w, struct peer *peer);

struct plane {
    int handle;
    const struct aead *aead;
    uint32_t layer;
    uint32_t replay_bits;
    uint32_t pool_bound; /* bytes */
    struct routes *routes;
    struct sessions sessions;
    struct peer **peers; /* by handle; NULL: free */
    uint32_t n_peers;
    struct peer **by_remote; /* n_peers buckets: loop.c */
    /* Layer 2: the one that frames go to, NULL unless there is exactly one. */
    struct peer *only_peer;
    int control;        /* epoll of Python's descriptors: one descriptor to the wait */
    struct alarm alarm; /* among them */
    uint16_t port;
    uint32_t link;       /* the device's ifindex where the sockets are; 0: it is not there */
    uint64_t left_at;    /* when tl_run last returned, ms */
    uint64_t left_spent; /* os_spent_ns() then */
    uint32_t n_workers;
    struct worker worker[];
};

static inline uint32_t align_to(uint32_t n, uint32_t multiple) {
    return (n + multiple - 1) / multiple * multiple;
}

/* Authenticated from there, this many bytes. */
void peer_heard(struct worker *w, struct peer *peer, const struct endpoint *from, uint64_t bytes);

/* One turn: both directions, a batch each. `readable`: which ends poll(2) named. */
enum { TURN_DEVICE = 1, TURN_SOCKET = 2, TURN_LANES = 4 };
/* Returns the set of ends that may have more at once. */
unsigned turn(struct worker *w, unsigned readable);

#endif
