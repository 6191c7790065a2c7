/* SPDX-License-Identifier: MIT */
/* What is seen of a plane, of this machine, and the names of all of it. */
#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/feature.h"
#include "border/handles.h"
#include "crypto/aead.h"
#include "inside/tun.h"
#include "outside/engines.h"
#include "outside/socket.h"
#include "tunlite.h"
#include "turn/crew.h"

/* 0 where it was written whole: names are short and the caller's buffer generous. */
static int put_text(unsigned char *out, int out_len, const char *text, uint32_t len) {
    if (out_len < 0 || (uint32_t)out_len < len)
        return -ENOSPC;
    memcpy(out, text, len);
    return (int)len;
}

int tl_names(int kind, unsigned char *out, int out_len) {
    char names[512];
    switch (kind) {
    case TL_NAMES_DROP:
        return put_text(out, out_len, stats_drop_names, (uint32_t)strlen(stats_drop_names));
    case TL_NAMES_COUNTER:
        return put_text(out, out_len, stats_count_names, (uint32_t)strlen(stats_count_names));
    case TL_NAMES_FEATURE:
        return put_text(out, out_len, names, feature_names(names, sizeof names));
    case TL_NAMES_REASON:
        return put_text(out, out_len, feature_reason_names, (uint32_t)strlen(feature_reason_names));
    default:
        return -EINVAL;
    }
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

static int put_numbers(unsigned char *out, int out_len, const uint64_t *numbers, int n) {
    if (out_len / 8 < n)
        return -ENOSPC;
    for (int i = 0; i < n; i++)
        store_le64(out + i * 8, numbers[i]);
    return n;
}

int tl_drops(int handle, unsigned char *out, int out_len) {
    struct plane *plane = handle_plane(handle);
    if (!plane)
        return -EBADF;
    const struct stats all = sum(plane);
    return put_numbers(out, out_len, all.drops, DROPS);
}

int tl_counters(int handle, unsigned char *out, int out_len) {
    struct plane *plane = handle_plane(handle);
    if (!plane)
        return -EBADF;
    const struct stats all = sum(plane);
    return put_numbers(out, out_len, all.counts, COUNTS);
}

int tl_workers(int handle, unsigned char *out, int out_len) {
    struct plane *plane = handle_plane(handle);
    if (!plane)
        return -EBADF;
    if (out_len / 16 < (int)plane->n_workers)
        return -ENOSPC;
    HOLD hold = hold_all(plane);
    for (uint32_t i = 0; i < plane->n_workers; i++) {
        const uint64_t *counts = plane->worker[i].stats.counts;
        store_le64(out + i * 16, counts[COUNT_SOCKET_READ]);
        store_le64(out + i * 16 + 8, counts[COUNT_SOCKET_WRITTEN]);
    }
    return (int)plane->n_workers;
}

static void note_paths(const struct plane *plane, struct feature_state *gso) {
    for (uint32_t i = 0; i < plane->n_peers && gso->on; i++)
        if (plane->peers[i] && plane->peers[i]->way.runs.is_single)
            gso->why = REASON_NOT_EVERYWHERE;
}

int tl_features(int handle, unsigned char *out, int out_len) {
    struct plane *plane = handle_plane(handle);
    if (!plane)
        return -EBADF;
    HOLD hold = hold_all(plane);
    const struct worker *w = plane->worker;
    struct feature_state offload[FEATURE_AEADS];
    const struct features chosen = {w->outside.ops, plane->aead, offload};
    memcpy(offload, w->offload, sizeof offload);
    note_paths(plane, &offload[FEATURE_UDP_GSO]);
    return feature_rows(out, (uint32_t)(out_len > 0 ? out_len : 0), &chosen);
}

int tl_probe(unsigned char *out, int out_len) {
    struct feature_state offload[FEATURE_AEADS];
    const struct features chosen = {feature_engine_auto(), aead_choose(), offload};
    feature_probe_engines(offload);
    socket_probe(offload, 0);
    tun_probe(offload);
    int32_t why = CREW ? crew_refusal(chosen.engine) : REASON_NOT_BUILT;
    offload[FEATURE_WORKERS] = feature_off(why ? why : REASON_NOT_ASKED);
    return feature_rows(out, (uint32_t)(out_len > 0 ? out_len : 0), &chosen);
}
