/* SPDX-License-Identifier: MIT */
/* Parts, cut and joined. Copies are what they cost, so this is compiled for size. */
#include "layer2/parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/os.h"
#include "base/wire.h"

enum {
    EACH_ALIGN = 16,
    /* As frames lie in slabs, behind a header and two bytes: copies are of words. */
    EACH_SHIFT = 2,
};

/* One frame that waits for more of it. */
struct parts_place {
    uint64_t first; /* counter of part 0 */
    uint32_t id;    /* counts openings; 0: free */
    uint32_t len;   /* of each part */
    uint8_t got;    /* set of indices */
    uint8_t held;   /* how many */
    uint8_t n;      /* parts, 0: not known yet */
    uint8_t fill;   /* of the last, when that is known */
    bool sealed;
};

/* ---- out ----------------------------------------------------------------------------------- */

struct parts_plan parts_plan(uint32_t len, uint32_t room) {
    struct parts_plan plan = {0};
    uint32_t n = room ? (len + room - 1) / room : 0;
    if (n == 0 || n > PARTS_MAX)
        return plan;
    plan.n = n;
    plan.size = (len + n - 1) / n;
    plan.fill = n * plan.size - len;
    return plan;
}

static bool is_last(const struct parts_plan *plan, uint32_t i) {
    return i + 1 == plan->n;
}

uint8_t parts_head(const struct parts_plan *plan, uint32_t i) {
    uint32_t fill = is_last(plan, i) ? PARTS_LAST | plan->fill << PARTS_FILL_SHIFT : 0;
    return (uint8_t)(i | fill);
}

void parts_cut(uint8_t *out, const struct parts_plan *plan, const uint8_t *frame, uint32_t i) {
    uint32_t fill = is_last(plan, i) ? plan->fill : 0;
    memcpy(out, frame + i * plan->size, plan->size - fill);
    memset(out + plan->size - fill, 0, fill);
}

/* ---- what a part says of itself ------------------------------------------------------------ */

static uint32_t index_of(const struct part *part) {
    return part->head & PARTS_INDEX;
}

static uint32_t fill_of(const struct part *part) {
    return part->head >> PARTS_FILL_SHIFT & PARTS_FILL;
}

static bool ends(const struct part *part) {
    return part->head & PARTS_LAST;
}

/* Bytes of the frame up to the end of this part. */
static uint32_t end_of(const struct part *part) {
    return (index_of(part) + 1) * part->len - fill_of(part);
}

static bool is_zeros(const uint8_t *bytes, uint32_t n) {
    uint8_t any = 0;
    for (uint32_t i = 0; i < n; i++)
        any |= bytes[i];
    return !any;
}

/* The last of at least two, with no more zeros than equal parts need, and something before them. */
static bool is_sound_end(const struct part *part) {
    uint32_t fill = fill_of(part);
    return index_of(part) > 0 && fill <= index_of(part) && fill < part->len &&
           is_zeros(part->data + part->len - fill, fill);
}

static bool is_sound(const struct part *part, uint32_t frame_max) {
    if (part->len == 0 || part->head & PARTS_ZERO || part->counter < index_of(part))
        return false;
    if (ends(part))
        return is_sound_end(part) && end_of(part) <= frame_max;
    return index_of(part) < PARTS_MAX - 1 && fill_of(part) == 0 && end_of(part) < frame_max;
}

/* ---- the store ----------------------------------------------------------------------------- */

int parts_new(struct parts *store, uint32_t places, uint32_t frame_max) {
    uint32_t each = (EACH_SHIFT + frame_max + EACH_ALIGN - 1) & ~(uint32_t)(EACH_ALIGN - 1);
    *store = (struct parts){.places = places, .each = each, .frame_max = frame_max};
    store->place = calloc(places, sizeof *store->place);
    store->bytes = os_reserve((size_t)places * each);
    if (store->place && store->bytes)
        return 0;
    parts_free(store);
    return -ENOMEM;
}

void parts_free(struct parts *store) {
    free(store->place);
    if (store->bytes)
        munmap(store->bytes, (size_t)store->places * store->each);
    *store = (struct parts){0};
}

void parts_shrink(struct parts *store) {
    if (!store->open)
        madvise(store->bytes, (size_t)store->places * store->each, MADV_DONTNEED);
}

static uint8_t *bytes_of(const struct parts *store, const struct parts_place *place) {
    return store->bytes + (size_t)(place - store->place) * store->each + EACH_SHIFT;
}

static void close_place(struct parts *store, struct parts_place *place) {
    place->id = 0;
    store->open--;
}

/* NULL: it has been given to somebody else. */
static struct parts_place *place_of(const struct parts *store, const struct parts_slots *slots,
                                    uint32_t slot) {
    struct parts_place *place = &store->place[slots->place[slot]];
    return place->id == slots->id[slot] ? place : NULL;
}

static void forget_slot(struct parts_slots *slots, uint32_t slot) {
    slots->n--;
    for (uint32_t i = slot; i < slots->n; i++) {
        slots->id[i] = slots->id[i + 1];
        slots->place[i] = slots->place[i + 1];
    }
}

/* Slots that still have their place. */
static void tidy(const struct parts *store, struct parts_slots *slots) {
    for (uint32_t i = 0; i < slots->n;)
        if (place_of(store, slots, i))
            i++;
        else
            forget_slot(slots, i);
}

static void close_slot(struct parts *store, struct parts_slots *slots, uint32_t slot,
                       uint32_t *thrown) {
    struct parts_place *place = place_of(store, slots, slot);
    *thrown += place->held;
    close_place(store, place);
    forget_slot(slots, slot);
}

void parts_close_old(struct parts *store, struct parts_slots *slots, uint64_t counter,
                     bool sealed) {
    tidy(store, slots);
    for (uint32_t i = 0; i < slots->n;) {
        const struct parts_place *place = place_of(store, slots, i);
        bool is_old = counter > place->first && counter - place->first >= PARTS_SPAN;
        if (is_old && (sealed || !place->sealed))
            close_slot(store, slots, i, &store->lost);
        else
            i++;
    }
}

void parts_forget(struct parts *store, struct parts_slots *slots) {
    tidy(store, slots);
    while (slots->n)
        close_slot(store, slots, 0, &store->lost);
}

/* A free one, else the oldest. */
static struct parts_place *find_place(struct parts *store) {
    struct parts_place *best = &store->place[0];
    for (uint32_t i = 0; i < store->places && best->id; i++) {
        struct parts_place *place = &store->place[i];
        if (!place->id || store->last_id - place->id > store->last_id - best->id)
            best = place;
    }
    return best;
}

static struct parts_place *open_place(struct parts *store, struct parts_slots *slots) {
    if (slots->n == PARTS_OPEN_MAX)
        close_slot(store, slots, 0, &store->full);
    struct parts_place *place = find_place(store);
    if (place->id) {
        store->full += place->held;
        close_place(store, place);
    }
    /* never 0 */
    store->last_id += store->last_id == UINT32_MAX ? 2 : 1;
    store->open++;
    slots->id[slots->n] = store->last_id;
    slots->place[slots->n++] = (uint8_t)(place - store->place);
    return place;
}

/* ---- in ------------------------------------------------------------------------------------ */

/* The slot of a part's frame, slots->n: it has none. All slots have their place. */
static uint32_t find_slot(const struct parts *store, const struct parts_slots *slots,
                          const struct part *part) {
    uint32_t slot = 0;
    for (; slot < slots->n; slot++) {
        const struct parts_place *place = place_of(store, slots, slot);
        if (place->first == part->counter - index_of(part) && place->sealed == part->sealed)
            break;
    }
    return slot;
}

static void begin(struct parts *store, struct parts_slots *slots, const struct part *part) {
    struct parts_place *place = open_place(store, slots);
    *place = (struct parts_place){.first = part->counter - index_of(part),
                                  .id = store->last_id,
                                  .len = part->len,
                                  .sealed = part->sealed};
}

/* Whether it can be one more of a frame. */
static bool fits(const struct parts_place *place, const struct part *part) {
    uint32_t i = index_of(part);
    if (part->len != place->len)
        return false;
    if (ends(part))
        return !place->n && place->got >> i == 0;
    return !place->n || i < place->n;
}

/* Without the zeros at its end. */
static uint32_t frame_bytes(const struct part *part) {
    return part->len - fill_of(part);
}

static void keep(const struct parts *store, struct parts_place *place, const struct part *part) {
    uint8_t *at = bytes_of(store, place) + index_of(part) * part->len;
    memcpy(at, part->data, frame_bytes(part));
}

static void note(struct parts_place *place, const struct part *part) {
    place->got |= (uint8_t)(1u << index_of(part));
    place->held++;
    if (!ends(part))
        return;
    place->n = (uint8_t)(index_of(part) + 1);
    place->fill = (uint8_t)fill_of(part);
}

enum parts_verdict parts_take(struct parts *store, struct parts_slots *slots,
                              const struct part *part, uint32_t *len) {
    parts_passed(store, slots, part->counter, part->sealed);
    if (!is_sound(part, store->frame_max))
        return PART_BAD;
    uint32_t slot = find_slot(store, slots, part);
    if (slot == slots->n) {
        begin(store, slots, part);
        slot = slots->n - 1;
    }
    struct parts_place *place = place_of(store, slots, slot);
    if (place->got >> index_of(part) & 1)
        return PART_TWICE;
    if (!fits(place, part)) {
        close_slot(store, slots, slot, &store->lost);
        return PART_BAD;
    }
    note(place, part);
    if (place->held != place->n) {
        keep(store, place, part);
        return PART_KEPT;
    }
    *len = place->n * place->len - place->fill;
    return PART_COMPLETES;
}

void parts_join(struct parts *store, struct parts_slots *slots, const struct part *part,
                uint8_t *out) {
    uint32_t slot = find_slot(store, slots, part);
    struct parts_place *place = place_of(store, slots, slot);
    const uint8_t *kept = bytes_of(store, place);
    uint32_t from = index_of(part) * part->len, to = from + frame_bytes(part);
    memcpy(out, kept, from);
    memcpy(out + from, part->data, to - from);
    memcpy(out + to, kept + to, place->n * place->len - place->fill - to);
    close_place(store, place);
    forget_slot(slots, slot);
}

void parts_give_up(struct parts *store, struct parts_slots *slots, const struct part *part) {
    uint32_t slot = find_slot(store, slots, part);
    close_slot(store, slots, slot, &store->lost);
    store->lost--; /* this one is the caller's */
}

/* ---- in place ------------------------------------------------------------------------------ */

static struct part part_of(const struct packet *p) {
    return (struct part){.counter = p->counter,
                         .data = p->data + FRAME_HEADER,
                         .len = p->len - FRAME_HEADER,
                         .head = p->data[1]};
}

static bool is_first(const struct packet *p, uint32_t frame_max) {
    if (p->len <= FRAME_HEADER || p->data[0] != FRAME_PART)
        return false;
    struct part part = part_of(p);
    return !index_of(&part) && is_sound(&part, frame_max);
}

/* Whether it is the i-th part behind p, and stands there. */
static bool follows(const struct packet *p, uint32_t i, uint32_t trailer, uint32_t frame_max) {
    enum { HEADER = sizeof(struct message_transport) };
    const struct packet *q = p + i;
    if (q->session != p->session || q->slab != p->slab || q->counter != p->counter + i ||
        q->len != p->len || q->data != q[-1].data + p->len + trailer + HEADER)
        return false;
    struct part part = part_of(q);
    return q->data[-HEADER] == p->data[-HEADER] && q->data[0] == FRAME_PART &&
           index_of(&part) == i && is_sound(&part, frame_max);
}

/* How many packets are the frame; 0: they are not all there. */
static uint32_t run_of(const struct packet *p, uint32_t n, uint32_t trailer, uint32_t frame_max) {
    if (!is_first(p, frame_max))
        return 0;
    for (uint32_t i = 1; i < n && i < PARTS_MAX; i++) {
        if (!follows(p, i, trailer, frame_max))
            return 0;
        if (p[i].data[1] & PARTS_LAST)
            return i + 1;
    }
    return 0;
}

/* To a lower place that it may overlap. memmove of the routers' libc goes byte by byte. */
static void move_down(uint8_t *to, const uint8_t *from, uint32_t n) {
    for (; n >= 16; n -= 16, to += 16, from += 16) {
        uint64_t a, b;
        memcpy(&a, from, 8);
        memcpy(&b, from + 8, 8);
        memcpy(to, &a, 8);
        memcpy(to + 8, &b, 8);
    }
    for (; n; n--)
        *to++ = *from++;
}

bool parts_gather(struct packet *p, uint32_t n, uint32_t trailer, uint32_t frame_max) {
    uint32_t run = run_of(p, n, trailer, frame_max);
    uint8_t *to = p->data + p->len;
    for (uint32_t i = 1; i < run; i++) {
        struct part part = part_of(&p[i]);
        move_down(to, part.data, frame_bytes(&part));
        to += frame_bytes(&part);
        p[i].len = 0;
    }
    if (!run)
        return false;
    p->data[0] = FRAME_WHOLE;
    p->len = (uint32_t)(to - p->data);
    return true;
}
