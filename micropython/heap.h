/* SPDX-License-Identifier: MIT */
/*
 * The interpreter's heap: one stretch of address space, of which pages count as memory only once
 * they are touched.
 */
#ifndef TL_HEAP_H
#define TL_HEAP_H

#include <stdbool.h>
#include <stddef.h>

enum {
    HEAP_LEAST = 256 * 1024, /* below this the program fails while it loads */
    HEAP_MOST = 64 * 1024 * 1024,
};

/* What is taken where nobody says a size: an eighth of the machine's memory, 4 to 64 MB. */
size_t heap_usual(void);

/* False where the kernel refuses; errno says why. */
bool heap_make(size_t size);

/* Whether the heap's last quarter is kept back. A daemon keeps it from peers and prefixes that are
 * added, so that those it has can work, and answers, removals and its end find room. */
void heap_keep_back(bool keep);

#endif
