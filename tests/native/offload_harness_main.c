/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "offload_harness.h"

int main(void) {
    uint8_t length[4];
    uint8_t *answer = malloc(OFFLOAD_ANSWER_MAX);
    while (answer != NULL && fread(length, 1, sizeof length, stdin) == sizeof length) {
        size_t n = load_be32(length);
        uint8_t *request = malloc(n > 0 ? n : 1);
        if (request == NULL || fread(request, 1, n, stdin) != n)
            return 1;
        n = offload_harness(request, n, answer, OFFLOAD_ANSWER_MAX);
        free(request);
        store_be32(length, (uint32_t)n);
        if (fwrite(length, 1, sizeof length, stdout) != sizeof length ||
            fwrite(answer, 1, n, stdout) != n || fflush(stdout) != 0)
            return 1;
    }
    free(answer);
    return 0;
}
