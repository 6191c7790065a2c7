/* SPDX-License-Identifier: MIT */
#define TAGS team_sse2
#define AEAD aead_sse2
#include "../../../native/crypto/chacha20poly1305_sse2.c"

#include "tags.h"
