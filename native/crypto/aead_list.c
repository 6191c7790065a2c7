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
#ifdef TL_LIBCRYPTO
    &aead_libcrypto,
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

enum { BATCH = 16, PACKET = 1424, ROUNDS = 4, HOPELESS = 3 };

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Nanoseconds for a batch of full packets, the best of a few rounds; given up at once where the
 * first, which warms up, takes HOPELESS times as long as the best implementation so far. */
static uint64_t measure(const struct aead *a, uint64_t best_so_far) {
    static const uint8_t key[AEAD_KEY_LEN];
    uint8_t data[BATCH][PACKET + AEAD_TAG_LEN];
    struct aead_op ops[BATCH];
    memset(data, 0, sizeof data);
    for (uint32_t i = 0; i < BATCH; i++)
        ops[i] = (struct aead_op){key, data[i], data[i], i, PACKET, false};
    uint64_t best = UINT64_MAX;
    for (int i = 0; i <= ROUNDS; i++) {
        uint64_t start = now_ns();
        a->seal(ops, BATCH);
        uint64_t took = now_ns() - start;
        if (took < best)
            best = took;
        if (best / HOPELESS > best_so_far)
            break;
    }
    return best;
}

/* Loading libcrypto takes megabytes. On x86_64 it is not even tried: with SSE2, AVX2 and AVX-512
 * alike, OpenSSL 3.0 took longer for a full packet than the implementations here. */
static bool worth_trying(const struct aead *a) {
#if defined(__x86_64__) && defined(TL_LIBCRYPTO)
    if (a == &aead_libcrypto)
        return false;
#endif
    return a->available();
}

const struct aead *aead_choose(void) {
    const struct aead *best = NULL;
    uint64_t best_ns = UINT64_MAX;
    for (const struct aead *const *a = aead_list; *a != NULL; a++) {
        if (!worth_trying(*a))
            continue;
        if (best == NULL && a[1] == NULL) /* no choice: the portable one on a slow CPU */
            return *a;
        uint64_t ns = measure(*a, best_ns);
        if (ns < best_ns) {
            best = *a;
            best_ns = ns;
        }
    }
    return best;
}
