/* SPDX-License-Identifier: MIT */
/* BLAKE2s (RFC 7693), keyed and unkeyed, and WireGuard's HMAC-BLAKE2s KDF. */
#ifndef TL_BLAKE2S_H
#define TL_BLAKE2S_H

#include <stddef.h>
#include <stdint.h>

enum { BLAKE2S_OUT = 32, BLAKE2S_KEY = 32, BLAKE2S_BLOCK = 64 };

struct blake2s {
    uint32_t h[8];
    uint64_t count;
    uint8_t block[BLAKE2S_BLOCK];
    uint32_t fill;
    uint32_t out_len;
};

/* out_len 1..32, key_len 0..32. The state holds key material: final wipes it. */
void blake2s_init(struct blake2s *s, size_t out_len, const uint8_t *key, size_t key_len);
void blake2s_update(struct blake2s *s, const uint8_t *in, size_t len);
void blake2s_final(struct blake2s *s, uint8_t *out);
void blake2s(uint8_t *out, size_t out_len, const uint8_t *key, size_t key_len, const uint8_t *in,
             size_t len);

/* HKDF with HMAC-BLAKE2s as the WireGuard paper's section 5.4 has it: n of 1..3 outputs of 32
 * bytes, written one after the other. */
void blake2s_kdf(uint8_t *out, size_t n, const uint8_t key[32], const uint8_t *in, size_t len);

#endif
