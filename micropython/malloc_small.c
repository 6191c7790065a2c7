/* SPDX-License-Identifier: MIT */
/*
 * malloc and its family in 0.5 KB. Nothing of ours calls it: libc itself does, to start threads, to
 * open a file and in getaddrinfo, and its own takes 3 KB and megabytes of address space per core.
 *
 * Sizes are rounded up to a power of two, and each has a list of what was given back. What is
 * larger than a chunk is a mapping of its own.
 */
#include <errno.h>
#include <malloc.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
    HEADER = 16, /* before each block, and what blocks are aligned to */
    SMALLEST = 5,
    LARGEST = 15, /* as powers of two, with the header */
    CHUNK = 1 << 16,
};

union block {
    struct {
        size_t size;       /* of all, with the header */
        union block *next; /* of those that were given back */
    };
    _Alignas(HEADER) unsigned char header[HEADER];
};

static union block *given_back[LARGEST + 1];
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

/* A block of 2^power bytes, or NULL. */
static union block *take(int power) {
    union block *block = given_back[power];
    size_t size = (size_t)1 << power;
    if (block != NULL) {
        given_back[power] = block->next;
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

void *malloc(size_t n) {
    union block *block = NULL;
    int power = SMALLEST;
    while (power <= LARGEST && (size_t)1 << power < n + HEADER)
        power++;
    if (n <= PTRDIFF_MAX - HEADER) {
        if (power <= LARGEST) {
            lock();
            block = take(power);
            unlock();
        } else if ((block = map(n + HEADER)) != NULL) {
            block->size = n + HEADER;
        }
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
    if (block->size > (size_t)1 << LARGEST) {
        munmap(block, block->size);
        return;
    }
    int power = __builtin_ctzl(block->size);
    lock();
    block->next = given_back[power];
    given_back[power] = block;
    unlock();
}

void *calloc(size_t rows, size_t size) {
    size_t n;
    if (__builtin_mul_overflow(rows, size, &n))
        n = SIZE_MAX;
    void *p = malloc(n);
    return p == NULL ? NULL : memset(p, 0, n);
}

void *realloc(void *old, size_t n) {
    size_t room = old == NULL ? 0 : ((union block *)old - 1)->size - HEADER;
    if (old != NULL && n <= room)
        return old;
    void *p = malloc(n);
    if (p != NULL && old != NULL) {
        memcpy(p, old, room);
        free(old);
    }
    return p;
}

/* No alignment past that of every block is supported, as C allows. */
void *aligned_alloc(size_t alignment, size_t n) {
    if (alignment > HEADER) {
        errno = EINVAL;
        return NULL;
    }
    return malloc(n);
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
