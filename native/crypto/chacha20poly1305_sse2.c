/* SPDX-License-Identifier: MIT */
/* SSE2, which every x86_64 has: 4 blocks of ChaCha20, 2 packets of Poly1305 at once.
 * Once per packet. */
#include "crypto/aead_impl.h"

#ifdef __x86_64__

#include <emmintrin.h>

#define LANES 4
#define POLY1305_ALONE poly1305_64
#include "crypto/lanes.h"

#define rotate_left(x, n) ((x) << (n) | (x) >> (32 - (n)))
#include "crypto/poly1305_each.h"

#include "crypto/chacha20poly1305_lanes.h"

static bool always(void) {
    return true;
}

const struct aead aead_sse2 = {"sse2",      always, seal_batch, open_batch, authenticate_batch,
                               verify_batch};

#else
typedef int chacha20poly1305_sse2_needs_x86; /* an empty file is not ISO C */
#endif
