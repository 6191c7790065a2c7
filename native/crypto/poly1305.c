/* SPDX-License-Identifier: MIT */
/* Poly1305 as the AEAD of RFC 8439 section 2.8 feeds it. Once per packet. */
#include "crypto/poly1305.h"

#include <string.h>

#include "crypto/le.h"

void poly1305_padded(const struct poly1305_impl *impl, struct poly1305 *s, const uint8_t *m,
                     size_t len) {
    size_t whole = len / POLY1305_BLOCK;
    size_t rest = len % POLY1305_BLOCK;
    impl->blocks(s, m, whole);
    if (rest > 0) {
        uint32_t last[POLY1305_BLOCK / 4] = {0};
        memcpy(last, m + whole * POLY1305_BLOCK, rest);
        impl->blocks(s, (const uint8_t *)last, 1);
    }
}

void poly1305_lengths(const struct poly1305_impl *impl, struct poly1305 *s, uint64_t ad_len,
                      uint64_t len) {
    uint64_t block[2] = {LE64(ad_len), LE64(len)};
    impl->blocks(s, (const uint8_t *)block, 1);
}
