/* SPDX-License-Identifier: MIT */
/*
 * OpenSSL's ChaCha20-Poly1305 where a libcrypto can be loaded at run time: never a link dependency,
 * and nothing in static builds, which have no dlopen. One packet per call, so its strength is
 * assembly for a CPU that this directory has no vectors for. Once per packet.
 */
#include "crypto/aead_impl.h"

#ifdef TL_LIBCRYPTO

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

#include "crypto/le.h"

typedef struct evp_cipher_ctx_st EVP_CIPHER_CTX;
typedef struct evp_cipher_st EVP_CIPHER;

enum { GET_TAG = 0x10, SET_TAG = 0x11 }; /* EVP_CTRL_AEAD_GET_TAG and _SET_TAG, 1.1 and 3 */

/* Written once, by load(), and constant from then on. */
static struct {
    bool loaded;
    pthread_key_t context; /* each thread's EVP_CIPHER_CTX, freed when the thread ends */
    const EVP_CIPHER *(*cipher)(void);
    EVP_CIPHER_CTX *(*new)(void);
    void (*free)(EVP_CIPHER_CTX *);
    int (*init)(EVP_CIPHER_CTX *, const EVP_CIPHER *, void *, const uint8_t *, const uint8_t *,
                int);
    int (*update)(EVP_CIPHER_CTX *, uint8_t *, int *, const uint8_t *, int);
    int (*final)(EVP_CIPHER_CTX *, uint8_t *, int *);
    int (*ctrl)(EVP_CIPHER_CTX *, int, int, void *);
} evp;

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void free_context(void *context) {
    evp.free(context);
}

static void load(void) {
    void *lib = dlopen("libcrypto.so.3", RTLD_NOW | RTLD_LOCAL);
    if (lib == NULL)
        lib = dlopen("libcrypto.so.1.1", RTLD_NOW | RTLD_LOCAL);
    if (lib == NULL)
        return;
    evp.cipher = (const EVP_CIPHER *(*)(void))dlsym(lib, "EVP_chacha20_poly1305");
    evp.new = (EVP_CIPHER_CTX * (*)(void)) dlsym(lib, "EVP_CIPHER_CTX_new");
    evp.free = (void (*)(EVP_CIPHER_CTX *))dlsym(lib, "EVP_CIPHER_CTX_free");
    evp.init = (int (*)(EVP_CIPHER_CTX *, const EVP_CIPHER *, void *, const uint8_t *,
                        const uint8_t *, int))dlsym(lib, "EVP_CipherInit_ex");
    evp.update = (int (*)(EVP_CIPHER_CTX *, uint8_t *, int *, const uint8_t *, int))dlsym(
        lib, "EVP_CipherUpdate");
    evp.final = (int (*)(EVP_CIPHER_CTX *, uint8_t *, int *))dlsym(lib, "EVP_CipherFinal_ex");
    evp.ctrl = (int (*)(EVP_CIPHER_CTX *, int, int, void *))dlsym(lib, "EVP_CIPHER_CTX_ctrl");
    evp.loaded =
        evp.cipher != NULL && evp.new != NULL &&evp.free != NULL &&evp.init != NULL &&evp.update !=
                                  NULL &&evp.final != NULL &&evp.ctrl !=
                                  NULL &&pthread_key_create(&evp.context, free_context) == 0;
}

/* This thread's context, or NULL. */
static EVP_CIPHER_CTX *get_context(void) {
    pthread_once(&once, load);
    if (!evp.loaded)
        return NULL;
    EVP_CIPHER_CTX *c = pthread_getspecific(evp.context);
    if (c != NULL)
        return c;
    c = evp.new();
    if (c == NULL)
        return NULL;
    if (evp.init(c, evp.cipher(), NULL, NULL, NULL, 1) != 1 ||
        pthread_setspecific(evp.context, c) != 0) {
        evp.free(c);
        return NULL;
    }
    return c;
}

static bool available(void) {
    return get_context() != NULL;
}

/* Key and nonce; the packet's bytes are untouched. `seals`: 1 to make a tag, 0 to check it, as
 * EVP_CipherInit_ex has it. */
static bool begin(EVP_CIPHER_CTX *c, const struct aead_op *op, int seals) {
    uint8_t nonce[12] = {0};
    le64_store(nonce + 4, op->counter);
    return evp.init(c, NULL, NULL, op->key, nonce, seals) == 1;
}

/* The packet and its tag. `out`: op->dst; NULL: the packet stays in the clear. */
static bool finish(EVP_CIPHER_CTX *c, const struct aead_op *op, int seals, uint8_t *out) {
    uint8_t tag[AEAD_TAG_LEN];
    int n = 0;
    if (seals == 0)
        memcpy(tag, op->src + op->len, sizeof tag);
    if ((seals == 0 && evp.ctrl(c, SET_TAG, AEAD_TAG_LEN, tag) != 1) ||
        (op->len > 0 && evp.update(c, out, &n, op->src, (int)op->len) != 1) ||
        evp.final(c, op->dst + op->len, &n) != 1)
        return false;
    return seals == 0 || evp.ctrl(c, GET_TAG, AEAD_TAG_LEN, op->dst + op->len) == 1;
}

/* The key of the last packet stays in the context, which is wiped when it is freed: as well kept as
 * the session's own copy. */
static void seal_batch(struct aead_op *ops, size_t n) {
    EVP_CIPHER_CTX *c = get_context();
    for (size_t i = 0; i < n; i++) {
        ops[i].ok = true;
        if (c == NULL || !begin(c, &ops[i], 1)) /* out of memory */
            aead_portable.seal(&ops[i], 1);
        else if (!finish(c, &ops[i], 1,
                         ops[i].dst)) /* sealed again, what is encrypted would be plain */
            memset(ops[i].dst, 0, ops[i].len + AEAD_TAG_LEN);
    }
}

static void open_batch(struct aead_op *ops, size_t n) {
    EVP_CIPHER_CTX *c = get_context();
    for (size_t i = 0; i < n; i++) {
        if (c == NULL) {
            aead_portable.open(&ops[i], 1);
            continue;
        }
        ops[i].ok = begin(c, &ops[i], 0) && finish(c, &ops[i], 0, ops[i].dst);
        if (!ops[i].ok) /* EVP decrypts while it authenticates */
            memset(ops[i].dst, 0, ops[i].len);
    }
}

/* A tag may be made twice, as nothing is encrypted. */
static void authenticate_batch(struct aead_op *ops, size_t n) {
    EVP_CIPHER_CTX *c = get_context();
    for (size_t i = 0; i < n; i++) {
        ops[i].ok = true;
        if (c == NULL || !begin(c, &ops[i], 1) || !finish(c, &ops[i], 1, NULL))
            aead_portable.authenticate(&ops[i], 1);
    }
}

static void verify_batch(struct aead_op *ops, size_t n) {
    EVP_CIPHER_CTX *c = get_context();
    for (size_t i = 0; i < n; i++) {
        if (c == NULL)
            aead_portable.verify(&ops[i], 1);
        else
            ops[i].ok = begin(c, &ops[i], 0) && finish(c, &ops[i], 0, NULL);
    }
}

const struct aead aead_libcrypto = {"libcrypto", available,          seal_batch,
                                    open_batch,  authenticate_batch, verify_batch};

#else
typedef int aead_libcrypto_needs_dlopen; /* an empty file is not ISO C */
#endif
