/* SPDX-License-Identifier: MIT */
/* The few things every part needs from the kernel. */
#ifndef TL_OS_H
#define TL_OS_H

#include <stddef.h>
#include <stdint.h>

/* CLOCK_BOOTTIME in ms. */
uint64_t os_now_ms(void);
/* This thread's own CPU time in ns: what others run meanwhile does not count. */
uint64_t os_spent_ns(void);
/* The running kernel's version, to be compared with OS_KERNEL(6, 8, 5). */
#define OS_KERNEL(major, minor, patch) ((uint32_t)(major) << 16 | (uint32_t)(minor) << 8 | (patch))
uint32_t os_kernel(void);
/* The machine's memory in bytes. */
uint64_t os_memory(void);
/* "6.8.5-1-amd64" as such a number; what is not there or past 255 counts as 0 or 255. */
uint32_t os_parse_kernel(const char *release);
/* Address space for munmap(2) that takes memory only where it is touched; NULL: there is none. */
void *os_reserve(size_t size);
/* getrandom(2), whole: waits only before the kernel's pool is first initialised. */
void os_random(uint8_t *out, size_t len);

#endif
