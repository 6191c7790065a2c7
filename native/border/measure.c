/* SPDX-License-Identifier: MIT */
/* Times an AEAD as the packet path uses it: in batches, in place. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/os.h"
#include "crypto/aead.h"
#include "tunlite.h"

enum { BATCH = 64, NAME_MAX_LEN = 23, SIZE_MAX_BYTES = 65536 };

static void seal_all(const struct aead *aead, uint8_t *packets, uint32_t size, uint32_t n) {
    static const uint8_t key[AEAD_KEY_LEN] = {1};
    struct aead_op ops[BATCH];
    uint64_t counter = 0;
    for (uint32_t left = n; left > 0;) {
        uint32_t batch = left < BATCH ? left : BATCH;
        for (uint32_t i = 0; i < batch; i++) {
            uint8_t *at = packets + (size_t)i * (size + AEAD_TAG_LEN);
            ops[i] = (struct aead_op){key, at, at, counter++, size, true};
        }
        aead->seal(ops, batch);
        left -= batch;
    }
}

int tl_measure(const unsigned char *name, int name_len, int size, int packets,
               unsigned char *nanoseconds8) {
    char text[NAME_MAX_LEN + 1] = {0};
    if (name_len < 1 || name_len > NAME_MAX_LEN || size < 0 || size > SIZE_MAX_BYTES || packets < 1)
        return -EINVAL;
    memcpy(text, name, (size_t)name_len);
    const struct aead *aead = aead_find(text);
    if (!aead)
        return -ENOTSUP;
    uint8_t *memory = calloc(BATCH, (size_t)size + AEAD_TAG_LEN);
    if (!memory)
        return -ENOMEM;
    uint64_t start = os_spent_ns();
    seal_all(aead, memory, (uint32_t)size, (uint32_t)packets);
    store_le64(nanoseconds8, os_spent_ns() - start);
    free(memory);
    return 0;
}
