/* SPDX-License-Identifier: MIT */
/* The AEAD border: a batch of packets in, a batch out. */
#ifndef TL_AEAD_H
#define TL_AEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { AEAD_KEY_LEN = 32, AEAD_TAG_LEN = 16 };

/*
 * One transport packet: ChaCha20-Poly1305 (RFC 8439) with WireGuard's nonce, 32 zero bits then
 * `counter` in little endian. Sealed, it is the plaintext and there is no associated data; in the
 * clear (authenticate, verify), it is the associated data and the plaintext is empty. The two never
 * pass for each other: the tag covers both lengths.
 *
 * `dst` equals `src` or, where it is sealed, does not overlap it. `len` counts bytes without the
 * tag: seal writes len + 16 at dst, authenticate the tag at dst + len; open and verify read len +
 * 16 at src, and verify writes nothing. Every length is valid; len + 16 fits in 32 bits because a
 * packet does. No alignment is required; 4-byte aligned data is faster on MIPS.
 *
 * Where open finds a packet not authentic, dst holds what it held or zeros, never its plaintext.
 * One counter of a key is used once, by seal or by authenticate.
 */
struct aead_op {
    const uint8_t *key; /* 32 bytes */
    const uint8_t *src;
    uint8_t *dst;
    uint64_t counter;
    uint32_t len;
    bool ok; /* open, verify: authentic; else true */
};

struct aead {
    const char *name;
    bool (*available)(void); /* does this CPU, and this process's libraries, have it */
    void (*seal)(struct aead_op *ops, size_t n);
    void (*open)(struct aead_op *ops, size_t n);
    void (*authenticate)(struct aead_op *ops, size_t n);
    void (*verify)(struct aead_op *ops, size_t n);
};

/* Every implementation built into this executable, best guess first; NULL ends the list.
 * "portable" is the last and always available. */
extern const struct aead *const aead_list[];

/* The named implementation, or NULL when unknown or not available here. */
const struct aead *aead_find(const char *name);

/* The fastest available one, by a self-measurement of a few hundred microseconds. */
const struct aead *aead_choose(void);

/*
 * Single messages with associated data, for handshakes and cookies (portable C, constant time).
 * `nonce` is 12 bytes. `out` equals `in` or does not overlap it. seal writes in_len + 16.
 * open takes in_len including the tag, returns false and leaves out zeroed when not authentic.
 */
struct bytes {
    const uint8_t *p;
    size_t len;
};
void aead_seal_ad(uint8_t *out, const uint8_t key[32], const uint8_t nonce[12], struct bytes ad,
                  struct bytes in);
bool aead_open_ad(uint8_t *out, const uint8_t key[32], const uint8_t nonce[12], struct bytes ad,
                  struct bytes in);

/* XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03): the same with a 24-byte nonce, for cookies. */
void xaead_seal_ad(uint8_t *out, const uint8_t key[32], const uint8_t nonce[24], struct bytes ad,
                   struct bytes in);
bool xaead_open_ad(uint8_t *out, const uint8_t key[32], const uint8_t nonce[24], struct bytes ad,
                   struct bytes in);

#endif
