/* SPDX-License-Identifier: MIT */
/*
 * Runs under valgrind's memcheck with every secret byte marked undefined: a branch or an address
 * that depends on one is then reported. Ciphertext is public, and ct.h marks what a tag comparison
 * says as such. Prints what it checked; built with -DTL_CT_CHECK.
 *
 *   valgrind --error-exitcode=9 ct_check [leak]
 *
 * "leak" branches on a secret: valgrind must complain, or this check checks nothing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <valgrind/memcheck.h>

#include "crypto/aead.h"
#include "crypto/blake2s.h"
#include "crypto/ct.h"

enum { LONGEST = 1000, BATCH = 19 };

static void secret(void *p, size_t len) {
    (void)VALGRIND_MAKE_MEM_UNDEFINED(p, len);
}

static void public(void *p, size_t len) {
    (void)VALGRIND_MAKE_MEM_DEFINED(p, len);
}

static uint8_t plain[BATCH][LONGEST];
static uint8_t sealed[BATCH][LONGEST + AEAD_TAG_LEN];
static uint8_t opened[BATCH][LONGEST];

/* Opening is run on authentic packets and on forged ones: the tag comparison must not leak where
 * it differs. Key and plaintext are secret; the ciphertext came from outside. */
static void check_aead(const struct aead *a) {
    uint8_t key[AEAD_KEY_LEN] = {1, 2, 3};
    struct aead_op ops[BATCH];
    secret(key, sizeof key);
    for (uint32_t i = 0; i < BATCH; i++) {
        uint32_t len = i * i * i % LONGEST;
        secret(plain[i], len);
        ops[i] = (struct aead_op){key, plain[i], sealed[i], i, len, false};
    }
    a->seal(ops, BATCH);
    for (uint32_t i = 0; i < BATCH; i++) {
        public(sealed[i], sizeof sealed[i]);
        if (i % 5 == 0)
            sealed[i][0] ^= 1;
        ops[i].src = sealed[i];
        ops[i].dst = opened[i];
    }
    a->open(ops, BATCH);
    for (uint32_t i = 0; i < BATCH; i++) {
        if (ops[i].ok != (i % 5 != 0))
            abort();
    }
}

/* A frame in the clear comes from outside; the key is secret. */
static void check_clear(const struct aead *a) {
    uint8_t key[AEAD_KEY_LEN] = {1, 2, 4};
    struct aead_op ops[BATCH];
    secret(key, sizeof key);
    for (uint32_t i = 0; i < BATCH; i++) {
        public(sealed[i], sizeof sealed[i]);
        ops[i] = (struct aead_op){key, sealed[i], sealed[i], i, i * i * i % LONGEST, false};
    }
    a->authenticate(ops, BATCH);
    for (uint32_t i = 0; i < BATCH; i++) {
        public(sealed[i], sizeof sealed[i]);
        if (i % 5 == 0)
            sealed[i][0] ^= 1;
    }
    a->verify(ops, BATCH);
    for (uint32_t i = 0; i < BATCH; i++)
        if (ops[i].ok != (i % 5 != 0))
            abort();
}

static void check_messages(void) {
    uint8_t key[32] = {4};
    uint8_t nonce[24] = {5};
    uint8_t ad[32] = {6};
    secret(key, sizeof key);
    secret(ad, sizeof ad);
    secret(plain[0], 77);
    aead_seal_ad(sealed[0], key, nonce, (struct bytes){ad, 32}, (struct bytes){plain[0], 77});
    public(sealed[0], 77 + AEAD_TAG_LEN);
    if (!aead_open_ad(opened[0], key, nonce, (struct bytes){ad, 32}, (struct bytes){sealed[0], 93}))
        abort();
    xaead_seal_ad(sealed[0], key, nonce, (struct bytes){ad, 32}, (struct bytes){plain[0], 77});
    public(sealed[0], 77 + AEAD_TAG_LEN);
    sealed[0][0] ^= 1;
    if (xaead_open_ad(opened[0], key, nonce, (struct bytes){ad, 32}, (struct bytes){sealed[0], 93}))
        abort();
}

static void check_blake2s(void) {
    uint8_t key[32] = {7};
    uint8_t out[96];
    secret(key, sizeof key);
    secret(plain[0], 300);
    blake2s(out, 32, key, 32, plain[0], 300);
    blake2s_kdf(out, 3, key, plain[0], 300);
    bool same = ct_equal(out, out + 32, 32);
    ct_wipe(out, sizeof out);
    if (same)
        abort();
}

static void leak(void) {
    volatile uint8_t key[1] = {8};
    secret((void *)(uintptr_t)key, 1);
    if (key[0] > 7)
        puts("leaks");
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "leak") == 0) {
        leak();
        return 0;
    }
    check_messages();
    check_blake2s();
    puts("messages\nblake2s");
    for (const struct aead *const *a = aead_list; *a != NULL; a++) {
        /* Not libcrypto: its tag comparison does not tell valgrind that the outcome is public. */
        if (strcmp((*a)->name, "libcrypto") != 0 && (*a)->available()) {
            check_aead(*a);
            check_clear(*a);
            puts((*a)->name);
        }
    }
    return 0;
}
