# SPDX-License-Identifier: MIT
"""native/crypto through cffi, internal headers included: for tests and benchmarks."""

from pathlib import Path

from machine import native_build

ROOT = Path(__file__).resolve().parent.parent.parent

CDEF = """
struct aead_op { const uint8_t *key; const uint8_t *src; uint8_t *dst; uint64_t counter;
                 uint32_t len; bool ok; ...; };
struct aead { const char *name; bool (*available)(void); void (*seal)(struct aead_op *, size_t);
              void (*open)(struct aead_op *, size_t);
              void (*authenticate)(struct aead_op *, size_t);
              void (*verify)(struct aead_op *, size_t); ...; };
extern const struct aead *const aead_list[];
const struct aead *aead_find(const char *name);
const struct aead *aead_choose(void);
struct bytes { const uint8_t *p; size_t len; };
void aead_seal_ad(uint8_t *, const uint8_t *, const uint8_t *, struct bytes, struct bytes);
bool aead_open_ad(uint8_t *, const uint8_t *, const uint8_t *, struct bytes, struct bytes);
void xaead_seal_ad(uint8_t *, const uint8_t *, const uint8_t *, struct bytes, struct bytes);
bool xaead_open_ad(uint8_t *, const uint8_t *, const uint8_t *, struct bytes, struct bytes);

struct blake2s { ...; };
void blake2s_init(struct blake2s *, size_t, const uint8_t *, size_t);
void blake2s_update(struct blake2s *, const uint8_t *, size_t);
void blake2s_final(struct blake2s *, uint8_t *);
void blake2s(uint8_t *, size_t, const uint8_t *, size_t, const uint8_t *, size_t);
void blake2s_kdf(uint8_t *, size_t, const uint8_t *, const uint8_t *, size_t);

struct chacha20 { uint32_t word[16]; ...; };
void chacha20_init(struct chacha20 *, const uint8_t *, const uint32_t *);
void chacha20_block(struct chacha20 *, uint8_t *);
void chacha20_xor(struct chacha20 *, uint8_t *, const uint8_t *, size_t);
void hchacha20(uint8_t *, const uint8_t *, const uint8_t *);

struct poly1305 { ...; };
struct poly1305_impl { void (*init)(struct poly1305 *, const uint8_t *);
                       void (*blocks)(struct poly1305 *, const uint8_t *, size_t);
                       void (*final)(struct poly1305 *, uint8_t *); ...; };
extern const struct poly1305_impl poly1305_32;
extern const struct poly1305_impl poly1305_64;

bool ct_equal(const uint8_t *, const uint8_t *, size_t);
void ct_wipe(void *, size_t);
"""

PREAMBLE = """
#include <crypto/aead.h>
#include <crypto/blake2s.h>
#include <crypto/chacha20.h>
#include <crypto/ct.h>
#include <crypto/poly1305.h>
"""


def sources():
    """The C files of native/crypto, relative to the root."""
    return sorted(str(p.relative_to(ROOT)) for p in ROOT.glob("native/crypto/*.c"))


def load():
    """(ffi, lib), compiled where a source has changed."""
    module = native_build.test_module("_test_crypto", CDEF, PREAMBLE, sources())
    return module.ffi, module.lib
