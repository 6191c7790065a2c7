/* SPDX-License-Identifier: MIT */
/*
 * Seals, opens, authenticates or verifies packets and nothing else, for counting instructions under
 * an emulator:
 *
 *   crypto_run seal|open|authenticate|verify NAME LENGTH COUNT BATCH
 *
 * COUNT packets of LENGTH bytes in batches of BATCH, in place. The difference between two counts is
 * the cost of the packets between them, without the program's start.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/aead.h"

enum { LONGEST = 16384, BATCH_MAX = 64, HEADER = 16 };

static uint32_t data[BATCH_MAX][(HEADER + LONGEST + AEAD_TAG_LEN) / 4];

int main(int argc, char **argv) {
    static const uint8_t key[AEAD_KEY_LEN] = {1, 2, 3};
    if (argc != 6)
        return 2;
    const struct aead *a = aead_find(argv[2]);
    uint32_t len = (uint32_t)atoi(argv[3]);
    uint32_t count = (uint32_t)atoi(argv[4]);
    uint32_t batch = (uint32_t)atoi(argv[5]);
    if (a == NULL || len > LONGEST || batch < 1 || batch > BATCH_MAX)
        return 2;
    struct aead_op ops[BATCH_MAX];
    for (uint32_t i = 0; i < batch; i++) {
        uint8_t *p = (uint8_t *)data[i] + HEADER;
        ops[i] = (struct aead_op){key, p, p, i, len, false};
    }
    bool opens = strcmp(argv[1], "open") == 0;
    bool verifies = strcmp(argv[1], "verify") == 0;
    bool clear = verifies || strcmp(argv[1], "authenticate") == 0;
    void (*make)(struct aead_op *, size_t) = clear ? a->authenticate : a->seal;
    make(ops, batch);
    for (uint32_t done = 0; done < count; done += batch) {
        if (opens)
            a->open(ops, batch);
        if (verifies)
            a->verify(ops, batch);
        else
            make(ops, batch); /* a packet opens once: counted apart by the "seal" run */
    }
    return 0;
}
