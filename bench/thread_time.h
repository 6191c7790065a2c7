/* SPDX-License-Identifier: MIT */
/* For programs that measure what something costs a thread, the kernel's work for it included. */
#ifndef TL_THREAD_TIME_H
#define TL_THREAD_TIME_H

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The thread's CPU time so far. */
static inline double now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* Ends the program, with errno's text, unless ok. */
static inline void check(bool ok, const char *what) {
    if (ok)
        return;
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

#endif
