/* SPDX-License-Identifier: MIT */
/*
 * Parts of frames that are longer than a datagram may be: cut here, joined there.
 *
 * Part i of a frame has counter n + i, all of one session, and all are of equal length: the last is
 * filled up with zeros. So a frame needs no number of its own: its session and its first counter,
 * which each part tells, name it. What is joined waits in a store of its own, copied out of the
 * slabs; nothing is kept past what newer counters say, and what was sealed is never joined with
 * what was not.
 *
 * A store belongs to one worker, as its sessions do.
 */
#ifndef TL_PARTS_H
#define TL_PARTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/packet.h"

enum {
    PARTS_MAX = 8,
    PARTS_OPEN_MAX = 4,     /* frames of one session */
    PARTS_PLACES_MAX = 256, /* frames of a store */
    PARTS_SPAN = 256,       /* a counter so far past a frame's first one closes it */

    /* the byte that tells of a part (docs/protocol.md) */
    PARTS_INDEX = 7,
    PARTS_LAST = 8,
    PARTS_FILL_SHIFT = 4,
    PARTS_FILL = 7,
    PARTS_ZERO = 0x80,
};

/* ---- out ---------------------------------------------------------------------------------- */

struct parts_plan {
    uint32_t n;    /* parts; 0: it would be more than PARTS_MAX */
    uint32_t size; /* bytes of the frame in each */
    uint32_t fill; /* zeros at the end of the last, fewer than there are parts */
};

/* How a frame is cut into the fewest parts of at most `room` bytes each. */
struct parts_plan parts_plan(uint32_t len, uint32_t room);
/* The byte that tells of part i. */
uint8_t parts_head(const struct parts_plan *plan, uint32_t i);
/* Writes part i, plan->size bytes without its head, to where it does not overlap the frame. The
 * first may stay where it is, once the others have been cut. */
void parts_cut(uint8_t *out, const struct parts_plan *plan, const uint8_t *frame, uint32_t i);

/* ---- in ----------------------------------------------------------------------------------- */

/* One that came, authentic or, where it is not sealed, from the session's endpoint. */
struct part {
    uint64_t counter;
    const uint8_t *data; /* behind the head */
    uint32_t len;
    uint8_t head;
    bool sealed;
};

/* A session's open frames, oldest first; zeros: none. They name places of the store, and a place
 * that was given to somebody else is none of theirs any more, so a session may be freed as it is.
 */
struct parts_slots {
    uint32_t id[PARTS_OPEN_MAX];
    uint8_t place[PARTS_OPEN_MAX];
    uint32_t n;
};

enum parts_verdict {
    PART_KEPT,
    PART_COMPLETES, /* parts_join is to be called, or parts_give_up */
    PART_TWICE,     /* that one is there; sealed ones come once (replay.h) */
    PART_BAD,       /* it contradicts itself, or what came before: that frame is closed */
};

struct parts_place;
struct parts {
    struct parts_place *place;
    uint8_t *bytes; /* address space: costs memory where it has been written to */
    uint32_t places;
    uint32_t each;      /* bytes of a place */
    uint32_t frame_max; /* a longer frame is bad */
    uint32_t last_id;
    uint32_t open;
    /* Parts that were thrown away, the caller's to read and to set to 0. */
    uint32_t full; /* an older frame made room */
    uint32_t lost; /* the rest did not come in time, or contradicted them */
};

/* 0 or -ENOMEM. */
int parts_new(struct parts *store, uint32_t places, uint32_t frame_max);
void parts_free(struct parts *store);
/* Gives memory back where nothing is open. */
void parts_shrink(struct parts *store);

/* Takes a part. `len` receives the frame's length where it is complete. */
enum parts_verdict parts_take(struct parts *store, struct parts_slots *slots,
                              const struct part *part, uint32_t *len);
/* Writes the frame that this part completes, and closes it. */
void parts_join(struct parts *store, struct parts_slots *slots, const struct part *part,
                uint8_t *out);
/* The same without a place for it. */
void parts_give_up(struct parts *store, struct parts_slots *slots, const struct part *part);

/*
 * Joins a frame in place where all its parts stand in the queue, one behind the other in a slab, as
 * a run of datagrams brings them: the first of the n packets becomes the frame, those behind it are
 * left with no bytes. Each packet's data begin at its two bytes, its transport header in front of
 * them. `trailer`: bytes of a tag. False: nothing has been changed.
 */
bool parts_gather(struct packet *p, uint32_t n, uint32_t trailer, uint32_t frame_max);

/* The session is at its end. */
void parts_forget(struct parts *store, struct parts_slots *slots);

void parts_close_old(struct parts *store, struct parts_slots *slots, uint64_t counter, bool sealed);
/* A message that is no part was taken, in the order in which they are. One that is not sealed
 * closes none that is. */
static inline void parts_passed(struct parts *store, struct parts_slots *slots, uint64_t counter,
                                bool sealed) {
    if (slots->n)
        parts_close_old(store, slots, counter, sealed);
}

#endif
