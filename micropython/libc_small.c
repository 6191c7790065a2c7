/* SPDX-License-Identifier: MIT */
/*
 * What zig's libc has in many KB and nothing here needs to be fast: its qsort alone is 15 KB on
 * aarch64 with what it calls. Defined here, they are not taken from there.
 */
#include <limits.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

typedef int comparison(const void *, const void *);

static void swap(unsigned char *a, unsigned char *b, size_t size) {
    while (size-- > 0) {
        unsigned char kept = *a;
        *a++ = *b;
        *b++ = kept;
    }
}

/* Lets the row at `top` sink until none of its two children is larger. */
static void sink(unsigned char *rows, size_t top, size_t n, size_t size, comparison *compare) {
    for (size_t child; (child = 2 * top + 1) < n; top = child) {
        if (child + 1 < n && compare(rows + child * size, rows + (child + 1) * size) < 0)
            child++;
        if (compare(rows + top * size, rows + child * size) >= 0)
            return;
        swap(rows + top * size, rows + child * size, size);
    }
}

/* Heapsort: n log n whatever the rows, and no memory. */
void qsort(void *start, size_t n, size_t size, comparison *compare) {
    unsigned char *rows = start;
    for (size_t i = n / 2; i-- > 0;)
        sink(rows, i, n, size, compare);
    while (n-- > 1) {
        swap(rows, rows + n * size, size);
        sink(rows, 0, n, size, compare);
    }
}

char *strchrnul(const char *text, int wanted) {
    while (*text != 0 && *text != (char)wanted)
        text++;
    return (char *)text;
}

/* musl's own name of it. */
char *__strchrnul(const char *text, int wanted) {
    return strchrnul(text, wanted);
}

char *strchr(const char *text, int wanted) {
    char *found = strchrnul(text, wanted);
    return *found == (char)wanted ? found : NULL;
}

/* The C locale's, a character a byte; the resolver asks for the length of names. */
size_t mbstowcs(wchar_t *restrict to, const char *restrict text, size_t room) {
    size_t n = 0;
    for (; to == NULL ? text[n] != 0 : n < room; n++) {
        if (to != NULL && (to[n] = (unsigned char)text[n]) == 0)
            break;
    }
    return n;
}

char *strstr(const char *text, const char *wanted) {
    size_t length = strlen(wanted);
    for (;; text++) {
        if (strncmp(text, wanted, length) == 0)
            return (char *)text;
        if (*text == 0)
            return NULL;
    }
}

static unsigned digit_of(char c) {
    unsigned digit = (unsigned char)c - '0';
    return digit < 10 ? digit : (((unsigned char)c | 32) - 'a') + 10U;
}

/* No blanks and no signs: musl's resolver and --heap have none. Base 0 is of musl's inet_aton,
 * which reads 010.0.0.1 as wg(8) does: 8.0.0.1. */
unsigned long long strtoull(const char *restrict text, char **restrict end, int base) {
    unsigned long long value = 0;
    unsigned unit = (unsigned)base, digit;
    if (unit == 0)
        unit = *text == '0' ? 8 : 10;
    if (base == 0 && *text == '0' && (text[1] | 32) == 'x' && digit_of(text[2]) < 16) {
        unit = 16;
        text += 2;
    }
    for (; (digit = digit_of(*text)) < unit; text++)
        value = value < ULLONG_MAX / 16 ? value * unit + digit : ULLONG_MAX;
    if (end != NULL)
        *end = (char *)text;
    return value;
}

unsigned long strtoul(const char *restrict text, char **restrict end, int base) {
    unsigned long long value = strtoull(text, end, base);
    return value < ULONG_MAX ? (unsigned long)value : ULONG_MAX;
}

/* musl's own, which reads /etc/services: nobody here asks getaddrinfo for a service. */
struct service {
    uint16_t port;
    unsigned char protocol, type;
};

int __lookup_serv(struct service *to, const char *name, int protocol, int type, int flags) {
    (void)name, (void)protocol, (void)type, (void)flags;
    *to = (struct service){.protocol = IPPROTO_UDP, .type = SOCK_DGRAM};
    return 1;
}

#ifdef SYS_clock_adjtime64
/* 32 bits: what the kernel returns, for which a structure of either form will do. musl makes its
 * own form of the answer in 1 KB. */
int adjtimex(struct timex *unused) {
    uint64_t times[32] = {0}; /* no modes: nothing is set */
    (void)unused;
    long state = syscall(SYS_clock_adjtime64, CLOCK_REALTIME, times);
    return (int)(state < 0 ? syscall(SYS_adjtimex, times) : state); /* before Linux 5.1 */
}
#endif
