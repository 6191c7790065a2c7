/* SPDX-License-Identifier: MIT */
/* Every AEAD implementation there is; each is defined only where its file's CPU or OS is. */
#ifndef TL_AEAD_IMPL_H
#define TL_AEAD_IMPL_H

#include <string.h> /* defines __GLIBC__ where it is */

#include "crypto/aead.h"

#if (defined(__aarch64__) || (defined(__arm__) && defined(__ARM_FP))) &&                           \
    __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define TL_NEON
#endif

#ifdef __GLIBC__ /* builds for musl are static */
#define TL_LIBCRYPTO
#endif

extern const struct aead aead_avx512ifma;
extern const struct aead aead_avx512;
extern const struct aead aead_avx2;
extern const struct aead aead_sse2;
extern const struct aead aead_neon;
extern const struct aead aead_libcrypto;
extern const struct aead aead_portable64;
extern const struct aead aead_portable;
extern const struct aead aead_null; /* bench/aead_null.c, which never ships */

#endif
