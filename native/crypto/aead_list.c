/* SPDX-License-Identifier: MIT */
/* Which AEAD implementations there are, and which is the fastest here. */
#include <string.h>
#include <time.h>

#include "aead_impl.h"

const struct aead *const aead_list[] = {
#ifdef __x86_64__
    &aead_avx512ifma, &aead_avx512, &aead_avx2, &aead_sse2,
#endif
#ifdef TL_NEON
    &aead_neon,
#endif
#ifdef __SIZEOF_INT128__
    &aead_portable64,
#endif
    &aead_portable,   NULL,
};

const struct aead *aead_find(const char *name) {
    for (const struct aead *const *a = aead_list; *a != NULL; a++)
        if (strcmp((*a)->name, name) == 0)
            return (*a)->available() ? *a : NULL;
    return NULL;
}

enum { BATCH = 16, PACKET = 1424, ROUNDS = 4 };

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Nanoseconds for a batch of full packets: the best of a few rounds, after one to warm up. */
static uint64_t measure(const struct aead *a) {
    static const uint8_t key[AEAD_KEY_LEN];
    uint8_t data[BATCH][PACKET + AEAD_TAG_LEN];
    struct aead_op ops[BATCH];
    memset(data, 0, sizeof data);
    for (uint32_t i = 0; i < BATCH; i++)
        ops[i] = (struct aead_op){key, data[i], data[i], i, PACKET, false};
    uint64_t best = UINT64_MAX;
    a->seal(ops, BATCH);
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t start = now_ns();
        a->seal(ops, BATCH);
        uint64_t took = now_ns() - start;
        if (took < best)
            best = took;
    }
    return best;
}

const struct aead *aead_choose(void) {
    const struct aead *best = NULL;
    uint64_t best_ns = 0;
    for (const struct aead *const *a = aead_list; *a != NULL; a++) {
        if (!(*a)->available())
            continue;
        uint64_t ns = measure(*a);
        if (best == NULL || ns < best_ns) {
            best = *a;
            best_ns = ns;
        }
    }
    return best;
}
