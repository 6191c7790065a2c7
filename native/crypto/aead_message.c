/* SPDX-License-Identifier: MIT */
/* Single messages with associated data: handshakes (RFC 8439) and cookies (XChaCha20). */
#include "crypto/aead.h"

#include <string.h>

#include "crypto/chacha20.h"
#include "crypto/ct.h"
#include "crypto/le.h"
#include "crypto/poly1305.h"

struct work {
    struct chacha20 cipher;
    struct poly1305 poly;
    uint8_t poly_key[CHACHA20_BLOCK];
    uint8_t tag[AEAD_TAG_LEN];
};

static void begin(struct work *w, const uint8_t key[32], const uint8_t nonce[12]) {
    uint32_t words[3] = {le32_load(nonce), le32_load(nonce + 4), le32_load(nonce + 8)};
    chacha20_init(&w->cipher, key, words);
    chacha20_block(&w->cipher, w->poly_key);
    poly1305_32.init(&w->poly, w->poly_key);
}

static void authenticate(struct work *w, struct bytes ad, struct bytes ciphertext) {
    poly1305_padded(&poly1305_32, &w->poly, ad.p, ad.len);
    poly1305_padded(&poly1305_32, &w->poly, ciphertext.p, ciphertext.len);
    poly1305_lengths(&poly1305_32, &w->poly, ad.len, ciphertext.len);
    poly1305_32.final(&w->poly, w->tag);
}

void aead_seal_ad(uint8_t *out, const uint8_t key[32], const uint8_t nonce[12], struct bytes ad,
                  struct bytes in) {
    struct work w;
    begin(&w, key, nonce);
    chacha20_xor(&w.cipher, out, in.p, in.len);
    authenticate(&w, ad, (struct bytes){out, in.len});
    memcpy(out + in.len, w.tag, AEAD_TAG_LEN);
    ct_wipe(&w, sizeof w);
}

bool aead_open_ad(uint8_t *out, const uint8_t key[32], const uint8_t nonce[12], struct bytes ad,
                  struct bytes in) {
    if (in.len < AEAD_TAG_LEN)
        return false;
    struct work w;
    size_t len = in.len - AEAD_TAG_LEN;
    begin(&w, key, nonce);
    authenticate(&w, ad, (struct bytes){in.p, len});
    bool ok = ct_equal(w.tag, in.p + len, AEAD_TAG_LEN);
    if (ok)
        chacha20_xor(&w.cipher, out, in.p, len);
    else
        memset(out, 0, len);
    ct_wipe(&w, sizeof w);
    return ok;
}

/* The first 16 bytes of the nonce go into the key, the last 8 into the inner nonce. */
struct inner {
    uint8_t key[32];
    uint8_t nonce[12];
};

static void derive(struct inner *inner, const uint8_t key[32], const uint8_t nonce[24]) {
    hchacha20(inner->key, key, nonce);
    memset(inner->nonce, 0, 4);
    memcpy(inner->nonce + 4, nonce + 16, 8);
}

void xaead_seal_ad(uint8_t *out, const uint8_t key[32], const uint8_t nonce[24], struct bytes ad,
                   struct bytes in) {
    struct inner inner;
    derive(&inner, key, nonce);
    aead_seal_ad(out, inner.key, inner.nonce, ad, in);
    ct_wipe(&inner, sizeof inner);
}

bool xaead_open_ad(uint8_t *out, const uint8_t key[32], const uint8_t nonce[24], struct bytes ad,
                   struct bytes in) {
    struct inner inner;
    derive(&inner, key, nonce);
    bool ok = aead_open_ad(out, inner.key, inner.nonce, ad, in);
    ct_wipe(&inner, sizeof inner);
    return ok;
}
