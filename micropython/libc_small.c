/* SPDX-License-Identifier: MIT */
/*
 * What zig's libc has in many KB and nothing here needs to be fast: its qsort alone is 15 KB on
 * aarch64 with what it calls. Defined here, they are not taken from there.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#ifndef __GLIBC__
/*
 * Calls that musl does otherwise where the kernel is older than Linux 3.0, or the time in an option
 * or a control message has 32 bits: no time is asked for here by these.
 */
int socket(int family, int type, int protocol) {
    return (int)syscall(SYS_socket, family, type, protocol);
}

int socketpair(int family, int type, int protocol, int pair[2]) {
    return (int)syscall(SYS_socketpair, family, type, protocol, pair);
}

int accept4(int fd, struct sockaddr *restrict from, socklen_t *restrict size, int flags) {
    return (int)syscall(SYS_accept4, fd, from, size, flags);
}

int pipe2(int ends[2], int flags) {
    return (int)syscall(SYS_pipe2, ends, flags);
}

int fchmod(int fd, mode_t mode) {
    return (int)syscall(SYS_fchmod, fd, mode);
}

int ioctl(int fd, int request, ...) {
    va_list rest;
    va_start(rest, request);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    return (int)syscall(SYS_ioctl, fd, request, argument);
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t size) {
    return (int)syscall(SYS_setsockopt, fd, level, name, value, size);
}

int getsockopt(int fd, int level, int name, void *restrict value, socklen_t *restrict size) {
    return (int)syscall(SYS_getsockopt, fd, level, name, value, size);
}

#if __SIZEOF_POINTER__ == 4 /* with 64 bits musl's structures are not the kernel's */
ssize_t recvmsg(int fd, struct msghdr *message, int flags) {
    return syscall(SYS_recvmsg, fd, message, flags);
}

int recvmmsg(int fd, struct mmsghdr *messages, unsigned room, unsigned flags,
             struct timespec *none) {
    (void)none;
    return (int)syscall(SYS_recvmmsg, fd, messages, room, flags, NULL);
}

int fcntl(int fd, int command, ...) {
    va_list rest;
    va_start(rest, command);
    unsigned long argument = va_arg(rest, unsigned long);
    va_end(rest);
    return (int)syscall(SYS_fcntl64, fd, command, argument);
}
#endif
#endif

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
