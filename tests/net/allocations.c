/* SPDX-License-Identifier: MIT */
/*
 * Counts calls for memory: preloaded into a daemon (LD_PRELOAD).
 *
 * The file that TUNLITE_TEST_ALLOCATIONS names holds three 64-bit numbers: whether to count (set by
 * the test), calls that came from the C core's library, and calls from anywhere.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <link.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PRELOADED __attribute__((visibility("default")))
#define CALLER ((uintptr_t)__builtin_return_address(0))

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

struct counts {
    volatile uint64_t armed, core, all;
};

static struct counts *counts;
static uintptr_t begin, end; /* of the core's code */

__attribute__((constructor)) static void open_counts(void) {
    const char *name = getenv("TUNLITE_TEST_ALLOCATIONS");
    int fd = name ? open(name, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        abort();
    long got = syscall(SYS_mmap, NULL, sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (got == -1)
        abort();
    counts = (struct counts *)got;
    close(fd);
}

static int find_core(struct dl_phdr_info *info, size_t size, void *arg) {
    (void)size;
    (void)arg;
    if (!strstr(info->dlpi_name, "/tunlite/_native"))
        return 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        if (part->p_type == PT_LOAD && part->p_flags & PF_X) {
            begin = info->dlpi_addr + part->p_vaddr;
            end = begin + part->p_memsz;
        }
    }
    return 1;
}

static void count(uintptr_t caller) {
    if (!counts || !counts->armed)
        return;
    if (!end)
        dl_iterate_phdr(find_core, NULL);
    counts->all++;
    counts->core += caller >= begin && caller < end;
}

PRELOADED void *malloc(size_t size) {
    count(CALLER);
    return __libc_malloc(size);
}

PRELOADED void *calloc(size_t n, size_t size) {
    count(CALLER);
    return __libc_calloc(n, size);
}

PRELOADED void *realloc(void *old, size_t size) {
    count(CALLER);
    return __libc_realloc(old, size);
}

PRELOADED void *aligned_alloc(size_t alignment, size_t size) {
    count(CALLER);
    return __libc_memalign(alignment, size);
}

PRELOADED int posix_memalign(void **out, size_t alignment, size_t size) {
    count(CALLER);
    *out = __libc_memalign(alignment, size);
    return *out ? 0 : 12;
}

PRELOADED void *mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset) {
    count(CALLER);
    return (void *)syscall(SYS_mmap, at, size, protection, flags, fd, offset);
}

PRELOADED int munmap(void *at, size_t size) {
    count(CALLER);
    return (int)syscall(SYS_munmap, at, size);
}
