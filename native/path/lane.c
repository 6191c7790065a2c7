/* SPDX-License-Identifier: MIT */
/* Packets from one worker to another. Once per packet. */
#include "path/lane.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "base/os.h"

static_assert(sizeof(struct passed) <= LANE_HEADER, "the bytes stand behind it");
static_assert(LANE_HEADER % LANE_ALIGN == 0, "records are aligned");

/* Of a filler there may be no more room than for its first two fields. */
static struct passed *record_at(const struct lane *lane, uint32_t at) {
    return (struct passed *)(void *)(lane->ring + (at & (lane->size - 1)));
}

int lane_new(struct lane *lane, uint32_t size) {
    lane->ring = os_reserve(size);
    lane->size = size;
    return lane->ring ? 0 : -ENOMEM;
}

void lane_free(struct lane *lane) {
    if (lane->ring)
        munmap(lane->ring, lane->size);
}

bool lane_push(struct lane *lane, const struct packet *p) {
    uint32_t head = atomic_load_explicit(&lane->head, memory_order_relaxed);
    uint32_t tail = atomic_load_explicit(&lane->tail, memory_order_acquire);
    uint32_t need = (LANE_HEADER + p->len + LANE_ALIGN - 1) & ~(uint32_t)(LANE_ALIGN - 1);
    uint32_t to_end = lane->size - (head & (lane->size - 1));
    uint32_t filler = to_end < need ? to_end : 0;
    if (lane->size - (head - tail) < filler + need)
        return false;
    if (filler) {
        struct passed *r = record_at(lane, head);
        r->size = filler;
        r->len = LANE_FILLER;
    }
    struct passed *r = record_at(lane, head + filler);
    *r = (struct passed){.size = need, .len = p->len, .way = p->way, .tos = p->tos};
    if (p->endpoint)
        r->endpoint = *p->endpoint;
    memcpy((uint8_t *)r + LANE_HEADER, p->data, p->len);
    atomic_store_explicit(&lane->head, head + filler + need, memory_order_release);
    return true;
}

static uint32_t room(const struct lane *lane) {
    return lane->size - (lane->head - lane->tail);
}

/* The consumer moves `tail` before it looks at `wanted`, and here it is the other way round: one of
 * the two sees what the other did. */
bool lane_has_room(struct lane *lane, uint32_t bytes) {
    if (room(lane) >= bytes)
        return true;
    lane->wanted = true;
    return room(lane) >= bytes;
}

bool lane_has_news(struct lane *lane) {
    uint32_t head = atomic_load_explicit(&lane->head, memory_order_relaxed);
    bool news = head != lane->told;
    lane->told = head;
    return news;
}

uint32_t lane_first(const struct lane *lane) {
    return atomic_load_explicit(&lane->tail, memory_order_relaxed);
}

const struct passed *lane_next(const struct lane *lane, uint32_t *at) {
    uint32_t head = atomic_load_explicit(&lane->head, memory_order_acquire);
    while (*at != head) {
        const struct passed *r = record_at(lane, *at);
        if (r->len != LANE_FILLER)
            return r;
        *at += r->size;
    }
    return NULL;
}

bool lane_done(struct lane *lane, uint32_t at) {
    if (at == lane_first(lane))
        return false;
    lane->tail = at;
    return lane->wanted && atomic_exchange(&lane->wanted, false);
}

void lane_forget(struct lane *lane, const struct way *way) {
    for (uint32_t at = lane->tail; at != lane->head; at += record_at(lane, at)->size) {
        struct passed *r = record_at(lane, at);
        if (r->len != LANE_FILLER && r->way == way)
            r->way = NULL;
    }
}
