/* SPDX-License-Identifier: MIT */
/* The buffer pool: one mapping made at the start, cut into slabs; packets are carved out of slabs.
 */
#ifndef TL_BUF_H
#define TL_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/packet.h"

enum {
    SLAB_SIZE = 65536 + 1024, /* one super-packet of 65,535 bytes with its headroom */
    BUF_ALIGN = 16,           /* of a carved packet */
};

struct pool;

struct slab {
    uint8_t *data;     /* SLAB_SIZE bytes, 64-byte aligned */
    struct pool *pool; /* where it goes back to */
    uint32_t refs;     /* packets that point into it, and 1 while it is the open one; 0: free */
    uint32_t used;     /* bytes handed out from the front */
    struct slab *next; /* free list */
};

/* Slabs [0, size) may be used, up to `max`. Untouched slabs cost address space only. */
struct pool {
    uint8_t *base;
    struct slab *slabs;
    struct slab *free; /* last freed first: it is still in the cache */
    struct slab *open; /* the one that is carved */
    uint32_t size;
    uint32_t max;
    uint32_t headroom; /* bytes in front of a packet that is carved, or read from the device */
    bool ran_short;    /* a carve failed since the last buf_grow */
};

/* 0 or -ENOMEM. `size` of `max` slabs are usable from the start. The headroom is HEADROOM. */
int buf_new(struct pool *pool, uint32_t size, uint32_t max);
void buf_free(struct pool *pool);

/* More slabs, up to the bound. */
void buf_grow(struct pool *pool, uint32_t slabs);
/* Gives the pages of free slabs back to the kernel. */
void buf_shrink(struct pool *pool);

/* Where at least `need` bytes can be written, not yet taken; `room` receives how many really.
 * NULL when the pool is empty. */
uint8_t *buf_room(struct pool *pool, uint32_t need, uint32_t *room);
/* Takes `used` bytes of it. Returns the slab that holds them, referenced once. */
struct slab *buf_take(struct pool *pool, uint32_t used);
/* The same for `n` packets that lie in those bytes: referenced once for each. */
struct slab *buf_take_many(struct pool *pool, uint32_t used, uint32_t n);
/* A whole slab, referenced once; NULL when the pool is empty. */
struct slab *buf_whole(struct pool *pool);
/* An empty packet with room for `len` bytes; false when the pool is empty. */
bool buf_carve(struct pool *pool, struct packet *p, uint32_t len);
/* A copy of these bytes behind the queue's last packet, which has a place for it; NULL when the
 * pool is empty. */
struct packet *buf_copy(struct pool *pool, struct queue *q, const uint8_t *bytes, uint32_t len);
/* Undoes the latest buf_take of `used` bytes. */
void buf_untake(struct slab *slab, uint32_t used);

void buf_release(struct slab *slab);

static inline void packet_release(struct packet *p) {
    if (p->slab)
        buf_release(p->slab);
}

#endif
