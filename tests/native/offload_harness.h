/* SPDX-License-Identifier: MIT */
#ifndef TL_OFFLOAD_HARNESS_H
#define TL_OFFLOAD_HARNESS_H

#include <stddef.h>
#include <stdint.h>

enum { OFFLOAD_ANSWER_MAX = 1 << 25 };

/* Returns the length of the answer; aborts when it has more than `size` bytes. */
size_t offload_harness(uint8_t *request, size_t len, uint8_t *answer, size_t size);

#endif
