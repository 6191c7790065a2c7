/* SPDX-License-Identifier: MIT */
/* The two things every part needs from the kernel. */
#ifndef TL_OS_H
#define TL_OS_H

#include <stddef.h>
#include <stdint.h>

/* CLOCK_BOOTTIME in ms. */
uint64_t os_now_ms(void);
/* getrandom(2), whole: waits only before the kernel's pool is first initialised. */
void os_random(uint8_t *out, size_t len);

#endif
