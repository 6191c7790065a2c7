/* SPDX-License-Identifier: MIT */
/* The AEAD in portable C: "portable" for every CPU, "portable64" for those with 64-bit products.
 * Once per packet. */
#include "crypto/aead_serial.h"

#include "crypto/aead_impl.h"

static bool always(void) {
    return true;
}

static const struct aead_parts parts32 = {chacha20_xor, &poly1305_32, false};
static const struct aead_parts clear32 = {chacha20_xor, &poly1305_32, true};

static void seal32(struct aead_op *ops, size_t n) {
    aead_serial_seal(&parts32, ops, n);
}

static void open32(struct aead_op *ops, size_t n) {
    aead_serial_open(&parts32, ops, n);
}

static void authenticate32(struct aead_op *ops, size_t n) {
    aead_serial_seal(&clear32, ops, n);
}

static void verify32(struct aead_op *ops, size_t n) {
    aead_serial_open(&clear32, ops, n);
}

const struct aead aead_portable = {"portable", always, seal32, open32, authenticate32, verify32};

#ifdef __SIZEOF_INT128__
static const struct aead_parts parts64 = {chacha20_xor, &poly1305_64, false};
static const struct aead_parts clear64 = {chacha20_xor, &poly1305_64, true};

static void seal64(struct aead_op *ops, size_t n) {
    aead_serial_seal(&parts64, ops, n);
}

static void open64(struct aead_op *ops, size_t n) {
    aead_serial_open(&parts64, ops, n);
}

static void authenticate64(struct aead_op *ops, size_t n) {
    aead_serial_seal(&clear64, ops, n);
}

static void verify64(struct aead_op *ops, size_t n) {
    aead_serial_open(&clear64, ops, n);
}

const struct aead aead_portable64 = {"portable64", always,         seal64,
                                     open64,       authenticate64, verify64};
#endif
