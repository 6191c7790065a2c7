/* SPDX-License-Identifier: MIT */
/* ChaCha20-Poly1305 one packet after the other, from a cipher and an authenticator. */
#ifndef TL_AEAD_SERIAL_H
#define TL_AEAD_SERIAL_H

#include "crypto/aead.h"
#include "crypto/chacha20.h"
#include "crypto/poly1305.h"

struct aead_parts {
    void (*xor_stream)(struct chacha20 *s, uint8_t *dst, const uint8_t *src, size_t len);
    const struct poly1305_impl *poly;
    bool clear; /* the bytes stay as they are: authenticate and verify */
};

void aead_serial_seal(const struct aead_parts *parts, struct aead_op *ops, size_t n);
void aead_serial_open(const struct aead_parts *parts, struct aead_op *ops, size_t n);

#endif
