/* SPDX-License-Identifier: MIT */
/* Frames for more than one peer. */
#include "layer2/spread.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "base/os.h"
#include "layer2/bridge.h"
#include "path/tx.h"

int spread_new(struct spread *s) {
    s->bytes = os_reserve((size_t)SPREAD_FRAMES * SPREAD_EACH);
    return s->bytes ? 0 : -ENOMEM;
}

void spread_free(struct spread *s) {
    if (s->bytes)
        munmap(s->bytes, (size_t)SPREAD_FRAMES * SPREAD_EACH);
}

static uint8_t *bytes_of(const struct spread *s, const struct flood *f) {
    return s->bytes + (size_t)f->place * SPREAD_EACH;
}

/* The lowest free place: the others' memory stays untouched. */
static uint8_t take_place(struct spread *s) {
    uint32_t place = (uint32_t)__builtin_ctz(~s->places);
    s->places |= 1u << place;
    return (uint8_t)place;
}

static void drop_first(struct spread *s) {
    s->places &= ~(1u << s->flood[0].place);
    s->of_peers -= s->flood[0].of_peer;
    s->n--;
    memmove(&s->flood[0], &s->flood[1], s->n * sizeof s->flood[0]);
}

static bool has_place(const struct spread *s, const struct peer *from) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->n; i++)
        n += s->flood[i].from == from;
    return s->of_peers < SPREAD_OF_PEERS && n < SPREAD_OF_ONE;
}

enum drop spread_put(struct worker *w, const struct packet *p, const struct peer *from) {
    struct bridge *b = w->plane->bridge;
    struct spread *s = &b->spread;
    if (!b->n_members)
        return DROP_NO_ROUTE;
    if (s->n == SPREAD_FRAMES || p->len > SPREAD_EACH || (from && !has_place(s, from)))
        return DROP_FLOOD_FULL;
    struct flood *f = &s->flood[s->n++];
    s->turn = s->turn + 1 < b->n_members ? s->turn + 1 : 0;
    *f = (struct flood){.from = from,
                        .len = p->len,
                        .begin = s->turn,
                        .end = b->n_members,
                        .at = s->turn,
                        .of_peer = from != NULL,
                        .place = take_place(s)};
    s->of_peers += f->of_peer;
    memcpy(bytes_of(s, f), p->data, p->len);
    w->floods = s->n;
    w->stats.counts[COUNT_FLOODS]++;
    return DROP_TAKEN;
}

/* Places before one that goes move up; what has been passed stays passed. */
void spread_leave(struct spread *s, uint32_t place) {
    for (uint32_t i = 0; i < s->n; i++) {
        s->flood[i].at -= s->flood[i].at > place;
        s->flood[i].begin -= s->flood[i].begin > place;
        s->flood[i].end -= s->flood[i].end > place;
    }
}

void spread_forget(struct spread *s, const struct peer *peer) {
    for (uint32_t i = 0; i < s->n; i++)
        if (s->flood[i].from == peer)
            s->flood[i].from = NULL;
}

/* NULL: all had their turn. */
static struct peer *next_member(const struct bridge *b, struct flood *f) {
    if (!f->is_round && f->at >= f->end) {
        f->is_round = true;
        f->at = 0;
    }
    return f->is_round && f->at >= f->begin ? NULL : b->member[f->at++];
}

/* One without a session is asked for one, but what waits for it must not fill the store. Whoever
 * has a session is left to its owner. */
static bool may_wait(const struct peer *peer, uint64_t now) {
    const struct session *s = peer->sending;
    if (s && now < s->reject_at)
        return true;
    if (now < peer->trunk->flooded_at + SPREAD_WAIT_MS)
        return false;
    peer->trunk->flooded_at = now;
    return true;
}

static bool copy_to(struct worker *w, const struct flood *f, struct peer *peer) {
    const uint8_t *bytes = bytes_of(&w->plane->bridge->spread, f);
    struct packet *p = buf_copy(&w->pool, &w->out, bytes, f->len);
    if (!p) {
        w->starved = true;
        w->stats.counts[COUNT_POOL_SHORT]++;
        return false;
    }
    p->way = way_of(peer);
    w->stats.counts[COUNT_FLOOD_COPIES]++;
    return true;
}

static void spread_some(struct worker *w) {
    struct bridge *b = w->plane->bridge;
    struct spread *s = &b->spread;
    uint32_t end = w->out.n + SPREAD_COPIES < w->out.max ? w->out.n + SPREAD_COPIES : w->out.max;
    for (uint32_t visits = 0; s->n && w->out.n < end && visits < SPREAD_VISITS; visits++) {
        struct flood *f = &s->flood[0];
        struct peer *peer = next_member(b, f);
        if (!peer) {
            drop_first(s);
        } else if (peer != f->from && !bridge_is_gone(peer) && may_wait(peer, w->now) &&
                   !copy_to(w, f, peer)) {
            f->at--; /* no buffers: it is next again */
            break;
        }
    }
}

bool spread_turn(struct worker *w) {
    struct spread *s = &w->plane->bridge->spread;
    uint32_t from = w->out.n;
    bridge_tick(w->plane->bridge, w->now);
    if (!s->n || w->lanes_full) /* whoever empties them rings */
        return false;
    spread_some(w);
    w->floods = s->n;
    tx_onward(w, &w->out, from);
    return s->n && !w->starved;
}
