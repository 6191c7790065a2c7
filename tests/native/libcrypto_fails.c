/* SPDX-License-Identifier: MIT */
/*
 * A libcrypto that fails, in the place of the real one: it is found by our own dlopen and dlsym.
 * Argument "begin": it takes no key. "finish": it encrypts and then gives no tag. Either way what
 * was sealed in place must not come out plain (exit status 0).
 */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "crypto/aead.h"
#include "crypto/chacha20.h"

enum { LEN = 100 };

static const uint8_t KEY[AEAD_KEY_LEN] = {1, 2, 3};
static int context, begins;

static void *get_context(void) {
    return &context;
}

static void free_context(void *c) {
    (void)c;
}

/* The first call is for the context, without a key. */
static int init(void *c, const void *type, void *e, const uint8_t *key, const uint8_t *nonce,
                int seals) {
    (void)c, (void)type, (void)e, (void)nonce, (void)seals;
    return key == NULL || begins;
}

static int update(void *c, uint8_t *out, int *n, const uint8_t *in, int len) {
    uint8_t poly_key[CHACHA20_BLOCK];
    struct chacha20 cipher;
    (void)c, (void)n;
    chacha20_init(&cipher, KEY, (const uint32_t[3]){0});
    chacha20_block(&cipher, poly_key);
    chacha20_xor(&cipher, out, in, (size_t)len);
    return 1;
}

static int final(void *c, uint8_t *out, int *n) {
    (void)c, (void)out, (void)n;
    return 0;
}

static int ctrl(void *c, int type, int n, void *p) {
    (void)c, (void)type, (void)n, (void)p;
    return 1;
}

void *dlopen(const char *name, int flags) {
    (void)name, (void)flags;
    return &context;
}

void *dlsym(void *lib, const char *name) {
    static const struct {
        const char *name;
        void (*function)(void);
    } table[] = {
        {"EVP_chacha20_poly1305", (void (*)(void))get_context},
        {"EVP_CIPHER_CTX_new", (void (*)(void))get_context},
        {"EVP_CIPHER_CTX_free", (void (*)(void))free_context},
        {"EVP_CipherInit_ex", (void (*)(void))init},
        {"EVP_CipherUpdate", (void (*)(void))update},
        {"EVP_CipherFinal_ex", (void (*)(void)) final},
        {"EVP_CIPHER_CTX_ctrl", (void (*)(void))ctrl},
    };
    (void)lib;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strcmp(name, table[i].name) == 0)
            return (void *)table[i].function;
    return NULL;
}

int main(int argc, char **argv) {
    static const uint8_t plain[LEN] = "nobody but the two ends may read this";
    const struct aead *libcrypto = aead_find("libcrypto");
    uint8_t sealed[LEN + AEAD_TAG_LEN], packet[LEN + AEAD_TAG_LEN], zeros[sizeof packet] = {0};
    struct aead_op op = {.key = KEY, .src = plain, .dst = sealed, .len = LEN};
    if (argc != 2 || libcrypto == NULL)
        return 2;
    begins = strcmp(argv[1], "finish") == 0;
    aead_find("portable")->seal(&op, 1);
    memcpy(packet, plain, LEN);
    op.src = op.dst = packet;
    libcrypto->seal(&op, 1);
    if (memcmp(packet, begins ? zeros : sealed, sizeof packet) == 0)
        return 0;
    printf("%.37s\n", (const char *)packet);
    return 1;
}
