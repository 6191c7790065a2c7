/* SPDX-License-Identifier: MIT */
/* Which vector instructions CPU and kernel offer; false for all on other CPUs. */
#ifndef TL_CPU_X86_H
#define TL_CPU_X86_H

#include <stdbool.h>

bool cpu_has_avx2(void);
bool cpu_has_avx512(void);      /* F, BW, DQ and VL */
bool cpu_has_avx512_ifma(void); /* these and IFMA */

#endif
