/* SPDX-License-Identifier: MIT */
/* The buffer pool. Once per packet. */
#include "base/buf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/os.h"

static uint32_t align_up(uint32_t n) {
    return (n + BUF_ALIGN - 1) & ~(uint32_t)(BUF_ALIGN - 1);
}

static void push_free(struct pool *pool, struct slab *slab) {
    slab->used = 0;
    slab->next = pool->free;
    pool->free = slab;
}

void buf_grow(struct pool *pool, uint32_t slabs) {
    for (; slabs > 0 && pool->size < pool->max; slabs--)
        push_free(pool, &pool->slabs[pool->size++]);
    pool->ran_short = false;
}

int buf_new(struct pool *pool, uint32_t size, uint32_t max) {
    *pool = (struct pool){.max = max, .headroom = HEADROOM};
    pool->slabs = calloc(max, sizeof *pool->slabs);
    if (!pool->slabs)
        return -ENOMEM;
    pool->base = os_reserve((size_t)max * SLAB_SIZE);
    if (!pool->base)
        goto out_slabs;
    for (uint32_t i = 0; i < max; i++)
        pool->slabs[i] = (struct slab){.data = pool->base + (size_t)i * SLAB_SIZE, .pool = pool};
    buf_grow(pool, size);
    return 0;

out_slabs:
    free(pool->slabs);
    return -ENOMEM;
}

void buf_free(struct pool *pool) {
    munmap(pool->base, (size_t)pool->max * SLAB_SIZE);
    free(pool->slabs);
}

void buf_shrink(struct pool *pool) {
    const uintptr_t rest = (uintptr_t)getpagesize() - 1;
    for (struct slab *slab = pool->free; slab; slab = slab->next) {
        /* Slabs are no multiple of a page: a neighbour's bytes share the outer pages. */
        uintptr_t from = ((uintptr_t)slab->data + rest) & ~rest;
        uintptr_t to = ((uintptr_t)slab->data + SLAB_SIZE) & ~rest;
        if (from < to)
            madvise((void *)from, to - from, MADV_DONTNEED);
    }
}

void buf_release(struct slab *slab) {
    if (--slab->refs == 0)
        push_free(slab->pool, slab);
}

/* An open slab that nobody points into is as good as new. */
static void rewind_open(struct pool *pool) {
    if (pool->open && pool->open->refs == 1)
        pool->open->used = 0;
}

static bool open_next(struct pool *pool) {
    if (!pool->free) {
        pool->ran_short = true;
        return false;
    }
    if (pool->open)
        buf_release(pool->open);
    pool->open = pool->free;
    pool->free = pool->open->next;
    pool->open->refs = 1;
    return true;
}

uint8_t *buf_room(struct pool *pool, uint32_t need, uint32_t *room) {
    rewind_open(pool);
    if ((!pool->open || SLAB_SIZE - pool->open->used < need) && !open_next(pool))
        return NULL;
    *room = SLAB_SIZE - pool->open->used;
    return pool->open->data + pool->open->used;
}

struct slab *buf_take_many(struct pool *pool, uint32_t used, uint32_t n) {
    struct slab *slab = pool->open;
    slab->used += align_up(used);
    if (slab->used > SLAB_SIZE)
        slab->used = SLAB_SIZE;
    slab->refs += n;
    return slab;
}

struct slab *buf_take(struct pool *pool, uint32_t used) {
    return buf_take_many(pool, used, 1);
}

struct slab *buf_whole(struct pool *pool) {
    struct slab *slab = pool->free;
    if (!slab)
        return NULL;
    pool->free = slab->next;
    slab->refs = 1;
    return slab;
}

bool buf_carve(struct pool *pool, struct packet *p, uint32_t len) {
    uint32_t need = pool->headroom + len + TAILROOM, room;
    uint8_t *at = buf_room(pool, need, &room);
    if (!at)
        return false;
    *p = (struct packet){.data = at + pool->headroom, .slab = buf_take(pool, need)};
    return true;
}

struct packet *buf_copy(struct pool *pool, struct queue *q, const uint8_t *bytes, uint32_t len) {
    struct packet *p = &q->p[q->n];
    if (!buf_carve(pool, p, len))
        return NULL;
    if (len)
        memcpy(p->data, bytes, len);
    p->len = len;
    q->n++;
    return p;
}

void buf_untake(struct slab *slab, uint32_t used) {
    if (slab == slab->pool->open)
        slab->used -= align_up(used);
    buf_release(slab);
}
