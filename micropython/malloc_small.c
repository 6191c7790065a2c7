/* SPDX-License-Identifier: MIT */
/*
 * malloc and its family in 0.6 KB, in place of 3 KB. It serves what is set up: peers, sessions,
 * tables; no packet needs it.
 *
 * Small sizes are rounded up to 16 bytes, others to a power of two, and each has a list of what was
 * given back. What is larger than half a chunk is a mapping of its own.
 */
#include <errno.h>
#include <malloc.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
    HEADER = 16, /* before each block, and what blocks are aligned to */
    SMALL = 2048,
    SMALL_LISTS = SMALL / HEADER + 1,
    POWERS = 4, /* of two, behind SMALL */
    LARGEST = SMALL << POWERS,
    CHUNK = 2 * LARGEST,
    PAGE_ALIGNED = 64, /* bytes before a block that is a mapping: it is aligned to as many */
};

union block {
    struct {
        size_t size;       /* of all, with the header */
        union block *next; /* of those that were given back */
    };
    _Alignas(HEADER) unsigned char header[HEADER];
};

static union block *given_back[SMALL_LISTS + POWERS];
static unsigned char *fresh, *fresh_end;
static char busy;

static void lock(void) {
    while (__atomic_test_and_set(&busy, __ATOMIC_ACQUIRE))
        ;
}

static void unlock(void) {
    __atomic_clear(&busy, __ATOMIC_RELEASE);
}

static void *map(size_t size) {
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

/* The list of those of at least *size bytes, at most LARGEST, which becomes their size. */
static union block **list_of(size_t *size) {
    size_t units = (*size + HEADER - 1) / HEADER;
    *size = units * HEADER;
    if (*size <= SMALL)
        return &given_back[units];
    union block **list = &given_back[SMALL_LISTS];
    size_t power = 2 * SMALL;
    for (; power < *size; power *= 2)
        list++;
    *size = power;
    return list;
}

/* A block of `size` bytes with its header, at most LARGEST, or NULL. */
static union block *take(size_t size) {
    union block **list = list_of(&size);
    union block *block = *list;
    if (block != NULL) {
        *list = block->next;
        return block;
    }
    if ((size_t)(fresh_end - fresh) < size) { /* what is left of the last one is lost */
        unsigned char *chunk = map(CHUNK);
        if (chunk == NULL)
            return NULL;
        fresh = chunk, fresh_end = chunk + CHUNK;
    }
    block = (union block *)fresh;
    fresh += size;
    block->size = size;
    return block;
}

static bool is_mapping(size_t n) {
    return n > LARGEST - HEADER;
}

/* A block that is a mapping, or NULL. */
static union block *take_mapping(size_t n) {
    unsigned char *start = map(n + PAGE_ALIGNED);
    if (start == NULL)
        return NULL;
    union block *block = (union block *)(start + PAGE_ALIGNED) - 1;
    block->size = n + PAGE_ALIGNED;
    return block;
}

void *malloc(size_t n) {
    union block *block = NULL;
    if (!is_mapping(n)) {
        lock();
        block = take(n + HEADER);
        unlock();
    } else if (n <= PTRDIFF_MAX - PAGE_ALIGNED) {
        block = take_mapping(n);
    }
    if (block == NULL) {
        errno = ENOMEM;
        return NULL;
    }
    return block + 1;
}

void free(void *p) {
    union block *block = (union block *)p - 1;
    if (p == NULL)
        return;
    if (block->size > LARGEST) {
        munmap((unsigned char *)p - PAGE_ALIGNED, block->size);
        return;
    }
    size_t size = block->size;
    lock();
    union block **list = list_of(&size);
    block->next = *list;
    *list = block;
    unlock();
}

void *calloc(size_t rows, size_t size) {
    size_t n;
    if (__builtin_mul_overflow(rows, size, &n))
        n = SIZE_MAX;
    void *p = malloc(n);
    if (p != NULL && !is_mapping(n)) /* a mapping is zeros, and no memory until touched */
        memset(p, 0, n);
    return p;
}

void *realloc(void *old, size_t n) {
    size_t room = 0;
    if (old != NULL) {
        size_t size = ((union block *)old - 1)->size;
        room = size - (size > LARGEST ? PAGE_ALIGNED : HEADER);
        if (n <= room)
            return old;
    }
    void *p = malloc(n);
    if (p != NULL && old != NULL) {
        memcpy(p, old, room);
        free(old);
    }
    return p;
}

/* More than PAGE_ALIGNED is an alignment that is not supported, as C allows. */
void *aligned_alloc(size_t alignment, size_t n) {
    if (alignment > PAGE_ALIGNED) {
        errno = EINVAL;
        return NULL;
    }
    return malloc(alignment > HEADER && !is_mapping(n) ? LARGEST : n);
}

void *memalign(size_t alignment, size_t n) {
    return aligned_alloc(alignment, n);
}

/* zig's takes its memory past malloc, and free() would meet it here. */
char *strdup(const char *text) {
    size_t size = strlen(text) + 1;
    char *copy = malloc(size);
    return copy == NULL ? NULL : memcpy(copy, text, size);
}
