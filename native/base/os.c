/* SPDX-License-Identifier: MIT */
/* What the core asks of the system outside of packets. */
#include "base/os.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <time.h>

uint64_t os_now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_BOOTTIME, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

uint64_t os_spent_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

uint32_t os_parse_kernel(const char *release) {
    uint32_t version = 0;
    for (int i = 0; i < 3; i++) {
        uint32_t number = 0;
        while (*release >= '0' && *release <= '9') {
            number = number * 10 + (uint32_t)(*release++ - '0');
            number = number > 255 ? 255 : number;
        }
        release += *release == '.';
        version = version << 8 | number;
    }
    return version;
}

uint32_t os_kernel(void) {
    struct utsname name;
    return uname(&name) < 0 ? 0 : os_parse_kernel(name.release);
}

uint64_t os_memory(void) {
    struct sysinfo info;
    return sysinfo(&info) < 0 ? 0 : (uint64_t)info.totalram * info.mem_unit;
}

void *os_reserve(size_t size) {
    void *base = mmap(NULL, size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return base == MAP_FAILED ? NULL : base;
}

void os_random(uint8_t *out, size_t len) {
    while (len > 0) {
        ssize_t n = getrandom(out, len, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            abort(); /* no kernel since 3.17 does this; going on without randomness is worse */
        out += n;
        len -= (size_t)n;
    }
}
