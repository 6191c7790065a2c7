/* SPDX-License-Identifier: MIT */
/*
 * A fuzzer's corpus: files whose bytes steer a target, and inputs made of them by chance. Its
 * program is called as
 *
 *     PROGRAM TARGET SEED STEPS FILE...
 */
#ifndef TL_MUTATE_H
#define TL_MUTATE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chance.h"

enum { INPUT_MAX = 4096, INPUTS_MAX = 64 };

/* What a target reads its steps from; behind the end it reads zeros. */
struct input {
    uint8_t bytes[INPUT_MAX];
    uint32_t len, at;
};

static inline uint32_t next_byte(struct input *in) {
    return in->at < in->len ? in->bytes[in->at++] : 0u;
}

static inline uint32_t next_word(struct input *in) {
    uint32_t high = next_byte(in) << 8;
    return high | next_byte(in);
}

static inline void load_input(struct input *in, const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) {
        perror(path);
        exit(2);
    }
    in->len = (uint32_t)fread(in->bytes, 1, sizeof in->bytes, file);
    fclose(file);
}

static inline void change_a_byte(struct input *in) {
    if (in->len)
        in->bytes[any(in->len)] ^= (uint8_t)(any(2) ? 1u << any(8) : any(256));
}

static inline void put_bytes(struct input *in, const uint8_t *from, uint32_t n) {
    uint32_t at = any(in->len + 1);
    if (n > INPUT_MAX - in->len)
        n = INPUT_MAX - in->len;
    memmove(in->bytes + at + n, in->bytes + at, in->len - at);
    memcpy(in->bytes + at, from, n);
    in->len += n;
}

static inline void put_chance(struct input *in) {
    uint8_t bytes[64];
    uint32_t n = 1 + any(sizeof bytes);
    for (uint32_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)any(256);
    put_bytes(in, bytes, n);
}

static inline void take_bytes(struct input *in) {
    if (!in->len)
        return;
    uint32_t at = any(in->len), n = 1 + any(in->len - at);
    memmove(in->bytes + at, in->bytes + at + n, in->len - at - n);
    in->len -= n;
}

/* One of the corpus, changed a few times; pieces of others come into it. */
static inline void draw_input(struct input *in, const struct input *corpus, uint32_t n) {
    *in = corpus[any(n)];
    in->at = 0;
    for (uint32_t i = any(6); i > 0; i--) {
        const struct input *other = &corpus[any(n)];
        switch (any(4)) {
        case 0:
            change_a_byte(in);
            break;
        case 1:
            put_chance(in);
            break;
        case 2:
            take_bytes(in);
            break;
        default:
            put_bytes(in, other->bytes, other->len ? any(other->len) : 0);
        }
    }
}

static inline void must(bool holds, const char *what) {
    if (holds)
        return;
    fprintf(stderr, "%s\n", what);
    abort();
}

struct target {
    const char *name;
    void (*run)(struct input *in);
};

static inline void (*target_of(const struct target *rows, const char *name))(struct input *) {
    for (; rows->name; rows++)
        if (strcmp(rows->name, name) == 0)
            return rows->run;
    fprintf(stderr, "no such target: %s\n", name);
    exit(2);
}

/* main() of a program whose targets count in `reached` what they looked at; a row without a name
 * ends them. Its exit status. */
static inline int run_corpus(int argc, char **argv, const struct target *rows,
                             const unsigned long *reached) {
    static struct input corpus[INPUTS_MAX], in;
    if (argc < 5 || argc - 4 > INPUTS_MAX)
        return 2;
    void (*run)(struct input *) = target_of(rows, argv[1]);
    state = strtoull(argv[2], NULL, 0) | 1;
    uint32_t n = (uint32_t)argc - 4;
    for (uint32_t i = 0; i < n; i++) {
        load_input(&corpus[i], argv[i + 4]);
        in = corpus[i];
        run(&in);
    }
    for (long step = strtol(argv[3], NULL, 0); step > 0; step--) {
        draw_input(&in, corpus, n);
        run(&in);
    }
    printf("%s: %lu reached\n", argv[1], *reached);
    return *reached == 0;
}

#endif
