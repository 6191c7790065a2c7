/* SPDX-License-Identifier: MIT */
/* Every AEAD implementation there is; each is defined only where its file's CPU or OS is. */
#ifndef TL_AEAD_IMPL_H
#define TL_AEAD_IMPL_H

#include "aead.h"

extern const struct aead aead_avx512ifma;
extern const struct aead aead_avx512;
extern const struct aead aead_avx2;
extern const struct aead aead_portable64;
extern const struct aead aead_portable;

#endif
