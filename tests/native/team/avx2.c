/* SPDX-License-Identifier: MIT */
#define TAGS team_avx2
#define AEAD aead_avx2
#include "../../../native/crypto/chacha20poly1305_avx2.c"

#include "tags.h"
