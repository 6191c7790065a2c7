/* SPDX-License-Identifier: MIT */
/* Allowed IPs: sorted ranges. Once per packet. */
#include "inside/routes.h"

#include <errno.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/wire.h"

/* An address as a number; IPv4 in the top 32 bits, so that prefixes mean the same for both. */
struct key {
    uint64_t high, low;
};

struct prefix {
    struct key first, last;
    struct peer *peer;
    uint32_t order; /* of its row */
    uint8_t bits;
};

struct range6 {
    struct key first;
    struct peer *peer;
};

struct table {
    uint32_t n4, n6;
    uint32_t *first4;      /* n4 first addresses: packed apart from the peers for the search */
    struct peer **peer4;   /* n4 */
    struct range6 *range6; /* n6 */
};

/* Peers that share a prefix. Found in a table in place of a peer, its lowest bit set. */
struct list {
    struct list *next; /* of all */
    uint32_t n;
    struct peer *peer[];
};

struct routes {
    struct table to;
    const struct table *from; /* `to`, or `shared` */
    struct table shared;
    struct list *lists; /* of `shared` */
};

static int key_compare(struct key a, struct key b) {
    if (a.high != b.high)
        return a.high < b.high ? -1 : 1;
    if (a.low != b.low)
        return a.low < b.low ? -1 : 1;
    return 0;
}

static struct key key_next(struct key k) {
    k.low++;
    k.high += k.low == 0;
    return k;
}

static struct key key_mask(unsigned bits) {
    struct key mask = {0, 0};
    if (bits > 0)
        mask.high = ~0ULL << (bits >= 64 ? 0 : 64 - bits);
    if (bits > 64)
        mask.low = ~0ULL << (128 - bits);
    return mask;
}

/* By first address, the wider prefix first, the earlier row first. */
static int prefix_compare(const void *left, const void *right) {
    const struct prefix *a = left, *b = right;
    int by_first = key_compare(a->first, b->first);
    if (by_first)
        return by_first;
    if (a->bits != b->bits)
        return a->bits < b->bits ? -1 : 1;
    return a->order < b->order ? -1 : 1;
}

/* Appends; a range that starts where the last one did replaces it. */
static uint32_t range_add(struct range6 *out, uint32_t n, struct key first, struct peer *peer) {
    if (n > 0 && key_compare(out[n - 1].first, first) == 0)
        n--;
    if (n > 0 && out[n - 1].peer == peer)
        return n;
    out[n] = (struct range6){first, peer};
    return n + 1;
}

/* Sweeps the sorted prefixes with a stack of those that are open: at most 129 nest, and the same
 * one named again takes its namesake's place. Writes at most 2n + 1 ranges; returns how many. */
static uint32_t flatten(struct range6 *out, const struct prefix *in, uint32_t n) {
    struct prefix open[130];
    uint32_t depth = 0, ranges = range_add(out, 0, (struct key){0, 0}, NULL);
    for (uint32_t i = 0; i <= n; i++) {
        while (depth > 0 && (i == n || key_compare(open[depth - 1].last, in[i].first) < 0)) {
            struct key end = open[--depth].last;
            struct key after = key_next(end);
            if (key_compare(after, end) > 0) /* else the last address of all */
                ranges = range_add(out, ranges, after, depth ? open[depth - 1].peer : NULL);
        }
        if (i == n)
            break;
        if (depth > 0 && open[depth - 1].bits == in[i].bits)
            depth--;
        open[depth++] = in[i];
        ranges = range_add(out, ranges, in[i].first, in[i].peer);
    }
    return ranges;
}

/* Of n rows with one prefix the last one stays, for the peers of all. 0 or -ENOMEM. */
static int share(struct routes *t, struct prefix *same, uint32_t n) {
    struct list *list = malloc(sizeof *list + n * sizeof(struct peer *));
    if (!list)
        return -ENOMEM;
    *list = (struct list){.next = t->lists, .n = n};
    t->lists = list;
    for (uint32_t i = 0; i < n; i++)
        list->peer[i] = same[i].peer;
    same[n - 1].peer = (struct peer *)(void *)((uint8_t *)list + 1);
    return 0;
}

static bool is_listed(const struct peer *found, const struct peer *peer) {
    const struct list *list = (const void *)((const uint8_t *)found - 1);
    for (uint32_t i = 0; i < list->n; i++)
        if (list->peer[i] == peer)
            return true;
    return false;
}

static inline bool is_named(const struct peer *found, const struct peer *peer) {
    return found == peer || ((uintptr_t)found & 1 && is_listed(found, peer));
}

static bool same_prefix(const struct prefix *a, const struct prefix *b) {
    return a->bits == b->bits && key_compare(a->first, b->first) == 0;
}

/* The prefixes are sorted. */
static int share_all(struct routes *t, struct prefix *in, uint32_t n) {
    for (uint32_t i = 0, same; i < n; i += same) {
        for (same = 1; i + same < n && same_prefix(&in[i], &in[i + same]);)
            same++;
        int err = same > 1 ? share(t, in + i, same) : 0;
        if (err)
            return err;
    }
    return 0;
}

/* record_route each. */
struct rows {
    const uint8_t *at;
    uint32_t n;
    struct peer *const *peers; /* by handle */
    uint32_t n_peers;
};

static int prefix_parse(struct prefix *p, const uint8_t *row, const struct rows *rows) {
    unsigned family = row[offsetof(struct record_route, family)];
    unsigned bits = row[offsetof(struct record_route, prefix)];
    uint32_t peer = load_le32(row + offsetof(struct record_route, peer));
    const uint8_t *addr = row + offsetof(struct record_route, addr);
    if ((family != 4 || bits > 32) && (family != 6 || bits > 128))
        return -EINVAL;
    if (peer >= rows->n_peers || !rows->peers[peer])
        return -ENOENT;
    struct key mask = key_mask(bits);
    struct key k = family == 4 ? (struct key){(uint64_t)load_be32(addr) << 32, 0}
                               : (struct key){load_be64(addr), load_be64(addr + 8)};
    p->first = (struct key){k.high & mask.high, k.low & mask.low};
    p->last = (struct key){k.high | ~mask.high, k.low | ~mask.low};
    p->bits = (uint8_t)bits;
    p->peer = rows->peers[peer];
    return 0;
}

static int store4(struct table *t, const struct range6 *ranges, uint32_t n) {
    t->first4 = malloc(n * sizeof *t->first4);
    t->peer4 = malloc(n * sizeof(struct peer *));
    if (!t->first4 || !t->peer4)
        return -ENOMEM;
    t->n4 = n;
    for (uint32_t i = 0; i < n; i++) {
        t->first4[i] = (uint32_t)(ranges[i].first.high >> 32);
        t->peer4[i] = ranges[i].peer;
    }
    return 0;
}

static int store6(struct table *t, const struct range6 *ranges, uint32_t n) {
    t->range6 = malloc(n * sizeof *t->range6);
    if (!t->range6)
        return -ENOMEM;
    t->n6 = n;
    memcpy(t->range6, ranges, n * sizeof *ranges);
    return 0;
}

static const uint8_t *row_at(const struct rows *rows, uint32_t i) {
    return rows->at + i * sizeof(struct record_route);
}

static bool stands_by(const uint8_t *row) {
    return load_le16(row + offsetof(struct record_route, flags)) & ROUTE_STANDBY;
}

/* Parses the rows of one family into `in`, of `to` without those that stand by; returns how many or
 * -errno. */
static int parse_family(struct prefix *in, const struct rows *rows, unsigned family, bool to) {
    uint32_t found = 0;
    for (uint32_t i = 0; i < rows->n; i++) {
        const uint8_t *row = row_at(rows, i);
        int err = prefix_parse(&in[found], row, rows);
        if (err)
            return err;
        in[found].order = i;
        found += row[offsetof(struct record_route, family)] == family && !(to && stands_by(row));
    }
    return (int)found;
}

static int build_family(struct routes *t, struct table *table, const struct rows *rows,
                        unsigned family) {
    struct prefix *in = malloc(((size_t)rows->n + 1) * sizeof *in);
    struct range6 *ranges = malloc(((size_t)rows->n * 2 + 1) * sizeof *ranges);
    int err = in && ranges ? parse_family(in, rows, family, table == &t->to) : -ENOMEM;
    if (err < 0)
        goto out;
    uint32_t found = (uint32_t)err;
    qsort(in, found, sizeof *in, prefix_compare);
    err = table == &t->shared ? share_all(t, in, found) : 0;
    if (err)
        goto out;
    uint32_t n = flatten(ranges, in, found);
    err = family == 4 ? store4(table, ranges, n) : store6(table, ranges, n);
out:
    free(ranges);
    free(in);
    return err;
}

static int build_table(struct routes *t, struct table *table, const struct rows *rows) {
    int err = build_family(t, table, rows, 4);
    return err ? err : build_family(t, table, rows, 6);
}

int routes_build(struct routes **table, const uint8_t *rows, uint32_t n, struct peer *const *peers,
                 uint32_t n_peers) {
    const struct rows all = {rows, n, peers, n_peers};
    struct routes *t = calloc(1, sizeof *t);
    if (!t)
        return -ENOMEM;
    t->from = &t->to;
    for (uint32_t i = 0; i < n; i++)
        if (stands_by(row_at(&all, i)))
            t->from = &t->shared;
    int err = build_table(t, &t->to, &all);
    if (!err && t->from == &t->shared)
        err = build_table(t, &t->shared, &all);
    if (err)
        routes_free(t);
    else
        *table = t;
    return err;
}

static void free_table(struct table *t) {
    free(t->first4);
    free(t->peer4);
    free(t->range6);
}

void routes_free(struct routes *t) {
    if (!t)
        return;
    for (struct list *list = t->lists, *next; list; list = next) {
        next = list->next;
        free(list);
    }
    free_table(&t->to);
    free_table(&t->shared);
    free(t);
}

static struct peer *find4(const struct table *t, const uint8_t *addr) {
    uint32_t key = load_be32(addr);
    uint32_t at = 0; /* the last range that starts at or before key lies in [at, at + n) */
    for (uint32_t n = t->n4; n > 1;) {
        uint32_t half = n / 2;
        at += t->first4[at + half] <= key ? half : 0;
        n -= half;
    }
    return t->peer4[at];
}

static struct peer *find6(const struct table *t, const uint8_t *addr) {
    struct key key = {load_be64(addr), load_be64(addr + 8)};
    uint32_t at = 0;
    for (uint32_t n = t->n6; n > 1;) {
        uint32_t half = n / 2;
        at += key_compare(t->range6[at + half].first, key) <= 0 ? half : 0;
        n -= half;
    }
    return t->range6[at].peer;
}

struct peer *routes_lookup4(const struct routes *t, const uint8_t *addr) {
    return find4(&t->to, addr);
}

struct peer *routes_lookup6(const struct routes *t, const uint8_t *addr) {
    return find6(&t->to, addr);
}

bool routes_allow4(const struct routes *t, const uint8_t *addr, const struct peer *peer) {
    return is_named(find4(t->from, addr), peer);
}

bool routes_allow6(const struct routes *t, const uint8_t *addr, const struct peer *peer) {
    return is_named(find6(t->from, addr), peer);
}

static void forget_in(struct table *t, const struct peer *peer) {
    for (uint32_t i = 0; i < t->n4; i++)
        if (t->peer4[i] == peer)
            t->peer4[i] = NULL;
    for (uint32_t i = 0; i < t->n6; i++)
        if (t->range6[i].peer == peer)
            t->range6[i].peer = NULL;
}

void routes_forget(struct routes *t, const struct peer *peer) {
    forget_in(&t->to, peer);
    forget_in(&t->shared, peer);
    for (struct list *list = t->lists; list; list = list->next)
        for (uint32_t i = 0; i < list->n; i++)
            if (list->peer[i] == peer)
                list->peer[i] = NULL;
}
