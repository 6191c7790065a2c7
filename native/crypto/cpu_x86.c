/* SPDX-License-Identifier: MIT */
/* cpuid and xgetbv by hand: __builtin_cpu_supports needs a runtime that not every static build has.
 */
#include "crypto/cpu_x86.h"

#ifdef __x86_64__

#include <cpuid.h>
#include <stdint.h>

enum {
    XMM_YMM = 0x6, /* state components that the kernel must save, in XCR0 */
    OPMASK_ZMM = 0xe0,
    OSXSAVE = 1u << 27, /* leaf 1, ecx */
    AVX2 = 1u << 5,     /* leaf 7, ebx */
    AVX512F = 1u << 16,
    AVX512DQ = 1u << 17,
    AVX512IFMA = 1u << 21,
    AVX512BW = 1u << 30,
};
#define AVX512VL (1u << 31)
#define AVX512 (AVX512F | AVX512DQ | AVX512BW | AVX512VL)

static uint32_t saved_state(void) {
    uint32_t a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || (c & OSXSAVE) == 0)
        return 0;
    __asm__("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
    return a;
}

static bool has(uint32_t features, uint32_t state) {
    uint32_t a, b, c, d;
    if ((saved_state() & state) != state || !__get_cpuid_count(7, 0, &a, &b, &c, &d))
        return false;
    return (b & features) == features;
}

bool cpu_has_avx2(void) {
    return has(AVX2, XMM_YMM);
}

bool cpu_has_avx512(void) {
    return has(AVX512, XMM_YMM | OPMASK_ZMM);
}

bool cpu_has_avx512_ifma(void) {
    return has(AVX512 | AVX512IFMA, XMM_YMM | OPMASK_ZMM);
}

#else

bool cpu_has_avx2(void) {
    return false;
}

bool cpu_has_avx512(void) {
    return false;
}

bool cpu_has_avx512_ifma(void) {
    return false;
}

#endif
