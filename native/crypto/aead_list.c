/* SPDX-License-Identifier: MIT */
/* Which AEAD implementations there are, and which is the fastest here. */
#include <string.h>
#include <time.h>

#include "crypto/aead_impl.h"

const struct aead *const aead_list[] = {
#ifdef TL_BENCH_NULL
    &aead_null,
#endif
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

enum {
    BATCH = 16,
    PACKET = 1424,
    ROUNDS = 8,
    HOPELESS = 2, /* times the best so far: not measured again ... */
    FAIR = 3,     /* ... after so many rounds: a first turn may be slow by chance */
    LIST_MAX = sizeof aead_list / sizeof aead_list[0],
};

/* What others run meanwhile does not count. */
static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Nanoseconds for a batch of full packets. */
static uint64_t measure(const struct aead *a) {
    static const uint8_t key[AEAD_KEY_LEN];
    uint8_t data[BATCH][PACKET + AEAD_TAG_LEN];
    struct aead_op ops[BATCH];
    memset(data, 0, sizeof data);
    for (uint32_t i = 0; i < BATCH; i++)
        ops[i] = (struct aead_op){key, data[i], data[i], i, PACKET, false};
    uint64_t start = now_ns();
    a->seal(ops, BATCH);
    return now_ns() - start;
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

/* They take turns, so that a slow moment of the machine meets them all, and each one's best turn
 * counts. One further down the list must be clearly faster: by an eighth of the other's time. */
const struct aead *aead_choose(void) {
    const struct aead *tried[LIST_MAX];
    uint64_t best_of[LIST_MAX];
    size_t n = 0;
    for (const struct aead *const *a = aead_list; *a != NULL; a++) {
        best_of[n] = UINT64_MAX;
        if (worth_trying(*a))
            tried[n++] = *a;
    }
    uint64_t best = UINT64_MAX;
    for (int round = 0; round < ROUNDS && n > 1; round++) {
        for (size_t i = 0; i < n; i++) {
            if (round >= FAIR && best_of[i] / HOPELESS > best)
                continue;
            uint64_t took = measure(tried[i]);
            if (took < best_of[i])
                best_of[i] = took;
            if (took < best)
                best = took;
        }
    }
    size_t chosen = 0;
    for (size_t i = 1; i < n; i++)
        if (best_of[i] < best_of[chosen] - best_of[chosen] / 8)
            chosen = i;
    return tried[chosen];
}
