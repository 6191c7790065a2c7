/* SPDX-License-Identifier: MIT */
/*
 * The vectors of tests/vectors and random batches, with every buffer a heap block of exactly its
 * length: built with AddressSanitizer and UBSan, a byte read or written too far ends the program.
 * Also what runs under an emulator on CPUs that this machine has not.
 *
 *   crypto_selftest VECTOR_DIRECTORY [AEAD_NAME...]     (exit status 0: all passed)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/aead.h"
#include "crypto/blake2s.h"
#include "crypto/chacha20.h"
#include "crypto/le.h"
#include "crypto/poly1305.h"

static int failures;

static void expect(bool ok, const char *what, const char *where) {
    if (!ok) {
        printf("FAIL %s %s\n", what, where);
        failures++;
    }
}

static void *heap(const void *data, size_t len) {
    uint8_t *p = malloc(len > 0 ? len : 1);
    if (p == NULL)
        abort();
    if (data != NULL)
        memcpy(p, data, len);
    return p;
}

/* -- vector files -- */

enum { VALUES = 8, NAME = 32 };

struct value {
    char name[NAME];
    char text[NAME]; /* the start of it, for decimals and `where` */
    uint8_t *data;
    size_t len;
};

struct record {
    char kind[NAME];
    struct value values[VALUES];
    int n;
};

static struct value *find(struct record *r, const char *name) {
    for (int i = 0; i < r->n; i++)
        if (strcmp(r->values[i].name, name) == 0)
            return &r->values[i];
    printf("FAIL [%s] has no %s\n", r->kind, name);
    exit(1);
}

static int digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The heap block stays exactly as long as the value. */
static void append_hex(struct value *v, const char *text) {
    for (; digit(text[0]) >= 0 && digit(text[1]) >= 0; text += 2) {
        uint8_t *grown = heap(NULL, v->len + 1);
        memcpy(grown, v->data, v->len);
        grown[v->len++] = (uint8_t)(digit(text[0]) * 16 + digit(text[1]));
        free(v->data);
        v->data = grown;
    }
}

static void clear(struct record *r) {
    for (int i = 0; i < r->n; i++)
        free(r->values[i].data);
    memset(r, 0, sizeof *r);
}

static void add_line(struct record *r, const char *line) {
    if (line[0] == ' ') {
        append_hex(&r->values[r->n - 1], line + strspn(line, " "));
        return;
    }
    const char *equals = strstr(line, " =");
    if (equals == NULL || r->n == VALUES)
        return;
    struct value *v = &r->values[r->n++];
    snprintf(v->name, sizeof v->name, "%.*s", (int)(equals - line), line);
    const char *text = equals + 2 + strspn(equals + 2, " ");
    snprintf(v->text, sizeof v->text, "%.*s", (int)strcspn(text, "\n"), text);
    v->data = heap(NULL, 0);
    append_hex(v, text);
}

static int run_file(const char *directory, const char *name, void (*run)(struct record *)) {
    char path[512];
    char line[256];
    struct record r = {0};
    int n = 0;
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *f = fopen(path, "r");
    if (f == NULL) {
        perror(path);
        exit(1);
    }
    while (fgets(line, sizeof line, f) != NULL) {
        if (line[0] == '[') {
            if (r.n > 0)
                run(&r);
            clear(&r);
            snprintf(r.kind, sizeof r.kind, "%.*s", (int)strcspn(line + 1, "]"), line + 1);
            n++;
        } else if (line[0] != '#') {
            add_line(&r, line);
        }
    }
    run(&r);
    clear(&r);
    fclose(f);
    return n;
}

static void init_stream(struct chacha20 *s, struct record *r) {
    const uint8_t *nonce = find(r, "nonce")->data;
    uint32_t words[3] = {le32_load(nonce), le32_load(nonce + 4), le32_load(nonce + 8)};
    chacha20_init(s, find(r, "key")->data, words);
}

static void run_poly1305(struct record *r, const struct poly1305_impl *impl, const char *what) {
    struct poly1305 s;
    uint8_t tag[POLY1305_TAG];
    struct value *in = find(r, "input");
    impl->init(&s, find(r, "key")->data);
    impl->blocks(&s, in->data, in->len / POLY1305_BLOCK);
    impl->final(&s, tag);
    expect(memcmp(tag, find(r, "tag")->data, sizeof tag) == 0, what, find(r, "where")->text);
}

struct single {
    void (*seal)(uint8_t *, const uint8_t *, const uint8_t *, struct bytes, struct bytes);
    bool (*open)(uint8_t *, const uint8_t *, const uint8_t *, struct bytes, struct bytes);
};

static void run_single(struct record *r, struct single f) {
    const char *where = find(r, "where")->text;
    const uint8_t *key = find(r, "key")->data;
    const uint8_t *nonce = find(r, "nonce")->data;
    struct bytes ad = {find(r, "ad")->data, find(r, "ad")->len};
    struct bytes in = {find(r, "input")->data, find(r, "input")->len};
    struct bytes sealed = {find(r, "output")->data, find(r, "output")->len};
    uint8_t *out = heap(NULL, sealed.len);
    uint8_t *back = heap(NULL, in.len);
    f.seal(out, key, nonce, ad, in);
    expect(memcmp(out, sealed.p, sealed.len) == 0, "seal with ad", where);
    expect(f.open(back, key, nonce, ad, sealed), "open with ad", where);
    expect(memcmp(back, in.p, in.len) == 0, "opened with ad", where);
    out[0] ^= 1;
    expect(!f.open(back, key, nonce, ad, (struct bytes){out, sealed.len}), "forged", where);
    free(out);
    free(back);
}

static void run_rfc8439(struct record *r) {
    const char *where = find(r, "where")->text;
    struct chacha20 s;
    if (strcmp(r->kind, "chacha20") == 0) {
        struct value *in = find(r, "input");
        uint8_t *out = heap(NULL, in->len);
        init_stream(&s, r);
        s.word[12] = (uint32_t)atoi(find(r, "counter")->text);
        chacha20_xor(&s, out, in->data, in->len);
        expect(memcmp(out, find(r, "output")->data, in->len) == 0, "chacha20", where);
        free(out);
    } else if (strcmp(r->kind, "poly1305 key") == 0) {
        uint8_t block[CHACHA20_BLOCK];
        init_stream(&s, r);
        chacha20_block(&s, block);
        expect(memcmp(block, find(r, "output")->data, 32) == 0, "poly1305 key", where);
    } else if (strcmp(r->kind, "poly1305") == 0) {
        run_poly1305(r, &poly1305_32, "poly1305_32");
#ifdef __SIZEOF_INT128__
        run_poly1305(r, &poly1305_64, "poly1305_64");
#endif
    } else {
        expect(strcmp(r->kind, "aead") == 0, "unknown kind", r->kind);
        run_single(r, (struct single){aead_seal_ad, aead_open_ad});
    }
}

static void run_xchacha(struct record *r) {
    if (strcmp(r->kind, "hchacha20") == 0) {
        uint8_t *out = heap(NULL, 32);
        hchacha20(out, find(r, "key")->data, find(r, "nonce")->data);
        expect(memcmp(out, find(r, "output")->data, 32) == 0, "hchacha20", find(r, "where")->text);
        free(out);
    } else {
        run_single(r, (struct single){xaead_seal_ad, xaead_open_ad});
    }
}

static void run_blake2s(struct record *r) {
    static const size_t lens[] = {0, 3, 64, 65, 255, 1024};
    uint8_t out[BLAKE2S_OUT];
    if (strcmp(r->kind, "blake2s") == 0) {
        struct value *in = find(r, "input");
        blake2s(out, sizeof out, NULL, 0, in->data, in->len);
    } else { /* the self-test of appendix E */
        struct blake2s all;
        blake2s_init(&all, 32, NULL, 0);
        for (size_t out_len = 16; out_len <= 32; out_len += out_len == 20 ? 8 : 4) {
            for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
                uint8_t *data = heap(NULL, lens[i]);
                uint8_t *key = heap(NULL, out_len);
                for (int j = 0; j < 2; j++) {
                    uint8_t *p = j == 0 ? data : key;
                    size_t len = j == 0 ? lens[i] : out_len;
                    uint32_t a = 0xdead4bad * (uint32_t)len;
                    uint32_t b = 1;
                    for (size_t k = 0; k < len; k++) {
                        uint32_t t = a + b;
                        a = b;
                        b = t;
                        p[k] = (uint8_t)(t >> 24);
                    }
                }
                blake2s(out, out_len, NULL, 0, data, lens[i]);
                blake2s_update(&all, out, out_len);
                blake2s(out, out_len, key, out_len, data, lens[i]);
                blake2s_update(&all, out, out_len);
                free(data);
                free(key);
            }
        }
        blake2s_final(&all, out);
    }
    expect(memcmp(out, find(r, "output")->data, sizeof out) == 0, r->kind, find(r, "where")->text);
}

/* -- batches, against "portable" -- */

static uint64_t seed = 42;

static uint32_t chance(uint32_t below) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % below;
}

static void fill(uint8_t *p, size_t len) {
    for (size_t i = 0; i < len; i++)
        p[i] = (uint8_t)chance(256);
}

enum { BATCH = 40 };

/* Sealing by `a` must give what `reference` gives, and opening must undo it. */
static void run_batch(const struct aead *a, const struct aead *reference, uint32_t len) {
    uint8_t keys[3][AEAD_KEY_LEN];
    struct aead_op want[BATCH];
    struct aead_op got[BATCH];
    uint32_t n = 1 + chance(BATCH);
    fill(keys[0], sizeof keys);
    for (uint32_t i = 0; i < n; i++) {
        if (chance(3) == 0)
            len = chance(2) == 0 ? chance(300) : chance(1600);
        uint8_t *src = heap(NULL, len);
        fill(src, len);
        want[i] = (struct aead_op){keys[chance(3)],  src, heap(NULL, len + 16),
                                   chance(1u << 31), len, false};
        got[i] = want[i];
        got[i].dst = heap(NULL, len + 16);
    }
    reference->seal(want, n);
    a->seal(got, n);
    for (uint32_t i = 0; i < n; i++) {
        expect(memcmp(got[i].dst, want[i].dst, got[i].len + 16) == 0, a->name, "seal");
        got[i].src = want[i].dst;
        free(got[i].dst);
        got[i].dst = heap(NULL, got[i].len); /* an opened packet has no room for its tag */
        got[i].ok = false;
    }
    uint32_t forged = chance(n);
    want[forged].dst[chance(want[forged].len + 16)] ^= 4;
    a->open(got, n);
    for (uint32_t i = 0; i < n; i++) {
        expect(got[i].ok == (i != forged), a->name, "open");
        if (got[i].ok)
            expect(memcmp(got[i].dst, want[i].src, got[i].len) == 0, a->name, "opened");
    }
    for (uint32_t i = 0; i < n; i++) {
        free((void *)(uintptr_t)want[i].src);
        free(want[i].dst);
        free(got[i].dst);
    }
}

/* As that, of packets in the clear. */
static void run_clear_batch(const struct aead *a, const struct aead *reference, uint32_t len) {
    uint8_t key[AEAD_KEY_LEN];
    uint8_t tags[BATCH][AEAD_TAG_LEN];
    struct aead_op ops[BATCH];
    uint32_t n = 1 + chance(BATCH);
    fill(key, sizeof key);
    for (uint32_t i = 0; i < n; i++) {
        uint8_t *data = heap(NULL, len + 16);
        fill(data, len + 16);
        ops[i] = (struct aead_op){key, data, data, chance(1u << 31), len, false};
        len = chance(3) == 0 ? chance(1600) : len;
    }
    reference->authenticate(ops, n);
    for (uint32_t i = 0; i < n; i++) {
        memcpy(tags[i], ops[i].dst + ops[i].len, AEAD_TAG_LEN);
        memset(ops[i].dst + ops[i].len, 0, AEAD_TAG_LEN);
    }
    a->authenticate(ops, n);
    for (uint32_t i = 0; i < n; i++)
        expect(memcmp(ops[i].dst + ops[i].len, tags[i], 16) == 0, a->name, "authenticate");
    uint32_t forged = chance(n);
    ops[forged].dst[chance(ops[forged].len + 16)] ^= 4;
    a->verify(ops, n);
    for (uint32_t i = 0; i < n; i++) {
        expect(ops[i].ok == (i != forged), a->name, "verify");
        free(ops[i].dst);
    }
}

static bool wanted(const char *name, char **names, int n) {
    for (int i = 0; i < n; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return n == 0;
}

int main(int argc, char **argv) {
    if (argc < 2) {
        fprintf(stderr, "usage: crypto_selftest VECTOR_DIRECTORY [AEAD_NAME...]\n");
        return 2;
    }
    int n = run_file(argv[1], "rfc8439.txt", run_rfc8439);
    n += run_file(argv[1], "xchacha.txt", run_xchacha);
    n += run_file(argv[1], "rfc7693.txt", run_blake2s);
    printf("%d vectors\n", n);
    for (const struct aead *const *a = aead_list; *a != NULL; a++) {
        if (!(*a)->available() || !wanted((*a)->name, argv + 2, argc - 2))
            continue;
        for (uint32_t len = 0; len < 300; len++) {
            run_batch(*a, aead_find("portable"), len);
            run_clear_batch(*a, aead_find("portable"), len);
        }
        for (uint32_t i = 0; i < 100; i++) {
            run_batch(*a, aead_find("portable"), chance(2048));
            run_clear_batch(*a, aead_find("portable"), chance(2048));
        }
        printf("%s checked\n", (*a)->name);
    }
    printf("chosen: %s\n", aead_choose()->name);
    return failures == 0 ? 0 : 1;
}
