/* SPDX-License-Identifier: MIT */
/*
 * Staged packets: what waits for a session, copied out of the slabs into a ring of records of any
 * length. Bounded in bytes for all peers and in packets for each: the oldest makes room.
 */
#ifndef TL_STAGE_H
#define TL_STAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/packet.h"

enum { STAGE_NONE = UINT32_MAX };

/* One peer's packets, oldest first, as offsets into the ring. */
struct staged {
    uint32_t first, last;
    uint32_t n;
};

struct stage {
    uint8_t *ring;
    uint32_t size;
    uint32_t head; /* where the next record goes */
    uint32_t tail; /* the oldest record */
    uint32_t used; /* bytes from tail to head */
    uint32_t per_peer;
};

/* 0 or -ENOMEM. The ring costs memory where it has been written to. */
int stage_new(struct stage *stage, uint32_t size, uint32_t per_peer);
void stage_free(struct stage *stage);
void stage_shrink(struct stage *stage);

/* Copies the packet behind its owner's others. Returns how many older ones had to go, of anybody,
 * or -1 when it cannot fit at all. */
int stage_push(struct stage *stage, struct staged *staged, const struct packet *p);
/* Length of the peer's oldest packet, 0 when there is none. */
uint32_t stage_peek(const struct stage *stage, const struct staged *staged);
/* Moves it to `data`, which has room for it. */
void stage_pop(struct stage *stage, struct staged *staged, struct packet *p);
/* Drops all of the peer's; returns how many. */
uint32_t stage_flush(struct stage *stage, struct staged *staged);

#endif
