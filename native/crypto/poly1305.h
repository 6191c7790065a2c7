/* SPDX-License-Identifier: MIT */
/*
 * Poly1305 (RFC 8439 section 2.5) over whole 16-byte blocks: all that the AEAD needs, which pads.
 *
 * The sum is h = (..(m1 r + m2) r + ..) r + mn, one multiplication behind the usual order, because
 * the next block then goes into the accumulators together with the carries; `final` makes it up.
 */
#ifndef TL_POLY1305_H
#define TL_POLY1305_H

#include <stddef.h>
#include <stdint.h>

enum { POLY1305_BLOCK = 16, POLY1305_TAG = 16, POLY1305_KEY = 32 };

struct poly1305 {
    union {
        struct {
            uint32_t h[5]; /* radix 2^32; h[4] is reduced lazily and below 2^32 */
            uint32_t r[4];
            uint32_t s[4]; /* s[0] = 5 r[0], s[i] = 5/4 r[i] */
        } w32;
        struct {
            uint64_t h[3]; /* radix 2^64; h[2] likewise */
            uint64_t r[2];
            uint64_t s[2];
        } w64;
    };
    uint32_t pad[4]; /* added at the end */
};

/* One way to compute it. */
struct poly1305_impl {
    void (*init)(struct poly1305 *s, const uint8_t key[POLY1305_KEY]);
    void (*blocks)(struct poly1305 *s, const uint8_t *m, size_t n);
    void (*final)(struct poly1305 *s, uint8_t tag[POLY1305_TAG]); /* after one block at least */
};

extern const struct poly1305_impl poly1305_32; /* 32 x 32 -> 64 bit products */
extern const struct poly1305_impl poly1305_64; /* 64 x 64 -> 128; only where the CPU has them */

/* Adds `len` bytes, padded with zeros to whole blocks. */
void poly1305_padded(const struct poly1305_impl *impl, struct poly1305 *s, const uint8_t *m,
                     size_t len);

/* The 16-byte block that ends an AEAD message: both lengths in bytes. */
void poly1305_lengths(const struct poly1305_impl *impl, struct poly1305 *s, uint64_t ad_len,
                      uint64_t len);

#endif
