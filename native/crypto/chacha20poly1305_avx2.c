/* SPDX-License-Identifier: MIT */
/* AVX2: 8 blocks of ChaCha20, 4 packets of Poly1305 at once. Once per packet. */
#include "crypto/aead_impl.h"

#ifdef __x86_64__

#include <immintrin.h>

#include "crypto/aead_serial.h"
#include "crypto/cpu_x86.h"
#include "crypto/ct.h"
#include "crypto/le.h"

#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2")
#endif

#define LANES 8
#define POLY1305_ALONE poly1305_64
#include "crypto/lanes.h"

/* By whole bytes a shuffle is one instruction; shift, shift and or are three. */
INLINE vec32 rotate_bytes(vec32 x, __m256i from) {
    return (vec32)_mm256_shuffle_epi8((__m256i)x, from);
}

#define BYTES(a, b, c, d)                                                                          \
    _mm256_setr_epi8(a, b, c, d, 4 + a, 4 + b, 4 + c, 4 + d, 8 + a, 8 + b, 8 + c, 8 + d, 12 + a,   \
                     12 + b, 12 + c, 12 + d, a, b, c, d, 4 + a, 4 + b, 4 + c, 4 + d, 8 + a, 8 + b, \
                     8 + c, 8 + d, 12 + a, 12 + b, 12 + c, 12 + d)
#define rotate_left(x, n)                                                                          \
    ((n) == 16  ? rotate_bytes(x, BYTES(2, 3, 0, 1))                                               \
     : (n) == 8 ? rotate_bytes(x, BYTES(3, 0, 1, 2))                                               \
                : ((x) << (n) | (x) >> (32 - (n))))
typedef vec64 factor;
#define narrow(x) (x)
#define multiply(a, b) ((vec64)_mm256_mul_epu32((__m256i)(a), (__m256i)(b)))
#define multiply_add(sum, a, b) ((sum) + multiply(a, b))
#include "crypto/poly1305_lanes26.h"

#include "crypto/poly1305_team.h"

#include "crypto/chacha20poly1305_lanes.h"

#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

const struct aead aead_avx2 = {"avx2",     cpu_has_avx2,       seal_batch,
                               open_batch, authenticate_batch, verify_batch};

#else
typedef int chacha20poly1305_avx2_needs_x86; /* an empty file is not ISO C */
#endif
