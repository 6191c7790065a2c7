/* SPDX-License-Identifier: MIT */
#define TAGS team_avx512
#define AEAD aead_avx512
#include "../../../native/crypto/chacha20poly1305_avx512.c"

#include "tags.h"
