/* SPDX-License-Identifier: MIT */
/* Staged packets. Once per packet. */
#include "path/stage.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

#include "base/os.h"

/* In front of each packet's bytes. A record of no owner is dead or fills the end of the ring. */
struct record {
    struct staged *owner;
    uint32_t size; /* of the record, a multiple of RECORD_ALIGN */
    uint32_t next; /* the owner's next, or STAGE_NONE */
    uint32_t len;
    uint8_t tos;
};

enum { RECORD_ALIGN = 32 };
static_assert(sizeof(struct record) <= RECORD_ALIGN, "a record's head fits any gap");

static struct record *record_at(const struct stage *stage, uint32_t at) {
    return (struct record *)(void *)(stage->ring + at);
}

int stage_new(struct stage *stage, uint32_t size, uint32_t per_peer) {
    size &= ~(uint32_t)(RECORD_ALIGN - 1);
    *stage = (struct stage){.size = size, .per_peer = per_peer, .ring = os_reserve(size)};
    return stage->ring ? 0 : -ENOMEM;
}

void stage_free(struct stage *stage) {
    munmap(stage->ring, stage->size);
}

void stage_shrink(struct stage *stage) {
    if (stage->used == 0)
        madvise(stage->ring, stage->size, MADV_DONTNEED);
}

static void forget_tail(struct stage *stage) {
    uint32_t size = record_at(stage, stage->tail)->size;
    stage->tail += size;
    if (stage->tail == stage->size)
        stage->tail = 0;
    stage->used -= size;
}

static void trim(struct stage *stage) {
    while (stage->used > 0 && !record_at(stage, stage->tail)->owner)
        forget_tail(stage);
    if (stage->used == 0)
        stage->head = stage->tail = 0;
}

/* Takes the owner's oldest off its list; its bytes stay until the ring's tail passes them. */
static struct record *unlink_first(struct stage *stage, struct staged *staged) {
    struct record *r = record_at(stage, staged->first);
    staged->first = r->next;
    staged->n--;
    r->owner = NULL;
    return r;
}

/* The ring's oldest record is also its owner's oldest. */
static void drop_oldest(struct stage *stage) {
    unlink_first(stage, record_at(stage, stage->tail)->owner);
    trim(stage);
}

/* Bytes that can be written at head without a wrap. */
static uint32_t room_at_head(const struct stage *stage) {
    if (stage->used > 0 && stage->head <= stage->tail)
        return stage->tail - stage->head;
    return stage->size - stage->head;
}

/* Fills what is left behind head, so that the next record starts the ring anew. */
static void wrap_head(struct stage *stage) {
    uint32_t left = stage->size - stage->head;
    *record_at(stage, stage->head) = (struct record){.size = left};
    stage->used += left;
    stage->head = 0;
}

static int make_room(struct stage *stage, uint32_t need) {
    int dropped = 0;
    while (room_at_head(stage) < need) {
        if (stage->head > stage->tail || stage->used == 0) {
            wrap_head(stage);
            trim(stage);
        } else {
            drop_oldest(stage);
            dropped++;
        }
    }
    return dropped;
}

int stage_push(struct stage *stage, struct staged *staged, const struct packet *p) {
    uint32_t need = (RECORD_ALIGN + p->len + RECORD_ALIGN - 1) & ~(uint32_t)(RECORD_ALIGN - 1);
    if (need > stage->size)
        return -1;
    int dropped = 0;
    if (staged->n >= stage->per_peer) {
        unlink_first(stage, staged);
        trim(stage);
        dropped++;
    }
    dropped += make_room(stage, need);

    uint32_t at = stage->head;
    struct record *r = record_at(stage, at);
    *r = (struct record){staged, need, STAGE_NONE, p->len, p->tos};
    memcpy(stage->ring + at + RECORD_ALIGN, p->data, p->len);
    if (staged->n++ > 0)
        record_at(stage, staged->last)->next = at;
    else
        staged->first = at;
    staged->last = at;
    stage->head = at + need == stage->size ? 0 : at + need;
    stage->used += need;
    return dropped;
}

uint32_t stage_peek(const struct stage *stage, const struct staged *staged) {
    return staged->n ? record_at(stage, staged->first)->len : 0;
}

void stage_pop(struct stage *stage, struct staged *staged, struct packet *p) {
    uint32_t at = staged->first;
    struct record *r = unlink_first(stage, staged);
    memcpy(p->data, stage->ring + at + RECORD_ALIGN, r->len);
    p->len = r->len;
    p->tos = r->tos;
    trim(stage);
}

uint32_t stage_flush(struct stage *stage, struct staged *staged) {
    uint32_t n = staged->n;
    while (staged->n > 0)
        unlink_first(stage, staged);
    trim(stage);
    return n;
}
