/* SPDX-License-Identifier: MIT */
#define TAGS team_avx512ifma
#define AEAD aead_avx512ifma
#include "../../../native/crypto/chacha20poly1305_avx512ifma.c"

#include "tags.h"
