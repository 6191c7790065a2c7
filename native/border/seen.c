/* SPDX-License-Identifier: MIT */
/* What is seen of a plane, of this machine, and the names of all of it. */
#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/feature.h"
#include "base/wire.h"
#include "border/handles.h"
#include "crypto/aead.h"
#include "inside/tun.h"
#include "layer2/bridge.h"
#include "outside/engines.h"
#include "outside/socket.h"
#include "tunlite.h"
#include "turn/crew.h"

enum { NO_PLANE = -1 };

/* The caller's buffer. */
struct out {
    unsigned char *at;
    int len;
};

/* Its length. */
static int put_text(struct out out, const char *text, uint32_t len) {
    if (out.len < 0 || (uint32_t)out.len < len)
        return -ENOSPC;
    memcpy(out.at, text, len);
    return (int)len;
}

static const char *names_of(int what) {
    switch (what) {
    case TL_SEEN_DROP_NAMES:
        return stats_drop_names;
    case TL_SEEN_COUNTER_NAMES:
        return stats_count_names;
    case TL_SEEN_REASON_NAMES:
        return feature_reason_names;
    default:
        return NULL;
    }
}

static int put_names(int what, struct out out) {
    char features[512];
    if (what == TL_SEEN_FEATURE_NAMES)
        return put_text(out, features, feature_names(features, sizeof features));
    const char *text = names_of(what);
    return text ? put_text(out, text, (uint32_t)strlen(text)) : -EINVAL;
}

static struct stats sum(struct plane *plane) {
    static const enum count highest[] = {COUNT_AWAY_LONGEST, COUNT_AWAY_SPENT_LONGEST,
                                         COUNT_BATCH_LARGEST};
    struct stats all = {0};
    HOLD hold = hold_all(plane);
    for (uint32_t i = 0; i < plane->n_workers; i++) {
        const struct stats *stats = &plane->worker[i].stats;
        for (unsigned k = 0; k < DROPS; k++)
            all.drops[k] += stats->drops[k];
        for (unsigned k = 0; k < COUNTS; k++)
            all.counts[k] += stats->counts[k];
    }
    for (unsigned k = 0; k < sizeof highest / sizeof *highest; k++) {
        all.counts[highest[k]] = 0;
        for (uint32_t i = 0; i < plane->n_workers; i++)
            stats_highest(&all.counts[highest[k]], plane->worker[i].stats.counts[highest[k]]);
    }
    return all;
}

static int put_numbers(struct out out, const uint64_t *numbers, int n) {
    if (out.len / 8 < n)
        return -ENOSPC;
    for (int i = 0; i < n; i++)
        store_le64(out.at + i * 8, numbers[i]);
    return n;
}

static int put_workers(struct plane *plane, struct out out) {
    if (out.len / 16 < (int)plane->n_workers)
        return -ENOSPC;
    HOLD hold = hold_all(plane);
    for (uint32_t i = 0; i < plane->n_workers; i++) {
        const uint64_t *counts = plane->worker[i].stats.counts;
        store_le64(out.at + i * 16, counts[COUNT_SOCKET_READ]);
        store_le64(out.at + i * 16 + 8, counts[COUNT_SOCKET_WRITTEN]);
    }
    return (int)plane->n_workers;
}

static int put_features(struct out out, const struct features *chosen) {
    return feature_rows(out.at, (uint32_t)(out.len > 0 ? out.len : 0), chosen);
}

static void note_paths(const struct plane *plane, struct feature_state *gso) {
    for (uint32_t i = 0; i < plane->n_peers && gso->on; i++)
        if (plane->peers[i] && plane->peers[i]->way.runs.is_single)
            gso->why = REASON_NOT_EVERYWHERE;
}

static int features_of(struct plane *plane, struct out out) {
    HOLD hold = hold_all(plane);
    const struct worker *w = plane->worker;
    struct feature_state offload[FEATURE_AEADS];
    const struct features chosen = {w->outside.ops, plane->aead, offload};
    memcpy(offload, w->offload, sizeof offload);
    note_paths(plane, &offload[FEATURE_UDP_GSO]);
    return put_features(out, &chosen);
}

static int probe(struct out out) {
    struct feature_state offload[FEATURE_AEADS];
    const struct features chosen = {feature_engine_auto(), aead_choose(), offload};
    feature_probe_engines(offload);
    socket_probe(offload, 0);
    tun_probe(offload);
    int32_t why = CREW ? crew_refusal(chosen.engine) : REASON_NOT_BUILT;
    offload[FEATURE_WORKERS] = feature_off(why ? why : REASON_NOT_ASKED);
    return put_features(out, &chosen);
}

static void put_fdb_row(unsigned char *r, const struct fdb_row *row) {
    memcpy(r, row->mac, sizeof row->mac);
    store_le16(r + offsetof(struct record_fdb, peer), row->peer);
    store_le32(r + offsetof(struct record_fdb, age_ms), row->age_ms);
    store_le32(r + offsetof(struct record_fdb, flags), row->flags);
}

/* As many as fit; how many there are. */
static int put_fdb(struct plane *plane, struct out out) {
    enum { ROW = sizeof(struct record_fdb) };
    struct outside *outside = &plane->worker->outside;
    struct fdb_row row;
    uint32_t at = 0;
    int n = 0;
    if (!plane->bridge)
        return 0;
    uint64_t now = outside->ops->now_ms(outside);
    for (; fdb_next(plane->bridge->fdb, &at, now, &row); n++)
        if (n < out.len / ROW)
            put_fdb_row(out.at + n * ROW, &row);
    return n;
}

static int seen_of(struct plane *plane, int what, struct out out) {
    if (what == TL_SEEN_FDB)
        return put_fdb(plane, out);
    if (what == TL_SEEN_WORKERS)
        return put_workers(plane, out);
    if (what == TL_SEEN_FEATURES)
        return features_of(plane, out);
    const struct stats all = sum(plane);
    return what == TL_SEEN_DROPS ? put_numbers(out, all.drops, DROPS)
                                 : put_numbers(out, all.counts, COUNTS);
}

int tl_seen(int handle, int what, unsigned char *out, int out_len) {
    const struct out to = {out, out_len};
    if ((what < TL_SEEN_DROPS || what > TL_SEEN_FEATURES) && what != TL_SEEN_FDB)
        return put_names(what, to);
    if (what == TL_SEEN_FEATURES && handle == NO_PLANE)
        return probe(to);
    struct plane *plane = handle_plane(handle);
    return plane ? seen_of(plane, what, to) : -EBADF;
}
