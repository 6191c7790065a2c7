/* SPDX-License-Identifier: MIT */
/* AVX-512 with 52-bit products: 16 blocks of ChaCha20, 8 packets of Poly1305 at once.
 * Once per packet. */
#include "crypto/aead_impl.h"

#ifdef __x86_64__

#include <immintrin.h>

#include "crypto/aead_serial.h"
#include "crypto/cpu_x86.h"
#include "crypto/ct.h"
#include "crypto/le.h"

#ifdef __clang__
#pragma clang attribute push(                                                                      \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512ifma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512ifma")
#endif

#define LANES 16
#define POLY1305_ALONE poly1305_64
#include "crypto/lanes.h"

#define rotate_left(x, n) ((vec32)_mm512_rol_epi32((__m512i)(x), n))
#define multiply_low(d, a, b)                                                                      \
    ((vec64)_mm512_madd52lo_epu64((__m512i)(d), (__m512i)(a), (__m512i)(b)))
#define multiply_high(d, a, b)                                                                     \
    ((vec64)_mm512_madd52hi_epu64((__m512i)(d), (__m512i)(a), (__m512i)(b)))
#include "crypto/poly1305_lanes44.h"

#include "crypto/poly1305_team.h"

#include "crypto/chacha20poly1305_lanes.h"

#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

const struct aead aead_avx512ifma = {"avx512ifma", cpu_has_avx512_ifma, seal_batch,
                                     open_batch,   authenticate_batch,  verify_batch};

#else
typedef int chacha20poly1305_avx512ifma_needs_x86; /* an empty file is not ISO C */
#endif
