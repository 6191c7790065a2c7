/* SPDX-License-Identifier: MIT */
/* ChaCha20 (RFC 8439 section 2.4) and HChaCha20, one block at a time. */
#ifndef TL_CHACHA20_H
#define TL_CHACHA20_H

#include <stddef.h>
#include <stdint.h>

enum { CHACHA20_BLOCK = 64 };

/* Constants, key, block counter (word 12) and nonce (words 13 to 15) as RFC 8439 lays them out. */
struct chacha20 {
    uint32_t word[16];
    uint32_t
        begun[16]; /* the same after that part of the rounds which the counter does not reach */
};

/* The block counter starts at 0. */
void chacha20_init(struct chacha20 *s, const uint8_t key[32], const uint32_t nonce[3]);

/* Writes the next 64 bytes of key stream. */
void chacha20_block(struct chacha20 *s, uint8_t out[CHACHA20_BLOCK]);

/* dst = src ^ key stream, which goes on at the next whole block. dst equals src or is apart. */
void chacha20_xor(struct chacha20 *s, uint8_t *dst, const uint8_t *src, size_t len);

/* draft-irtf-cfrg-xchacha-03 section 2.2: a key for the last 8 bytes of a 24-byte nonce. */
void hchacha20(uint8_t out[32], const uint8_t key[32], const uint8_t nonce[16]);

#endif
