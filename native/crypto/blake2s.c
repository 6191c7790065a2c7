/* SPDX-License-Identifier: MIT */
/* BLAKE2s (RFC 7693) and WireGuard's KDF. Small rather than fast: a handshake hashes 2 KB or so. */
#include "crypto/blake2s.h"

#include <stdbool.h>
#include <string.h>

#include "crypto/ct.h"
#include "crypto/le.h"

static const uint32_t iv[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                               0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

static const uint8_t sigma[10][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4},
    {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13},
    {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11},
    {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5},
    {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
};

static uint32_t rotate_right(uint32_t x, int n) {
    return x >> n | x << (32 - n);
}

static void mix(uint32_t v[16], const uint8_t at[4], uint32_t x, uint32_t y) {
    uint32_t a = v[at[0]], b = v[at[1]], c = v[at[2]], d = v[at[3]];
    a += b + x;
    d = rotate_right(d ^ a, 16);
    c += d;
    b = rotate_right(b ^ c, 12);
    a += b + y;
    d = rotate_right(d ^ a, 8);
    c += d;
    b = rotate_right(b ^ c, 7);
    v[at[0]] = a, v[at[1]] = b, v[at[2]] = c, v[at[3]] = d;
}

static void compress(struct blake2s *s, bool last) {
    static const uint8_t column[8][4] = {
        {0, 4, 8, 12},  {1, 5, 9, 13},  {2, 6, 10, 14}, {3, 7, 11, 15},
        {0, 5, 10, 15}, {1, 6, 11, 12}, {2, 7, 8, 13},  {3, 4, 9, 14},
    };
    uint32_t m[16];
    uint32_t v[16];
    for (int i = 0; i < 16; i++)
        m[i] = le32_load(s->block + 4 * i);
    for (int i = 0; i < 8; i++) {
        v[i] = s->h[i];
        v[8 + i] = iv[i];
    }
    v[12] ^= (uint32_t)s->count;
    v[13] ^= (uint32_t)(s->count >> 32);
    if (last)
        v[14] = ~v[14];
    for (int round = 0; round < 10; round++)
        for (int i = 0; i < 8; i++)
            mix(v, column[i], m[sigma[round][2 * i]], m[sigma[round][2 * i + 1]]);
    for (int i = 0; i < 8; i++)
        s->h[i] ^= v[i] ^ v[8 + i];
    ct_wipe(m, sizeof m);
    ct_wipe(v, sizeof v);
}

void blake2s_init(struct blake2s *s, size_t out_len, const uint8_t *key, size_t key_len) {
    memset(s, 0, sizeof *s);
    memcpy(s->h, iv, sizeof s->h);
    s->h[0] ^= 0x01010000 ^ (uint32_t)key_len << 8 ^ (uint32_t)out_len;
    s->out_len = (uint32_t)out_len;
    if (key_len > 0) { /* the key is a first block of its own, padded with zeros */
        memcpy(s->block, key, key_len);
        s->fill = BLAKE2S_BLOCK;
    }
}

void blake2s_update(struct blake2s *s, const uint8_t *in, size_t len) {
    while (len > 0) {
        if (s->fill == BLAKE2S_BLOCK) { /* more follows, so this block was not the last */
            s->count += BLAKE2S_BLOCK;
            compress(s, false);
            s->fill = 0;
        }
        size_t n = BLAKE2S_BLOCK - s->fill;
        if (n > len)
            n = len;
        memcpy(s->block + s->fill, in, n);
        s->fill += (uint32_t)n;
        in += n;
        len -= n;
    }
}

void blake2s_final(struct blake2s *s, uint8_t *out) {
    uint8_t hash[BLAKE2S_OUT];
    memset(s->block + s->fill, 0, BLAKE2S_BLOCK - s->fill);
    s->count += s->fill;
    compress(s, true);
    for (int i = 0; i < 8; i++)
        le32_store(hash + 4 * i, s->h[i]);
    memcpy(out, hash, s->out_len);
    ct_wipe(hash, sizeof hash);
    ct_wipe(s, sizeof *s);
}

void blake2s(uint8_t *out, size_t out_len, const uint8_t *key, size_t key_len, const uint8_t *in,
             size_t len) {
    struct blake2s s;
    blake2s_init(&s, out_len, key, key_len);
    blake2s_update(&s, in, len);
    blake2s_final(&s, out);
}

/* HMAC (RFC 2104) of two pieces with a 32-byte key. `out` may be one of the inputs. */
static void hmac(uint8_t out[32], const uint8_t key[32], const uint8_t *in, size_t len,
                 uint8_t tail) {
    struct blake2s s;
    uint8_t pad[BLAKE2S_BLOCK];
    uint8_t inner[32];
    memset(pad, 0x36, sizeof pad);
    for (int i = 0; i < 32; i++)
        pad[i] ^= key[i];
    blake2s_init(&s, 32, NULL, 0);
    blake2s_update(&s, pad, sizeof pad);
    blake2s_update(&s, in, len);
    if (tail > 0)
        blake2s_update(&s, &tail, 1);
    blake2s_final(&s, inner);
    for (size_t i = 0; i < sizeof pad; i++)
        pad[i] ^= 0x36 ^ 0x5c;
    blake2s_init(&s, 32, NULL, 0);
    blake2s_update(&s, pad, sizeof pad);
    blake2s_update(&s, inner, sizeof inner);
    blake2s_final(&s, out);
    ct_wipe(pad, sizeof pad);
    ct_wipe(inner, sizeof inner);
}

void blake2s_kdf(uint8_t *out, size_t n, const uint8_t key[32], const uint8_t *in, size_t len) {
    uint8_t secret[32];
    uint8_t t[32];
    hmac(secret, key, in, len, 0);
    for (size_t i = 0; i < n; i++) {
        hmac(t, secret, t, i == 0 ? 0 : sizeof t, (uint8_t)(i + 1));
        memcpy(out + 32 * i, t, sizeof t);
    }
    ct_wipe(secret, sizeof secret);
    ct_wipe(t, sizeof t);
}
