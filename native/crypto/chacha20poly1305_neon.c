/* SPDX-License-Identifier: MIT */
/* NEON of ARMv7 and ARMv8: 4 blocks of ChaCha20, 2 packets of Poly1305 at once. Once per packet. */
#include "crypto/aead_impl.h"

#ifdef TL_NEON

#include <sys/auxv.h>

#include "crypto/aead_serial.h"
#include "crypto/ct.h"
#include "crypto/le.h"

#ifdef __aarch64__
enum { HWCAP_VECTORS = 1 << 1 }; /* HWCAP_ASIMD */
#define POLY1305_ALONE poly1305_64
#else
enum { HWCAP_VECTORS = 1 << 12 }; /* HWCAP_NEON */
#define POLY1305_ALONE poly1305_32
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("neon"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("fpu=neon")
#endif
#endif

#include <arm_neon.h>

#define LANES 4
#include "crypto/lanes.h"

#define rotate_left(x, n)                                                                          \
    ((n) == 16                                                                                     \
         ? (vec32)vrev32q_u16((uint16x8_t)(x))                                                     \
         : (vec32)vsriq_n_u32(vshlq_n_u32((uint32x4_t)(x), (n) % 32), (uint32x4_t)(x), 32 - (n)))
typedef uint32x2_t factor;
#define narrow(x) vmovn_u64((uint64x2_t)(x))
#define multiply(a, b) ((vec64)vmull_u32(a, b))
#define multiply_add(sum, a, b) ((vec64)vmlal_u32((uint64x2_t)(sum), a, b))
#include "crypto/poly1305_lanes26.h"

#include "crypto/poly1305_team.h"

#include "crypto/chacha20poly1305_lanes.h"

static bool available(void) {
    return (getauxval(AT_HWCAP) & HWCAP_VECTORS) != 0;
}

#ifndef __aarch64__
#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif

const struct aead aead_neon = {"neon",     available,          seal_batch,
                               open_batch, authenticate_batch, verify_batch};

#else
typedef int chacha20poly1305_neon_needs_arm; /* an empty file is not ISO C */
#endif
