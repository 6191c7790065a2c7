/* SPDX-License-Identifier: MIT */
/*
 * team_neon for CPUs that are emulated. Standard input: batches, each a count, then for each
 * message 32 bytes of key, a length and so many bytes; numbers of 32 bits, little endian. Output:
 * the tags.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { MOST = 16, LONGEST = 1 << 16 };

int team_neon(const uint8_t *keys, const uint8_t *const *data, const uint32_t *len, uint32_t n,
              uint8_t *tags);

static void get(void *out, size_t size) {
    if (size > 0 && fread(out, size, 1, stdin) != 1)
        exit(1);
}

int main(void) {
    static uint8_t keys[MOST][64], bytes[MOST][LONGEST], tags[MOST][16];
    const uint8_t *data[MOST];
    uint32_t len[MOST], n;
    while (fread(&n, sizeof n, 1, stdin) == 1) {
        for (uint32_t i = 0; i < n && i < MOST; i++) {
            get(keys[i], 32);
            get(&len[i], sizeof len[i]);
            if (len[i] > LONGEST)
                return 1;
            get(bytes[i], len[i]);
            data[i] = bytes[i];
        }
        if (n > MOST || team_neon(keys[0], data, len, n, tags[0]) < (int)n)
            return 1;
        fwrite(tags, 16, n, stdout);
    }
    return 0;
}
