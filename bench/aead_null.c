/* SPDX-License-Identifier: MIT */
/*
 * No encryption at all: what remains when ciphers cost nothing. Only the bench compiles it, with
 * -DTL_BENCH_NULL, into programs and modules below build/; a test sees to it that nothing that
 * ships knows its name.
 */
#include <string.h>

#include "crypto/aead_impl.h"

#ifndef TL_BENCH_NULL
#error "the bench alone has this"
#endif

static bool available(void) {
    return true;
}

static void null_seal(struct aead_op *ops, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (ops[i].dst != ops[i].src)
            memcpy(ops[i].dst, ops[i].src, ops[i].len);
        memset(ops[i].dst + ops[i].len, 0, AEAD_TAG_LEN);
        ops[i].ok = true;
    }
}

static void null_open(struct aead_op *ops, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (ops[i].dst != ops[i].src)
            memcpy(ops[i].dst, ops[i].src, ops[i].len);
        ops[i].ok = true;
    }
}

const struct aead aead_null = {"null", available, null_seal, null_open, null_seal, null_open};
