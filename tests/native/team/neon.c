/* SPDX-License-Identifier: MIT */
#define TAGS team_neon
#define AEAD aead_neon
#include "../../../native/crypto/chacha20poly1305_neon.c"

#include "tags.h"
